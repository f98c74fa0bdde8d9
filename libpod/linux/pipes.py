"""Pipes of other processes: whether anything is in them.

A pipe is opened again through /proc, for a moment; nothing is read from it.
"""

from __future__ import annotations

import array
import fcntl
import os
import stat
import termios


def has_unread(pid: int) -> bool:
    """Whether any pipe that process *pid* reads from holds data; False when the process is gone."""
    directory = f"/proc/{pid}/fd"
    try:
        names = os.listdir(directory)
    except (FileNotFoundError, ProcessLookupError):
        return False
    return any(_unread(f"{directory}/{name}") for name in names)


def _unread(path: str) -> int:
    try:
        found = os.stat(path)
        # The link's mode says which end it is; opening anything else than the reading end would change it.
        if not stat.S_ISFIFO(found.st_mode) or not os.lstat(path).st_mode & stat.S_IRUSR:
            return 0
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError):
        return 0  # closed meanwhile
    try:
        count = array.array("i", [0])
        fcntl.ioctl(descriptor, termios.FIONREAD, count)
        return count[0]
    finally:
        os.close(descriptor)
