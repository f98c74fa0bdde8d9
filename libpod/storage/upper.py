"""Walking the upper directory of an overlay layer beside the layers below it.

What overlay writes into an upper directory: a deleted name is a character device 0:0; a directory that took the place
of something carries the xattr `overlay.opaque` = y. A directory that was renamed, or a file of which only attributes
were copied up, carries `overlay.redirect` or `overlay.metacopy`: then the upper directory alone does not tell the
layer's content, and `NeedsMergedView` says so.

The content is written by the container, perhaps while we look, so the upper directory is walked through descriptors and
never through a symbolic link. Lower layers are searched along real directories only: where an image has a symbolic
link, there is nothing below it. (podman follows such links, out of the layer and onto the host.)

Covers: storage/pkg/archive/changes_linux.go (overlayDeletedFile, overlayLowerContainsWhiteout)
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from libpod.define.errors import StorageError
from libpod.storage.overlay_mount import uses_user_xattrs

MAX_DEPTH = 400
"""Each level keeps a descriptor open; deeper trees are refused rather than running out of them."""


class NeedsMergedView(Exception):
    """The upper directory holds redirects or files without data: not an error, the caller takes the other way."""


class UpperEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One name in an upper directory."""

    path: str
    """Absolute within the layer, bytes that are not UTF-8 as surrogates."""
    status: os.stat_result
    whiteout: bool
    opaque: bool
    """It is a directory that hides what is below it."""
    lower: os.stat_result | None
    """What the layers below have under the path, if no whiteout hides it."""
    directory: int
    """A descriptor of the directory that holds it; valid until the next entry is asked for."""

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.status.st_mode)


class _Level(msgspec.Struct):
    descriptor: int
    prefix: str
    lowers: list[str]
    names: Iterator[str]


def walk(upper: Path, lowers: Sequence[Path]) -> Iterator[UpperEntry]:
    """Every entry below *upper*, parents first, names in byte order; names that vanish meanwhile are skipped."""
    with contextlib.ExitStack() as stack:
        levels: list[_Level] = []
        stack.callback(_close_all, levels)
        levels.append(_level(os.open(upper, _DIRECTORY), "", [os.fspath(lower) for lower in lowers]))
        while levels:
            level = levels[-1]
            name = next(level.names, None)
            if name is None:
                os.close(levels.pop().descriptor)
                continue
            try:
                status = os.stat(name, dir_fd=level.descriptor, follow_symlinks=False)
            except FileNotFoundError:
                continue
            path = f"{level.prefix}/{name}"
            found, below = _in_lowers(level.lowers, name)
            descriptor = _open_directory(level.descriptor, name) if stat.S_ISDIR(status.st_mode) else None
            opaque = descriptor is not None and _overlay_xattr(descriptor, "opaque") == b"y"
            if descriptor is not None:
                if len(levels) >= MAX_DEPTH:
                    os.close(descriptor)
                    raise StorageError(f"{path[:80]}… is nested deeper than {MAX_DEPTH} directories")
                levels.append(_level(descriptor, path, below))
            _require_plain(level.descriptor, name, status, descriptor)
            yield UpperEntry(
                path=path,
                status=status,
                whiteout=is_whiteout(status),
                opaque=opaque,
                lower=found,
                directory=level.descriptor,
            )


def is_whiteout(status: os.stat_result) -> bool:
    """Whether this is overlay's mark of a deleted name."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def _level(descriptor: int, prefix: str, lowers: list[str]) -> _Level:
    try:
        names = sorted(os.listdir(descriptor), key=os.fsencode)
    except OSError:
        os.close(descriptor)
        raise
    return _Level(descriptor, prefix, lowers, iter(names))


def _close_all(levels: Sequence[_Level]) -> None:
    for level in levels:
        os.close(level.descriptor)


def _open_directory(parent: int, name: str) -> int | None:
    """The directory, or None when something else has taken its place since."""
    try:
        return os.open(name, _DIRECTORY, dir_fd=parent)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return None
        raise


def _in_lowers(lowers: Sequence[str], name: str) -> tuple[os.stat_result | None, list[str]]:
    """What the nearest lower layer has under *name*, and the directories of that name to look into further down.

    An opaque directory in a lower layer does not end the search, as it does not for podman.
    """
    found: os.stat_result | None = None
    below: list[str] = []
    for directory in lowers:
        path = f"{directory}/{name}"
        try:
            status = os.lstat(path)
        except FileNotFoundError:
            continue
        if is_whiteout(status):
            break
        found = found or status
        if not stat.S_ISDIR(status.st_mode):
            break
        below.append(path)
    return found, below


def _overlay_xattr(target: int | str, name: str) -> bytes | None:
    """The value of one of overlay's marks. The other namespace's names any container can write; they mean nothing."""
    key = ("user" if uses_user_xattrs() else "trusted") + f".overlay.{name}"
    try:
        if isinstance(target, int):
            return os.getxattr(target, key)
        return os.getxattr(target, key, follow_symlinks=False)
    except OSError as error:
        if error.errno not in (errno.ENODATA, errno.ENOTSUP, errno.EPERM, errno.ENOENT, errno.ELOOP):
            raise
    return None


def _require_plain(parent: int, name: str, status: os.stat_result, descriptor: int | None) -> None:
    if uses_user_xattrs():
        return  # such mounts know neither redirects nor files without data
    if descriptor is not None:
        if _overlay_xattr(descriptor, "redirect") is not None:
            raise NeedsMergedView
    elif (
        stat.S_ISREG(status.st_mode)
        and _overlay_xattr(f"/proc/self/fd/{parent}/{name}", "metacopy") is not None
    ):
        raise NeedsMergedView
