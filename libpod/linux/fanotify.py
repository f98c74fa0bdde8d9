"""Hold up whoever opens a file, for a moment.

A thin wrapper over fanotify(7) with permission events. The opener sleeps in its open(2) until it is let pass. When the
gate is closed, or its owner dies, everybody passes: nobody can be held for ever by a process that was killed. Needs
CAP_SYS_ADMIN and a kernel with CONFIG_FANOTIFY_ACCESS_PERMISSIONS; OSError elsewhere.

The owner must not open the file itself in the thread that answers: it would wait for its own answer.
"""

from __future__ import annotations

import ctypes
import os
import struct
from pathlib import Path
from types import TracebackType

import attrs

_CLOEXEC, _NONBLOCK, _CLASS_CONTENT = 0x1, 0x2, 0x4
_MARK_ADD, _MARK_REMOVE = 0x1, 0x2
_OPEN_PERM = 0x10000
_AT_FDCWD = -100
_ALLOW = 1
_EVENT = struct.Struct("=IBBHQii")
_RESPONSE = struct.Struct("=iI")

_libc = ctypes.CDLL(None, use_errno=True)
_libc.fanotify_init.argtypes = (ctypes.c_uint, ctypes.c_uint)
_libc.fanotify_mark.argtypes = (ctypes.c_int, ctypes.c_uint, ctypes.c_uint64, ctypes.c_int, ctypes.c_char_p)


@attrs.frozen
class Opener:
    """A process that waits in open(2)."""

    pid: int
    _file: int


class OpenGate:
    """A gate before one file; a context manager with a `fileno` to poll."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = _checked(
            _libc.fanotify_init(_CLASS_CONTENT | _CLOEXEC | _NONBLOCK, os.O_RDONLY | os.O_CLOEXEC)
        )
        try:
            self._mark(_MARK_ADD)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> OpenGate:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def fileno(self) -> int:
        """The descriptor that polls readable when somebody waits."""
        return self._descriptor

    def waiting(self) -> list[Opener]:
        """Those who wait and were not reported yet; never blocks."""
        try:
            data = os.read(self._descriptor, 4096)
        except BlockingIOError:
            return []
        openers = []
        while data:
            length, _, _, _, _, file, pid = _EVENT.unpack_from(data)
            openers.append(Opener(pid, file))
            data = data[length:]
        return openers

    def let_pass(self, opener: Opener) -> None:
        """Its open(2) goes on."""
        try:
            os.write(self._descriptor, _RESPONSE.pack(opener._file, _ALLOW))
        finally:
            os.close(opener._file)

    def open_to_all(self) -> None:
        """From now on nobody is held up any more; who waits already still does."""
        self._mark(_MARK_REMOVE)

    def close(self) -> None:
        """Let everybody pass and give the gate back; a second call does nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _mark(self, action: int) -> None:
        _checked(
            _libc.fanotify_mark(self._descriptor, action, _OPEN_PERM, _AT_FDCWD, os.fsencode(self._path))
        )


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
