"""Tars of the archive applied inside a root that they cannot leave.

Two targets, two policies:

* a mounted root file system (`rootfs-diff.tar`, then `deleted.files`). Device nodes are made. A directory that is a
  link *in the image* (`/var/run`) is followed as a process inside would follow it; a link that came out of the tar
  itself is not, because no engine writes a path below its own link;
* a fresh directory (a volume, `/dev/shm`). No link is followed at all, device nodes are left out and reported (volumes
  are mounted nodev).

Every step goes through the descriptor of the parent directory, found by `libpod.linux.openat` below the root's own, so
no name, link or race leads outside; file names are never resolved from `/`.

An entry replaces what has its name, unless both are directories, which are merged (so does podman). Content is
written sparsely: blocks of zeros become holes. Then owner, attributes, mode and time, in this order, since a change of
the owner clears capabilities and set-user-id bits. Modes and times of directories come last of all.

Not atomic: a failure or a kill leaves the root half changed. The root of a restore is made for this restore and is
removed with it.

Covers: storage/pkg/archive (Unpack, createTarFile), crutils.CRApplyRootFsDiffTar, CRRemoveDeletedFiles
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

import attrs

from libpod.checkpoint import members
from libpod.checkpoint.codec import ByteSource
from libpod.checkpoint.frozen import is_portable_xattr
from libpod.checkpoint.tarformat import TarFormatError, TarHeader, TarKind, TarStream
from libpod.define.errors import ArchiveError, HostError
from libpod.linux.openat import link_path, open_inside, open_strict

logger = logging.getLogger(__name__)

_CHUNK = 1 << 20
_HOLE = 1 << 16
_ZEROS = bytes(_HOLE)
_RESERVE = 16 << 20
_ACCOUNT = 64 << 20
_DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY


@attrs.frozen(kw_only=True)
class UnpackReport:
    """What unpacking one tar did."""

    entries: int
    written: int
    """Bytes of content that are not holes."""
    skipped: tuple[str, ...]
    """One sentence for each entry or attribute that this target cannot have."""


def apply_rootfs(staging: Path, root: Path) -> UnpackReport | None:
    """Apply rootfs-diff.tar and then deleted.files of a staging directory; None if it has no rootfs-diff.tar."""
    report = None
    if (staging / members.ROOTFS_DIFF_TAR).exists():
        report = apply_rootfs_diff(staging / members.ROOTFS_DIFF_TAR, root)
    if (staging / members.DELETED_FILES).exists():
        remove_deleted((staging / members.DELETED_FILES).read_bytes(), root)
    return report


def apply_rootfs_diff(source: ByteSource | Path, root: Path) -> UnpackReport:
    """Unpack a rootfs-diff.tar over the mounted *root*. Raises ArchiveError and HostError."""
    return _unpack(source, root, label=members.ROOTFS_DIFF_TAR, is_rootfs=True)


def unpack_tree(source: ByteSource | Path, target: Path, *, label: str) -> UnpackReport:
    """Unpack the tar of a volume or of /dev/shm into the directory *target*. *label* names it in errors."""
    return _unpack(source, target, label=label, is_rootfs=False)


def unpack_files(
    source: ByteSource,
    target: Path,
    *,
    label: str,
    change: Callable[[TarHeader], TarHeader | None],
    overwrite: bool,
    is_rootfs: bool,
) -> UnpackReport:
    """Unpack a tar that somebody wants to have in *target*, each entry as *change* makes it; None leaves it out.

    Without *overwrite* a directory does not take the place of something else, nor something else that of a directory.
    *is_rootfs* chooses between the two policies of this module.
    """
    return _unpack(source, target, label=label, is_rootfs=is_rootfs, change=change, overwrite=overwrite)


def _unpack(
    source: ByteSource | Path,
    root: Path,
    *,
    label: str,
    is_rootfs: bool,
    change: Callable[[TarHeader], TarHeader | None] = lambda header: header,
    overwrite: bool = True,
) -> UnpackReport:
    with contextlib.ExitStack() as stack:
        if isinstance(source, Path):
            source = stack.enter_context(open(source, "rb", buffering=_CHUNK))
        unpacker = stack.enter_context(_Unpacker(root, label, is_rootfs=is_rootfs, overwrite=overwrite))
        stream = TarStream(source)
        try:
            while (header := stream.next()) is not None:
                if (changed := change(header)) is not None:
                    unpacker.take(changed, stream)
        except TarFormatError as error:
            raise ArchiveError(label, str(error)) from error
        return unpacker.finish()


def remove_deleted(document: bytes, root: Path) -> int:
    """Remove the paths that deleted.files lists, each with all below it; returns how many there were to remove.

    The last part of a path is never followed: what was deleted is the link, not what it points to. The time of change
    of the directory it was in stays, so that a removal does not undo what the diff has set.
    """
    label = members.DELETED_FILES
    try:
        paths = json.loads(document)
    except ValueError as error:
        raise ArchiveError(label, "it is not JSON") from error
    if paths is None:
        return 0
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        raise ArchiveError(label, "it is not a list of paths")
    removed = 0
    descriptor = os.open(root, _DIRECTORY_FLAGS | os.O_CLOEXEC)
    try:
        for path in paths:
            parts = _parts(path.lstrip("/"), label)
            if not parts:
                raise ArchiveError(label, "it asks to delete the whole root")
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                parent = open_inside(descriptor, "/".join(parts[:-1]), _DIRECTORY_FLAGS)
                try:
                    before = os.fstat(parent)
                    _remove(parent, parts[-1])
                    removed += 1
                    # The directory's own entry in the diff, if any, has said when it changed.
                    os.utime(parent, ns=(before.st_atime_ns, before.st_mtime_ns))
                finally:
                    os.close(parent)
    except OSError as error:
        raise HostError(f"a deleted path cannot be removed from {root}: {error.strerror}") from error
    finally:
        os.close(descriptor)
    return removed


def _parts(name: str, label: str) -> list[str]:
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ArchiveError(label, f"the entry {name[:80]!r} leaves its root")
    if "\0" in name:
        raise ArchiveError(label, "a name holds a zero byte")
    try:
        os.fsencode(name)
    except UnicodeEncodeError as error:
        raise ArchiveError(label, f"the entry {name[:80]!r} cannot be the name of a file") from error
    return parts


def _remove(parent: int, name: str) -> None:
    """Remove *name* with all below it."""
    if stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
        shutil.rmtree(name, dir_fd=parent)
    else:
        os.unlink(name, dir_fd=parent)


class _Unpacker:
    """One tar into one root."""

    def __init__(self, root: Path, label: str, *, is_rootfs: bool, overwrite: bool = True) -> None:
        self._path = root
        self._label = label
        self._is_rootfs = is_rootfs
        self._overwrite = overwrite
        self._root = -1
        self._parent: tuple[str, int] | None = None
        """The parent directory of the last entry: most entries share it with the one before."""
        self._links: set[str] = set()
        self._files: set[str] = set()
        self._directories: dict[str, TarHeader] = {}
        self._entries = 0
        self._written = 0
        self._accounted = 0
        self._skipped: list[str] = []

    def __enter__(self) -> _Unpacker:
        self._root = os.open(self._path, _DIRECTORY_FLAGS | os.O_CLOEXEC)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._forget_parent()
        os.close(self._root)

    def take(self, header: TarHeader, stream: TarStream) -> None:
        """Make one entry."""
        if header.name.startswith("/"):
            raise self._refusal(f"the entry {header.name[:80]!r} has an absolute name")
        parts = _parts(header.name, self._label)
        path = "/".join(parts)
        if not parts:
            if header.kind is not TarKind.DIRECTORY:
                raise self._refusal("an entry would replace the root itself")
            self._directories[""] = header
            return
        self._account_entry()
        with self._translated(path):
            parent = self._open_parent("/".join(parts[:-1]))
            self._make(path, parts[-1], parent, header, stream)

    def finish(self) -> UnpackReport:
        """Give the directories their modes and times, the deepest first."""
        self._forget_parent()
        for path, header in sorted(self._directories.items(), reverse=True):
            with self._translated(path):
                try:
                    directory = self._open_directory(path)
                except (FileNotFoundError, NotADirectoryError):
                    continue  # a later entry has taken its place
                try:
                    self._dress(directory, header)
                finally:
                    os.close(directory)
        return UnpackReport(entries=self._entries, written=self._written, skipped=tuple(self._skipped))

    # ---- one entry ------------------------------------------------------------------------------------------------

    def _make(self, path: str, name: str, parent: int, header: TarHeader, stream: TarStream) -> None:
        kind = header.kind
        if kind in (TarKind.CHAR_DEVICE, TarKind.BLOCK_DEVICE):
            if not self._is_rootfs:
                self._skipped.append(f"device node /{path} is not made")
                return
            if header.device == (0, 0) and kind is TarKind.CHAR_DEVICE:
                raise self._refusal(f"the device /{path} is an overlay's mark for a deleted file")
        if kind is TarKind.HARD_LINK:
            self._link(path, name, parent, header.target)
            return
        self._make_way(path, name, parent, keep_directory=kind is TarKind.DIRECTORY)
        if kind is TarKind.DIRECTORY:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=parent)
            self._directories[path] = header
            return
        self._files.add(path)
        if kind is TarKind.FILE:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(name, flags, 0o600, dir_fd=parent)
            try:
                self._fill(descriptor, header.size, stream)
                self._dress(descriptor, header)
            finally:
                os.close(descriptor)
            return
        if kind is TarKind.SYMLINK:
            os.symlink(header.target, name, dir_fd=parent)
            self._links.add(path)
        elif kind is TarKind.FIFO:
            os.mkfifo(name, 0o600, dir_fd=parent)
        else:
            form = stat.S_IFCHR if kind is TarKind.CHAR_DEVICE else stat.S_IFBLK
            os.mknod(name, form | 0o600, os.makedev(*header.device), dir_fd=parent)
        self._dress_name(parent, name, header)

    def _make_way(self, path: str, name: str, parent: int, *, keep_directory: bool) -> None:
        """Remove what has the entry's name, except a directory that another one is merged with."""
        try:
            found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            return
        if keep_directory and stat.S_ISDIR(found.st_mode):
            return
        if not self._overwrite and (keep_directory or stat.S_ISDIR(found.st_mode)):
            kinds = ("a directory", "something else") if keep_directory else ("something else", "a directory")
            raise self._refusal(f"{kinds[0]} does not take the place of {kinds[1]}, /{path}")
        if stat.S_ISDIR(found.st_mode):
            shutil.rmtree(name, dir_fd=parent)
        else:
            os.unlink(name, dir_fd=parent)
        self._links.discard(path)
        self._files.discard(path)

    def _link(self, path: str, name: str, parent: int, target: str) -> None:
        if target.startswith("/"):
            raise self._refusal(f"the hard link /{path} has an absolute target")
        parts = _parts(target, self._label)
        first = "/".join(parts)
        if first not in self._files:
            raise self._refusal(f"the hard link /{path} is to {target[:80]!r}, which is no earlier entry")
        if first == path:
            return
        self._make_way(path, name, parent, keep_directory=False)
        # dup, because opening the other parent may close the one that is kept.
        mine = os.dup(parent)
        try:
            other = self._open_directory("/".join(parts[:-1]))
            try:
                os.link(parts[-1], name, src_dir_fd=other, dst_dir_fd=mine, follow_symlinks=False)
            finally:
                os.close(other)
        finally:
            os.close(mine)
        self._files.add(path)
        if first in self._links:
            self._links.add(path)

    def _fill(self, descriptor: int, size: int, stream: TarStream) -> None:
        """The content, with holes where there are only zeros."""
        offset = solid_end = 0
        while data := stream.read(_CHUNK):
            for start, end in _solid_ranges(data):
                self._account(end - start)
                self._write_at(descriptor, memoryview(data)[start:end], offset + start)
                solid_end = offset + end
            offset += len(data)
        if solid_end < size:
            os.ftruncate(descriptor, size)

    @staticmethod
    def _write_at(descriptor: int, data: memoryview, offset: int) -> None:
        while data:
            done = os.pwrite(descriptor, data, offset)
            data, offset = data[done:], offset + done

    def _dress(self, descriptor: int, header: TarHeader) -> None:
        """Owner, attributes, mode and time of an open file or directory."""
        os.fchown(descriptor, header.uid, header.gid)
        self._set_xattrs(f"/proc/self/fd/{descriptor}", header, follow=True)
        os.fchmod(descriptor, header.mode)
        os.utime(descriptor, ns=(header.mtime_ns, header.mtime_ns))

    def _dress_name(self, parent: int, name: str, header: TarHeader) -> None:
        """The same for what must not be opened."""
        os.chown(name, header.uid, header.gid, dir_fd=parent, follow_symlinks=False)
        self._set_xattrs(link_path(parent, name), header, follow=False)
        if header.kind is not TarKind.SYMLINK:
            os.chmod(name, header.mode, dir_fd=parent)
        times = (header.mtime_ns, header.mtime_ns)
        os.utime(name, ns=times, dir_fd=parent, follow_symlinks=False)

    def _set_xattrs(self, where: str, header: TarHeader, *, follow: bool) -> None:
        if header.kind is TarKind.DIRECTORY:
            self._drop_xattrs(where, header)
        for key, value in header.xattrs.items():
            if not is_portable_xattr(key):
                continue
            try:
                os.setxattr(where, key, value, follow_symlinks=follow)
            except OSError as error:
                if error.errno not in (errno.ENOTSUP, errno.EPERM):
                    raise
                self._skipped.append(f"attribute {key} of /{header.name.strip('/')} is not supported here")

    @staticmethod
    def _drop_xattrs(where: str, header: TarHeader) -> None:
        """Take away what a directory that was there already has and the entry has not."""
        try:
            present = os.listxattr(where)
        except OSError as error:
            if error.errno != errno.ENOTSUP:
                raise
            return
        for key in present:
            if is_portable_xattr(key) and key not in header.xattrs:
                os.removexattr(where, key)

    # ---- directories ----------------------------------------------------------------------------------------------

    def _open_parent(self, path: str) -> int:
        """The directory *path*, made with podman's 0755 where it is missing; kept open for the next entry."""
        if self._parent is not None and self._parent[0] == path:
            return self._parent[1]
        self._forget_parent()
        try:
            directory = self._open_directory(path)
        except FileNotFoundError:
            self._make_parents(path)
            directory = self._open_directory(path)
        self._parent = (path, directory)
        return directory

    def _forget_parent(self) -> None:
        if self._parent is not None:
            os.close(self._parent[1])
            self._parent = None

    def _open_directory(self, path: str) -> int:
        try:
            return open_strict(self._root, path, _DIRECTORY_FLAGS)
        except OSError as error:
            if error.errno == errno.ENOTDIR and not self._passes_a_link(path):
                raise
            if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                raise
            if not self._is_rootfs or self._passes_own_link(path):
                raise self._refusal(f"an entry lies below the link /{path}") from error
        return open_inside(self._root, path, _DIRECTORY_FLAGS)

    def _passes_own_link(self, path: str) -> bool:
        """Whether a part of *path* is a link that this tar has made."""
        parts = path.split("/")
        return any("/".join(parts[:count]) in self._links for count in range(1, len(parts) + 1))

    def _passes_a_link(self, path: str) -> bool:
        # O_DIRECTORY with O_NOFOLLOW reports a link in the last place as ENOTDIR, one before it as ELOOP.
        above, _, name = path.rpartition("/")
        try:
            parent = open_strict(self._root, above, os.O_PATH | os.O_DIRECTORY)
        except OSError as error:
            return error.errno == errno.ELOOP
        try:
            return stat.S_ISLNK(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)
        except FileNotFoundError:
            return False
        finally:
            os.close(parent)

    def _make_parents(self, path: str) -> None:
        current = ""
        for part in path.split("/"):
            above, current = current, f"{current}/{part}" if current else part
            directory = self._open_directory(above)
            try:
                os.mkdir(part, 0o755, dir_fd=directory)
            except FileExistsError:
                pass
            finally:
                os.close(directory)

    # ---- limits and errors ----------------------------------------------------------------------------------------

    def _account(self, size: int) -> None:
        """Count content; every 64 MiB, see that the disk is not being filled by a bomb."""
        self._written += size
        if self._written - self._accounted >= _ACCOUNT:
            self._accounted = self._written
            self._require_room()

    def _account_entry(self) -> None:
        self._entries += 1
        if self._entries % 65536 == 0:
            self._require_room()

    def _require_room(self) -> None:
        found = os.fstatvfs(self._root)
        if found.f_bavail * found.f_frsize < _RESERVE or (found.f_files and found.f_favail < 1024):
            raise self._refusal(f"it does not fit into {self._path}", resolution="free some space")

    @contextlib.contextmanager
    def _translated(self, path: str) -> Iterator[None]:
        try:
            yield
        except (NotADirectoryError, FileExistsError) as error:
            raise self._refusal(f"the entry /{path} lies below something that is not a directory") from error
        except OSError as error:
            if error.errno in (errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL):
                raise self._refusal(f"the entry {path[:80]!r} cannot be made: {error.strerror}") from error
            raise HostError(
                f"/{path} of {self._label} cannot be made: {error.strerror}",
                resolution="free some space" if error.errno == errno.ENOSPC else None,
            ) from error

    def _refusal(self, cause: str, *, resolution: str | None = None) -> ArchiveError:
        return ArchiveError(self._label, cause, resolution=resolution)


def _solid_ranges(data: bytes) -> Iterator[tuple[int, int]]:
    """The parts of *data* that hold something, in steps of 64 KiB."""
    start = -1
    for position in range(0, len(data), _HOLE):
        piece = data[position : position + _HOLE]
        if piece == _ZEROS or (len(piece) < _HOLE and piece.count(0) == len(piece)):
            if start >= 0:
                yield start, position
                start = -1
        elif start < 0:
            start = position
    if start >= 0:
        yield start, len(data)
