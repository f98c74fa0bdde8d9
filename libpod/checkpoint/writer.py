"""One archive file, whole or absent.

    with ArchiveWriter.open(target, CompressionKind.ZSTD) as writer:
        writer.add_document("config.dump", ...)     always first
        writer.add_document("spec.dump", ...)       always second
        writer.add_directory("checkpoint", images)
        writer.add_tree("rootfs-diff.tar", tree)    streamed, no copy on disk
        summary = writer.commit()

The bytes go into a file that has no name (O_TMPFILE) in the target's directory; `commit` makes it durable, gives it a
temporary name and renames it over the target. Killed at any instant before the rename, nothing is left: the nameless
file disappears with its descriptor. Between link and rename lies one system call; a ``.tmp-`` name left there is what
every reader ignores. Where the file system knows no O_TMPFILE the temporary name exists from the start, and a kill
leaves it. Leaving the block without `commit` removes everything.

The disk works while we do: every few mebibytes are handed to it when they are written, so that little is left for the
sync of `commit`, during which the container stands still. Uncompressed contents are copied by the kernel.

The mode is 0600 from the first byte on: all memory of the processes is in the file.

Covers: libpod/container_internal_common.go (exportCheckpoint, the outer tar)
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import attrs

from libpod.checkpoint import members
from libpod.checkpoint.codec import CompressedOutput, CompressionKind
from libpod.checkpoint.frozen import FrozenTree, copy_through, freeze_tree
from libpod.checkpoint.tarformat import END, TarHeader, TarKind, encode, padding
from libpod.define.errors import (
    CheckpointArchiveChangedError,
    HostError,
    InvalidArgumentError,
    InvalidStateError,
)
from libpod.linux.files import sync_directory
from libpod.linux.openat import open_strict
from libpod.linux.writeback import begin_writeback

_PIECE = 1 << 16
"""What the kernel gets at a time: larger writes take large folios, which a virtual machine may have given back to its
host. Packing 1 GiB then costs 1.8 s of processor time instead of 0.9 s."""
_KERNEL_COPY = 1 << 20
"""From this size on, contents are copied by the kernel."""
_STEP = 1 << 24
"""Bytes after which the disk gets what is written, and the caller hears of it."""
_NO_KERNEL_COPY = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EIO)


@attrs.frozen(kw_only=True)
class MemberSize:
    """One member of a written archive."""

    name: str
    size: int
    """Bytes of content before compression."""
    duration: int
    """Microseconds it took to read and compress."""


@attrs.frozen(kw_only=True)
class ArchiveSummary:
    """What `commit` made."""

    path: Path
    compression: CompressionKind
    size: int
    """Bytes on disk."""
    members: tuple[MemberSize, ...]
    changed: tuple[str, ...]
    """One sentence for each file that changed while it was read; empty unless the caller allowed it."""

    @property
    def content_size(self) -> int:
        """Bytes of all members before compression."""
        return sum(member.size for member in self.members)


class ArchiveWriter:
    """Members in, one file out. Use as a context manager."""

    def __init__(
        self,
        target: Path,
        raw: BinaryIO,
        name: Path | None,
        output: CompressedOutput,
        progress: Callable[[int], None] | None,
    ) -> None:
        self._target = target
        self._raw = raw
        self._name = name
        """The temporary name, or None while the file has none."""
        self._output = output
        self._progress = progress
        self._taken = self._told = self._handed_over = 0
        """Plain bytes so far; those that the caller has heard of; bytes of the file that the disk has got."""
        self._members: list[MemberSize] = []
        self._names: set[str] = set()
        self._changed: list[str] = []
        self._now = int(time.time())
        self._committed = False

    @classmethod
    def open(
        cls,
        target: Path,
        compression: CompressionKind,
        *,
        threads: int | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> ArchiveWriter:
        """Start an archive that will take the name *target*, replacing a regular file of that name.

        *progress* is called now and then with the plain bytes that were taken so far.
        Raises InvalidArgumentError for a target that cannot be a file, HostError when it cannot be written.
        """
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISREG(os.stat(target).st_mode):
                raise InvalidArgumentError(
                    f"{target} exists and is not a file", resolution="choose another export"
                )
        # A link as the target stays a link: the archive takes the place of what it points to.
        target = Path(os.path.realpath(target))
        try:
            descriptor, name = _unnamed_or_temporary(target)
        except OSError as error:
            raise HostError(f"the archive {target} cannot be written: {error.strerror}") from error
        raw = io.BufferedWriter(_PiecewiseFile(descriptor, "wb"), _PIECE)
        try:
            os.fchmod(descriptor, 0o600)
            return cls(target, raw, name, CompressedOutput(raw, compression, threads=threads), progress)
        except BaseException:
            raw.close()
            if name is not None:
                os.unlink(name)
            raise

    def __enter__(self) -> ArchiveWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._committed:
            self._output.abandon()
            # What is still buffered is of no use; a disk that is full must not hide the first error.
            with contextlib.suppress(OSError):
                self._raw.close()
            if self._name is not None:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self._name)

    @property
    def compression(self) -> CompressionKind:
        """How the archive is packed."""
        return self._output.kind

    # ---- members ----------------------------------------------------------------------------------------------

    def add_document(self, name: str, data: bytes, *, mode: int = 0o600) -> None:
        """A small file given as bytes."""
        with self._member(name, len(data)):
            self._put_header(TarHeader(name=name, mode=mode, size=len(data), mtime_ns=self._now_ns))
            self.write(data)
            self.write(bytes(padding(len(data))))

    def add_file(self, name: str, path: Path, *, mode: int | None = None) -> None:
        """A file from disk; a link in its place is refused. The mode is the file's own unless given."""
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            self._add_descriptor(name, descriptor, str(path), mode)
        finally:
            os.close(descriptor)

    def add_directory(self, name: str, path: Path) -> None:
        """A directory of plain files, with an entry for itself and for every directory below.

        CRIU's link to a pre-checkpoint is kept as a link; any other link, device or socket is refused.
        """
        root = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._add_below(root, "", name)
        finally:
            os.close(root)

    def add_tree(self, name: str, tree: FrozenTree) -> None:
        """A tar within the tar, made while it is written."""
        size = tree.size
        with self._member(name, size):
            self._put_header(TarHeader(name=name, mode=0o644, size=size, mtime_ns=self._now_ns))
            self._changed += tree.write(self)
            self.write(bytes(padding(size)))

    def add_tree_tar(self, name: str, root: Path) -> None:
        """The tar of a whole directory with ``./`` names: a volume, or /dev/shm."""
        self.add_tree(name, freeze_tree(root))

    # ---- end --------------------------------------------------------------------------------------------------

    def commit(self, *, allow_changed: bool = False) -> ArchiveSummary:
        """Make the archive durable under its name.

        Raises CheckpointArchiveChangedError, and leaves nothing, if a file changed while it was read, unless
        *allow_changed*: then it is padded or cut, and the summary says so.
        """
        if tuple(member.name for member in self._members[:2]) != members.HEAD:
            raise InvalidStateError(f"the archive {self._target} has no config.dump and spec.dump yet")
        if self._changed and not allow_changed:
            raise CheckpointArchiveChangedError(str(self._target), self._changed)
        try:
            self.write(END)
            self._output.finish()
            self._raw.flush()
            descriptor = self._raw.fileno()
            os.fdatasync(descriptor)
            size = os.fstat(descriptor).st_size
            if self._name is None:
                self._name = _link(descriptor, self._target)
            os.rename(self._name, self._target)
            self._committed = True
            self._raw.close()
            sync_directory(self._target.parent)
        except OSError as error:
            raise self._not_written(error) from error
        return ArchiveSummary(
            path=self._target,
            compression=self._output.kind,
            size=size,
            members=tuple(self._members),
            changed=tuple(self._changed),
        )

    # ---- the ByteSink of frozen trees ---------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview, /) -> None:
        """Raw bytes of the outer tar; members are added with the methods above."""
        try:
            self._output.write(data)
            self._passed(len(data))
        except OSError as error:
            raise self._not_written(error) from error

    def copy_from(self, descriptor: int, size: int, /) -> int:
        """*size* bytes of a file; by the kernel alone when nothing is compressed. Returns how many are missing."""
        if self._output.kind is CompressionKind.NONE and size >= _KERNEL_COPY:
            size = self._copy_in_kernel(descriptor, size)
            if size == 0:
                return 0
        return copy_through(descriptor, size, self.write)

    def _copy_in_kernel(self, descriptor: int, size: int) -> int:
        try:
            self._raw.flush()
            while size:
                copied = os.copy_file_range(descriptor, self._raw.fileno(), min(size, _STEP))
                if copied == 0:
                    break
                size -= copied
                self._passed(copied)
        except OSError as error:
            if error.errno not in _NO_KERNEL_COPY:
                raise self._not_written(error) from error
        # The descriptor moved under the buffered file.
        self._raw.seek(0, os.SEEK_END)
        return size

    def _passed(self, size: int) -> None:
        """Count plain bytes; after every step let the disk begin with what they became, and tell the caller."""
        self._taken += size
        if self._taken - self._told < _STEP:
            return
        self._told = self._taken
        descriptor = self._raw.fileno()
        written = os.lseek(descriptor, 0, os.SEEK_CUR)
        begin_writeback(descriptor, self._handed_over, written - self._handed_over)
        self._handed_over = written
        if self._progress is not None:
            self._progress(self._taken)

    # ---- inside -------------------------------------------------------------------------------------------------

    @property
    def _now_ns(self) -> int:
        return self._now * 1_000_000_000

    @contextlib.contextmanager
    def _member(self, name: str, size: int) -> Iterator[None]:
        """Bookkeeping of one member: order, uniqueness, how long it took."""
        position = len(self._members)
        if position < len(members.HEAD) and name != members.HEAD[position]:
            raise InvalidStateError(f"{members.HEAD[position]} must come before {name} in an archive")
        if name in self._names:
            raise InvalidStateError(f"{name} is in the archive already")
        self._names.add(name)
        started = time.monotonic_ns()
        yield
        duration = (time.monotonic_ns() - started) // 1000
        self._members.append(MemberSize(name=name, size=size, duration=duration))

    def _put_header(self, header: TarHeader) -> None:
        self.write(encode(header))

    def _add_descriptor(self, name: str, descriptor: int, shown: str, mode: int | None) -> None:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise InvalidArgumentError(f"{shown} is not a file and cannot become a member of an archive")
        size = found.st_size
        with self._member(name, size):
            seconds = int(found.st_mtime) * 1_000_000_000
            permissions = stat.S_IMODE(found.st_mode) if mode is None else mode
            self._put_header(TarHeader(name=name, mode=permissions, size=size, mtime_ns=seconds))
            missing = self.copy_from(descriptor, size)
            if missing:
                self._changed.append(f"{shown} became shorter while it was written")
            # A log that grows during the copy is cut at the size it had: that is not a damage.
            self.write(bytes(missing))
            self.write(bytes(padding(size)))

    def _add_below(self, root: int, relative: str, name: str) -> None:
        directory = open_strict(root, relative, os.O_RDONLY | os.O_DIRECTORY)
        try:
            found = os.fstat(directory)
            with self._member(f"{name}/", 0):
                mode, seconds = stat.S_IMODE(found.st_mode), int(found.st_mtime) * 1_000_000_000
                self._put_header(TarHeader(name=name, kind=TarKind.DIRECTORY, mode=mode, mtime_ns=seconds))
            for entry in sorted(os.listdir(directory)):
                kind = os.stat(entry, dir_fd=directory, follow_symlinks=False).st_mode
                member = f"{name}/{entry}"
                if stat.S_ISDIR(kind):
                    self._add_below(directory, entry, member)
                elif stat.S_ISLNK(kind):
                    self._add_link(member, os.readlink(entry, dir_fd=directory))
                else:
                    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
                    descriptor = os.open(entry, flags, dir_fd=directory)
                    try:
                        self._add_descriptor(member, descriptor, member, None)
                    finally:
                        os.close(descriptor)
        finally:
            os.close(directory)

    def _add_link(self, name: str, target: str) -> None:
        if not members.is_parent_link(name, target):
            raise InvalidArgumentError(f"the link {name} to {target} cannot become a member of an archive")
        with self._member(name, 0):
            self._put_header(
                TarHeader(name=name, kind=TarKind.SYMLINK, mode=0o777, target=target, mtime_ns=self._now_ns)
            )

    def _not_written(self, error: OSError) -> HostError:
        resolution = "free some space or export to another place" if error.errno == errno.ENOSPC else None
        return HostError(
            f"the archive {self._target} cannot be written: {error.strerror}", resolution=resolution
        )


class _PiecewiseFile(io.FileIO):
    """A file that is written in small pieces, however much comes at once."""

    def write(self, data: Any, /) -> int:
        view = memoryview(data)
        done = 0
        while done < len(view):
            done += super().write(view[done : done + _PIECE]) or 0
        return done


def _unnamed_or_temporary(target: Path) -> tuple[int, Path | None]:
    """A new file in the target's directory: without a name where the file system can, else with a temporary one."""
    try:
        return os.open(target.parent, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600), None
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT):
            raise
    name = _temporary(target)
    return os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), name


def _temporary(target: Path) -> Path:
    return target.parent / f".tmp-{target.name[:200]}.{os.urandom(6).hex()}"


def _link(descriptor: int, target: Path) -> Path:
    """Give a nameless file a temporary name."""
    name = _temporary(target)
    directory = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # With a dir_fd Python calls linkat with AT_SYMLINK_FOLLOW, which is what /proc/self/fd needs.
        os.link(f"/proc/self/fd/{descriptor}", name.name, src_dir_fd=directory, dst_dir_fd=directory)
    finally:
        os.close(directory)
    return name


# ---- space ----------------------------------------------------------------------------------------------------


def free_space(directory: Path) -> int:
    """Bytes that an unprivileged writer may still use on the file system of *directory*."""
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize


def tree_size(paths: Sequence[Path]) -> int:
    """Bytes of all files in these directories: what add_directory will need."""
    total = 0
    for path in paths:
        for directory, _, files in os.walk(path):
            total += sum(os.lstat(os.path.join(directory, file)).st_size for file in files)
    return total


def require_space(target: Path, size: int, compression: CompressionKind) -> None:
    """Refuse before the container is touched when an archive of *size* plain bytes cannot fit; raises HostError.

    Memory shrinks to somewhere between a tenth and the whole. A compressed archive is refused only when less than a
    fifth of the plain size is free, since it is complete or absent anyway.
    """
    needed = size if compression is CompressionKind.NONE else size // 5
    available = free_space(target.parent)
    if available < needed:
        raise HostError(
            f"the archive {target} needs about {needed >> 20} MiB and {available >> 20} MiB are free",
            resolution="free some space or export to another place",
        )
