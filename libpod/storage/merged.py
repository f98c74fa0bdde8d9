"""Layers whose upper directory does not tell their content: the layer and what is below it, compared as whole trees.

With `redirect_dir` a renamed directory is an empty directory with a note where its content lies; with `metacopy` a file
whose mode was changed has no data of its own. Then the kernel has to put the layer together: two read-only overlays,
one with the layer and one without, are opened as descriptors – attached nowhere, so a kill leaves nothing – and
compared name by name.

Costs a look at every file of the image, and is only done when `upper.NeedsMergedView` asks for it, or by a driver
whose layers are whole trees anyway.

Covers: storage/drivers/fsdiff.go (the naive differ), storage/pkg/archive/changes.go (ChangesDirs)
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from libpod.define.errors import StorageError
from libpod.linux.openat import open_strict
from libpod.storage import diff, mount_program, overlay_mount
from libpod.storage.changes import Change, ChangeKind, same_time
from libpod.storage.id_maps import Owner
from libpod.storage.upper import MAX_DEPTH, UpperEntry

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Trees(msgspec.Struct, frozen=True):
    """What to compare: the directories that make up the content with the layer, and without it; nearest first."""

    new: tuple[Path, ...]
    old: tuple[Path, ...]
    scratch: Path
    """An existing directory, used only by kernels that cannot keep an overlay detached, and by programs."""
    program: str = ""
    """The mount program that has to read the directories."""


def changes(trees: Trees, *, exact: bool = False, strangers: bool = False) -> list[Change]:
    """What the layer changes in those below it; with *exact*, also directories of which only the time changed.

    *strangers*: the trees are no relatives, so equal times may differ in the nanoseconds that a tar does not keep.
    """
    with _views(trees) as (new, old):
        return _compare(new, old, "", 0, exact=exact, strangers=strangers)


def write_layer(trees: Trees, sink: BinaryIO, owner: Owner | None = None) -> None:
    """Write the layer as a tar with whiteouts."""
    with _views(trees) as (new, old):
        found = _compare(new, old, "", 0)
        with diff.layer_archive(sink, owner) as archive:
            for change in found:
                if change.kind is ChangeKind.DELETED:
                    archive.add_whiteout(change.path)
                    continue
                directory = open_strict(new, change.path.rpartition("/")[0].lstrip("/"), _DIRECTORY)
                try:
                    archive.add(_entry(directory, change.path))
                finally:
                    os.close(directory)


def size(trees: Trees) -> int:
    """The bytes of everything that the layer adds or changes."""
    total = 0
    linked: set[int] = set()
    with _views(trees) as (new, old):
        for change in _compare(new, old, "", 0):
            if change.kind is ChangeKind.DELETED:
                continue
            descriptor = open_strict(new, change.path.lstrip("/").rpartition("/")[0], _DIRECTORY)
            try:
                status = os.stat(change.path.rpartition("/")[2], dir_fd=descriptor, follow_symlinks=False)
            finally:
                os.close(descriptor)
            if stat.S_ISDIR(status.st_mode) or (status.st_nlink > 1 and status.st_ino in linked):
                continue
            linked.add(status.st_ino)
            total += status.st_size
    return total


@contextlib.contextmanager
def _views(trees: Trees) -> Iterator[tuple[int, int | None]]:
    """Descriptors of the content with the layer and without it."""
    with contextlib.ExitStack() as undo:
        new = _view(trees.new, trees.scratch, trees.program)
        undo.callback(os.close, new)
        old = None
        if trees.old:
            old = _view(trees.old, trees.scratch, trees.program)
            undo.callback(os.close, old)
        yield new, old


def _view(directories: Sequence[Path], scratch: Path, program: str) -> int:
    if len(directories) == 1:
        # A lower directory is named by its short link, which is to be followed.
        return os.open(directories[0], os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    if program:
        return mount_program.opened_view(program, directories, scratch)
    return overlay_mount.opened_view(directories, scratch)


def _entry(directory: int, path: str) -> UpperEntry:
    return UpperEntry(
        path=path,
        status=os.stat(path.rpartition("/")[2], dir_fd=directory, follow_symlinks=False),
        whiteout=False,
        opaque=False,
        lower=None,
        directory=directory,
    )


def _compare(
    new: int, old: int | None, path: str, depth: int, *, exact: bool = False, strangers: bool = False
) -> list[Change]:
    """The changes inside one directory; *old* is None where the lower layers have no such directory."""
    if depth > MAX_DEPTH:
        raise StorageError(f"{path[:80]}… is nested deeper than {MAX_DEPTH} directories")
    found: list[Change] = []
    before = set(os.listdir(old)) if old is not None else set()
    names = os.listdir(new)
    for name in sorted(names, key=os.fsencode):
        inside = f"{path}/{name}"
        now = os.stat(name, dir_fd=new, follow_symlinks=False)
        then = (
            os.stat(name, dir_fd=old, follow_symlinks=False) if name in before and old is not None else None
        )
        kind = None
        if then is None:
            kind = ChangeKind.ADDED
        elif (
            _differs(now, then, strangers=strangers)
            or (exact and now.st_mtime_ns != then.st_mtime_ns)
            or _texts(new, name, now) != _texts(old, name, then)
        ):
            kind = ChangeKind.MODIFIED
        below: list[Change] = []
        if stat.S_ISDIR(now.st_mode):
            with _opened(new, name) as here, _opened(old if _is_directory(then) else None, name) as there:
                if here is not None:
                    below = _compare(here, there, inside, depth + 1, exact=exact, strangers=strangers)
        if kind is not None or below:
            found.append(Change(kind or ChangeKind.MODIFIED, inside))
        found += below
    found += [
        Change(ChangeKind.DELETED, f"{path}/{name}") for name in sorted(before - set(names), key=os.fsencode)
    ]
    return found


def _differs(now: os.stat_result, then: os.stat_result, *, strangers: bool) -> bool:
    """Whether anything but the content of a directory changed; a file's content is judged by length and time."""
    if (now.st_mode, now.st_uid, now.st_gid) != (then.st_mode, then.st_uid, then.st_gid):
        return True
    if now.st_rdev != then.st_rdev:
        return True
    if stat.S_ISDIR(now.st_mode):
        return False
    is_same_time = same_time(now, then) if strangers else now.st_mtime_ns == then.st_mtime_ns
    return now.st_size != then.st_size or not is_same_time


def _texts(directory: int | None, name: str, status: os.stat_result) -> tuple[str, dict[str, str]]:
    """A link's target and the extended attributes that an image keeps."""
    assert directory is not None
    target = os.readlink(name, dir_fd=directory) if stat.S_ISLNK(status.st_mode) else ""
    return target, diff.kept_xattrs(directory, name)


def _is_directory(status: os.stat_result | None) -> bool:
    return status is not None and stat.S_ISDIR(status.st_mode)


@contextlib.contextmanager
def _opened(directory: int | None, name: str) -> Iterator[int | None]:
    if directory is None:
        yield None
        return
    descriptor = os.open(name, _DIRECTORY, dir_fd=directory)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
