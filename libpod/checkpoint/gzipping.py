"""A gzip stream made of blocks that are compressed side by side.

Memory is often incompressible (already compressed data, keys, hashes), and no deflate is quick at finding that out: at
its fastest level isal spends 1.3 s of processor time on a gibibyte of random data, to end with the same bytes. So a
sample of every block is compressed first. A block that will not shrink is **stored**, as deflate allows: what is left
to do is its checksum. The others are compressed by threads, each block alone, and written in their order; blocks of a
mebibyte lose less than a thousandth to that.

The stream is one ordinary gzip member.

isal is used when it is there, else zlib, in the same way.
"""

from __future__ import annotations

import collections
import struct
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, BinaryIO

try:
    from isal import isal_zlib as _zlib
except ImportError:
    import zlib as _zlib  # type: ignore[no-redef,unused-ignore]

_LEVEL = 1
_BLOCK = 1 << 20
_DIRECT = 1 << 18
"""From this size on, data is a block of its own, without being copied."""
_RAW = -15
"""Deflate without a header, with the largest window."""
_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff"
"""No name, no time, "fastest", "unknown system"."""
_LAST = b"\x03\x00"
"""An empty block that is marked as the last one."""
_STORED = 0xFFFF
"""The most bytes that a stored block holds."""
_SAMPLES, _SAMPLE = 8, 2048
_WORTH = 0.97
"""A sample that keeps more than this of its size says: store the block."""


class GzipWriter:
    """Plain bytes in, gzip into *raw*, which stays open. Used by one thread at a time."""

    def __init__(self, raw: BinaryIO, threads: int) -> None:
        self._raw = raw
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="gzip")
        self._ahead: collections.deque[Future[bytes]] = collections.deque()
        self._most_ahead = 2 * threads
        self._gathered = bytearray()
        self._checksum = 0
        self._size = 0
        raw.write(_HEADER)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take all of *data*; it may be overwritten when the call returns."""
        view = memoryview(data)
        if len(view) < _DIRECT:
            self._gathered += view
            if len(self._gathered) >= _BLOCK:
                self._empty()
            return
        self._empty()
        for start in range(0, len(view), _BLOCK):
            self._take(view[start : start + _BLOCK])

    def close(self) -> None:
        """Write what is on its way, and the trailer; ends the threads."""
        try:
            self._empty()
            self._settle(0)
            self._raw.write(_LAST + struct.pack("<II", self._checksum, self._size & 0xFFFF_FFFF))
        finally:
            self.abandon()

    def abandon(self) -> None:
        """End the threads without writing anything more."""
        self._ahead.clear()
        self._pool.shutdown(cancel_futures=True)

    def _empty(self) -> None:
        if self._gathered:
            block, self._gathered = self._gathered, bytearray()
            self._take(memoryview(block))

    def _take(self, block: memoryview) -> None:
        self._checksum = _zlib.crc32(block, self._checksum)
        self._size += len(block)
        if _shrinks(block):
            self._settle(self._most_ahead - 1)
            self._ahead.append(self._pool.submit(_deflated, bytes(block)))
        else:
            self._settle(0)
            for piece in _stored(block):
                self._raw.write(piece)

    def _settle(self, ahead: int) -> None:
        """Write the oldest results until only *ahead* blocks are being compressed."""
        while len(self._ahead) > ahead:
            self._raw.write(self._ahead.popleft().result())


def _shrinks(block: memoryview) -> bool:
    step = len(block) // _SAMPLES
    if step <= _SAMPLE:
        return True  # small: compressing it costs no more than a sample
    sample = b"".join(block[index * step : index * step + _SAMPLE] for index in range(_SAMPLES))
    return len(_zlib.compress(sample, _LEVEL)) < _WORTH * len(sample)


def _deflated(block: bytes) -> bytes:
    """The block alone, up to a byte boundary, so that the next one can follow."""
    compressor: Any = _zlib.compressobj(_LEVEL, _zlib.DEFLATED, _RAW)
    packed: bytes = compressor.compress(block) + compressor.flush(_zlib.Z_SYNC_FLUSH)
    return packed


def _stored(block: memoryview) -> Iterator[bytes | memoryview]:
    for start in range(0, len(block), _STORED):
        piece = block[start : start + _STORED]
        yield struct.pack("<BHH", 0, len(piece), len(piece) ^ 0xFFFF)
        yield piece
