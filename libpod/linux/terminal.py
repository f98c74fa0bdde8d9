"""The caller's terminal: raw mode, size, and a note when the size changes.

Covers: libpod/oci_conmon_attach_common.go and pkg/terminal (raw mode, SIGWINCH)
"""

from __future__ import annotations

import contextlib
import os
import signal
import termios
import threading
import tty
from collections.abc import Callable, Iterator

import msgspec


class TerminalSize(msgspec.Struct, frozen=True):
    """How many characters fit."""

    rows: int
    columns: int


def is_terminal(descriptor: int) -> bool:
    """Whether *descriptor* is a terminal."""
    try:
        return os.isatty(descriptor)
    except OSError:
        return False


def terminal_size(descriptor: int) -> TerminalSize:
    """The size of the terminal behind *descriptor*; OSError when it is not one."""
    size = os.get_terminal_size(descriptor)
    return TerminalSize(rows=size.lines, columns=size.columns)


def terminal_size_of(pid: int) -> TerminalSize | None:
    """The size of the terminal that is the standard input of process *pid*; None when there is none."""
    try:
        descriptor = os.open(f"/proc/{pid}/fd/0", os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # gone, not ours to look at, or a socket
        return None
    try:
        return terminal_size(descriptor)
    except OSError:
        return None
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def raw_mode(descriptor: int) -> Iterator[None]:
    """Hand every key through unchanged for the duration of the block; the old settings come back whatever happens.

    A killed process leaves the terminal raw, as every program does; ``stty sane`` repairs it.
    """
    saved = termios.tcgetattr(descriptor)
    tty.setraw(descriptor, termios.TCSANOW)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, saved)


@contextlib.contextmanager
def watching_size(descriptor: int, changed: Callable[[TerminalSize], None]) -> Iterator[None]:
    """Call *changed* with the size now and, for the duration of the block, after every change.

    Changes arrive as SIGWINCH, whose handler only the main thread may set: elsewhere the size is told once.
    *changed* is called in a thread of its own, so that it may block and no signal handler runs foreign code.
    """
    changed(terminal_size(descriptor))
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    os.set_blocking(reading, True)

    def note(number: int, frame: object) -> None:
        # A full pipe already holds a note that nobody has read.
        with contextlib.suppress(BlockingIOError):
            os.write(writing, b"w")

    def tell() -> None:
        # One read takes every note that has piled up: many changes become one call.
        while b"q" not in (notes := os.read(reading, 4096)) and notes:
            with contextlib.suppress(OSError):
                changed(terminal_size(descriptor))

    teller = threading.Thread(target=tell, name="libpod-terminal-size", daemon=True)
    previous = signal.signal(signal.SIGWINCH, note)
    teller.start()
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, previous)
        os.set_blocking(writing, True)
        os.write(writing, b"q")
        teller.join()
        os.close(reading)
        os.close(writing)
