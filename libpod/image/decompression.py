"""Reading what may be compressed: the content decides, not the name.

gzip through isal where it is there (several times faster than zlib), zstd through the standard library or
backports.zstd, xz and bzip2 through the standard library. Streams cannot be rewound, so the first bytes are read and
put back in front.
"""

from __future__ import annotations

import importlib
import io
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO, cast

from libpod.define.errors import ImageError, ProgramMissingError

_MAGIC_LENGTH = 6
_BUFFER = 1024 * 1024


def kind_of(head: bytes) -> str:
    """The compression that the first bytes announce: gzip, zstd, xz, bzip2 or `none`."""
    for magic, kind in (
        (b"\x1f\x8b", "gzip"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"\xfd7zXZ\x00", "xz"),
        (b"BZh", "bzip2"),
    ):
        if head.startswith(magic):
            return kind
    return "none"


def decompressed(stream: BinaryIO) -> tuple[str, BinaryIO]:
    """The compression of *stream*, and a stream of its plain content; reading that raises ImageError for damage."""
    head = _read_fully(stream, _MAGIC_LENGTH)
    kind = kind_of(head)
    whole = cast("BinaryIO", io.BufferedReader(_Prefixed(head, stream), _BUFFER))
    if kind == "none":
        return kind, whole
    return kind, cast("BinaryIO", io.BufferedReader(_Plain(*_OPENERS[kind](whole)), _BUFFER))


class _Plain(io.RawIOBase):
    """What a decompressor gives; its own kinds of errors become one."""

    def __init__(self, stream: BinaryIO, errors: tuple[type[Exception], ...]) -> None:
        self._stream = stream
        self._errors = errors

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        try:
            data = self._stream.read(len(view))
        except self._errors as error:
            raise ImageError(f"the compressed data is damaged: {error}") from error
        view[: len(data)] = data
        return len(data)


class _Prefixed(io.RawIOBase):
    """*head*, then the rest of *stream*."""

    def __init__(self, head: bytes, stream: BinaryIO) -> None:
        self._head = head
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        if self._head:
            count = min(len(self._head), len(view))
            view[:count] = self._head[:count]
            self._head = self._head[count:]
            return count
        data = self._stream.read(len(view))
        view[: len(data)] = data
        return len(data)


def _read_fully(stream: BinaryIO, count: int) -> bytes:
    data = b""
    while len(data) < count and (piece := stream.read(count - len(data))):
        data += piece
    return data


def _module(*names: str, purpose: str) -> Any:
    for name in names:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise ProgramMissingError(
        names[-1], purpose=purpose, resolution=f"install the Python package {names[-1]}"
    )


_Opened = tuple[BinaryIO, tuple[type[Exception], ...]]


def _gzip(stream: BinaryIO) -> _Opened:
    plain = _module("isal.igzip", "gzip", purpose="read gzip").open(stream, "rb")
    return plain, (EOFError, OSError, ValueError, zlib.error)


def _zstd(stream: BinaryIO) -> _Opened:
    module = _module("compression.zstd", "backports.zstd", purpose="read zstd")
    return module.open(stream, "rb"), (EOFError, OSError, ValueError, module.ZstdError)


def _xz(stream: BinaryIO) -> _Opened:
    module = _module("lzma", purpose="read xz")
    return module.open(stream, "rb"), (EOFError, OSError, ValueError, module.LZMAError)


def _bzip2(stream: BinaryIO) -> _Opened:
    return _module("bz2", purpose="read bzip2").open(stream, "rb"), (EOFError, OSError, ValueError)


_OPENERS: dict[str, Callable[[BinaryIO], _Opened]] = {
    "gzip": _gzip,
    "zstd": _zstd,
    "xz": _xz,
    "bzip2": _bzip2,
}
