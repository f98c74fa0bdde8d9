"""Times of directories in a container's root that must not show that we were there.

CRIU makes a directory in the container's /tmp while it looks at its tmpfs mounts, and removes it; the OCI runtime makes
the files and directories that mounts go over, if the image has none, when the container starts. Both would be seen as
changes of /tmp, /etc, /run by whoever compares times. So the time of /tmp is noted before a dump and put back after it,
and what a runtime would make is made before an archive's files, which bring the directories' times, are put in place.

The root is the container's: nothing here follows a link out of it, and what is not as expected is left alone.

Covers: nothing upstream; podman's archives do not carry directories that were there before.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from libpod.linux.openat import open_inside, open_strict

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
PLACES = ("dev", "proc", "sys", "run")
FILES = ("etc/hosts", "etc/hostname", "etc/resolv.conf", "run/.containerenv")


@contextlib.contextmanager
def tmp_time_kept(root: Path, when_still: Callable[[Callable[[], None]], None]) -> Iterator[None]:
    """Around a dump: /tmp of *root* looks as if nobody had been in it.

    *when_still* takes what is to be done when the container stands still: until then /tmp is its own business.
    """
    descriptor = _opened(root, "tmp")
    if descriptor is None:
        yield
        return
    try:
        before = os.fstat(descriptor)

        def note() -> None:
            nonlocal before
            before = os.fstat(descriptor)

        when_still(note)
        try:
            yield
        finally:
            if os.fstat(descriptor).st_mtime_ns != before.st_mtime_ns:
                os.utime(descriptor, ns=(before.st_atime_ns, before.st_mtime_ns))
    finally:
        os.close(descriptor)


def make_mount_points(root: Path) -> None:
    """Make what the runtime would make for the mounts of every container, where it is missing."""
    top = os.open(root, _DIRECTORY | os.O_CLOEXEC)
    try:
        for place in (*PLACES, "etc"):
            with contextlib.suppress(FileExistsError):
                os.mkdir(place, 0o755, dir_fd=top)
        for name in FILES:
            above, _, last = name.rpartition("/")
            try:
                directory = open_inside(top, above, _DIRECTORY)
            except OSError as error:
                if error.errno in _NOT_THERE:
                    continue  # the image has something else there: the runtime will say what it thinks of it
                raise
            try:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                with contextlib.suppress(FileExistsError):
                    os.close(os.open(last, flags, 0o755, dir_fd=directory))
            finally:
                os.close(directory)
    finally:
        os.close(top)


def _opened(root: Path, name: str) -> int | None:
    try:
        top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None  # not mounted: there is nothing to keep
    try:
        return open_strict(top, name, _DIRECTORY)
    except OSError as error:
        if error.errno in _NOT_THERE:
            return None
        raise
    finally:
        os.close(top)
