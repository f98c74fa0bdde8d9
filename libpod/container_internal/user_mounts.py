"""How often people have mounted a container's root file system, beside the container itself.

The store counts mounts of a layer, not whose they are. Two numbers of ours tell: the state says whether the container
holds one, and a file in its run directory how many `Container.mount` gave out. What the store counts above that was
taken by a process that died while it held one (an export, a commit): `drop_surplus` gives it back.

Covers: libpod/container_api.go (Mount, Unmount: the count)
"""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

from libpod.container_internal.held import LockedContainer
from libpod.linux.files import write_atomic

logger = logging.getLogger(__name__)


def count(held: LockedContainer) -> int:
    """How many mounts people hold."""
    try:
        return max(0, int(_path(held).read_text()))
    except (FileNotFoundError, ValueError):
        return 0


def change(held: LockedContainer, step: int) -> None:
    """One more, or one less; never less than none."""
    number = max(0, count(held) + step)
    path = _path(held)
    if number:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomic(path, str(number).encode(), durable=False)
    else:
        forget(held)


def forget(held: LockedContainer) -> None:
    """Nobody holds one any more."""
    with contextlib.suppress(FileNotFoundError):
        _path(held).unlink()


def surplus(held: LockedContainer) -> int:
    """How many mounts the store counts that nobody holds."""
    if held.config.rootfs:
        return 0
    return held.services.store.mount_count(held.id) - count(held) - (1 if held.state.mounted else 0)


def drop_surplus(held: LockedContainer) -> None:
    """Give them back; when nobody holds any, also a mount that its maker died before recording."""
    if not held.config.rootfs and not held.state.mounted and count(held) == 0:
        held.services.store.unmount(held.id, force=True)
        return
    for _ in range(surplus(held)):
        held.services.store.unmount(held.id)
        logger.warning("container %s: gave back a mount that nobody holds", held.name)


def _path(held: LockedContainer) -> Path:
    return held.run_directory / "mounted"
