"""Removing a container.

REMOVING is saved first, then everything is given back, last the record goes. A kill in between leaves a container in
state "removing", which `rm` or the next repair finishes.

Covers: libpod/runtime_ctr.go (RemoveContainer)
"""

from __future__ import annotations

from libpod.checkpoint.members import CHECKPOINT_DIR
from libpod.container_internal import lifecycle, rootfs, settling
from libpod.container_internal.exec_sessions import remove_sessions
from libpod.container_internal.held import LockedContainer
from libpod.container_internal.locked import locked
from libpod.container_internal.services import Services
from libpod.define.errors import ContainerInUseError, NoSuchContainerError
from libpod.define.status import LIVE, ContainerStatus, Operation
from libpod.model.container_config import ContainerConfig
from libpod.model.container_state import ContainerState
from libpod.model.event import EventStatus
from libpod.volume_internal import removal as volume_removal


def remove_container(
    services: Services,
    ctr_id: str,
    *,
    force: bool = False,
    volumes: bool = False,
    timeout: float | None = None,
    ignore_missing: bool = False,
) -> None:
    """See `Container.remove`. With *ignore_missing* a container that is gone is fine."""
    try:
        with locked(services, ctr_id) as held:
            _remove(held, force=force, volumes=volumes, timeout=timeout)
    except NoSuchContainerError:
        if not ignore_missing:
            raise


def _remove(held: LockedContainer, *, force: bool, volumes: bool, timeout: float | None) -> None:
    dependents = held.services.state.dependents(held.id)
    if dependents:
        raise ContainerInUseError(held.name, dependents)
    if force:
        if held.status in LIVE and not lifecycle.stop(held, timeout):
            return  # it removed itself as soon as it had ended
    else:
        held.require(Operation.REMOVE, resolution="stop it first, or force the removal")
    if held.status in {ContainerStatus.STOPPED, ContainerStatus.CREATED}:
        lifecycle.clean_up(held)
    if held.status is not ContainerStatus.REMOVING:
        held.update(status=ContainerStatus.REMOVING, removing_volumes=volumes or held.config.auto_remove)
    finish_removal(held)


def finish_removal(held: LockedContainer, *, quietly: bool = False) -> None:
    """Give everything back and remove the record; every step may be repeated after a kill.

    *quietly*: nobody was told that the container exists, so nobody is told that it goes.
    """
    config, services = held.config, held.services
    anonymous = held.state.removing_volumes
    made_for_it = held.state.volumes_to_remove
    runtime = lifecycle.runtime_of(held)
    if (held.directory / CHECKPOINT_DIR).exists():
        settling.await_restore(held)
    lifecycle.remove_unrecorded(held, runtime)
    remove_sessions(held)
    lifecycle.release_resources(held)
    rootfs.remove(held)
    if config.rootfs:
        rootfs.remove_directories(services, config.id)
    if not quietly:
        held.emit(EventStatus.REMOVE)
    services.state.remove_container(config.id)
    services.state.free_lock(config.lock_id)
    if anonymous or made_for_it:
        volume_removal.remove_unused(services, config.volume_names, also_named=made_for_it)


def removes_itself(config: ContainerConfig, state: ContainerState) -> bool:
    """Whether a container is over that asked to be removed then. Not while only its directory has its checkpoint."""
    over = state.status in {ContainerStatus.EXITED, ContainerStatus.STOPPED}
    return over and config.auto_remove and not state.checkpoint_path
