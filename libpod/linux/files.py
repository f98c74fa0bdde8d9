"""Files that appear whole or not at all.

A temporary name in the same directory, fsync, rename. Leftover temporary names begin with ``.tmp-`` and are ignored
by every reader.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


@contextlib.contextmanager
def replacing(
    path: Path, *, mode: int = 0o600, durable: bool = True, sync_name: bool = True
) -> Iterator[BinaryIO]:
    """A new file that takes the name *path* when the block ends well, and leaves nothing behind when it does not.

    With *durable* the content and the directory entry are on disk when the block is left. Without *sync_name* only
    the content is: after a power cut the name may still stand for the former file, whole, or for none.
    """
    temporary = path.parent / f".tmp-{path.name[:200]}.{os.urandom(6).hex()}"
    descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "w+b") as stream:
            os.fchmod(stream.fileno(), mode)
            yield stream
            stream.flush()
            if durable:
                os.fdatasync(stream.fileno())
        os.rename(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    if durable and sync_name:
        sync_directory(path.parent)


def write_atomic(path: Path, data: bytes, *, mode: int = 0o600, durable: bool = True) -> None:
    """Replace *path* by a file with the content *data*."""
    with replacing(path, mode=mode, durable=durable) as stream:
        stream.write(data)


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Write all of *data*, however little the kernel takes at a time."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def sync_directory(path: Path) -> None:
    """Make the names in *path* durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(path: Path) -> None:
    """Make the directory *path* durable with all the regular files and names below it; links are not followed."""
    for directory, _, names, descriptor in os.fwalk(path, follow_symlinks=False):
        for name in names:
            if stat.S_ISREG(os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode):
                file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=descriptor)
                try:
                    os.fsync(file)
                finally:
                    os.close(file)
        sync_directory(Path(directory))


def remove_tree(path: Path) -> None:
    """Remove a directory and all below it; one that is already gone is fine. Links are removed, never followed.

    Others may remove things below it at the same time. The content may be hostile: a tree of any depth is removed with
    few descriptors and little stack, by moving what lies deep up to the top first.
    """
    try:
        top = os.open(path, _DIRECTORY)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno not in (errno.ENOTDIR, errno.ELOOP):
            raise
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        return
    try:
        while names := os.listdir(top):
            for name in names:
                _remove_below(top, top, name, 0)
    finally:
        os.close(top)
    with contextlib.suppress(FileNotFoundError):
        os.rmdir(path)


_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_REMOVE_DEPTH = 64


def empty_directory(path: Path) -> None:
    """Remove all that is in *path*, and leave *path*; one that is not there is empty."""
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                remove_tree(Path(entry.path))
    except FileNotFoundError:
        return


def _remove_below(top: int, parent: int, name: str, depth: int) -> None:
    """Remove *name* in *parent*, or move it to *top* when it is a directory too deep to go into."""
    with contextlib.suppress(FileNotFoundError):
        try:
            os.unlink(name, dir_fd=parent)
            return
        except OSError as error:
            if error.errno not in (errno.EISDIR, errno.EPERM):
                raise
        try:
            directory = os.open(name, _DIRECTORY, dir_fd=parent)
        except OSError as error:
            if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                raise
            os.unlink(
                name, dir_fd=parent
            )  # no directory after all, so the first refusal was meant: let it be heard
            return
        try:
            if depth >= _REMOVE_DEPTH:
                os.rename(name, f".tmp-{os.urandom(16).hex()}", src_dir_fd=parent, dst_dir_fd=top)
                return
            for inner in os.listdir(directory):
                _remove_below(top, directory, inner, depth + 1)
        finally:
            os.close(directory)
        os.rmdir(name, dir_fd=parent)
