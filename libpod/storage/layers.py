"""Layers: creating and deleting them so that a kill at any instant leaves something that is repaired.

Creating, all under `layers.lock` for writing:

    1. record with the flag `incomplete` saved      killed here: the next writer, of whatever program, deletes the layer
       in `volatile-layers.json`
    2. directory made                               … and its directory with it
    3. record without the flag saved in             killed here: a complete layer that nobody names; `recovery`
       `layers.json`, the other one dropped         collects it by the mark of its creator

Deleting: unmount, record with the flag to `volatile-layers.json`, directory removed, record removed. Killed anywhere in
between, the next writer finishes it.

An incomplete layer is in the volatile file because that is short, not synced, and removed when it is empty, so that
`layers.json`, which is none of these, is written once and not twice. A record there is as good as any for who is
killed. When the machine stops instead, the names of the directory and of the file are as old as each other on a file
system with a journal. podman before 4.4 knows no such file, and leaves what is in it to us.

A reader cannot meet an incomplete layer whose creator lives, because the creator holds the lock throughout; it leaves
the ones of the dead alone, and writers remove them (`edit`).

Covers: storage/layers.go
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from typing import Any

from libpod.define.errors import LibpodError, StorageError
from libpod.linux.files import remove_tree
from libpod.storage.id_maps import IdMaps
from libpod.storage.locks import HeldLocks
from libpod.storage.parts import AllRecords, StoreParts
from libpod.storage.records import Draft, Record, now
from libpod.storage.stored import INCOMPLETE, StoredLayer, is_incomplete

logger = logging.getLogger(__name__)

STABLE, VOLATILE = 0, 1
"""The files of the table."""


def all_layers(parts: StoreParts) -> list[StoredLayer]:
    """Every layer, those of read-only stores last."""
    with parts.locks.reading_layers() as held:
        return [StoredLayer.of(record, read_only=foreign) for record, foreign in parts.all_layers(held).all()]


def edit(parts: StoreParts, held: HeldLocks) -> Draft:
    """The layers, to be changed; what killed processes left incomplete is deleted first.

    One that cannot be deleted (an immutable file in it, say) stays incomplete, and is nobody's hindrance.
    """
    draft = parts.layers.edit(held.layers)
    for layer_id in sorted(draft.now.noted):
        try:
            delete(parts, held, draft, layer_id)
        except StorageError as error:
            logger.warning("layer %s was left incomplete and cannot be removed: %s", layer_id, error)
    return draft


def require_own(parts: StoreParts, held: HeldLocks, layer_id: str) -> Record:
    """The record of a layer that can be mounted or changed."""
    record = parts.layers.read(held.layers).get(layer_id)
    if record is None or is_incomplete(record):
        raise StorageError(
            f"there is no layer {layer_id} in the store",
            resolution="another program removed it; remove what was based on it too",
        )
    return record


def create(
    parts: StoreParts,
    held: HeldLocks,
    draft: Draft,
    *,
    layer_id: str,
    parent: str | None,
    name: str,
    mount_label: str,
    flags: Mapping[str, Any],
    maps: IdMaps,
) -> None:
    """Make a writable layer. On failure nothing of it is left."""
    record: dict[str, Any] = {"id": layer_id, "names": [name]}
    if parent is not None:
        record["parent"] = parent
    if mount_label:
        record["mountlabel"] = mount_label
    record |= {"created": now(), "flags": {**flags, INCOMPLETE: True}}
    draft.add(record, file=VOLATILE)
    draft.save()
    try:
        parts.driver.create(layer_id, parent, maps)
        draft.move(_completed(record), file=STABLE)
        draft.save()
    except BaseException as error:
        try:
            delete(parts, held, draft, layer_id)
        except LibpodError as also:
            error.add_note(f"taking the layer {layer_id} back failed too: {also}")
        raise


def delete(parts: StoreParts, held: HeldLocks, draft: Draft, layer_id: str) -> None:
    """Remove a layer with all that belongs to it; one without a record loses whatever else there is."""
    record = draft.get(layer_id)
    if record is not None and not is_incomplete(record):
        draft.move(_incomplete(record), file=VOLATILE)
        draft.save()
    with contextlib.ExitStack() as stack:
        stack.enter_context(parts.locks.mountpoints_within(held))
        mounts = parts.mounts.edit(held.mountpoints)
        if mounts.get(layer_id) is not None:
            parts.driver.unmount(layer_id)
            mounts.remove(layer_id)
            mounts.save()
    parts.driver.remove(layer_id)
    try:
        remove_tree(parts.paths.layers / f"{layer_id}.tar-split.gz")
        remove_tree(parts.paths.layers / layer_id)
    except OSError as error:
        raise StorageError(f"cannot remove the data of layer {layer_id} ({error})") from error
    draft.remove(layer_id)
    draft.save()


def chain(known: AllRecords, top: str | None) -> list[Record]:
    """A layer and those below it, nearest first; it ends where a parent is missing."""
    found: list[Record] = []
    seen: set[str] = set()
    while top and top not in seen:
        entry = known.get(top)
        if entry is None:
            break
        seen.add(top)
        found.append(entry[0])
        top = entry[0].get("parent")
    return found


def size(parts: StoreParts, record: Record) -> int:
    """The recorded length of an image layer's tar; for a container's layer the bytes that are in it now."""
    if record.get("diff-digest") and record.get("diff-size", 0) >= 0:
        return int(record.get("diff-size", 0))
    from libpod.storage import merged, sizes  # readers of whole trees: nothing else here needs them

    stack = parts.driver.stack(record["id"], record.get("parent") or None)
    if stack.whole:
        return merged.size(merged.Trees((stack.upper,), stack.lowers, parts.paths.run_layers))
    return sizes.tree_size(stack.upper)


def _completed(record: Record) -> Record:
    flags = {key: value for key, value in record["flags"].items() if key != INCOMPLETE}
    changed = {**record, "flags": flags}
    if not flags:
        del changed["flags"]
    return changed


def _incomplete(record: Record) -> Record:
    return {**record, "flags": {**(record.get("flags") or {}), INCOMPLETE: True}}
