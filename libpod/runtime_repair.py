"""Putting in order what killed processes left, when an engine is opened.

There is a sign of every kill: the dead process's files in `working/` (`lock.presence`) and in the staging directory
(`container_internal.undertakings`), or its signature on a lock. Opening looks for the first two; the third is seen by
whoever takes the lock next. Without a sign nothing else is looked at.

With one, everything is looked at that a process could have left (`runtime_check`), under a lock of its own, so that
whoever opens the engine meanwhile finds it in order. The signs go last: a repair that is killed leaves them, and the
next begins again. What cannot be repaired keeps nobody from working: it is logged, and `check` reports it.

Covers: nothing upstream
"""

from __future__ import annotations

import logging

from libpod.container_internal.services import Services
from libpod.define.errors import LibpodError
from libpod.linux.file_locks import locked_file

logger = logging.getLogger(__name__)


def repair(services: Services) -> None:
    """Repair, unless another process was faster. Never raises for what it finds."""
    with locked_file(services.paths.volatile / "repair.lock"):
        dead = services.presence.dead()
        sweep(services)
        for sign in dead:
            sign.path.unlink(missing_ok=True)


def sweep(services: Services) -> None:
    """Look at everything that a killed process can leave, and put it right."""
    from libpod import runtime_check

    try:
        report = runtime_check.check(services, repair=True, thorough=False)
    except (LibpodError, OSError) as error:
        logger.warning("what killed processes left cannot be put in order: %s", error)
        return
    for finding in report.findings:
        logger.info("%s", finding)
