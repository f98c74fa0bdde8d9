"""Watching directories and files without polling.

A thin wrapper over inotify(7). One object is one kernel instance; the number of instances is limited per user
(fs.inotify.max_user_instances), so that making one can fail with EMFILE: callers have another way to notice, or say so.
"""

from __future__ import annotations

import ctypes
import os
import struct
import threading
from pathlib import Path
from types import TracebackType

import msgspec

IN_MODIFY = 0x00000002
IN_ATTRIB = 0x00000004
IN_MOVED_TO = 0x00000080
IN_CREATE = 0x00000100
IN_DELETE = 0x00000200
IN_IGNORED = 0x00008000

_HEADER = struct.Struct("iIII")

_libc = ctypes.CDLL(None, use_errno=True)
_libc.inotify_init1.argtypes = [ctypes.c_int]
_libc.inotify_init1.restype = ctypes.c_int
_libc.inotify_add_watch.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32]
_libc.inotify_add_watch.restype = ctypes.c_int
_libc.inotify_rm_watch.argtypes = [ctypes.c_int, ctypes.c_int]
_libc.inotify_rm_watch.restype = ctypes.c_int


class InotifyEvent(msgspec.Struct, frozen=True):
    """Something happened to *name* in the watched directory (or, with an empty name, to the watched file)."""

    watch: int
    mask: int
    name: str


class Inotify:
    """One inotify instance; a context manager with a `fileno` to poll."""

    def __init__(self) -> None:
        self._descriptor = _checked(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), "inotify")
        self._watches = False

    def __enter__(self) -> Inotify:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the instance back; a second call does nothing.

        close(2) of an instance that watches waits for a grace period of the kernel, ten milliseconds in which its user
        has nothing to wait for: a thread does it.
        """
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor < 0:
            return
        if self._watches:
            try:
                threading.Thread(
                    target=os.close, args=(descriptor,), name="inotify close", daemon=True
                ).start()
                return
            except RuntimeError:
                pass  # no thread is to be had: the interpreter ends, or the user is at a limit
        os.close(descriptor)

    def fileno(self) -> int:
        """The descriptor that polls readable when there are events."""
        return self._descriptor

    def watch(self, path: Path, mask: int) -> int:
        """Watch *path*; returns the number of the watch."""
        number = _checked(_libc.inotify_add_watch(self._descriptor, os.fsencode(path), mask), str(path))
        self._watches = True
        return number

    def unwatch(self, watch: int) -> None:
        """End a watch."""
        _checked(_libc.inotify_rm_watch(self._descriptor, watch), f"watch {watch}")

    def read(self) -> list[InotifyEvent]:
        """The events that have arrived; never blocks."""
        try:
            data = os.read(self._descriptor, 65536)
        except BlockingIOError:
            return []
        events = []
        offset = 0
        while offset < len(data):
            watch, mask, _cookie, length = _HEADER.unpack_from(data, offset)
            offset += _HEADER.size
            name = data[offset : offset + length].rstrip(b"\0")
            offset += length
            events.append(InotifyEvent(watch, mask, os.fsdecode(name)))
        return events


def _checked(result: int, subject: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), subject)
    return result
