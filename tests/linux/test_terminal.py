"""The caller's terminal."""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import termios
import threading
from collections.abc import Iterator

import pytest

from libpod.linux.terminal import TerminalSize, is_terminal, raw_mode, terminal_size, watching_size


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """(keyboard and screen, the terminal itself)"""
    ours, theirs = os.openpty()
    try:
        yield ours, theirs
    finally:
        os.close(ours)
        os.close(theirs)


def set_size(descriptor: int, rows: int, columns: int) -> None:
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def test_a_terminal_is_told_from_a_pipe(terminal: tuple[int, int]) -> None:
    reading, writing = os.pipe()
    assert is_terminal(terminal[1])
    assert not is_terminal(reading)
    os.close(reading)
    os.close(writing)
    assert not is_terminal(reading)


def test_in_raw_mode_keys_get_through_and_the_old_mode_comes_back(terminal: tuple[int, int]) -> None:
    ours, theirs = terminal
    before = termios.tcgetattr(theirs)
    with pytest.raises(ZeroDivisionError), raw_mode(theirs):
        os.write(ours, b"\x03\x10")
        assert os.read(theirs, 10) == b"\x03\x10"
        1 / 0  # noqa: B018
    assert termios.tcgetattr(theirs) == before


def test_the_size_is_told_at_once_and_after_every_change(terminal: tuple[int, int]) -> None:
    _, theirs = terminal
    set_size(theirs, 24, 80)
    assert terminal_size(theirs) == TerminalSize(24, 80)
    told: list[TerminalSize] = []
    changed = threading.Event()

    def note(size: TerminalSize) -> None:
        told.append(size)
        if size == TerminalSize(50, 132):
            changed.set()

    before = signal.getsignal(signal.SIGWINCH)
    with watching_size(theirs, note):
        assert told == [TerminalSize(24, 80)]
        set_size(theirs, 50, 132)
        os.kill(os.getpid(), signal.SIGWINCH)
        assert changed.wait(30)
    assert signal.getsignal(signal.SIGWINCH) == before


def test_in_another_thread_the_size_is_told_once(terminal: tuple[int, int]) -> None:
    _, theirs = terminal
    told: list[TerminalSize] = []

    def run() -> None:
        with watching_size(theirs, told.append):
            pass

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(30)
    assert len(told) == 1
