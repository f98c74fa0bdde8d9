"""Named volumes of a container: mounting those with options, filling fresh ones from the image.

A volume that was never used gets, when it is empty, what the image has at the place where it is mounted, and that
directory's owner and mode. The volume's lock is held while that happens; its state says whether it is still to do. The
copy grows beside the volume's directory and takes its place whole, so that a process that dies in between leaves it to
the next to begin again.

Covers: libpod/container_internal.go (mountNamedVolume, fixVolumePermissions)
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

import msgspec

from libpod.container_internal.held import LockedContainer
from libpod.define.errors import CommandError, VolumeError
from libpod.linux import process
from libpod.linux.files import remove_tree
from libpod.linux.openat import open_inside
from libpod.lock.base import LockKind
from libpod.model.container_config import NamedVolume
from libpod.model.volume import VolumeConfig
from libpod.volume_internal import mounting


def prepare(held: LockedContainer, root: Path, *, copy_up: bool = True) -> None:
    """Make every named volume of the container usable; *root* is the mounted root file system."""
    for volume in held.config.named_volumes:
        config = held.services.state.volume_config(volume.name)
        with held.services.locks.lock(config.lock_id, LockKind.VOLUME):
            mounting.mount(held.services, config)
            if copy_up and "nocopy" not in volume.options:
                _copy_up(held, config, volume, root)


def release(held: LockedContainer) -> None:
    """Let go of the volumes that are mounted with options; the last user unmounts. Repeating it is fine."""
    for name in held.config.volume_names:
        if held.services.state.has_volume(name):
            config = held.services.state.volume_config(name)
            if config.options:
                with held.services.locks.lock(config.lock_id, LockKind.VOLUME):
                    mounting.unmount(held.services, name, leaving=held.id)


def _copy_up(held: LockedContainer, config: VolumeConfig, volume: NamedVolume, root: Path) -> None:
    state = held.services.state.volume_state(config.name)
    if not state.needs_copy_up:
        return
    target = Path(config.mount_point)
    if not any(target.iterdir()):
        in_use = any(user != held.id for user in mounting.users_now(held.services, config.name))
        if in_use or mounting.is_mounted(config):
            # Somebody sees this very directory: it cannot be replaced.
            _copy_from_image(held, target, volume.dest, root)
        else:
            growing = target.with_name(".tmp-growing")
            remove_tree(growing)
            growing.mkdir(mode=0o755)
            os.chown(growing, config.uid, config.gid)
            _copy_from_image(held, growing, volume.dest, root)
            os.rename(growing, target)
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
                    ["cp", "-a", "--reflink=auto", f"/proc/self/fd/{source}/.", os.fspath(target)],
                    pass_fds=[source],
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
