"""Let the disk begin with what is written, before it has to be durable."""

from __future__ import annotations

import ctypes
import errno
import os

_SYNC_FILE_RANGE_WRITE = 2
_libc = ctypes.CDLL(None, use_errno=True)
_libc.sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
_UNSUPPORTED = (errno.EINVAL, errno.ESPIPE, errno.ENOSYS, errno.EPERM, errno.EOPNOTSUPP)


def begin_writeback(descriptor: int, offset: int, size: int) -> None:
    """Start writing these bytes of a file out, and do not wait. Makes nothing durable: that is for fdatasync."""
    if _libc.sync_file_range(descriptor, offset, size, _SYNC_FILE_RANGE_WRITE) == 0:
        return
    code = ctypes.get_errno()
    if code not in _UNSUPPORTED:
        raise OSError(code, os.strerror(code))
