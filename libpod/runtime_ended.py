"""What conmon's exit command does: the end of a container, or of an exec session in it, is settled.

A module of its own, because the exit command runs once for every exit and must not load what makes containers.

Covers: libpod/runtime_ctr.go and libpod/container_api.go (Cleanup), libpod/container_exec.go (ExecCleanup)
"""

from __future__ import annotations

import logging

from libpod.container_internal import lifecycle
from libpod.container_internal.exec_sessions import remove_session
from libpod.container_internal.held import LockedContainer
from libpod.container_internal.locked import locked
from libpod.container_internal.services import Services
from libpod.define.errors import NoSuchContainerError, NoSuchPodError
from libpod.define.status import ContainerStatus
from libpod.model.event import EventStatus

logger = logging.getLogger(__name__)


def clean_up_after_exit(services: Services, ctr_id: str) -> None:
    """What conmon's exit command does: restart by policy, clean up, and remove a container that asked for it.

    Does nothing for a container that runs, or that is gone.
    """
    try:
        with locked(services, ctr_id) as held:
            settle_end(held)
    except (NoSuchContainerError, NoSuchPodError):
        return


def settle_end(held: LockedContainer) -> None:
    """As `clean_up_after_exit`, for a container whose lock is held; it may be gone afterwards."""
    restarted = lifecycle.after_exit(held)
    over = held.status in {ContainerStatus.EXITED, ContainerStatus.STOPPED}
    if restarted or not over or not held.config.auto_remove:
        return
    if held.state.checkpoint_path:
        logger.warning("container %s is kept, because only it has its checkpoint", held.name)
        return
    dependents = held.services.state.dependents(held.id)
    if dependents:
        # Before anything is taken away from it: others may start it again.
        logger.warning("container %s is not removed: %d others depend on it", held.name, len(dependents))
        return
    from libpod.container_internal.removal import finish_removal
    from libpod.container_internal.undertakings import Kind, undertaking

    with undertaking(held.services.paths.staging, Kind.REMOVAL, held.id):
        held.update(status=ContainerStatus.REMOVING, removing_volumes=True)
        finish_removal(held)


def clean_up_after_exec(services: Services, ctr_id: str, session_id: str) -> None:
    """What conmon's exit command does after a detached exec: forget the session. One that is gone is fine."""
    try:
        with locked(services, ctr_id) as held:
            remove_session(held, session_id)
            held.emit(EventStatus.EXEC_DIED)
    except NoSuchContainerError:
        return
