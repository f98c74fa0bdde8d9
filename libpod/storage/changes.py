"""What a layer changes in the layers below it, as `podman diff` shows it.

`D` for a name that is gone, also when a directory took its place (`replaced`); `A` for a new one; `C` for one that was
there, except a directory that has nothing but new content. Before an `A` or `D` every directory on the way to it that
was not named yet is named with `C`.

Equal to podman's answer, with one difference on purpose: podman looks the lower layers up through symbolic links, so it
calls a replaced dangling link "added" and compares with files of the host behind an absolute link. Here a link is
a thing of its own.

Covers: storage/pkg/archive/changes.go (changes), changes_linux.go (overlayChanges)
"""

from __future__ import annotations

import enum
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from libpod.storage.upper import UpperEntry, walk


class ChangeKind(enum.Enum):
    """The letter that is shown."""

    MODIFIED = "C"
    ADDED = "A"
    DELETED = "D"


class Change(msgspec.Struct, frozen=True):
    """One changed path."""

    kind: ChangeKind
    path: str
    """Absolute within the root file system; bytes that are not UTF-8 are surrogates (os.fsencode gives them back)."""
    replaced: bool = False
    """Only with DELETED: a new directory is there now, whose own entries follow."""

    def __str__(self) -> str:
        return f"{self.kind.value} {self.path}"


def changes(upper: Path, lowers: Sequence[Path], *, exact: bool = False) -> list[Change]:
    """The changes that the directory *upper* makes to *lowers* (nearest first).

    With *exact*, every directory that the layer has is named, lest a change of its owner or attributes, which podman
    does not look at, is overlooked. Raises NeedsMergedView when the directory does not tell.
    """
    found: list[Change] = []
    named: set[str] = set()
    for entry in walk(upper, lowers):
        change = _change(entry, exact=exact)
        if change is None:
            continue
        if entry.is_directory:
            named.add(entry.path)
        if change.kind is not ChangeKind.MODIFIED:
            found += _unnamed_parents(entry.path, named)
        found.append(change)
    return found


def _change(entry: UpperEntry, *, exact: bool) -> Change | None:
    if entry.whiteout:
        return Change(ChangeKind.DELETED, entry.path)
    if entry.lower is None:
        return Change(ChangeKind.ADDED, entry.path)
    if entry.opaque:
        return Change(ChangeKind.DELETED, entry.path, replaced=True)
    if entry.is_directory and not exact and same_directory(entry.status, entry.lower):
        return None
    return Change(ChangeKind.MODIFIED, entry.path)


def same_directory(one: os.stat_result, other: os.stat_result) -> bool:
    """Whether nothing of a directory itself changed. A time without nanoseconds went through a tar and matches."""
    if (one.st_size, one.st_mode) != (other.st_size, other.st_mode):
        return False
    return same_time(one, other)


def same_time(one: os.stat_result, other: os.stat_result) -> bool:
    """Whether both were last changed at the same time, as far as the one that went through a tar can tell."""
    if one.st_mtime_ns == other.st_mtime_ns:
        return True
    seconds, rest = divmod(one.st_mtime_ns, 10**9)
    other_seconds, other_rest = divmod(other.st_mtime_ns, 10**9)
    return seconds == other_seconds and 0 in (rest, other_rest)


def _unnamed_parents(path: str, named: set[str]) -> list[Change]:
    parents: list[Change] = []
    parent = path.rpartition("/")[0]
    while parent:
        if parent not in named:
            named.add(parent)
            parents.append(Change(ChangeKind.MODIFIED, parent))
        parent = parent.rpartition("/")[0]
    return parents[::-1]
