"""One pass over an archive: the two documents first, the rest into a staging directory.

    with open_archive(path, staging=directory) as reader:
        head = reader.head()          as soon as config.dump and spec.dump have passed
        ...                           judge, prepare storage and network
        unpacked = reader.unpack()    everything else

An archive is hostile input. It is read as a stream, by content and never by suffix, and what it may do is small:

* known members only (`members.kind_of`); others are skipped and named in the result;
* files and directories with relative names without ``..``; the one link allowed is CRIU's from `checkpoint/parent`
  to `../pre-checkpoint`; no devices, no FIFOs, no hard links, no member twice;
* sizes: documents up to 64 MiB, at most a million members, and nothing larger than the space that is free. A
  decompression bomb therefore meets the declared sizes first, and those meet the disk;
* nothing but zero bytes after the end, and a stream that is cut short anywhere is refused.

Everything is written below the staging directory's descriptor, directories 0700 and files 0600: the modes, owners and
times of the outer members mean nothing (podman's `checkpoint/` is 0600, which would shut out a user other than root).
A kill leaves a staging directory, which belongs to the caller.

Archives of podman 1.4 to 6.0, of CRI-O and of containerd have this form; those that lack ctr.log, artifacts/ or
network.status are complete.

Covers: pkg/checkpoint/checkpoint_restore.go, crutils.CRImportCheckpointWithoutConfig, CRImportCheckpointConfigOnly
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol

import attrs

from libpod.checkpoint import members
from libpod.checkpoint.codec import CompressionKind, DecompressedInput
from libpod.checkpoint.members import MemberKind, kind_of
from libpod.checkpoint.tarformat import TarFormatError, TarHeader, TarKind, TarStream
from libpod.define.errors import ArchiveError, HostError
from libpod.linux.files import write_all
from libpod.linux.openat import open_strict

logger = logging.getLogger(__name__)

_CHUNK = 1 << 20
_PIECE = 1 << 16
"""What is written at a time: a small folio.

Larger writes take large folios, which a virtual machine may have given back to its host: unpacking 1 GiB then costs
0.9 s of processor time instead of 0.4 s.
"""
_LONG = 1 << 23
"""From this size on, a member is decompressed by another thread while this one writes."""
_AHEAD = 1 << 19
"""What that thread hands over at a time: handing over smaller pieces costs more than it saves."""
_KERNEL_COPY = 1 << 24
_MAX_MEMBERS = 1_000_000
_MAX_DEPTH = 8
_MAX_NAME = 1024
_RESERVE = 16 << 20
"""Bytes that unpacking leaves free on the file system."""


class MemberStream(Protocol):
    """The content of one member while it passes."""

    def read(self, size: int = -1, /) -> bytes:
        """At most *size* bytes; empty at the end."""


Progress = Callable[[int, int], None]
"""Hears how many bytes of the archive have been read, and of how many."""

Consumer = Callable[[MemberStream], None]
"""Takes a member's content as it passes, instead of a file in the staging directory."""


@attrs.frozen(kw_only=True)
class ArchiveHead:
    """The two documents that say what the archive is."""

    config: bytes
    spec: bytes


@attrs.frozen(kw_only=True)
class UnpackedArchive:
    """What is in the staging directory now."""

    path: Path
    staging: Path
    compression: CompressionKind
    head: ArchiveHead
    sizes: Mapping[str, int]
    """Bytes of every known file member by name, whether unpacked or consumed."""
    ignored: tuple[str, ...]
    """Members that are not known and were skipped."""

    @property
    def volumes(self) -> tuple[str, ...]:
        """Names of the volumes whose content is in the archive."""
        return tuple(volume for name in self.sizes if (volume := members.volume_of(name)) is not None)

    def has(self, name: str) -> bool:
        """Whether the archive held the file *name*."""
        return name in self.sizes

    @property
    def images(self) -> Path | None:
        """The directory of a full checkpoint's images, or None if the archive holds a pre-checkpoint only."""
        return self.staging / members.CHECKPOINT_DIR if self._has_below(members.CHECKPOINT_DIR) else None

    @property
    def pre_images(self) -> Path | None:
        """The directory of a pre-checkpoint's images, or None."""
        return (
            self.staging / members.PRE_CHECKPOINT_DIR if self._has_below(members.PRE_CHECKPOINT_DIR) else None
        )

    def _has_below(self, directory: str) -> bool:
        return any(name.startswith(f"{directory}/") for name in self.sizes)


@contextlib.contextmanager
def open_archive(path: Path, *, staging: Path | None = None) -> Iterator[ArchiveReader]:
    """Open an archive for one pass. Without *staging* only the head can be read.

    Raises HostError when the file cannot be read, ArchiveError when it cannot be an archive.
    """
    try:
        raw = open(path, "rb", buffering=_CHUNK)  # noqa: SIM115 - closed below, whatever the block raises
    except OSError as error:
        raise HostError(f"the archive {path} cannot be read: {error.strerror}") from error
    with raw, ArchiveReader(path, raw, staging) as reader:
        yield reader


def read_head(path: Path) -> ArchiveHead:
    """config.dump and spec.dump of an archive, reading no further than needed."""
    with open_archive(path) as reader:
        return reader.head()


class ArchiveReader:
    """A single pass over one archive. Made by open_archive; may move between threads, used by one at a time."""

    def __init__(self, path: Path, raw: BinaryIO, staging: Path | None) -> None:
        self._path = path
        self._staging = staging
        self._root = -1
        with self._translated():
            self._source = DecompressedInput(raw, str(path))
        self._stream = TarStream(self._source)
        self._documents: dict[str, bytes] = {}
        self._seen: set[str] = set()
        self._sizes: dict[str, int] = {}
        self._ignored: list[str] = []
        self._made: set[str] = set()
        self._consumers: Mapping[str, Consumer] = {}
        self._progress: Progress | None = None
        self._archive_size = os.fstat(raw.fileno()).st_size

    def __enter__(self) -> ArchiveReader:
        if self._staging is not None:
            self._root = os.open(self._staging, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._source.close()
        if self._root >= 0:
            os.close(self._root)

    def head(self) -> ArchiveHead:
        """The two documents. Members that come before them are unpacked on the way."""
        with self._translated():
            self._advance(stop_at_head=True)
        return self._require_head()

    def unpack(
        self, consumers: Mapping[str, Consumer] | None = None, *, progress: Progress | None = None
    ) -> UnpackedArchive:
        """Everything that has not passed yet; returns when the end was seen to be well formed.

        A member named in *consumers* is given to its consumer as it passes and makes no file. One that has passed
        before the head was complete is a file in the staging directory already.
        """
        if self._staging is None:
            raise HostError(f"the archive {self._path} was opened without a directory to unpack into")
        self._consumers = consumers or {}
        self._progress = progress
        with self._translated():
            self._advance(stop_at_head=False)
        head = self._require_head()
        unpacked = UnpackedArchive(
            path=self._path,
            staging=self._staging,
            compression=self._source.kind,
            head=head,
            sizes=dict(self._sizes),
            ignored=tuple(self._ignored),
        )
        if unpacked.images is None and unpacked.pre_images is None:
            raise self._refusal("it holds no checkpoint images")
        if self._ignored:
            logger.info("skipped unknown members of %s: %s", self._path, ", ".join(self._ignored[:8]))
        return unpacked

    # ---- one member after the other -----------------------------------------------------------------------------

    def _advance(self, *, stop_at_head: bool) -> None:
        while not (stop_at_head and len(self._documents) == len(members.HEAD)):
            header = self._stream.next()
            if header is None:
                return
            self._take(header)

    def _take(self, header: TarHeader) -> None:
        name = self._checked_name(header)
        if not name:
            return  # "./" itself, from an archive that was packed by hand
        if name in self._seen:
            raise self._refusal(f"it holds {name} twice")
        self._seen.add(name)
        if len(self._seen) > _MAX_MEMBERS:
            raise self._refusal("it holds more than a million members")
        kind = kind_of(name)
        if kind is MemberKind.UNKNOWN:
            self._ignored.append(name)
            return
        if header.kind is TarKind.SYMLINK and members.is_parent_link(name, header.target):
            self._make_parent_link(name, header.target)
        elif header.kind is TarKind.DIRECTORY:
            if kind is not MemberKind.DIRECTORY:
                raise self._refusal(f"{name} is a directory")
            self._make_directory(name)
        elif header.kind is not TarKind.FILE:
            raise self._refusal(
                f"{name} is a {header.kind.name.lower().replace('_', ' ')}, which no archive may hold"
            )
        else:
            self._take_file(name, header, kind)

    def _take_file(self, name: str, header: TarHeader, kind: MemberKind) -> None:
        if kind is MemberKind.DIRECTORY and "/" not in name:
            raise self._refusal(f"{name} is a file")
        if kind is MemberKind.DOCUMENT and header.size > members.MAX_DOCUMENT:
            raise self._refusal(f"{name} claims {header.size} bytes")
        self._sizes[name] = header.size
        if name in members.HEAD:
            self._documents[name] = self._read_all()
            if self._root >= 0:
                self._write_file(name, self._documents[name])
        elif self._root >= 0:
            consumer = self._consumers.get(name)
            if consumer is not None:
                consumer(self._stream)
            else:
                self._require_room(name, header.size)
                self._write_file(name, None)

    def _checked_name(self, header: TarHeader) -> str:
        name = header.name
        if name.startswith("/"):
            raise self._refusal(f"the member {_shown(name)} has an absolute name")
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if ".." in parts:
            raise self._refusal(f"the member {_shown(name)} leaves the archive")
        if (
            len(parts) > _MAX_DEPTH
            or len(name) > _MAX_NAME
            or any(len(os.fsencode(part)) > 255 for part in parts)
        ):
            raise self._refusal(f"the member {_shown(name)} has a name that no engine gives")
        if any(ord(letter) < 0x20 for letter in name):
            raise self._refusal(f"the member {_shown(name)} has a name with control characters")
        return "/".join(parts)

    def _read_all(self) -> bytes:
        pieces = []
        while piece := self._stream.read(_CHUNK):
            pieces.append(piece)
        return b"".join(pieces)

    # ---- files in the staging directory ---------------------------------------------------------------------------

    def _make_directory(self, name: str) -> None:
        if self._root < 0:
            return
        with self._parent(name) as (parent, last):
            try:
                os.mkdir(last, 0o700, dir_fd=parent)
            except FileExistsError:
                if not _is_directory(parent, last):
                    raise self._refusal(f"{name} is a directory and a file") from None
        self._made.add(name)

    def _make_parent_link(self, name: str, target: str) -> None:
        if self._root < 0:
            return
        with self._parent(name) as (parent, last):
            os.symlink(target, last, dir_fd=parent)

    def _write_file(self, name: str, data: bytes | None) -> None:
        with self._parent(name) as (parent, last):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(last, flags, 0o600, dir_fd=parent)
        try:
            if data is not None:
                write_all(descriptor, data)
            else:
                self._copy_content(descriptor)
        finally:
            os.close(descriptor)

    def _copy_content(self, descriptor: int) -> None:
        if self._source.kind is CompressionKind.NONE and self._stream.left >= _CHUNK:
            self._copy_in_kernel(descriptor)
        for data in self._pieces():
            for start in range(0, len(data), _PIECE):
                write_all(descriptor, memoryview(data)[start : start + _PIECE])
            self._tell(self._source.raw.tell())

    def _pieces(self) -> Iterator[bytes]:
        """What is left of the member."""
        if self._stream.left >= _LONG:
            from libpod.checkpoint.ahead import read_ahead

            return read_ahead(self._stream.read, _AHEAD)
        return iter(lambda: self._stream.read(_PIECE), b"")

    def _tell(self, position: int) -> None:
        if self._progress is not None:
            self._progress(position, self._archive_size)

    def _copy_in_kernel(self, descriptor: int) -> None:
        """Move content from the uncompressed archive to a file without passing it through this process."""
        raw = self._source.raw
        position = raw.tell()
        while self._stream.left:
            try:
                wanted = min(self._stream.left, _KERNEL_COPY)
                copied = os.copy_file_range(raw.fileno(), descriptor, wanted, offset_src=position)
            except OSError as error:
                if error.errno in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM):
                    break
                raise
            if copied == 0:
                break
            position += copied
            self._stream.passed(copied)
            self._tell(position)
        raw.seek(position)

    @contextlib.contextmanager
    def _parent(self, name: str) -> Iterator[tuple[int, str]]:
        """The open directory that holds *name*, made where the archive has no entry for it, and the last part."""
        above, _, last = name.rpartition("/")
        made = ""
        for part in above.split("/") if above else ():
            made = f"{made}/{part}" if made else part
            if made not in self._made:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(made, 0o700, dir_fd=self._root)
                self._made.add(made)
        try:
            directory = open_strict(self._root, above, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                raise self._refusal(f"{name} lies below something that is not a directory") from error
            raise
        try:
            yield directory, last
        finally:
            os.close(directory)

    def _require_room(self, name: str, size: int) -> None:
        if size < _CHUNK:
            return
        found = os.fstatvfs(self._root)
        available = found.f_bavail * found.f_frsize - _RESERVE
        if size > available:
            raise self._refusal(
                f"{name} claims {size} bytes and {max(available, 0)} are free in {self._staging}",
                resolution="free some space, or do not trust the archive",
            )

    # ---- errors -----------------------------------------------------------------------------------------------------

    def _require_head(self) -> ArchiveHead:
        missing = [name for name in members.HEAD if name not in self._documents]
        if missing:
            raise self._refusal(f"it holds no {' and no '.join(missing)}")
        return ArchiveHead(
            config=self._documents[members.CONFIG_DUMP], spec=self._documents[members.SPEC_DUMP]
        )

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """Every foreign error of reading and writing as one of ours, which names the archive."""
        try:
            yield
        except TarFormatError as error:
            raise self._refusal(str(error)) from error
        except OSError as error:
            resolution = "free some space" if error.errno == errno.ENOSPC else None
            raise HostError(
                f"the archive {self._path} cannot be unpacked: {error.strerror or error}",
                resolution=resolution,
            ) from error

    def _refusal(self, cause: str, *, resolution: str | None = None) -> ArchiveError:
        return ArchiveError(str(self._path), cause, resolution=resolution)


def _shown(name: str) -> str:
    return repr(name if len(name) <= 80 else f"{name[:80]}…")


def _is_directory(parent: int, name: str) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)
