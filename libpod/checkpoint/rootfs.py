"""The changes of a root file system as two members: rootfs-diff.tar and deleted.files.

The storage driver says *where* something changed; what is there now is looked at in the container's **mounted root**,
never at the same path of the host (podman does the latter and so loses changed files). A reader unpacks the tar over
the image's root, replacing what is not a directory on both sides, and removes the deleted paths *afterwards*; podman's
reader does the same, so everything below also restores with podman:

    added, changed file, link, device   an entry
    added directory                     an entry, and everything under it (mount points stay empty)
    changed directory                   an entry: owner, mode, time and attributes (podman loses these)
    deleted                             in the list, one line for a whole tree
    deleted and made again              an entry, not in the list
    a directory that took the place of  entries for all of it, and the children of the old one that are gone in the
    another (opaque, or renamed into)   list; for this the directories of the lower layers are needed
    a path below what is no directory   nothing: its parent's entry replaces it
    any more
    the root directory itself           an entry ``./``
    a socket                            nothing: a tar has no form for one; CRIU makes those anew that are in use

JSON is text, and a name that is not UTF-8 has no exact form in it: its bytes are written as lone surrogates, as Python
reads them. podman reads each as U+FFFD and finds nothing of that name; should there be something, the deletion is left
out.

Covers: pkg/checkpoint/crutils/checkpoint_restore_utils.go (CRCreateRootFsDiffTar), libpod/diff.go (excluded paths)
"""

from __future__ import annotations

import json
import logging
import os
import re
import stat
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import attrs

from libpod.checkpoint.frozen import FrozenTree, freeze_paths
from libpod.checkpoint.members import DIFF_EXCLUDED
from libpod.linux.openat import open_strict

logger = logging.getLogger(__name__)

ChangeKind = Literal["A", "C", "D"]

_SURROGATE = re.compile("[\ud800-\udfff]")
_OPAQUE = ("trusted.overlay.opaque", "user.overlay.opaque", "user.fuseoverlayfs.opaque")
_REDIRECT = ("trusted.overlay.redirect", "user.overlay.redirect")


class PathChange(NamedTuple):
    """One line of what `diff` says: added, changed or deleted, and an absolute path in the container."""

    kind: ChangeKind
    path: str


@attrs.frozen(kw_only=True)
class RootfsDiff:
    """What the two members will hold."""

    tree: FrozenTree | None
    """None when there is nothing to put into rootfs-diff.tar."""
    deleted: tuple[str, ...]

    @property
    def deleted_document(self) -> bytes | None:
        """The content of deleted.files, or None when nothing was deleted."""
        return json.dumps(self.deleted, indent=2).encode() if self.deleted else None


def rootfs_diff(
    changes: Iterable[PathChange],
    root: Path,
    *,
    upper: Path | None = None,
    lowers: Sequence[Path] = (),
    exclude: Collection[str] = (),
) -> RootfsDiff:
    """Judge *changes* by what is under the mounted *root*.

    *upper* is the layer's own directory, where an overlay marks replaced directories; *lowers* are the directories
    below it, the topmost first. *exclude* adds to the paths that never travel (the init binary). Only lstat and
    directory listings are done here; file contents are read when the tree is written.
    """
    excluded = DIFF_EXCLUDED | set(exclude)
    judge = _Judge(root, upper, lowers)
    try:
        for kind, path in changes:
            if path not in excluded and path.strip("/"):
                judge.take(kind, path.strip("/"))
        misread = {path for path in judge.deleted if judge.is_misread(path)}
        for path in misread:
            logger.warning("the deletion of %r does not travel: podman would delete another file", path)
        if judge.entries or judge.whole or judge.root_differs():
            judge.entries.add("")
    finally:
        judge.close()
    barred = {path.strip("/") for path in excluded}
    tree = None
    if judge.entries or judge.whole:
        tree = freeze_paths(root, judge.entries, recurse=judge.whole, exclude=barred)
    return RootfsDiff(
        tree=tree if tree is not None and tree.entries else None,
        deleted=tuple(f"/{path}" for path in _topmost(judge.deleted - misread - barred)),
    )


class _Judge:
    """Sorts changes into entries, whole directories and deletions."""

    def __init__(self, root: Path, upper: Path | None, lowers: Sequence[Path]) -> None:
        self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._upper = upper
        self._lowers = lowers
        self.entries: set[str] = set()
        self.whole: set[str] = set()
        self.deleted: set[str] = set()

    def close(self) -> None:
        os.close(self._root)

    def take(self, kind: ChangeKind, path: str) -> None:
        mode = self._mode(path)
        if mode is None:
            if kind == "D" and self._has_real_parent(path):
                self.deleted.add(path)
            return
        if not stat.S_ISDIR(mode):
            self.entries.add(path)
            return
        if kind == "A":
            self.whole.add(path)
        if kind == "D" or self._is_replaced(path):
            self.whole.add(path)
            self.deleted.update(self._gone_below(path))
        else:
            self.entries.add(path)

    def root_differs(self) -> bool:
        """Whether the root directory has another owner or mode than in the layers below."""
        if not self._lowers:
            return False
        now, then = os.fstat(self._root), os.stat(self._lowers[0])
        return (now.st_mode, now.st_uid, now.st_gid) != (then.st_mode, then.st_uid, then.st_gid)

    def is_misread(self, path: str) -> bool:
        """Whether a reader that knows no raw bytes would delete something else than *path*."""
        shown = _SURROGATE.sub("\ufffd", path)
        return shown != path and self._mode(shown) is not None

    def _mode(self, path: str) -> int | None:
        parent, _, name = path.rpartition("/")
        try:
            directory = open_strict(self._root, parent, os.O_PATH | os.O_DIRECTORY)
        except OSError:
            return None  # missing, or below a link or a file: not a path of this tree
        try:
            return os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return None
        finally:
            os.close(directory)

    def _has_real_parent(self, path: str) -> bool:
        """Whether removing *path* on the other side can only mean this path: no link and no file above it."""
        while "/" in path:
            path = path.rpartition("/")[0]
            mode = self._mode(path)
            if mode is not None:
                return stat.S_ISDIR(mode)
        return True

    def _is_replaced(self, path: str) -> bool:
        if self._upper is None:
            return False
        where = self._upper / path
        return is_opaque(where) or any(_xattr(where, name) for name in _REDIRECT)

    def _gone_below(self, path: str) -> Iterator[str]:
        """The paths that the lower layers had under the directory *path* and that are not there now."""
        if not self._lowers and self._upper is not None:
            logger.warning(
                "directory /%s was replaced; what it held before is not known and may come back", path
            )
        for name, was_directory in lower_children(self._lowers, path).items():
            child = f"{path}/{name}"
            mode = self._mode(child)
            if mode is None:
                yield child
            elif was_directory and stat.S_ISDIR(mode):
                yield from self._gone_below(child)


def _topmost(paths: Iterable[str]) -> list[str]:
    """Sorted, without those that lie below another."""
    kept: list[str] = []
    for path in sorted(paths, key=lambda path: path.split("/")):
        if not kept or not path.startswith(f"{kept[-1]}/"):
            kept.append(path)
    return kept


def is_opaque(directory: Path) -> bool:
    """Whether an overlay directory hides everything of the same name below it."""
    if any(_xattr(directory, name) == b"y" for name in _OPAQUE):
        return True
    return os.path.lexists(directory / ".wh..wh..opq")


def is_whiteout(found: os.stat_result) -> bool:
    """Whether an entry of an overlay's layer says that the name is gone."""
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def lower_children(lowers: Sequence[Path], path: str) -> dict[str, bool]:
    """What the directory *path* shows through a stack of layers, topmost first: name → is a directory."""
    children: dict[str, bool] = {}
    gone: set[str] = set()
    for lower in lowers:
        directory, is_last = _descend(lower, path)
        if directory is not None:
            with os.scandir(directory) as entries:
                for entry in entries:
                    if entry.name in children or entry.name in gone:
                        continue
                    if is_whiteout(entry.stat(follow_symlinks=False)):
                        gone.add(entry.name)
                    elif entry.name.startswith(".wh."):
                        gone.add(entry.name.removeprefix(".wh."))
                    else:
                        children[entry.name] = entry.is_dir(follow_symlinks=False)
        if is_last:
            break
    return children


def _descend(lower: Path, path: str) -> tuple[Path | None, bool]:
    """The directory *path* of one layer, if it has it, and whether the layers below are hidden from there on."""
    current, hides = lower, False
    for part in path.split("/"):
        current = current / part
        try:
            found = os.lstat(current)
        except FileNotFoundError:
            return None, hides
        if not stat.S_ISDIR(found.st_mode):
            return None, True
        hides = hides or is_opaque(current)
    return current, hides


def _xattr(path: Path, name: str) -> bytes | None:
    try:
        return os.getxattr(path, name, follow_symlinks=False)
    except OSError:
        return None  # no such attribute, no such file, no attributes here: all mean "not marked"
