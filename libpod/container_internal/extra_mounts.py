"""Mounts that the engine makes on the host before it can bind them into a container.

    overlay volume (`-v /src:/dst:O`)   an overlay over the host's directory; what the container writes stays in its own
                                        bundle and goes with it
    image volume (`type=image`)         an image's files, read-only, or through such an overlay when writable
    sub-path of a volume                a directory inside it, resolved so that no link leads out

All live below `<bundle>/overlay-volumes`, one directory a destination; clean-up unmounts whatever is mounted there, so
that a kill in between leaves nothing that the next clean-up does not find.

Covers: libpod/container_internal_common.go (overlay, image and sub-path volumes)
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from libpod.container_internal.held import LockedContainer
from libpod.define.errors import StorageError, VolumeError
from libpod.linux import mounts
from libpod.linux.files import remove_tree
from libpod.linux.openat import open_inside
from libpod.model.container_config import ImageVolume, NamedVolume, OverlayVolume


def prepare(held: LockedContainer) -> dict[str, str]:
    """Make all of them; returns destination → where it is on the host."""
    config = held.config
    found = {volume.dest: _overlay(held, volume) for volume in config.overlay_volumes}
    found |= {volume.dest: _image(held, volume) for volume in config.image_volumes}
    found |= {volume.dest: _sub_path(held, volume) for volume in config.named_volumes if volume.sub_path}
    return found


def release(held: LockedContainer) -> None:
    """Unmount all of them; what is not mounted is fine."""
    directory = _directory(held)
    if not directory.exists():
        return
    for point in mounts.mounts_below(directory):
        mounts.unmount(point, mounts.MNT_DETACH)
    for volume in held.config.image_volumes:
        with contextlib.suppress(StorageError):  # it was not mounted any more
            held.services.store.unmount_image(held.services.images.find(volume.source).id)
    remove_tree(directory)


def _directory(held: LockedContainer) -> Path:
    return held.directory / "overlay-volumes"


def _place(held: LockedContainer, destination: str) -> Path:
    import hashlib

    name = hashlib.sha256(os.fsencode(destination)).hexdigest()[:16]
    return _directory(held) / name


def _overlay(held: LockedContainer, volume: OverlayVolume) -> str:
    source = Path(volume.source)
    if not source.is_dir():
        raise VolumeError(f"container {held.name}: {source} is no directory, and an overlay volume needs one")
    return _mounted_over(held, source, volume.dest)


def _image(held: LockedContainer, volume: ImageVolume) -> str:
    store = held.services.store
    image = held.services.images.find(volume.source)
    place = _place(held, volume.dest)
    if mounts.is_mount_point(place / "merged"):
        return str(place / "merged")
    root = store.mount_image(image.id)
    if not volume.read_write:
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        return str(root)
    return _mounted_over(held, root, volume.dest)


def _mounted_over(held: LockedContainer, lower: Path, destination: str) -> str:
    place = _place(held, destination)
    merged = place / "merged"
    if place.exists() and mounts.is_mount_point(merged):
        return str(merged)
    for name in ("upper", "work", "merged"):
        (place / name).mkdir(parents=True, exist_ok=True, mode=0o755)
    found = lower.stat()
    os.chown(place / "upper", found.st_uid, found.st_gid)
    os.chmod(place / "upper", found.st_mode & 0o7777)
    data = f"lowerdir={_escaped(lower)},upperdir={place / 'upper'},workdir={place / 'work'}"
    try:
        mounts.mount("overlay", merged, "overlay", 0, data)
    except OSError as error:
        raise VolumeError(
            f"container {held.name}: the overlay over {lower} for {destination} cannot be mounted ({error.strerror})"
        ) from error
    return str(merged)


def _sub_path(held: LockedContainer, volume: NamedVolume) -> str:
    content = held.services.state.volume_config(volume.name).mount_point
    top = os.open(content, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        descriptor = open_inside(top, volume.sub_path.lstrip("/"), os.O_PATH)
        try:
            return os.readlink(f"/proc/self/fd/{descriptor}")
        finally:
            os.close(descriptor)
    except OSError as error:
        raise VolumeError(
            f"volume {volume.name} has no {volume.sub_path} ({error.strerror})",
            resolution="make it in the volume first",
        ) from error
    finally:
        os.close(top)


def _escaped(path: Path) -> str:
    """A colon separates lower directories, a backslash escapes one."""
    return str(path).replace("\\", "\\\\").replace(":", "\\:")
