"""Waiting until conmon has written down all that a container has printed.

A frozen container's last words may still be in the pipe: they are in nobody's memory image, since the pipe's other end
is conmon's, so they must be in the log before the log is copied. conmon is not frozen and needs a moment: its pipes
are empty and it sleeps again, then all is written.

Covers: nothing upstream; podman copies the log whenever it gets there.
"""

from __future__ import annotations

import logging
import time

from libpod.container_internal.held import LockedContainer
from libpod.linux import pidfd, pipes

logger = logging.getLogger(__name__)

PATIENCE = 10.0
"""Seconds; a reader of an attached stream that does not read holds conmon up for ever."""
_PAUSE = 0.001


def await_log(held: LockedContainer) -> None:
    """Return when the log holds all that the container, which stands still, has printed; late logs are warned of."""
    conmon = held.state.conmon_pid
    deadline = time.monotonic() + PATIENCE
    while pipes.has_unread(conmon) or pidfd.process_state(conmon) == "R":
        if time.monotonic() > deadline:
            logger.warning(
                "container %s: its log may lack the last lines, since conmon does not write", held.name
            )
            return
        # conmon tells nobody when it is done; in practice this happens once, if at all.
        time.sleep(_PAUSE)
