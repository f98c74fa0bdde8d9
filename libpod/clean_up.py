"""The program that conmon runs when a container, or an exec session, has ended.

It opens the engine with the directories it is given, records the end, restarts by policy or gives everything back, and
removes a container that asked for it. Nobody waits for it and nobody reads what it prints: errors go to the system log.

Covers: cmd/podman/containers/cleanup.go
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import os
import sys

from libpod.define.errors import LibpodError

logger = logging.getLogger("libpod.clean_up")


def main() -> int:
    """Clean up after one container; argv is what `container_internal.exit_command` made."""
    document, ctr_id, *session = sys.argv[1:]
    opening = json.loads(document)
    if not os.path.isdir(opening["settings"].get("graph_root", "/")):
        return 0  # somebody deleted the whole engine, and opening it would make it anew
    os.environ.update(opening["environ"])
    _log_to_syslog()
    # Imported late, so that the log is ready for whatever goes wrong in it.
    from libpod import runtime_ctr, runtime_opening

    try:
        services = runtime_opening.open_services(opening["settings"])
        try:
            if session:
                runtime_ctr.clean_up_after_exec(services, ctr_id, session[0])
            else:
                runtime_ctr.clean_up_after_exit(services, ctr_id)
        finally:
            runtime_opening.close_services(services)
    except (LibpodError, OSError) as error:
        logger.error("clean-up of container %s: %s", ctr_id[:12], error)
        return 1
    return 0


def _log_to_syslog() -> None:
    if os.path.exists("/dev/log"):
        handler: logging.Handler = logging.handlers.SysLogHandler(address="/dev/log")
    else:
        handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("libpod: %(message)s"))
    top = logging.getLogger("libpod")
    top.addHandler(handler)
    top.setLevel(logging.WARNING)


if __name__ == "__main__":
    sys.exit(main())
