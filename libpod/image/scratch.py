"""Private directories for images in the making.

    <parent>/libpod-image-<random>/          0700, removed when the block ends

Whoever uses such a directory holds an exclusive lock (`flock`) on it; skopeo inherits the descriptor and keeps its
own temporary files inside, so the lock lives as long as the last process that works there. A process that is killed
leaves the directory without a lock, and the next `scratch` in the same parent removes what nobody holds. Between
`mkdir` and the lock such a sweep may win: the maker notices that its directory is gone and makes another.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import attrs

from libpod.define.errors import ImageError
from libpod.linux.files import remove_tree

logger = logging.getLogger(__name__)

PREFIX = "libpod-image-"
CHUNK = 1024 * 1024
DEFAULT_PARENT = Path("/var/tmp")
"""Where podman and skopeo put large temporary files too: /tmp is often in memory."""


@attrs.frozen
class Scratch:
    """A directory of our own and the descriptor whose lock keeps it alive."""

    path: Path
    lock: int


@contextlib.contextmanager
def scratch(parent: Path | None = None) -> Iterator[Scratch]:
    """A fresh private directory for the duration of the block; raises ImageError when there is no room for one.

    *parent* defaults to $TMPDIR or /var/tmp.
    """
    folder = parent or Path(os.environ.get("TMPDIR") or DEFAULT_PARENT)
    try:
        sweep(folder)
        path, lock = _make(folder)
    except OSError as error:
        raise ImageError(
            f"no temporary directory for images can be made in {folder}: {error.strerror}",
            resolution="set TMPDIR to a directory with enough room",
        ) from error
    try:
        yield Scratch(path, lock)
    finally:
        # Still locked while it is being emptied, so that no sweep gets in the way.
        try:
            remove_tree(path)
        finally:
            os.close(lock)


def fill(path: Path, content: BinaryIO) -> None:
    """Write what is left in *content* to the new file *path*; raises ImageError when there is no room."""
    with path.open("xb", buffering=0) as target:
        while data := content.read(CHUNK):
            rest = memoryview(data)
            try:
                while rest:
                    rest = rest[target.write(rest) :]
            except OSError as error:
                raise no_room(error) from error


def no_room(error: OSError) -> ImageError:
    """What to say when a temporary file cannot be written."""
    return ImageError(
        f"a temporary file for the image cannot be written: {error.strerror}",
        resolution="free space, or set TMPDIR to a directory with more",
    )


def sweep(parent: Path) -> list[Path]:
    """Remove the directories that killed processes left in *parent*; returns them."""
    swept = []
    with os.scandir(parent) as entries:
        found = [entry.path for entry in entries if entry.name.startswith(PREFIX)]
    for path in map(Path, found):
        try:
            lock = _open_directory(path)
        except OSError:
            continue  # gone already, or not ours: other users' directories cannot be opened
        try:
            if os.fstat(lock).st_uid != os.geteuid():
                continue
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            logger.debug("removing %s, which a killed process left", path)
            remove_tree(path)
            swept.append(path)
        except BlockingIOError:
            continue
        finally:
            os.close(lock)
    return swept


def _make(parent: Path) -> tuple[Path, int]:
    while True:
        path = parent / f"{PREFIX}{secrets.token_hex(8)}"
        os.mkdir(path, 0o700)
        try:
            lock = _open_directory(path)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if os.fstat(lock).st_nlink:
                return path, lock
        except BaseException:
            os.close(lock)
            raise
        os.close(lock)


def _open_directory(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
