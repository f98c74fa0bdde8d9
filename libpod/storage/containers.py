"""Containers: a record, a layer to write to, and two directories for the engine.

`create`, under the locks of layers, images and containers from the first step to the last:

    1. id and names checked, image and parent layer found
    2. the layer (see `layers`)                   killed after it: a layer with our mark that nobody names
    3. the container record                       killed after it: a container that the engine does not know
    4. the two userdata directories               made again by whoever needs them

`recovery` collects what 2 and 3 leave, once the creator is dead.

`delete` takes the layer first, then the directories, then the record, so that a failure keeps the record and deleting
again goes on where it stopped; a record without a layer is what a kill in between leaves.

Covers: storage/containers.go, storage/store.go (CreateContainer, DeleteContainer), libpod/storage.go
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from libpod.define.errors import (
    ContainerExistsError,
    InvalidArgumentError,
    LibpodError,
    NoSuchContainerError,
    NoSuchImageError,
    StorageError,
)
from libpod.define.ids import is_full_id, new_id
from libpod.linux.files import remove_tree
from libpod.storage import creator, layers, mounting
from libpod.storage.id_maps import NO_MAPS, IdMaps
from libpod.storage.layout import make_private_directory
from libpod.storage.locks import HeldLocks
from libpod.storage.parts import StoreParts
from libpod.storage.records import Draft, Snapshot, now, with_names
from libpod.storage.stored import StoredContainer

_encoder = msgspec.json.Encoder()


def all_containers(parts: StoreParts) -> list[StoredContainer]:
    with parts.locks.reading_containers() as held:
        return [StoredContainer.of(record) for record in parts.containers.read(held.containers)]


def by_id(parts: StoreParts, ctr_id: str) -> StoredContainer | None:
    with parts.locks.reading_containers() as held:
        record = parts.containers.read(held.containers).get(ctr_id)
    return None if record is None else StoredContainer.of(record)


def require(parts: StoreParts, ctr_id: str) -> StoredContainer:
    found = by_id(parts, ctr_id)
    if found is None:
        raise StorageError(
            f"container {ctr_id} is gone from the store, with its layer",
            resolution="another program removed it: remove it here too, it cannot run any more",
        )
    return found


def create(
    parts: StoreParts,
    ctr_id: str,
    *,
    name: str,
    image_id: str | None,
    image_name: str = "",
    metadata: Mapping[str, Any] | None = None,
    mount_label: str = "",
    process_label: str = "",
    mount_options: Sequence[str] = (),
    maps: IdMaps = NO_MAPS,
) -> StoredContainer:
    if not is_full_id(ctr_id):
        raise InvalidArgumentError(
            f'"{ctr_id}" cannot be the id of a container', resolution="use 64 hex digits"
        )
    if not name:
        raise InvalidArgumentError(f"container {ctr_id} needs a name")
    with parts.locks.creating_container() as held:
        draft = layers.edit(parts, held)
        table = parts.containers.edit(held.containers)
        _require_free(table.now, ctr_id, name)
        parent = None if image_id is None else _top_layer(parts, held, image_id)
        mark = creator.mark(parts.owner)
        layer_id = _unused_id(draft.now)
        layers.create(
            parts,
            held,
            draft,
            layer_id=layer_id,
            parent=parent,
            name=f"{name}-layer",
            mount_label=mount_label,
            flags={**mark, creator.CONTAINER_FLAG: ctr_id},
            maps=maps,
        )
        record: dict[str, Any] = {
            "id": ctr_id,
            "names": [name],
            "image": image_id or "",
            "layer": layer_id,
            "metadata": _metadata(name, image_id, image_name, mount_label, metadata),
            "created": now(),
            "flags": {"MountLabel": mount_label, "ProcessLabel": process_label, **mark},
            **maps.record(),
        }
        if mount_options:
            record["flags"]["MountOpts"] = list(mount_options)
        try:
            table.add(record)
            table.save()
        except BaseException as error:
            try:
                layers.delete(parts, held, draft, layer_id)
            except LibpodError as also:
                error.add_note(f"taking the layer of container {ctr_id} back failed too: {also}")
            raise
    make_private_directory(parts.paths.container_data(ctr_id) / "userdata")
    make_private_directory(parts.paths.container_run_data(ctr_id) / "userdata")
    return StoredContainer.of(record)


def rename(parts: StoreParts, ctr_id: str, new_name: str) -> None:
    """Give a container another name; raises ContainerExistsError when another container has it."""
    with parts.locks.changing_container() as held:
        table = parts.containers.edit(held.containers)
        record = table.get(ctr_id)
        if record is None:
            raise NoSuchContainerError(ctr_id)
        holder = table.now.by_name.get(new_name)
        if holder is not None and holder["id"] != ctr_id:
            raise ContainerExistsError(new_name)
        table.replace(with_names(record, [new_name]))
        table.save()


def delete(parts: StoreParts, ctr_id: str) -> None:
    """Remove a container, its layer and its directories, mounted or not; what is missing already is fine.

    The content of the layer goes first, while no lock is held: killed there, the container is an empty one that waits
    to be removed again.
    """
    found = by_id(parts, ctr_id)
    if found is not None and found.layer_id:
        mounting.unmount(parts, found.layer_id, force=True)
        parts.driver.empty(found.layer_id)
    with parts.locks.deleting() as held:
        table = parts.containers.edit(held.containers)
        record = table.get(ctr_id)
        draft = layers.edit(parts, held)
        if record is not None:
            delete_held(parts, held, draft, table, ctr_id)
        else:
            _remove_directories(parts, ctr_id)


def delete_held(parts: StoreParts, held: HeldLocks, draft: Draft, table: Draft, ctr_id: str) -> None:
    """`delete` for a caller that holds the locks of deleting already."""
    record = table.get(ctr_id)
    if record is None:
        return
    layer_id = record.get("layer") or ""
    if layer_id and (draft.get(layer_id) is not None or parts.driver.exists(layer_id)):
        layers.delete(parts, held, draft, layer_id)
    _remove_directories(parts, ctr_id)
    table.remove(ctr_id)
    table.save()


def _remove_directories(parts: StoreParts, ctr_id: str) -> None:
    if not is_full_id(ctr_id):
        return
    for directory in (parts.paths.container_data(ctr_id), parts.paths.container_run_data(ctr_id)):
        try:
            remove_tree(directory)
        except OSError as error:
            raise StorageError(
                f"cannot remove {directory} of container {ctr_id} ({error})",
                resolution="something is still mounted or open there; stop it and remove the container again",
            ) from error


def _require_free(known: Snapshot, ctr_id: str, name: str) -> None:
    holder = known.get(ctr_id)
    if holder is not None:
        raise ContainerExistsError(ctr_id)
    holder = known.by_name.get(name)
    if holder is not None:
        raise ContainerExistsError(
            name,
            message=f'the container name "{name}" is already used by container {holder["id"][:12]} in the store',
        )


def _top_layer(parts: StoreParts, held: HeldLocks, image_id: str) -> str | None:
    found = parts.all_images(held).get(image_id)
    if found is None:
        raise NoSuchImageError(image_id)
    top = found[0].get("layer") or None
    if top is not None and parts.all_layers(held).get(top) is None:
        raise StorageError(
            f"the top layer {top} of image {image_id} is missing",
            resolution="remove the image and pull it again",
        )
    return top


def _unused_id(known: Snapshot) -> str:
    while True:
        candidate = new_id()
        if known.get(candidate) is None:
            return candidate


def _metadata(
    name: str, image_id: str | None, image_name: str, mount_label: str, extra: Mapping[str, Any] | None
) -> str:
    """The text that podman writes; its own programs read the first four keys."""
    document: dict[str, Any] = {
        "image-name": image_name,
        "image-id": image_id or "",
        "name": name,
        "created-at": int(time.time()),
    }
    if mount_label:
        document["mountlabel"] = mount_label
    return _encoder.encode(document | dict(extra or {})).decode()
