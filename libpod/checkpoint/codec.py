"""Compression: chosen by suffix when writing, believed by magic bytes when reading.

    .tar              none     the only form containerd reads
    .tar.gz .tgz      gzip     isal, several threads (`gzipping`)
    .tar.zst .tzst    zstd     libzstd's own worker threads
    anything else     zstd     as podman does

bzip2 and xz are read, as podman reads them, and never written.

An output or input may move from one thread to another between two calls.

Levels: zstd 1 and isal 1. Measured on two cores with libraries and random data: zstd 1 packs 480 MB/s to 57 %, zstd 3
307 MB/s to 54 %, isal 1 560 MB/s to 58 %; memory pages are worth speed, not the last per cent.

Covers: cmd/podman/containers/checkpoint.go (--compress), storage/pkg/archive (DetectCompression, DecompressStream)
"""

from __future__ import annotations

import enum
import io
import os
import sys
from collections.abc import Callable
from pathlib import PurePath
from typing import Any, BinaryIO, Protocol, cast

from libpod.define.errors import ArchiveError, InvalidArgumentError

_ZSTD_LEVEL = 1
_MAX_THREADS = 8


class CompressionKind(enum.StrEnum):
    """A codec by the name that `--compress` gives it."""

    NONE = "none"
    GZIP = "gzip"
    ZSTD = "zstd"
    BZIP2 = "bzip2"
    XZ = "xz"

    @property
    def can_write(self) -> bool:
        """bzip2 and xz are only read."""
        return self in (CompressionKind.NONE, CompressionKind.GZIP, CompressionKind.ZSTD)


_MAGIC = (
    (b"\x1f\x8b\x08", CompressionKind.GZIP),
    (b"\x28\xb5\x2f\xfd", CompressionKind.ZSTD),
    (b"\xfd7zXZ\x00", CompressionKind.XZ),
    (b"BZh", CompressionKind.BZIP2),
)
MAGIC_LENGTH = 6


def parse_compression(word: str) -> CompressionKind:
    """The codec a user means; raises InvalidArgumentError for one that cannot be written."""
    try:
        kind = CompressionKind(word.lower())
    except ValueError:
        kind = CompressionKind.XZ
    if not kind.can_write:
        raise InvalidArgumentError(f'"{word}" is not a compression', resolution="use none, gzip or zstd")
    return kind


def compression_for(target: PurePath, explicit: CompressionKind | str | None = None) -> CompressionKind:
    """The codec for an export to *target*: *explicit* if given, else by suffix, else zstd."""
    if explicit is not None:
        return parse_compression(explicit)
    name = target.name.lower()
    if name.endswith((".tar.gz", ".tgz")):
        return CompressionKind.GZIP
    if name.endswith(".tar"):
        return CompressionKind.NONE
    return CompressionKind.ZSTD


def sniff(beginning: bytes) -> CompressionKind:
    """The codec of a file that begins with these bytes (MAGIC_LENGTH of them are enough)."""
    for magic, kind in _MAGIC:
        if beginning.startswith(magic):
            return kind
    return CompressionKind.NONE


def default_threads() -> int:
    """Worker threads for a compressor: the processors we may use, up to eight."""
    return max(1, min(_MAX_THREADS, len(os.sched_getaffinity(0))))


class ByteSource(Protocol):
    """What the tar reader needs of a decompressed stream."""

    def read(self, size: int, /) -> bytes:
        """At most *size* bytes; empty at the end."""


class CompressedOutput:
    """Bytes in, compressed bytes into a file that stays open. Used by one thread at a time."""

    def __init__(self, raw: BinaryIO, kind: CompressionKind, *, threads: int | None = None) -> None:
        if not kind.can_write:
            raise InvalidArgumentError(f'"{kind}" cannot be written', resolution="use none, gzip or zstd")
        self._stream: Any = None
        self.kind = kind
        workers = threads or default_threads()
        if kind is CompressionKind.GZIP:
            from libpod.checkpoint.gzipping import GzipWriter  # brings threads and a compressor

            self._stream = GzipWriter(raw, workers)
        elif kind is CompressionKind.ZSTD:
            self._stream = _zstd_writer(raw, workers)
        self._write: Callable[[Any], object] = (raw if self._stream is None else self._stream).write

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Compress *data*."""
        self._write(data)

    def finish(self) -> None:
        """Write what is still in the compressor and its trailer; stops the worker threads."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def abandon(self) -> None:
        """Stop the worker threads; what is written is of no use any more."""
        stream, self._stream = self._stream, None
        if stream is None:
            return
        try:
            stream.close()
        except (OSError, ValueError):
            pass  # the disk that was full is still full; the first error is on its way to the caller


def _zstd_module() -> Any:
    if sys.version_info >= (3, 14):
        from compression import zstd  # type: ignore[import-not-found,unused-ignore]
    else:
        from backports import zstd  # type: ignore[no-redef,unused-ignore]
    return zstd


def _zstd_writer(raw: BinaryIO, threads: int) -> Any:
    zstd = _zstd_module()
    options = {
        zstd.CompressionParameter.compression_level: _ZSTD_LEVEL,
        zstd.CompressionParameter.nb_workers: threads if threads > 1 else 0,
        zstd.CompressionParameter.checksum_flag: 1,
    }
    return zstd.ZstdFile(raw, "w", options=options)


class DecompressedInput:
    """The plain bytes of an archive, whatever packed them. A damaged or short stream is an ArchiveError."""

    def __init__(self, raw: BinaryIO, path: str) -> None:
        self._path = path
        beginning = raw.read(MAGIC_LENGTH)
        raw.seek(-len(beginning), io.SEEK_CUR)
        self.kind = sniff(beginning)
        self.raw = raw
        self._stream, self._errors = _reader(raw, self.kind)

    def read(self, size: int, /) -> bytes:
        """At most *size* bytes; fewer only at the end."""
        try:
            return cast(bytes, self._stream.read(size))
        except EOFError as error:
            raise ArchiveError(self._path, "it is cut short", resolution="copy it again") from error
        except self._errors as error:
            raise ArchiveError(
                self._path, f"its {self.kind} compression is damaged ({error})", resolution="copy it again"
            ) from error

    def close(self) -> None:
        """Release the decompressor; the file itself belongs to the caller."""
        if self._stream is not self.raw:
            self._stream.close()


def _reader(raw: BinaryIO, kind: CompressionKind) -> tuple[Any, tuple[type[Exception], ...]]:
    """A decompressing stream and the exceptions by which it says that its input is damaged."""
    if kind is CompressionKind.GZIP:
        import zlib

        try:
            from isal import igzip, isal_zlib
        except ImportError:
            import gzip

            return gzip.GzipFile(fileobj=raw, mode="rb"), (gzip.BadGzipFile, zlib.error)
        fast: Any = igzip
        damaged: Any = isal_zlib.error
        return fast.IGzipFile(fileobj=raw, mode="rb"), (igzip.BadGzipFile, damaged, zlib.error)
    if kind is CompressionKind.ZSTD:
        zstd = _zstd_module()
        return zstd.ZstdFile(raw, "r"), (zstd.ZstdError,)
    if kind is CompressionKind.BZIP2:
        import bz2

        # bz2 has no exception of its own: damage is an OSError without an errno, or a ValueError.
        return bz2.BZ2File(raw, "rb"), (OSError, ValueError)
    if kind is CompressionKind.XZ:
        import lzma

        return lzma.LZMAFile(raw, "rb"), (lzma.LZMAError,)
    return raw, ()
