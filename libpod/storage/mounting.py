"""Mounting and unmounting layers, with the counts that all programs share.

`mountpoints.json` in the run root says which layer is mounted where and how often. A mount that is not in it is lost
when the next podman ends, because podman unmounts the driver's home when the file shows no mount.

Killed between mounting and saving: the mount is there and unknown; the next `mount` here finds it in place and records
it. Killed between unmounting and saving: a count without a mount; `mount` looks at the mount point itself and mounts
again. The count goes *from one* then, not on from the stale one (Go goes on, and then needs one unmount more).

The count is advisory: any other program may lower it and unmount. "Was not mounted" is therefore an answer, not an
error.

Covers: storage/layers.go (Mount, unmount, Mounted), storage/store.go (Mount, Unmount)
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from libpod.define.errors import StorageError
from libpod.storage import layers
from libpod.storage.driver import MountRequest
from libpod.storage.parts import StoreParts
from libpod.storage.records import Draft


def mount(parts: StoreParts, layer_id: str, request: MountRequest) -> Path:
    """Mount a layer of the own store, or count one more user of it; returns the mount point."""
    with parts.locks.mounting() as held:
        parts.driver.prepare_home()
        record = layers.require_own(parts, held, layer_id)
        if not request.label and record.get("mountlabel"):
            request = msgspec.structs.replace(request, label=record["mountlabel"])
        table = parts.mounts.edit(held.mountpoints)
        entry = table.get(layer_id)
        recorded = Path(entry["path"]) if entry is not None else parts.driver.mountpoint(layer_id)
        mounted = parts.driver.is_mounted(recorded) and (entry is not None or parts.driver.mounts)
        if mounted:
            path, count = recorded, _count(table, layer_id) + 1
        else:
            path, count = parts.driver.mount(layer_id, request), 1
        table.remove(layer_id)
        table.add({"id": layer_id, "path": str(path), "count": count})
        try:
            table.save()
        except StorageError:
            if not mounted:
                parts.driver.unmount(layer_id)
            raise
        return path


def unmount(parts: StoreParts, layer_id: str, *, force: bool) -> bool:
    """Take one user off the count, with *force* all; returns whether the layer is still mounted.

    With *force* a mount that nobody recorded is taken away too. A layer that is not mounted, or not there any more, is
    fine.
    """
    if _is_unmounted(parts, layer_id):
        return False
    with parts.locks.unmounting() as held:
        table = parts.mounts.edit(held.mountpoints)
        count = _count(table, layer_id)
        if count == 0 and not force:
            return False
        if count > 1 and not force:
            entry = table.get(layer_id) or {}
            table.remove(layer_id)
            table.add({**entry, "count": count - 1})
            table.save()
            return True
        parts.driver.unmount(layer_id)
        table.remove(layer_id)
        table.save()
        return False


def count(parts: StoreParts, layer_id: str) -> int:
    """How many users the layer's mount has; 0 also when the mount itself is gone."""
    with parts.locks.reading_mounts() as held:
        entry = parts.mounts.read(held.mountpoints).get(layer_id)
        if entry is None or not parts.driver.is_mounted(Path(entry["path"])):
            return 0
        return int(entry.get("count") or 0)


def mountpoint(parts: StoreParts, layer_id: str) -> Path | None:
    """Where the layer is mounted now, or None."""
    with parts.locks.reading_mounts() as held:
        entry = parts.mounts.read(held.mountpoints).get(layer_id)
        if entry is None or not parts.driver.is_mounted(Path(entry["path"])):
            return None
        return Path(entry["path"])


def _is_unmounted(parts: StoreParts, layer_id: str) -> bool:
    """Whether neither the record nor the kernel knows of a mount; readers wait for nobody but writers."""
    with parts.locks.reading_mounts() as held:
        recorded = parts.mounts.read(held.mountpoints).get(layer_id)
        return recorded is None and not parts.driver.is_mounted(parts.driver.mountpoint(layer_id))


def _count(table: Draft, layer_id: str) -> int:
    entry = table.get(layer_id)
    return 0 if entry is None else int(entry.get("count") or 0)
