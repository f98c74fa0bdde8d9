"""The vfs driver: a whole copy of the parent per layer, for file systems on which overlay cannot work.

    G/vfs/dir/<layer id>/       the complete content of the layer

Nothing is mounted: the directory is the mount point, and a mount count says how many use it. A new layer costs a copy
of its parent (shared blocks where the file system can), a diff costs a comparison with it.

Killed while copying, the layer's record is `incomplete` and the next writer removes the half copy.

Covers: storage/drivers/vfs/driver.go
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from libpod.define.errors import CommandError, NotSupportedError, ProgramMissingError, StorageError
from libpod.linux import mounts, process
from libpod.linux.files import empty_directory, remove_tree
from libpod.storage.driver import LayerDriver, LayerStack, MountRequest
from libpod.storage.id_maps import IdMaps
from libpod.storage.layout import make_private_directory


class VfsDriver(LayerDriver):
    """Layers as whole directories under *home*; parents may live in one of *additional_homes*."""

    name = "vfs"
    mounts = False

    def __init__(self, home: Path, *, additional_homes: Sequence[Path] = ()) -> None:
        self._home = home
        self._additional_homes = tuple(additional_homes)

    def require_usable(self) -> None:
        return

    def prepare_home(self) -> None:
        return

    def create(self, layer_id: str, parent: str | None, maps: IdMaps) -> None:
        if maps:
            raise NotSupportedError(
                f"layer {layer_id} cannot have other ids than its image: the vfs driver does not map them",
                resolution="use the overlay driver, or a container without a mapping",
            )
        directory = self._home / "dir" / layer_id
        try:
            remove_tree(directory)
            make_private_directory(directory.parent)
            if parent is None:
                directory.mkdir(mode=0o700)
                directory.chmod(0o555)
                return
            source = self._directory(parent)
            process.run(["cp", "--archive", "--reflink=auto", "--no-target-directory", source, directory])
        except (OSError, CommandError, ProgramMissingError) as error:
            raise StorageError(
                f"cannot copy layer {parent} to the new layer {layer_id} ({error})",
                details=getattr(error, "details", None),
            ) from error

    def remove(self, layer_id: str) -> None:
        directory = self._home / "dir" / layer_id
        try:
            for target in mounts.mounts_below(directory):
                mounts.unmount(target, mounts.MNT_DETACH | mounts.UMOUNT_NOFOLLOW)
            remove_tree(directory)
        except OSError as error:
            raise StorageError(f"cannot remove the directory of layer {layer_id} ({error})") from error

    def empty(self, layer_id: str) -> None:
        try:
            empty_directory(self._home / "dir" / layer_id)
        except OSError as error:
            raise StorageError(f"cannot empty layer {layer_id} ({error})") from error

    def exists(self, layer_id: str) -> bool:
        return (self._home / "dir" / layer_id).is_dir()

    def directories(self) -> list[str]:
        try:
            return sorted(os.listdir(self._home / "dir"))
        except FileNotFoundError:
            return []

    def mountpoint(self, layer_id: str) -> Path:
        return self._home / "dir" / layer_id

    def mount(self, layer_id: str, request: MountRequest) -> Path:
        target = self.mountpoint(layer_id)
        if not target.is_dir():
            raise StorageError(f"layer {layer_id} has no directory", resolution="remove what is based on it")
        return target

    def unmount(self, layer_id: str) -> None:
        return

    def is_mounted(self, path: Path) -> bool:
        return path.is_dir()

    def stack(self, layer_id: str, parent: str | None) -> LayerStack:
        lowers = () if parent is None else (self._directory(parent),)
        return LayerStack(upper=self._directory(layer_id), lowers=lowers, whole=True)

    def repair(self) -> list[str]:
        return []

    def _directory(self, layer_id: str) -> Path:
        for home in (self._home, *self._additional_homes):
            if (home / "dir" / layer_id).is_dir():
                return home / "dir" / layer_id
        return self._home / "dir" / layer_id
