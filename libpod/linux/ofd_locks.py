"""Byte-range locks of open file descriptions (fcntl(2), F_OFD_*).

Unlike the older locks of POSIX they belong to the open file description, not to the process: two descriptions exclude
each other even inside one process, and closing an unrelated descriptor of the same file releases nothing. The kernel
drops a lock when the last descriptor of its description is closed, however that comes about. A descriptor inherited
through fork shares the description and keeps the lock alive: unlock explicitly, and close in the child.

The kernel does not look for deadlocks among these locks, and does not say which process holds one.
"""

from __future__ import annotations

import fcntl
import os
import struct

# struct flock of a 64-bit off_t: type, whence, start, length, pid, and what the compiler adds to fill eight bytes.
_FLOCK = struct.Struct("@hhqqi4x")


def lock(descriptor: int, start: int, *, wait: bool) -> bool:
    """Take the byte at *start* exclusively; False when another has it and *wait* is not set.

    Waiting is queued in the kernel in order of arrival and can be interrupted by a signal whose handler raises.
    """
    try:
        fcntl.fcntl(
            descriptor, fcntl.F_OFD_SETLKW if wait else fcntl.F_OFD_SETLK, _flock(fcntl.F_WRLCK, start, 1)
        )
    except BlockingIOError:
        return False
    except PermissionError:  # EACCES, which fcntl(2) allows instead of EAGAIN
        return False
    return True


def unlock(descriptor: int, start: int) -> None:
    """Give the byte at *start* back."""
    fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _flock(fcntl.F_UNLCK, start, 1))


def locked_ranges(descriptor: int, start: int, end: int) -> list[tuple[int, int]]:
    """Start and length of the ranges that others hold between *start* and *end*, in order.

    The kernel names one conflicting lock at a time, in no promised order: what lies before and behind it is asked
    again.
    """
    found: list[tuple[int, int]] = []
    open_ranges = [(start, end)]
    while open_ranges:
        low, high = open_ranges.pop()
        if low >= high:
            continue
        answer = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _flock(fcntl.F_WRLCK, low, high - low))
        kind, _, at, length, _ = _FLOCK.unpack(answer)
        if kind == fcntl.F_UNLCK:
            continue
        stop = at + length if length else high
        found.append((at, stop - at))
        open_ranges += [(low, at), (stop, high)]
    return sorted(found)


def is_deleted(descriptor: int) -> bool:
    """Whether the file has no name any more, so that nobody else will ever meet us there."""
    return os.fstat(descriptor).st_nlink == 0


def _flock(kind: int, start: int, length: int) -> bytes:
    return _FLOCK.pack(kind, os.SEEK_SET, start, length, 0)
