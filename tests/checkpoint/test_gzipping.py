"""gzip in blocks: one ordinary stream for every reader, and no time spent on what does not shrink."""

from __future__ import annotations

import gzip
import io
import os
import random
import shutil
import subprocess

import pytest

from libpod.checkpoint.gzipping import GzipWriter

MIB = 1 << 20


def packed(*pieces: bytes, threads: int = 2) -> bytes:
    raw = io.BytesIO()
    writer = GzipWriter(raw, threads)
    for piece in pieces:
        writer.write(piece)
    writer.close()
    return raw.getvalue()


@pytest.mark.parametrize(
    "pieces",
    [
        (),
        (b"",),
        (b"one",),
        (os.urandom(65535),),
        (os.urandom(3 * MIB + 1),),
        (bytes(3 * MIB), os.urandom(MIB), b"text " * 200_000),
        (b"header", os.urandom(MIB), b"trailer", bytes(5 * MIB + 7)),
    ],
    ids=["nothing", "empty", "small", "one stored block", "random", "mixed", "small between large"],
)
def test_every_reader_finds_what_was_written(pieces: tuple[bytes, ...]) -> None:
    data = packed(*pieces)
    assert gzip.decompress(data) == b"".join(pieces)
    tool = shutil.which("gzip")
    if tool is not None:
        done = subprocess.run([tool, "-dc"], input=data, capture_output=True, check=True)
        assert done.stdout == b"".join(pieces)


def test_pieces_of_any_size_make_the_same_content() -> None:
    source = random.Random(7)
    pieces = [os.urandom(source.randrange(400_000)) + bytes(source.randrange(400_000)) for _ in range(40)]
    assert gzip.decompress(packed(*pieces, threads=3)) == b"".join(pieces)


def test_the_buffer_of_a_write_may_be_used_again() -> None:
    raw = io.BytesIO()
    writer = GzipWriter(raw, 2)
    buffer = bytearray(b"a" * MIB)
    for letter in b"abc":
        buffer[:] = bytes([letter]) * MIB
        writer.write(memoryview(buffer))
    writer.close()
    assert gzip.decompress(raw.getvalue()) == b"".join(bytes([letter]) * MIB for letter in b"abc")


def test_what_does_not_shrink_is_stored() -> None:
    size = 16 * MIB
    assert size < len(packed(os.urandom(size))) < size * 1.0002


def test_what_shrinks_is_compressed() -> None:
    assert len(packed(bytes(16 * MIB), b"all work and no play " * 100_000)) < MIB // 2


def test_abandoning_writes_no_more() -> None:
    raw = io.BytesIO()
    writer = GzipWriter(raw, 2)
    writer.write(bytes(8 * MIB))
    writer.abandon()
    with pytest.raises((EOFError, gzip.BadGzipFile)):
        gzip.decompress(raw.getvalue())
