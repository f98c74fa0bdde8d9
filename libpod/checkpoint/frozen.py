"""A directory tree turned into a list of entries whose tar has a size that is known before the first byte.

An archive names the size of `rootfs-diff.tar` before its content. To stream it without a copy on disk, the tree is
walked once: every entry is looked at with lstat, its header is made and kept (**frozen**). The sum of headers, contents
and padding is the exact size. Then one data pass copies headers and contents. A file that has shrunk, grown or changed
its kind since is padded with zeros or cut, so that the archive stays readable as a tar, and is reported: the writer
turns such a report into an error, since the archive would not be the container's state.

The tree may belong to a process that is alive and hostile (a volume shared with another container): every open goes
through the root's descriptor and follows no link, so that nothing outside the tree can be read.

What an entry keeps: kind, mode, owner, size, time of change to the nanosecond, hard links between entries of the list,
device numbers, and the extended attributes that mean the same on another host (`user.*`, `security.capability`,
`security.ima`, access lists). Sockets are left out: CRIU makes bound sockets again itself.

Covers: storage/pkg/archive (TarWithOptions, tarAppender), libpod/volume tar of exportCheckpoint
"""

from __future__ import annotations

import errno
import logging
import os
import stat
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Protocol

import attrs

from libpod.checkpoint.tarformat import END, TarHeader, TarKind, encode, padding
from libpod.define.errors import HostError
from libpod.linux.openat import link_path, open_strict

logger = logging.getLogger(__name__)

_CHUNK = 1 << 20
_PORTABLE_XATTRS = frozenset(
    {"security.capability", "security.ima", "system.posix_acl_access", "system.posix_acl_default"}
)
_KIND_BY_FORMAT = {
    stat.S_IFREG: TarKind.FILE,
    stat.S_IFDIR: TarKind.DIRECTORY,
    stat.S_IFLNK: TarKind.SYMLINK,
    stat.S_IFIFO: TarKind.FIFO,
    stat.S_IFCHR: TarKind.CHAR_DEVICE,
    stat.S_IFBLK: TarKind.BLOCK_DEVICE,
}


class ByteSink(Protocol):
    """Where a tar goes."""

    def write(self, data: bytes | bytearray | memoryview, /) -> None:
        """Take all of *data*."""

    def copy_from(self, descriptor: int, size: int, /) -> int:
        """Take *size* bytes from a file's position on; returns how many were missing. OSError is of the writing."""


@attrs.frozen(kw_only=True, slots=True)
class FrozenEntry:
    """One member of a tree's tar: its finished header, and where its content is."""

    path: str
    """Relative to the root; empty for the root itself."""
    header: bytes
    size: int = 0
    """Bytes of content; the file at `path` is opened only if there are any."""


@attrs.frozen(kw_only=True)
class FrozenTree:
    """A tar that does not exist yet and has a known size."""

    root: Path
    entries: tuple[FrozenEntry, ...]

    @property
    def content_size(self) -> int:
        """Bytes of file content, without headers."""
        return sum(entry.size for entry in self.entries)

    @property
    def size(self) -> int:
        """The exact size of the tar."""
        return sum(len(entry.header) + entry.size + padding(entry.size) for entry in self.entries) + len(END)

    def write(self, sink: ByteSink) -> list[str]:
        """Give the whole tar to *sink*; returns one sentence for every file that changed since it was frozen."""
        changed: list[str] = []
        root = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for entry in self.entries:
                sink.write(entry.header)
                if entry.size:
                    report = _copy_content(root, entry, sink)
                    if report is not None:
                        changed.append(report)
                    sink.write(bytes(padding(entry.size)))
        finally:
            os.close(root)
        sink.write(END)
        return changed


def freeze_tree(root: Path) -> FrozenTree:
    """A whole directory as volumes and /dev/shm travel: names begin with ``./``, the first entry is the root."""
    with _Freezer(root, prefix="./") as freezer:
        freezer.add("")
        for path in freezer.walk(""):
            freezer.add(path)
        return freezer.tree()


def freeze_paths(
    root: Path, paths: Iterable[str], *, recurse: Iterable[str] = (), exclude: Collection[str] = ()
) -> FrozenTree:
    """The entries *paths* (relative to *root*) and everything under those in *recurse*, each once, parents first.

    *exclude* names paths that are left out, not what is under them. A path that has vanished is left out. The empty
    path is the root itself, whose name in the tar is ``./``.

    Directories on another file system are entries without content, because they are mount points.
    """
    with _Freezer(root, prefix="") as freezer:
        everything = set(paths)
        for path in recurse:
            everything.add(path)
            everything.update(freezer.walk(path))
        for path in sorted(everything.difference(exclude), key=_tree_order):
            freezer.add(path)
        return freezer.tree()


def _tree_order(path: str) -> tuple[str, ...]:
    """A directory before what is in it, and all of it before the next name."""
    return tuple(path.split("/"))


class _Freezer:
    """Walks a root through its descriptor and collects frozen entries."""

    def __init__(self, root: Path, *, prefix: str) -> None:
        self._path = root
        self._prefix = prefix
        self._entries: list[FrozenEntry] = []
        self._links: dict[tuple[int, int], str] = {}
        self._root = -1
        self._parent: tuple[str, int] | None = None
        """The directory of the last entry: most entries share it with the one before."""

    def __enter__(self) -> _Freezer:
        self._root = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._device = os.fstat(self._root).st_dev
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._parent is not None:
            os.close(self._parent[1])
        os.close(self._root)
        if isinstance(error, OSError):
            raise HostError(f"{self._path} cannot be read: {error.strerror}") from error

    def tree(self) -> FrozenTree:
        return FrozenTree(root=self._path, entries=tuple(self._entries))

    def walk(self, top: str) -> Iterator[str]:
        """Every path under the directory *top*, sorted within each directory, depth first."""
        pending = [top]
        while pending:
            current = pending.pop()
            names = self._list(current)
            below = [f"{current}/{name}" if current else name for name, _ in names]
            yield from below
            pending.extend(reversed([path for path, (_, is_dir) in zip(below, names) if is_dir]))

    def _list(self, path: str) -> list[tuple[str, bool]]:
        try:
            directory = open_strict(self._root, path, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            return []
        except OSError as error:
            # Not a directory (any more), or a link in its place: it is an entry and has nothing under it.
            if error.errno in (errno.ENOTDIR, errno.ELOOP):
                return []
            raise
        try:
            # Files of an overlay may show the device of a lower layer; directories always show the mount's own.
            if path and os.fstat(directory).st_dev != self._device:
                return []
            with os.scandir(directory) as entries:
                return sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
        finally:
            os.close(directory)

    def add(self, path: str) -> None:
        """Freeze the entry at *path*; nothing if it has vanished or is a socket."""
        parent, _, name = path.rpartition("/")
        try:
            directory = self._open_parent(parent)
            found = os.stat(name or ".", dir_fd=directory, follow_symlinks=False)
            kind = _KIND_BY_FORMAT.get(stat.S_IFMT(found.st_mode))
            if kind is None:
                logger.debug("socket %s of %s does not travel", path, self._path)
                return
            self._append(path, kind, found, directory, name)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            if (
                error.errno != errno.ELOOP
            ):  # a link has taken the place of a directory: what was below is gone
                raise

    def _open_parent(self, path: str) -> int:
        if self._parent is None or self._parent[0] != path:
            if self._parent is not None:
                os.close(self._parent[1])
                self._parent = None
            self._parent = (path, open_strict(self._root, path, os.O_PATH | os.O_DIRECTORY))
        return self._parent[1]

    def _append(self, path: str, kind: TarKind, found: os.stat_result, directory: int, name: str) -> None:
        shown = self._prefix + path or "./"
        identity = (found.st_dev, found.st_ino)
        target, size = "", 0
        if kind is not TarKind.DIRECTORY and found.st_nlink > 1:
            first = self._links.setdefault(identity, shown)
            if first != shown:
                header = _header(shown, TarKind.HARD_LINK, found, target=first)
                self._entries.append(FrozenEntry(path=path, header=encode(header, nanoseconds=True)))
                return
        if kind is TarKind.SYMLINK:
            target = os.readlink(name, dir_fd=directory)
        elif kind is TarKind.FILE:
            size = found.st_size
        header = _header(shown, kind, found, target=target, xattrs=_xattrs(directory, name))
        self._entries.append(FrozenEntry(path=path, header=encode(header, nanoseconds=True), size=size))


def _header(
    name: str, kind: TarKind, found: os.stat_result, *, target: str, xattrs: dict[str, bytes] | None = None
) -> TarHeader:
    is_device = kind in (TarKind.CHAR_DEVICE, TarKind.BLOCK_DEVICE)
    return TarHeader(
        name=name,
        kind=kind,
        mode=stat.S_IMODE(found.st_mode),
        uid=found.st_uid,
        gid=found.st_gid,
        size=found.st_size if kind is TarKind.FILE else 0,
        mtime_ns=found.st_mtime_ns,
        target=target,
        device=(os.major(found.st_rdev), os.minor(found.st_rdev)) if is_device else (0, 0),
        xattrs=xattrs or {},
    )


def is_portable_xattr(key: str) -> bool:
    """Whether an extended attribute means the same on another host. `trusted.*` and SELinux labels do not.

    A name with an equals sign has no form in a PAX record and does not travel.
    """
    if "=" in key:
        return False
    return key in _PORTABLE_XATTRS or (
        key.startswith("user.")
        and not key.startswith(("user.overlay.", "user.fuseoverlayfs.", "user.containers."))
    )


def _xattrs(directory: int, name: str) -> dict[str, bytes]:
    where = link_path(directory, name or ".")
    try:
        names = os.listxattr(where, follow_symlinks=False)
    except OSError as error:
        if error.errno in (errno.ENOTSUP, errno.EPERM, errno.EACCES):
            return {}
        raise
    kept = {}
    for key in names:
        if is_portable_xattr(key):
            try:
                kept[key] = os.getxattr(where, key, follow_symlinks=False)
            except OSError as error:
                if error.errno not in (errno.ENODATA, errno.ENOTSUP):
                    raise
    return kept


def _copy_content(root: int, entry: FrozenEntry, sink: ByteSink) -> str | None:
    """Exactly *entry.size* bytes of the file; returns what was wrong with it, or None."""
    left = entry.size
    report = None
    try:
        # O_NONBLOCK: a FIFO that took the file's place must not hold us up.
        descriptor = open_strict(root, entry.path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO):
            raise HostError(f"/{entry.path} cannot be read: {error.strerror}") from error
        report = f"/{entry.path} disappeared while it was written"
    else:
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                report = f"/{entry.path} was replaced while it was written"
            else:
                left = sink.copy_from(descriptor, left)
                if left:
                    report = f"/{entry.path} became shorter while it was written"
                elif os.fstat(descriptor).st_size > entry.size:
                    report = f"/{entry.path} became longer while it was written"
        finally:
            os.close(descriptor)
    while left:
        step = min(left, _CHUNK)
        sink.write(bytes(step))
        left -= step
    return report


def copy_through(descriptor: int, size: int, write: Callable[[memoryview], object]) -> int:
    """Copy up to *size* bytes of a file by reading and writing; returns how many are missing.

    Raises HostError for what cannot be read, so that an OSError is always one of the writing.
    """
    buffer = memoryview(bytearray(min(size, _CHUNK)))
    while size:
        try:
            got = os.readv(descriptor, [buffer[: min(size, len(buffer))]])
        except OSError as error:
            raise HostError(f"a file that was to be archived cannot be read: {error.strerror}") from error
        if got == 0:
            break
        write(buffer[:got])
        size -= got
    return size
