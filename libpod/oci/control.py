"""Talking to a running conmon: the `ctl` FIFO.

One line a write: ``1 <rows> <columns>`` resizes the terminal, ``2 0 0`` starts the log anew. conmon up to 2.1.13 loses
the second of two lines that it reads together, so that messages to one FIFO keep 20 ms apart, by lock and clock within
this process; programs that send at the same moment are not held apart.

ENXIO says that no conmon listens, whatever a pid file says.

Covers: oci_conmon_attach_common.go (resize), oci_conmon_common.go (AttachResize, sendCtlMessage)
"""

from __future__ import annotations

import errno
import os
import threading
import time
from pathlib import Path

from libpod.define.errors import InvalidArgumentError, InvalidStateError
from libpod.linux.terminal import TerminalSize, terminal_size_of

SPACING = 0.02
"""Seconds between two messages."""
PATIENCE = 0.3
"""Seconds after which a resize that shows no effect is said again …"""
ATTEMPTS = 5
"""… and how often, on a machine that may be very busy."""
MAX_SIZE = 1000
"""The largest window conmon 2.2 accepts, in either direction."""

_lock = threading.Lock()
_last_sent: dict[Path, float] = {}


def resize(fifo: Path, subject: str, rows: int, columns: int, *, pid: int | None = None) -> None:
    """Set the size of the terminal behind *fifo*; *subject* names it in errors.

    conmon does it in its own time. With the *pid* of a process at that terminal this waits until it is done (so that a
    program which is started next sees the size), and says it again when conmon has lost the line.
    """
    if not (0 <= rows <= MAX_SIZE and 0 <= columns <= MAX_SIZE):
        raise InvalidArgumentError(f"a terminal of {rows} rows and {columns} columns is out of range")
    wanted = TerminalSize(rows, columns)
    for _ in range(ATTEMPTS):
        _send(fifo, subject, f"1 {rows} {columns}\n")
        if pid is None or _has_size(pid, wanted):
            return


def _has_size(pid: int, wanted: TerminalSize) -> bool:
    deadline = time.monotonic() + PATIENCE
    pause = 0.0002
    while (size := terminal_size_of(pid)) is not None and size != wanted:
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
        pause = min(pause * 2, 0.01)
    return True


def reopen_log(fifo: Path, subject: str) -> None:
    """Have conmon start the log anew."""
    _send(fifo, subject, "2 0 0\n")


def listening(fifo: Path) -> bool:
    """Whether a conmon reads this control FIFO: immune to reused pids. True also while it runs the exit command."""
    try:
        os.close(_open(fifo))
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno == errno.ENXIO:
            return False
        raise
    return True


def _open(fifo: Path) -> int:
    return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)


def _send(fifo: Path, subject: str, line: str) -> None:
    with _lock:
        due = _last_sent.get(fifo, 0.0) + SPACING
        now = time.monotonic()
        _last_sent[fifo] = max(now, due)
        if len(_last_sent) > 1000:
            for path in [path for path, sent in _last_sent.items() if sent < now - SPACING]:
                del _last_sent[path]
    if due > now:
        time.sleep(due - now)
    try:
        descriptor = _open(fifo)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.ENOENT, errno.EPIPE):
            raise InvalidStateError(f"{subject} has no conmon that listens") from error
        raise
