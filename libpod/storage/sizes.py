"""How many bytes a directory tree holds.

The sum of the lengths of everything that is not a directory, each inode once: what `podman ps --size` shows. A tree
that is being written to while it is measured gives some value of that time; names that vanish meanwhile count nothing.

Covers: storage/pkg/directory/directory_unix.go
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from libpod.define.errors import StorageError


def tree_size(root: Path) -> int:
    """The bytes below *root*; 0 when it does not exist."""
    total = 0
    linked: set[tuple[int, int]] = set()
    pending = [os.fspath(root)]
    while pending:
        directory = pending.pop()
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                        continue
                    try:
                        status = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    if status.st_nlink > 1:
                        if (status.st_dev, status.st_ino) in linked:
                            continue
                        linked.add((status.st_dev, status.st_ino))
                    if not stat.S_ISDIR(status.st_mode):
                        total += status.st_size
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise StorageError(f"cannot measure {directory} ({error.strerror})") from error
    return total
