"""The program that conmon runs when a container, or an exec session, has ended.

It opens the engine with the directories it is given, records the end, restarts by policy or gives everything back, and
removes a container that asked for it. Nobody waits for it and nobody reads what it prints: errors go to the system log.

It runs once for every exit, and competes with whoever stops and removes containers; so it loads only what an ended
container needs (tests/test_startup_budget.py has the list of what it must not load).

Covers: cmd/podman/containers/cleanup.go
"""

from __future__ import annotations

import gc
import json
import logging
import os
import sys

from libpod.define.errors import LibpodError
from libpod.engine_paths import OWN_DIRECTORY

logger = logging.getLogger("libpod.clean_up")


def main() -> int:
    """Clean up after one container; argv is what `container_internal.exit_command` made."""
    # Nearly all that is made while modules load stays: looking for garbage among it takes a tenth of our time.
    gc.set_threshold(50_000)
    document, ctr_id, *session = sys.argv[1:]
    opening = json.loads(document)
    graph_root = opening["settings"].get("graph_root")
    if graph_root and not os.path.isdir(os.path.join(graph_root, OWN_DIRECTORY, "state")):
        return 0  # somebody deleted the whole engine, and opening it would make it anew
    os.environ.update(opening["environ"])
    _log_to_syslog()
    # Imported late, so that the log is ready for whatever goes wrong in it.
    from libpod import runtime_ended, runtime_opening

    try:
        services = runtime_opening.open_services(opening["settings"])
        try:
            if session:
                runtime_ended.clean_up_after_exec(services, ctr_id, session[0])
            else:
                runtime_ended.clean_up_after_exit(services, ctr_id)
        finally:
            runtime_opening.close_services(services)
    except (LibpodError, OSError) as error:
        logger.error("clean-up of container %s: %s", ctr_id[:12], error)
        return 1
    return 0


class _SystemLog(logging.Handler):
    """The system log, or standard error where there is none, opened by the first complaint: most ends have none."""

    _target: logging.Handler | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if self._target is None:
            self._target = _system_log()
            self._target.setFormatter(logging.Formatter("libpod: %(message)s"))
        self._target.emit(record)


def _system_log() -> logging.Handler:
    if not os.path.exists("/dev/log"):
        return logging.StreamHandler(sys.stderr)
    from logging.handlers import SysLogHandler

    return SysLogHandler(address="/dev/log")


def _log_to_syslog() -> None:
    top = logging.getLogger("libpod")
    top.addHandler(_SystemLog())
    top.setLevel(logging.WARNING)


if __name__ == "__main__":
    sys.exit(main())
