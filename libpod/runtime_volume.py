"""Volumes of a runtime: create, find, list, remove, prune.

The directory is made before the record and removed after it, so that a record always has its directory. What a kill
leaves is a directory without a record; `create_volume` takes an empty one over and the next repair removes the others.

Covers: libpod/runtime_volume.go, libpod/runtime_volume_common.go
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from libpod.container_internal.services import Services
from libpod.define.errors import (
    InvalidArgumentError,
    NoSuchVolumeError,
    VolumeError,
    VolumeExistsError,
    VolumeInUseError,
)
from libpod.define.ids import check_name, new_id
from libpod.linux.files import sync_directory
from libpod.model.event import EventStatus, EventType
from libpod.model.times import now
from libpod.model.volume import VolumeConfig, VolumeState
from libpod.volume import Volume
from libpod.volume_internal import naming

logger = logging.getLogger(__name__)

_OPTIONS = frozenset({"type", "device", "o"})


def create_volume(
    services: Services,
    name: str | None = None,
    *,
    labels: Mapping[str, str] | None = None,
    driver: str = "local",
    options: Mapping[str, str] | None = None,
    anonymous: bool = False,
    uid: int = 0,
    gid: int = 0,
    ignore_existing: bool = False,
) -> Volume:
    """Make a volume; a random name when none is given."""
    wanted = check_name("volume", name) if name else new_id()
    if driver != "local":
        raise InvalidArgumentError(
            f'volume {wanted}: there is no driver "{driver}"', resolution='use driver "local"'
        )
    unknown = sorted(set(options or {}) - _OPTIONS)
    if unknown:
        raise InvalidArgumentError(
            f'volume {wanted}: the local driver does not know the option "{unknown[0]}"',
            resolution="use type, device and o",
        )
    if services.state.has_volume(wanted):
        if ignore_existing:
            return Volume(services, services.state.volume_config(wanted))
        raise VolumeExistsError(wanted)
    data = services.paths.volumes / wanted / "_data"
    config = VolumeConfig(
        name=wanted,
        labels=dict(labels or {}),
        driver=driver,
        mount_point=str(data),
        created_time=now(),
        options=dict(options or {}),
        is_anonymous=anonymous,
        uid=uid,
        gid=gid,
    )
    try:
        with naming.making(services, wanted):
            config = _added(services, config)
    except VolumeExistsError:
        if ignore_existing:  # another process was faster
            return Volume(services, services.state.volume_config(wanted))
        raise
    services.emit(EventStatus.CREATE, type=EventType.VOLUME, name=wanted, id=wanted)
    return Volume(services, config)


def get_volume(services: Services, name: str) -> Volume:
    """By name, or by a unique beginning of one; raises NoSuchVolumeError, AmbiguousNameError."""
    return Volume(services, services.state.volume_config(services.state.lookup_volume(name)))


def volumes(services: Services, *filters: Callable[[Volume], bool]) -> list[Volume]:
    """All volumes that pass every filter, oldest first."""
    found = [Volume(services, config) for config, _ in services.state.volumes()]
    return [volume for volume in found if all(wanted(volume) for wanted in filters)]


def remove_volume(services: Services, name: str, *, force: bool = False) -> None:
    """See `Volume.remove`."""
    get_volume(services, name).remove(force=force)


def prune_volumes(services: Services, *filters: Callable[[Volume], bool]) -> list[str]:
    """Remove the volumes that no container uses; returns their names. Upstream: `PruneVolumes`."""
    removed = []
    for volume in volumes(services, *filters):
        try:
            remove_volume(services, volume.name)
        except (VolumeInUseError, NoSuchVolumeError):
            continue  # in use, or somebody else was faster: that is what prune means
        removed.append(volume.name)
    if removed:
        services.emit(EventStatus.PRUNE, type=EventType.VOLUME, name="")
    return removed


def _added(services: Services, config: VolumeConfig) -> VolumeConfig:
    """Make the directory, then the record. What is made when the record fails goes again, unless another has it."""
    data = Path(config.mount_point)
    if services.state.has_volume(config.name):
        raise VolumeExistsError(config.name)
    try:
        _make_directory(data, config.uid, config.gid)
    except OSError as error:
        if services.state.has_volume(config.name):
            raise VolumeExistsError(config.name) from error
        raise VolumeError(
            f"volume {config.name}: its directory {data} cannot be made ({error.strerror})"
        ) from error
    lock_id = services.state.allocate_lock()
    try:
        config = msgspec.structs.replace(config, lock_id=lock_id)
        services.state.add_volume(config, VolumeState(needs_copy_up=True, needs_chown=True))
    except BaseException:
        services.state.free_lock(lock_id)
        raise
    return config


def _make_directory(data: Path, uid: int, gid: int) -> None:
    data.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if data.is_dir() and any(data.iterdir()):
        raise FileExistsError(17, "it exists and is not empty", str(data))
    data.mkdir(exist_ok=True)
    data.chmod(0o755)
    os.chown(data, uid, gid)
    sync_directory(data.parent)
