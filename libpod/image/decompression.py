"""Reading what may be compressed: the content decides, not the name.

gzip through isal where it is there (several times faster than zlib), zstd through the standard library or
backports.zstd, xz and bzip2 through the standard library. Streams cannot be rewound, so the first bytes are read and
put back in front.
"""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable
from typing import Any, BinaryIO, cast

from libpod.define.errors import ProgramMissingError

_MAGIC_LENGTH = 6


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
    """The compression of *stream*, and a stream of its plain content."""
    head = _read_fully(stream, _MAGIC_LENGTH)
    kind = kind_of(head)
    whole = cast("BinaryIO", io.BufferedReader(_Prefixed(head, stream), 1024 * 1024))
    return (kind, whole) if kind == "none" else (kind, _OPENERS[kind](whole))


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


def _gzip(stream: BinaryIO) -> BinaryIO:
    return cast("BinaryIO", _module("isal.igzip", "gzip", purpose="read gzip").open(stream, "rb"))


def _zstd(stream: BinaryIO) -> BinaryIO:
    return cast(
        "BinaryIO", _module("compression.zstd", "backports.zstd", purpose="read zstd").open(stream, "rb")
    )


def _xz(stream: BinaryIO) -> BinaryIO:
    return cast("BinaryIO", _module("lzma", purpose="read xz").open(stream, "rb"))


def _bzip2(stream: BinaryIO) -> BinaryIO:
    return cast("BinaryIO", _module("bz2", purpose="read bzip2").open(stream, "rb"))


_OPENERS: dict[str, Callable[[BinaryIO], BinaryIO]] = {
    "gzip": _gzip,
    "zstd": _zstd,
    "xz": _xz,
    "bzip2": _bzip2,
}
