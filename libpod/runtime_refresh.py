"""The first opening after a boot: forget what the reboot erased.

Under the alive lock, so that one process does it and the others wait. Every step may be repeated, for a kill in between
leaves the volatile half unstamped and the next opening begins again.

    leftovers of the last boot removed ▶ state refreshed ▶ interrupted and automatic removals finished ▶ what runs
    although it cannot is ended ▶ event

Nothing is started: which containers come back is the business of a restart policy's runner (`start --all --filter
restart-policy=always`), as with podman.

Covers: libpod/runtime.go (refresh), libpod/container_internal.go (refresh)
"""

from __future__ import annotations

import logging

from libpod.container_internal.removal import remove_container, removes_itself
from libpod.container_internal.services import Services
from libpod.define.errors import LibpodError
from libpod.define.status import ContainerStatus
from libpod.linux import mounts
from libpod.linux.file_locks import locked_file
from libpod.linux.files import remove_tree
from libpod.model.event import EventStatus, EventType
from libpod.runtime_repair import sweep

logger = logging.getLogger(__name__)


def refresh(services: Services) -> None:
    """Refresh, unless another process was faster."""
    with locked_file(services.paths.alive_lock):
        if not services.state.needs_refresh():
            return
        _remove_leftovers(services)
        services.state.refresh()
        _finish_removals(services)
        # After a reboot there is nothing; when somebody deleted the run root, the processes are there still.
        sweep(services)
        services.emit(EventStatus.REFRESH, type=EventType.SYSTEM)


def _remove_leftovers(services: Services) -> None:
    """Files of processes that are gone. A mount that is still there was not ended by a reboot; it goes too."""
    paths = services.paths
    for directory in (paths.exits, paths.volatile / "persist", paths.sockets, paths.netns_directory):
        for entry in list(directory.iterdir()):
            while mounts.is_mount_point(entry):
                mounts.unmount(entry, mounts.MNT_DETACH)
            remove_tree(entry)
    for entry in list(paths.staging.iterdir()):
        remove_tree(entry)
    for sign in services.presence.dead():
        sign.path.unlink(missing_ok=True)
    services.locks.forget_abandoned()
    remove_tree(paths.volatile / "oci")
    (paths.volatile / "oci").mkdir(mode=0o700)


def _finish_removals(services: Services) -> None:
    for config, state in services.state.containers():
        if state.status is ContainerStatus.REMOVING or removes_itself(config, state):
            try:
                remove_container(services, config.id, volumes=True, ignore_missing=True)
            except LibpodError as error:
                logger.warning("container %s cannot be removed: %s", config.name, error)
