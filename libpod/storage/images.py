"""Images: reading their records and data, changing their names, removing them.

Images are written by skopeo (see `libpod.image`). What is done here is what the format allows without knowing how an
image is made.

Killed in the middle: names are changed by one replacement of `images.json`. `delete` takes the record out first and the
layers after it, so a killed deletion leaves layers that no image names; they are complete, cost only space, are reused
by the next pull of the same image, and `podman system check --repair` removes them.

Covers: storage/images.go, storage/store.go (DeleteImage, ImageSize, SetNames)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from libpod.define.errors import ImageInUseError, NoSuchImageError, StorageError
from libpod.linux.files import remove_tree, write_atomic
from libpod.storage import layers
from libpod.storage.big_data import file_name
from libpod.storage.layout import make_private_directory
from libpod.storage.parts import StoreParts
from libpod.storage.records import Record, Snapshot, deduplicated, with_names
from libpod.storage.stored import StoredImage

_json = msgspec.json.Decoder()


def all_images(parts: StoreParts) -> list[StoredImage]:
    """Every image, in order of creation, those of read-only stores last."""
    with parts.locks.reading_images() as held:
        return [StoredImage.of(record, read_only=foreign) for record, foreign in parts.all_images(held).all()]


def by_id(parts: StoreParts, image_id: str) -> StoredImage | None:
    with parts.locks.reading_images() as held:
        found = parts.all_images(held).get(image_id)
    return None if found is None else StoredImage.of(found[0], read_only=found[1] is not None)


def find(parts: StoreParts, name_or_id: str) -> StoredImage | None:
    """By exact id, exact full reference, or an id prefix that only one image has."""
    with parts.locks.reading_images() as held:
        found = parts.all_images(held).find(name_or_id)
    return None if found is None else StoredImage.of(found[0], read_only=found[1] is not None)


def data(parts: StoreParts, image_id: str, key: str) -> bytes:
    """One item of an image's big data. Raises NoSuchImageError, and StorageError when the item is missing."""
    with parts.locks.reading_images() as held:
        found = parts.all_images(held).get(image_id)
        if found is None:
            raise NoSuchImageError(image_id)
        path = _directory(parts, image_id, found[1]) / file_name(key)
        try:
            return path.read_bytes()
        except OSError as error:
            raise StorageError(
                f'image {image_id} has no data "{key}" ({error.strerror})',
                resolution="the image is damaged: remove it and pull it again",
            ) from error


def document(parts: StoreParts, image_id: str, key: str) -> dict[str, Any]:
    """An item of big data that is a JSON object."""
    content = data(parts, image_id, key)
    try:
        found = _json.decode(content)
    except msgspec.DecodeError as error:
        raise StorageError(f'the data "{key}" of image {image_id} is not JSON ({error})') from error
    if not isinstance(found, dict):
        raise StorageError(f'the data "{key}" of image {image_id} is not a JSON object')
    return found


def config(parts: StoreParts, image_id: str) -> dict[str, Any]:
    """The image's configuration: the item that its manifest names."""
    manifest = document(parts, image_id, "manifest")
    digest = (manifest.get("config") or {}).get("digest")
    # Schema 1 has no configuration of its own; the one made for it is stored under the image's id.
    return document(parts, image_id, digest if isinstance(digest, str) else f"sha256:{image_id}")


def size(parts: StoreParts, image_id: str) -> int:
    """The bytes of all distinct layers of the image and of its data."""
    with parts.locks.reading_everything() as held:
        found = parts.all_images(held).get(image_id)
        if found is None:
            raise NoSuchImageError(image_id)
        image = StoredImage.of(found[0])
        known = parts.all_layers(held)
        chain: dict[str, Record] = {}
        for top in (image.top_layer, *image.mapped_layers):
            chain |= {record["id"]: record for record in layers.chain(known, top)}
        directory = _directory(parts, image_id, found[1])
    total = sum(layers.size(parts, record) for record in chain.values())
    for key in image.big_data_names:
        recorded = image.big_data_sizes.get(key)
        total += recorded if recorded is not None else _file_size(directory / file_name(key))
    return total


def layers_size(parts: StoreParts, image_id: str) -> int:
    """The bytes of the image's layers alone: what a container of it begins with."""
    with parts.locks.reading_everything() as held:
        found = parts.all_images(held).get(image_id)
        if found is None:
            raise NoSuchImageError(image_id)
        chain = layers.chain(parts.all_layers(held), StoredImage.of(found[0]).top_layer)
    return sum(layers.size(parts, record) for record in chain)


def top_layer(parts: StoreParts, image_id: str) -> str:
    """The id of the layer that shows the whole image."""
    image = by_id(parts, image_id)
    if image is None:
        raise NoSuchImageError(image_id)
    if image.top_layer is None:
        raise StorageError(f"image {image_id} has no layers, so there is nothing to mount")
    if image.read_only:
        raise StorageError(
            f"image {image_id} lives in an additional store, where nothing may be mounted",
            resolution="create a container of it and mount that",
        )
    return image.top_layer


def change_names(
    parts: StoreParts, image_id: str, change: Callable[[Sequence[str]], Iterable[str]]
) -> StoredImage:
    """Give an image the names that *change* makes of those it has.

    Other images lose the names it gets. Each resulting name goes to the front of the image's history of names. An
    image of a read-only store is copied into our own first, record and data; its layers stay there.
    """
    with parts.locks.changing_image() as held:
        draft = parts.images.edit(held.images)
        found = parts.all_images(held).get(image_id)
        if found is None:
            raise NoSuchImageError(image_id)
        record, foreign = found
        names = deduplicated(change(record.get("names") or ()))
        history = list(record.get("names-history") or ())
        for name in names:
            history = [name, *(other for other in history if other != name)]
        changed = dict(with_names(record, names))
        if history:
            changed["names-history"] = history
        if foreign is None:
            draft.replace(changed)
        else:
            _copy_data(parts, StoredImage.of(record), _directory(parts, image_id, foreign))
            draft.add(changed)
        draft.save()
        return StoredImage.of(changed)


def delete(parts: StoreParts, image_id: str) -> list[str]:
    """Remove an image and the layers that only it needed; returns the ids of those layers.

    Raises NoSuchImageError, ImageInUseError while a container is based on it, and StorageError for an image of a
    read-only store.
    """
    with parts.locks.deleting() as held:
        known = parts.all_images(held)
        found = known.get(image_id)
        if found is None:
            raise NoSuchImageError(image_id)
        image = StoredImage.of(found[0])
        if found[1] is not None:
            raise StorageError(
                f"image {image_id} lives in the read-only store {parts.read_only[found[1]].paths.graph_root}",
                resolution="remove it there",
            )
        containers = parts.containers.read(held.containers)
        users = [record["id"] for record in containers if record.get("image") == image_id]
        if users:
            raise ImageInUseError(image.names[0] if image.names else image_id[:12], users)
        all_layers = layers.edit(parts, held)
        doomed = unneeded_layers(image, known.own, all_layers.now, containers)
        draft = parts.images.edit(held.images)
        draft.remove(image_id)
        draft.save()
        remove_tree(parts.paths.images / image_id)
        for layer_id in doomed:
            layers.delete(parts, held, all_layers, layer_id)
        return doomed


def unneeded_layers(
    image: StoredImage, all_images: Snapshot, all_layers: Snapshot, containers: Snapshot
) -> list[str]:
    """The layers that nothing needs once *image* is gone, children before their parents. Pure.

    The walk from the top layer down ends at a layer that a container writes to, that is the top of another image, or
    that has a child which stays.
    """
    written = {record.get("layer") for record in containers}
    tops: set[str] = set()
    for record in all_images:
        if record["id"] != image.id:
            tops |= {record.get("layer") or "", *(record.get("mapped-layers") or ())}
    children: dict[str, list[str]] = {}
    for record in all_layers:
        children.setdefault(record.get("parent") or "", []).append(record["id"])
    doomed = [
        layer for layer in image.mapped_layers if layer in all_layers.by_id and layer not in tops | written
    ]
    current = image.top_layer
    while current and current in all_layers.by_id:
        stays = [child for child in children.get(current, ()) if child not in doomed]
        if current in written or current in tops or stays:
            break
        doomed.append(current)
        current = all_layers.by_id[current].get("parent")
    return doomed


def _directory(parts: StoreParts, image_id: str, foreign: int | None) -> Path:
    paths = parts.paths if foreign is None else parts.read_only[foreign].paths
    return paths.images / image_id


def _copy_data(parts: StoreParts, image: StoredImage, source: Path) -> None:
    target = parts.paths.images / image.id
    make_private_directory(target)
    for key in image.big_data_names:
        write_atomic(target / file_name(key), (source / file_name(key)).read_bytes())


def _file_size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def names_without(names: Iterable[str], unwanted: Iterable[str]) -> list[str]:
    gone = set(unwanted)
    return [name for name in names if name not in gone]
