"""Pieces that another thread reads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from libpod.checkpoint.ahead import read_ahead


def source(*pieces: bytes | Exception) -> tuple[Callable[[int], bytes], list[str]]:
    """A function that gives the pieces in turn, and the names of the threads that called it."""
    left, callers = list(pieces), []

    def read(size: int) -> bytes:
        callers.append(threading.current_thread().name)
        piece = left.pop(0) if left else b""
        if isinstance(piece, Exception):
            raise piece
        return piece[:size]

    return read, callers


def read_ahead_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "libpod-read-ahead"]


def test_the_pieces_come_in_order_from_one_other_thread() -> None:
    pieces = [str(number).encode() for number in range(50)]
    read, callers = source(*pieces)
    assert list(read_ahead(read, 10)) == pieces
    assert set(callers) == {"libpod-read-ahead"}
    assert read_ahead_threads() == []


def test_an_error_comes_after_the_pieces_before_it() -> None:
    read, _ = source(b"a", b"b", ValueError("damaged"), b"c")
    stream = read_ahead(read, 10)
    assert [next(stream), next(stream)] == [b"a", b"b"]
    with pytest.raises(ValueError, match="damaged"):
        next(stream)
    assert read_ahead_threads() == []


def test_it_reads_no_further_ahead_than_a_few_pieces_and_stops_when_it_is_closed() -> None:
    read, callers = source(*[b"x"] * 1000)
    stream = read_ahead(read, 10)
    assert next(stream) == b"x"
    deadline = time.monotonic() + 10
    while len(callers) < 4 and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.05)
    assert len(callers) == 4, "one given, two waiting, one that waits to be put there"
    stream.close()  # type: ignore[attr-defined]
    assert read_ahead_threads() == []
    assert len(callers) <= 5
