"""What is being moved, as directories that say whose work it is.

    <staging>/<kind>.<boot>.<pid>.<start time>.<container id>.<random>/      0700

Every checkpoint, restore, import and removal has one from before its first step until after its last, and keeps its
temporary files in it. So whoever opens the engine next sees with one look whether somebody was killed, and which
container that concerns: a directory whose process is gone (`runtime_repair` puts in order what it stands for, and
removes it). With a dead process go its temporary files, however large.

An import's directory has no container's id, since it is read from the archive; the record and its layer carry their
own marks.

Covers: nothing upstream, where temporary files of killed processes stay
"""

from __future__ import annotations

import contextlib
import enum
import functools
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from libpod.linux.files import remove_tree
from libpod.linux.pidfd import ProcessIdentity, boot_id, own_identity

NOBODY = "-"
"""In the place of an id that is not known yet."""


class Kind(enum.StrEnum):
    """What is done to the container."""

    CHECKPOINT = "checkpoint"
    RESTORE = "restore"
    IMPORT = "import"
    REMOVAL = "removal"


class Undertaking(msgspec.Struct, frozen=True):
    """One directory, as its name tells."""

    path: Path
    kind: Kind
    container: str
    """The full id, or NOBODY."""
    boot: str
    process: ProcessIdentity

    def is_over(self) -> bool:
        """Whether the process is gone that did it."""
        return self.boot != _boot() or not self.process.alive()


@contextlib.contextmanager
def undertaking(staging: Path, kind: Kind, ctr_id: str = NOBODY) -> Iterator[Path]:
    """A directory for the duration of the block; removed with all that is in it."""
    own = own_identity()
    name = f"{kind.value}.{_boot()}.{own.pid}.{own.start_time}.{ctr_id}.{os.urandom(4).hex()}"
    path = staging / name
    path.mkdir(mode=0o700)
    try:
        yield path
    finally:
        remove_tree(path)


def undertakings(staging: Path) -> list[Undertaking]:
    """All that are under way, or were when their process died. One look into a directory that is empty as a rule."""
    try:
        names = os.listdir(staging)
    except FileNotFoundError:
        return []
    return [found for name in names if (found := _parsed(staging, name)) is not None]


def _parsed(staging: Path, name: str) -> Undertaking | None:
    words = name.split(".")
    if len(words) != 6 or words[0] not in set(Kind) or not (words[2].isdecimal() and words[3].isdecimal()):
        return None
    process = ProcessIdentity(int(words[2]), int(words[3]))
    return Undertaking(staging / name, Kind(words[0]), words[4], words[1], process)


@functools.cache
def _boot() -> str:
    return boot_id()[:8]
