"""A frozen tree copied into a plain tar file, so that the container it belongs to may run on.

The copy is by the kernel where the file system can share or move the blocks.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from libpod.checkpoint.frozen import FrozenTree, copy_through
from libpod.define.errors import CheckpointArchiveChangedError

_KERNEL_COPY = 1 << 26
_SMALL = 1 << 16


def spool_tree(tree: FrozenTree, target: Path) -> None:
    """Write the tar of *tree* to the new file *target*; raises CheckpointArchiveChangedError when a file changed."""
    with _FileSink(target) as sink:
        changed = tree.write(sink)
    if changed:
        raise CheckpointArchiveChangedError(str(target), changed)


class _FileSink:
    """A ByteSink on a file."""

    def __init__(self, target: Path) -> None:
        self._target = target

    def __enter__(self) -> _FileSink:
        descriptor = os.open(self._target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._file = os.fdopen(descriptor, "wb", buffering=1 << 20)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, data: bytes | bytearray | memoryview, /) -> None:
        self._file.write(data)

    def copy_from(self, descriptor: int, size: int, /) -> int:
        if size >= _SMALL:
            self._file.flush()
            while size:
                try:
                    copied = os.copy_file_range(descriptor, self._file.fileno(), min(size, _KERNEL_COPY))
                except OSError as error:
                    if error.errno not in (
                        errno.EXDEV,
                        errno.EINVAL,
                        errno.ENOSYS,
                        errno.EOPNOTSUPP,
                        errno.EPERM,
                    ):
                        raise
                    break
                if copied == 0:
                    return size
                size -= copied
            self._file.seek(0, os.SEEK_END)
        return copy_through(descriptor, size, self._file.write)
