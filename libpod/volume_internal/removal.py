"""Removing a volume: unmounted, the record gone, the directory set aside, then emptied.

A kill after the record went leaves a directory that no volume names; the next repair removes it.

Covers: libpod/runtime_volume_common.go (removeVolume)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from libpod.container_internal.services import Services
from libpod.define.errors import NoSuchVolumeError, VolumeInUseError
from libpod.linux.files import remove_tree
from libpod.lock.base import LockKind
from libpod.lock.presence import UNMAKE
from libpod.model.event import EventStatus, EventType
from libpod.volume_internal import mounting, naming


def remove(services: Services, name: str) -> None:
    """Remove a volume that nothing uses; raises VolumeInUseError, NoSuchVolumeError."""
    users = services.state.volume_users(name)
    if users:
        raise VolumeInUseError(name, users)
    config = services.state.volume_config(name)
    services.presence.announce()
    with services.presence.at_work(UNMAKE), services.locks.lock(config.lock_id, LockKind.VOLUME):
        mounting.unmount(services, name, force=True)
        with naming.removing(services):
            services.state.remove_volume(name)
            aside = naming.set_aside(Path(config.mount_point).parent)
        if aside is not None:
            remove_tree(aside)
    services.state.free_lock(config.lock_id)
    services.emit(EventStatus.REMOVE, type=EventType.VOLUME, name=name, id=name)


def remove_unused(services: Services, names: Sequence[str], *, also_named: Sequence[str] = ()) -> None:
    """Remove those of *names* that are anonymous or in *also_named*, and that nothing uses any more."""
    for name in names:
        try:
            if services.state.volume_config(name).is_anonymous or name in also_named:
                remove(services, name)
        except (NoSuchVolumeError, VolumeInUseError):
            continue
