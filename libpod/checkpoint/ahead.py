"""Reading on one core while the caller writes on another.

Decompressing and writing a gigabyte take about as long as each other, and both let go of the interpreter meanwhile.

Covers: nothing upstream; there, each is a goroutine
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator

_DEPTH = 2
"""Pieces that may wait: memory stays bounded however slow the caller is."""


def read_ahead(read: Callable[[int], bytes], size: int) -> Iterator[bytes]:
    """The pieces that *read* gives until an empty one; an error comes in the place of the piece that it prevented.

    *read* is called by one other thread, and by nobody any more once the iterator has ended or is closed.
    """
    waiting: queue.Queue[bytes | BaseException] = queue.Queue(_DEPTH)
    stopped = threading.Event()

    def fetch() -> None:
        piece: bytes | BaseException = b"to begin with"
        while piece and not isinstance(piece, BaseException) and not stopped.is_set():
            try:
                piece = read(size)
            except BaseException as error:  # noqa: BLE001 - raised where the caller waits for the piece
                piece = error
            waiting.put(piece)

    thread = threading.Thread(target=fetch, name="libpod-read-ahead", daemon=True)
    thread.start()
    try:
        while piece := waiting.get():
            if isinstance(piece, BaseException):
                raise piece
            yield piece
    finally:
        stopped.set()
        while thread.is_alive():
            with contextlib.suppress(queue.Empty):
                waiting.get_nowait()
            thread.join(0.001)
