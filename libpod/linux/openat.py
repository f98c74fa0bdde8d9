"""Opening below a directory without leaving it: openat2(2), and the walk by hand where the kernel refuses it.

Every function takes the descriptor of a directory (the root) and a path relative to it. A ``..`` is refused, whatever
the policy. Two policies exist:

* *strict*: a symbolic link in any component is an error (ELOOP);
* *inside*: links are followed as a process chrooted to the root would follow them. Only openat2 can do this without a
  race; where it is missing (before Linux 5.6, or hidden by a seccomp filter) the strict walk is used instead, which
  refuses more and never less.

Also here: extended attributes and moments of change by descriptor, with the errno that the kernel gave.
"""

from __future__ import annotations

import ctypes
import errno
import os
import threading

_SYS_OPENAT2 = 437  # the same number on every architecture
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_NO_SYMLINKS = 0x04
_RESOLVE_BENEATH = 0x08
_RESOLVE_IN_ROOT = 0x10


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_missing = threading.Event()
"""Set once openat2 has answered ENOSYS or EPERM on an ordinary directory."""


def open_strict(root: int, path: str, flags: int, mode: int = 0) -> int:
    """Open *path* below *root*; a symbolic link in any component, the last included, is ELOOP."""
    _check_relative(path)
    if not _missing.is_set():
        descriptor = _openat2(root, path, flags, mode, _RESOLVE_BENEATH | _RESOLVE_NO_SYMLINKS)
        if descriptor is not None:
            return descriptor
    return _walk(root, path, flags, mode)


def open_inside(root: int, path: str, flags: int, mode: int = 0) -> int:
    """Open *path* below *root*, resolving links as if *root* were ``/``; without openat2 this is open_strict."""
    _check_relative(path)
    if not _missing.is_set():
        descriptor = _openat2(root, path, flags, mode, _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS)
        if descriptor is not None:
            return descriptor
    return _walk(root, path, flags, mode)


def link_path(directory: int, name: str) -> str:
    """A path by which calls without a dir_fd argument (setxattr on a link) reach *name* in an open directory."""
    return f"/proc/self/fd/{directory}/{name}"


def _check_relative(path: str) -> None:
    if path.startswith("/") or ".." in path.split("/"):
        raise OSError(errno.EXDEV, "path leaves its root", path)


def _openat2(root: int, path: str, flags: int, mode: int, resolve: int) -> int | None:
    how = _OpenHow(flags | os.O_CLOEXEC, mode, resolve)
    while True:
        result = _libc.syscall(
            ctypes.c_long(_SYS_OPENAT2),
            ctypes.c_int(root),
            ctypes.c_char_p(os.fsencode(path or ".")),
            ctypes.byref(how),
            ctypes.c_size_t(ctypes.sizeof(how)),
        )
        if result >= 0:
            return int(result)
        code = ctypes.get_errno()
        # EAGAIN: a rename raced with the check that nothing escapes; the manual asks to try again.
        if code in (errno.EAGAIN, errno.EINTR):
            continue
        if code == errno.ENOSYS:
            _missing.set()
            return None
        if code == errno.EPERM:
            return None  # a seccomp filter, or a real EPERM, which the walk meets again
        raise OSError(code, os.strerror(code), path)


def _walk(root: int, path: str, flags: int, mode: int) -> int:
    """open_strict component by component, each with O_NOFOLLOW."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not parts:
        return os.open(".", flags | os.O_CLOEXEC, mode, dir_fd=root)
    current = os.dup(root)
    try:
        for part in parts[:-1]:
            following = os.open(
                part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=current
            )
            os.close(current)
            current = following
        return os.open(parts[-1], flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=current)
    finally:
        os.close(current)
