"""Making and removing volumes' directories without meeting each other.

A directory and its record cannot appear in one instant. Whoever makes a volume holds `making` from before the
directory is there until the record is; whoever takes a record away, or looks for directories without one, holds
`removing`, which excludes all makers. So a directory without a record, seen under `removing`, belongs to nobody, and a
new volume never moves into a directory that is about to go.

The lock is a file's `flock`: the kernel gives it back when its holder dies.

Covers: nothing upstream, where two processes may meet in a volume's directory
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from libpod.container_internal.services import Services
from libpod.linux.file_locks import locked_file
from libpod.lock.presence import MAKE

SET_ASIDE = ".tmp-"
"""Beginning of the names of directories that are being removed."""


@contextlib.contextmanager
def making(services: Services, name: str) -> Iterator[None]:
    """Around making a directory and its record."""
    services.presence.announce()
    with services.presence.at_work(MAKE, name[:100]), _locked(services, shared=True):
        yield


@contextlib.contextmanager
def removing(services: Services) -> Iterator[None]:
    """Around taking a record away, and around looking for directories without one. Held shortly."""
    with _locked(services, shared=False):
        yield


def set_aside(directory: Path) -> Path | None:
    """Give a volume's directory a name that no volume has, under `removing`; returns where it is now."""
    aside = directory.with_name(f"{SET_ASIDE}{os.urandom(8).hex()}")
    try:
        os.rename(directory, aside)
    except FileNotFoundError:
        return None
    return aside


def _locked(services: Services, *, shared: bool) -> contextlib.AbstractContextManager[None]:
    return locked_file(services.paths.volatile / "volumes.lock", shared=shared)
