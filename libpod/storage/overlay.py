"""The overlay driver: one directory per layer, joined by the kernel's overlay file system.

    H/                      the home, a private mount of itself (see `prepare_home`)
      l/<26 characters>     short link -> ../<layer id>/diff
      <layer id>/
        diff/               the layer's own files; a container's upper directory
        link                the name of its short link
        lower               l/<link> of every layer below, nearest first, with colons; absent in a base layer
        lower-layers        the ids of the same layers; newer programs prefer it
        work/  merged/      the kernel's work directory and the mount point
        empty/              base layers: stands in for the lower directory

Order in `create`: `link` appears complete and durable before the short link does. An *empty* `link` is a catastrophe –
every podman that removes such a layer removes the whole of `l/` – and a short link without a layer is litter, so a kill
between the two leaves neither. `remove` takes the short link away first and the directory, in which `link` is the
record of its name, after it.

Everything is done on local directories without locks of its own; see `driver` for what callers hold.

Covers: storage/drivers/overlay/overlay.go
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from libpod.define.errors import NotSupportedError, StorageError
from libpod.linux import mounts
from libpod.linux.files import empty_directory, remove_tree, replacing
from libpod.storage import id_maps, mount_program, overlay_mount, short_links
from libpod.storage.driver import LayerDriver, LayerStack, MountRequest
from libpod.storage.id_maps import IdMaps

T = TypeVar("T")

MAX_LOWERS = 500
"""As many layers as the kernel joins; podman 4.3 mounts no more than 128."""


class OverlayDriver(LayerDriver):
    """Layers as overlay directories under *home*; parents may live in one of *additional_homes*."""

    name = "overlay"

    def __init__(
        self,
        home: Path,
        *,
        additional_homes: Sequence[Path] = (),
        mount_options: Sequence[str] = (),
        mount_program: str = "",
        skip_mount_home: bool = False,
        ignore_chown_errors: bool = False,
    ) -> None:
        self._home = home
        self._additional_homes = tuple(additional_homes)
        self._mount_options = tuple(mount_options)
        self._mount_program = mount_program
        self._skip_mount_home = skip_mount_home
        self._ignore_chown_errors = ignore_chown_errors

    # ---- the home ---------------------------------------------------------------------------------------------

    def require_usable(self) -> None:
        if self._mount_program:
            mount_program.require_usable(self._mount_program, self._home)
            return
        try:
            program = (
                (self._home / ".has-mount-program").read_text(encoding="utf-8", errors="replace").strip()
            )
        except FileNotFoundError:
            return
        if program == "true":
            raise NotSupportedError(
                f"the store in {self._home.parent} was made with a mount program such as fuse-overlayfs, "
                "whose files the kernel's overlay would misread",
                resolution="set mount_program in storage.conf, or use another graph root",
            )

    def prepare_home(self) -> None:
        """Make the home a mount of itself that shares nothing with other mount namespaces.

        Every program that uses the store does so before it mounts; one that finds the home unmounted mounts it *over*
        the mounts already made below, and containers would lose their root.
        """
        if self._skip_mount_home:
            return
        if not mounts.is_mount_point(self._home):
            mounts.bind(self._home, self._home)
        mounts.set_propagation(self._home, mounts.MS_PRIVATE)

    def exists(self, layer_id: str) -> bool:
        return (self._home / layer_id).is_dir()

    def directories(self) -> list[str]:
        return short_links.layer_directories(self._home)

    # ---- directories ------------------------------------------------------------------------------------------

    def create(self, layer_id: str, parent: str | None, maps: IdMaps) -> None:
        directory = self._home / layer_id
        try:
            if os.path.lexists(directory):
                self.remove(layer_id)
            lower, lower_layers = "", ""
            if parent is not None:
                lower, lower_layers = self._repairing(lambda: self._lowers_of_child(parent))
            like = os.stat(self._directory(parent) / "diff") if parent is not None else None
            _make_directory(directory, 0o700)
            uid, gid = (0, 0) if like is None else (like.st_uid, like.st_gid)
            owner = maps.on_host(uid, gid) if maps or like is not None else None
            self._make_owned(directory / "diff", 0o555 if like is None else like.st_mode & 0o7777, owner)
            link = short_links.new_name()
            with replacing(directory / "link", mode=0o644, sync_name=False) as stream:
                stream.write(link.encode())
            short_links.make(self._home, link, layer_id)
            self._make_owned(directory / "work", 0o700, owner)
            self._make_owned(directory / "merged", 0o700, owner)
            if parent is None:
                self._make_owned(directory / "empty", 0o700, owner)
                return
            _write(directory / "lower", lower)
            _write(directory / "lower-layers", lower_layers)
        except OSError as error:
            raise StorageError(
                f"cannot make the directory of layer {layer_id} ({error})", resolution=_advice(error)
            ) from error

    def remove(self, layer_id: str) -> None:
        directory = self._home / layer_id
        try:
            for target in mounts.mounts_below(directory):
                mounts.unmount(target, mounts.MNT_DETACH | mounts.UMOUNT_NOFOLLOW)
            short_links.remove(self._home, layer_id)
            remove_tree(directory)
        except OSError as error:
            raise StorageError(f"cannot remove the directory of layer {layer_id} ({error})") from error

    def empty(self, layer_id: str) -> None:
        try:
            empty_directory(self._home / layer_id / "diff")
        except OSError as error:
            raise StorageError(f"cannot empty layer {layer_id} ({error})") from error

    def stack(self, layer_id: str, parent: str | None = None) -> LayerStack:
        directory = self._directory(layer_id)
        lowers = list(_older_contents(directory))
        for lower in self._lower_directories(layer_id):
            lowers += [lower, *_older_contents(lower.resolve().parent)]
        return LayerStack(upper=directory / "diff", lowers=tuple(lowers), program=self._mount_program)

    def repair(self) -> list[str]:
        return short_links.repair(self._home)

    # ---- mounts -----------------------------------------------------------------------------------------------

    def is_mounted(self, path: Path) -> bool:
        return mounts.is_mount_point(path)

    def mountpoint(self, layer_id: str) -> Path:
        return self._home / layer_id / "merged"

    def mount(self, layer_id: str, request: MountRequest) -> Path:
        directory = self._home / layer_id
        target = self.mountpoint(layer_id)
        lower_ids = self._repairing(lambda: self._lower_ids(layer_id))
        for layer in (directory, *(self._directory(lower) for lower in lower_ids)):
            if (layer / "composefs-data").exists():
                raise NotSupportedError(f"layer {layer.name} is a composefs image, which libpod cannot mount")
        stack = self._repairing(lambda: self.stack(layer_id))
        lowers = stack.lowers or (directory / "empty",)
        options = overlay_mount.effective_options(self._mount_options, request.options)
        if request.volatile and "volatile" not in options:
            options.append("volatile")
        plan = overlay_mount.plan(
            upper=stack.upper,
            work=directory / "work",
            lowers=lowers,
            options=options,
            label=request.label,
            read_only=request.read_only,
        )
        try:
            # The kernel refuses an upper directory that was once mounted volatile.
            remove_tree(directory / "work/work/incompat/volatile")
            if not target.is_dir():  # podman up to 5.0 removes it when it unmounts
                self._make_owned(target, 0o700, _owner_of(stack.upper))
            if self._mount_program:
                if request.maps:
                    raise NotSupportedError(
                        f"layer {layer_id} cannot be mounted with other ids by {self._mount_program}",
                        resolution="use the kernel's overlay, or a container without a mapping",
                    )
                mount_program.mount(self._mount_program, plan, self._home, target)
            elif request.maps:
                homes = (self._home, *self._additional_homes)
                paths = [Path(lower) for lower in plan.lowers]
                with id_maps.mapped_lowers(directory, paths, homes, request.maps) as mapped:
                    overlay_mount.mount(overlay_mount.with_lowers(plan, mapped), target)
            else:
                overlay_mount.mount(plan, target)
        except OSError as error:
            raise StorageError(
                f"cannot mount layer {layer_id} of {len(lowers)} lower layers ({error.strerror})",
                resolution=_advice(error),
            ) from error
        return target

    def unmount(self, layer_id: str) -> None:
        directory = self._home / layer_id
        target = directory / "merged"
        try:
            # One mount may lie on another when somebody did not find the first recorded.
            while _detach(target):
                pass
            id_maps.unmount_all(directory)
            self._renew_mountpoint(directory)
        except OSError as error:
            raise StorageError(f"cannot unmount layer {layer_id} ({error})") from error

    def _renew_mountpoint(self, directory: Path) -> None:
        """Put a fresh directory in the place of `merged`, so that nothing which still holds the old one is met."""
        if not directory.is_dir():
            return
        fresh = directory / "merged.1"
        remove_tree(fresh)
        self._make_owned(fresh, 0o700, _owner_of(directory / "diff"))
        try:
            os.rename(fresh, directory / "merged")
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            os.rmdir(
                fresh
            )  # somebody wrote below the mount point while nothing was mounted; leave it to them

    # ---- what is below a layer --------------------------------------------------------------------------------

    def _directory(self, layer_id: str) -> Path:
        """The layer's directory, in our home or in that of a store behind it."""
        for home in (self._home, *self._additional_homes):
            if (home / layer_id).is_dir():
                return home / layer_id
        return self._home / layer_id

    def _lowers_of_child(self, parent: str) -> tuple[str, str]:
        """The contents of `lower` and `lower-layers` of a layer on top of *parent*."""
        directory = self._directory(parent)
        link = short_links.name_of(directory)
        if link is None:
            raise StorageError(
                f"the parent layer {parent} has no short link",
                resolution="the image is damaged: remove it and pull it again",
            )
        below = [entry for entry in _read(directory / "lower").split(":") if entry]
        if len(below) + 1 > MAX_LOWERS:
            raise StorageError(f"layer {parent} has {len(below)} layers below it, more than {MAX_LOWERS - 1}")
        return ":".join([f"l/{link}", *below]), ":".join([parent, *self._lower_ids(parent)])

    def _lower_ids(self, layer_id: str) -> list[str]:
        """The ids of the layers below, nearest first."""
        directory = self._directory(layer_id)
        recorded = [entry for entry in _read(directory / "lower-layers").split(":") if entry]
        if recorded:
            return recorded
        entries = [entry for entry in _read(directory / "lower").split(":") if entry]
        return [short_links.layer_of(self._resolved(entry, layer_id)) for entry in entries]

    def _lower_directories(self, layer_id: str) -> Iterator[Path]:
        """The `diff` directories of the layers below, by the shortest path that leads there."""
        directory = self._directory(layer_id)
        entries = [entry for entry in _read(directory / "lower").split(":") if entry]
        if entries:
            for entry in entries:
                yield self._resolved(entry, layer_id)
            return
        for lower in self._lower_ids(layer_id):
            found = self._directory(lower) / "diff"
            if not found.is_dir():
                raise StorageError(f"layer {lower}, which layer {layer_id} is based on, has no directory")
            yield found

    def _resolved(self, entry: str, layer_id: str) -> Path:
        """An entry of `lower` as a path."""
        if not short_links.is_entry(entry):
            raise StorageError(f'layer {layer_id} names "{entry}" as a lower layer, which is no short link')
        for home in (self._home, *self._additional_homes):
            if (home / entry).is_dir():
                return home / entry
        raise StorageError(
            f"the short link {entry} below layer {layer_id} leads nowhere",
            resolution="a layer of the image is gone: remove the image and pull it again",
        )

    def _repairing(self, look: Callable[[], T]) -> T:
        """What *look* finds, once more after a repair when a short link is lost; for callers that hold the lock."""
        try:
            return look()
        except StorageError:
            if not short_links.repair(self._home):
                raise
        return look()

    def _make_owned(self, path: Path, mode: int, owner: tuple[int, int] | None) -> None:
        _make_directory(path, mode)
        if owner is None or owner == (os.geteuid(), os.getegid()):
            return
        try:
            os.chown(path, *owner)
            os.chmod(path, mode)  # chown takes the set-id bits away
        except PermissionError:
            if not self._ignore_chown_errors:
                raise


def _owner_of(path: Path) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_uid, found.st_gid


def _make_directory(path: Path, mode: int) -> None:
    os.mkdir(path, 0o700)
    os.chmod(path, mode)


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    with os.fdopen(descriptor, "wb") as stream:
        os.fchmod(descriptor, 0o644)
        stream.write(text.encode())


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="surrogateescape").strip()
    except FileNotFoundError:
        return ""


def _detach(target: Path) -> bool:
    """Unmount; False when nothing was mounted, or the mount point is not even there."""
    try:
        mounts.unmount(target, mounts.MNT_DETACH | mounts.UMOUNT_NOFOLLOW)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOENT):
            raise
        return False
    return True


def _older_contents(directory: Path) -> Iterator[Path]:
    """`diff1`, `diff2`, …: what an ID-map change left below `diff`."""
    number = 1
    while (older := directory / f"diff{number}").is_dir():
        yield older
        number += 1


def _advice(error: OSError) -> str | None:
    match error.errno:
        case errno.EINVAL:
            return (
                "the file system under the graph root cannot carry overlay (overlay on overlay?); see dmesg"
            )
        case errno.EPERM | errno.EACCES:
            return "mounting needs root rights in this user namespace"
        case errno.ENODEV:
            return "load the kernel module overlay"
        case errno.ENOSPC | errno.EDQUOT:
            return "free some space under the graph root"
    return None
