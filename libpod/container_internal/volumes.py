"""Named volumes of a container: mounting those with options, filling fresh ones from the image.

A volume that was never used gets, when it is empty, what the image has at the place where it is mounted, and that
directory's owner and mode. The volume's lock is held while that happens; its state says whether it is still to do, so
that a process that dies in between leaves it to the next.

Covers: libpod/volume_internal_linux.go, libpod/container_internal.go (mountNamedVolume, fixVolumePermissions)
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

import msgspec

from libpod.container_internal.held import LockedContainer
from libpod.container_internal.services import Services
from libpod.define.errors import CommandError, VolumeError
from libpod.linux import mounts, process
from libpod.linux.openat import open_inside
from libpod.lock.base import LockKind
from libpod.model.container_config import NamedVolume
from libpod.model.volume import VolumeConfig

_FLAG_WORDS = {
    "ro": mounts.MS_RDONLY,
    "nosuid": mounts.MS_NOSUID,
    "nodev": mounts.MS_NODEV,
    "noexec": mounts.MS_NOEXEC,
    "noatime": mounts.MS_NOATIME,
    "bind": mounts.MS_BIND,
    "rbind": mounts.MS_BIND | mounts.MS_REC,
    "sync": mounts.MS_SYNCHRONOUS,
}
_PLAIN_WORDS = frozenset({"rw", "suid", "dev", "exec", "atime", "defaults"})


def prepare(held: LockedContainer, root: Path, *, copy_up: bool = True) -> None:
    """Make every named volume of the container usable; *root* is the mounted root file system."""
    for volume in held.config.named_volumes:
        config = held.services.state.volume_config(volume.name)
        with held.services.locks.lock(config.lock_id, LockKind.VOLUME):
            _mount_options_volume(held.services, config)
            if copy_up and "nocopy" not in volume.options:
                _copy_up(held, config, volume, root)


def release(held: LockedContainer) -> None:
    """Let go of the volumes that are mounted with options; the last user unmounts."""
    for name in held.config.volume_names:
        if held.services.state.has_volume(name):
            config = held.services.state.volume_config(name)
            if config.options:
                with held.services.locks.lock(config.lock_id, LockKind.VOLUME):
                    unmount_options_volume(held.services, name)


def unmount_options_volume(services: Services, name: str, *, force: bool = False) -> None:
    """Lower the mount count of a volume; at zero, or with *force*, unmount it. Its lock is held."""
    config, state = services.state.volume_config(name), services.state.volume_state(name)
    if not config.options:
        return
    left = 0 if force else max(0, state.mount_count - 1)
    if left == 0 and mounts.is_mount_point(config.mount_point):
        mounts.unmount(config.mount_point, mounts.MNT_DETACH)
    services.state.save_volume_state(name, msgspec.structs.replace(state, mount_count=left))


def _mount_options_volume(services: Services, config: VolumeConfig) -> None:
    if not config.options:
        return
    state = services.state.volume_state(config.name)
    if not mounts.is_mount_point(config.mount_point):
        flags, data = mount_words(config.options.get("o", ""))
        source, fstype = config.options.get("device", ""), config.options.get("type", "")
        try:
            mounts.mount(source or fstype, config.mount_point, fstype or "none", flags, data)
        except OSError as error:
            raise VolumeError(
                f"volume {config.name} cannot be mounted ({error.strerror})",
                resolution="check its type, device and o options",
            ) from error
    services.state.save_volume_state(config.name, msgspec.structs.replace(state, mount_count=state.mount_count + 1))


def mount_words(options: str) -> tuple[int, str]:
    """Split mount(8) option words into flags and the data string."""
    flags, data = 0, []
    for word in filter(None, options.split(",")):
        if word in _FLAG_WORDS:
            flags |= _FLAG_WORDS[word]
        elif word not in _PLAIN_WORDS:
            data.append(word)
    return flags, ",".join(data)


def _copy_up(held: LockedContainer, config: VolumeConfig, volume: NamedVolume, root: Path) -> None:
    state = held.services.state.volume_state(config.name)
    if not state.needs_copy_up:
        return
    target = Path(config.mount_point)
    if not any(target.iterdir()):
        _copy_from_image(held, target, volume.dest, root)
    held.services.state.save_volume_state(
        config.name, msgspec.structs.replace(state, needs_copy_up=False, needs_chown=False)
    )


def _copy_from_image(held: LockedContainer, target: Path, destination: str, root: Path) -> None:
    top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            source = open_inside(top, destination.lstrip("/"), os.O_RDONLY | os.O_DIRECTORY)
        except (FileNotFoundError, NotADirectoryError):
            return  # the image has nothing there
        try:
            found = os.fstat(source)
            try:
                # cp keeps owners, links, devices, sparse files and attributes; a child, but only at the first use.
                process.run(
                    ["cp", "-a", "--reflink=auto", f"/proc/self/fd/{source}/.", os.fspath(target)], pass_fds=[source]
                )
            except CommandError as error:
                raise VolumeError(
                    f"volume {target.parent.name} cannot be filled from {destination} of container {held.name}",
                    details=error.details,
                ) from error
            os.chown(target, found.st_uid, found.st_gid)
            os.chmod(target, stat.S_IMODE(found.st_mode))
        finally:
            os.close(source)
    finally:
        os.close(top)
