"""How the images of a store hang together.

Layers form trees by their parents; an image sits on its top layer. An image is the *parent* of another when it was a
step on the way to it: its DiffIDs are the beginning of the other's, and its history is the other's without the last
entry. Several images on one layer are no relatives unless their histories say so, because equal layers are shared by
accident too.

    dangling        no name, no child           what prune removes
    intermediate    no name, but children       a cached step of a build

Pure: the graph works on one reading of the store; configurations are asked for when they are needed, and an image
whose configuration cannot be read has no relatives instead of spoiling the answer for all others.

Covers: libimage/layer_tree.go, libimage/history.go, libimage/image_tree.go
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import attrs

from libpod.define.errors import ImageError, NotFoundError
from libpod.spec.image import ImageSettings

if TYPE_CHECKING:
    from libpod.storage.stored import StoredImage, StoredLayer

MISSING = "<missing>"


@attrs.frozen(kw_only=True)
class HistoryEntry:
    """One line of an image's history, newest first."""

    id: str
    """The image that ends here, or `<missing>`."""
    created: str
    created_by: str
    size: int
    comment: str
    tags: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class TreeLayer:
    """One layer in the drawing of an image's tree."""

    layer_id: str
    size: int
    tags: tuple[str, ...]
    """The names of the images whose top layer this is."""
    depth: int = 0
    """Generations below the root of the drawing."""


class ImageGraph:
    """One reading of images and layers, ready for questions."""

    def __init__(
        self,
        images: Sequence[StoredImage],
        layers: Iterable[StoredLayer],
        settings: Callable[[StoredImage], ImageSettings],
    ) -> None:
        self.images = tuple(images)
        self.layers: Mapping[str, StoredLayer] = {layer.id: layer for layer in layers}
        self._settings = settings
        self._known: dict[str, ImageSettings | None] = {}
        self._on_layer: dict[str, list[StoredImage]] = {}
        self._layer_children: dict[str, list[str]] = {}
        for image in self.images:
            self._on_layer.setdefault(image.top_layer or "", []).append(image)
        for layer in self.layers.values():
            self._layer_children.setdefault(layer.parent or "", []).append(layer.id)

    def settings(self, image: StoredImage) -> ImageSettings | None:
        """The image's settings, or None when they cannot be read."""
        if image.id not in self._known:
            try:
                self._known[image.id] = self._settings(image)
            except (ImageError, NotFoundError):
                self._known[image.id] = None
        return self._known[image.id]

    def children(self, image: StoredImage) -> list[StoredImage]:
        """The images that *image* is the parent of."""
        top = image.top_layer or ""
        above = self._layer_children.get(top, []) if top else []
        near = [
            *self._on_layer.get(top, []),
            *(other for layer in above for other in self._on_layer.get(layer, [])),
        ]
        return [other for other in near if self.is_parent(image, other)]

    def parent(self, image: StoredImage) -> StoredImage | None:
        """The image that *image* was made from in one step, if it is here."""
        top = image.top_layer or ""
        layer = self.layers.get(top)
        below = self._on_layer.get(layer.parent, []) if layer is not None and layer.parent else []
        for other in (*self._on_layer.get(top, []), *below):
            if self.is_parent(other, image):
                return other
        return None

    def is_parent(self, parent: StoredImage, child: StoredImage) -> bool:
        """Whether *child* is *parent* and one step more."""
        if parent.id == child.id:
            return False
        older, younger = self.settings(parent), self.settings(child)
        if older is None or younger is None or len(older.history) + 1 != len(younger.history):
            return False
        if not younger.diff_ids and not older.diff_ids and not older.history:
            return False  # lists and artifacts have neither
        return (
            younger.diff_ids[: len(older.diff_ids)] == older.diff_ids
            and younger.history[: len(older.history)] == older.history
        )

    def is_dangling(self, image: StoredImage) -> bool:
        """No name and nothing built on it."""
        return not image.names and not self.children(image)

    def is_intermediate(self, image: StoredImage) -> bool:
        """No name, but something is built on it."""
        return not image.names and bool(self.children(image))

    def chain(self, image: StoredImage) -> list[StoredLayer]:
        """The image's layers, top first; it ends early where one is missing."""
        found: list[StoredLayer] = []
        layer = self.layers.get(image.top_layer or "")
        while layer is not None and len(found) <= len(self.layers):
            found.append(layer)
            layer = self.layers.get(layer.parent or "")
        return found

    def size(self, image: StoredImage) -> int:
        """The bytes of the image's layers and data; podman prints the same number.

        Layers that an ID-mapped container made copies of count again, as they take space again.
        """
        chains = {layer.id: layer for layer in self.chain(image)}
        for top in image.mapped_layers:
            layer = self.layers.get(top)
            while layer is not None and layer.id not in chains:
                chains[layer.id] = layer
                layer = self.layers.get(layer.parent or "")
        return sum(layer.diff_size or 0 for layer in chains.values()) + sum(image.big_data_sizes.values())

    def shared_size(self, image: StoredImage) -> int:
        """The bytes of those layers that other images use too."""
        others = {layer.id for other in self.images if other.id != image.id for layer in self.chain(other)}
        return sum(layer.diff_size or 0 for layer in self.chain(image) if layer.id in others)

    def history(self, image: StoredImage) -> list[HistoryEntry]:
        """The steps that led to the image, newest first; raises ImageError when its configuration is unreadable."""
        settings = self._settings(image)
        layers = iter(self.chain(image))
        layer = next(layers, None)
        used: set[str] = set()
        entries = []
        for step in reversed(settings.history):
            # An entry without a layer belongs to the image that ends on the layer below it, as podman shows it.
            here = self._on_layer.get(layer.id, []) if layer is not None else []
            # The image that was asked for comes first on its own top layer, whoever else sits there.
            ordered = sorted(here, key=lambda other: other.id != image.id)
            shown = next((other.id for other in ordered[:1] if other.id not in used), MISSING)
            used.add(shown)
            empty = bool(step.get("empty_layer"))
            entries.append(
                HistoryEntry(
                    id=shown,
                    created=str(step.get("created") or ""),
                    created_by=str(step.get("created_by") or ""),
                    comment=str(step.get("comment") or ""),
                    size=0 if empty or layer is None else layer.diff_size or 0,
                    tags=tuple(name for other in here for name in other.names),
                )
            )
            if not empty:
                layer = next(layers, None)
        return entries

    def tree(self, image: StoredImage) -> list[TreeLayer]:
        """The image's layers from the base up."""
        return [self._tree_layer(layer, depth) for depth, layer in enumerate(reversed(self.chain(image)))]

    def tree_above(self, image: StoredImage) -> list[TreeLayer]:
        """Everything that requires the image: the layers above its top layer, depth first, beginning with that one."""
        found: list[TreeLayer] = []
        pending = [(image.top_layer or "", 0)]
        while pending:
            layer_id, depth = pending.pop()
            layer = self.layers.get(layer_id)
            if layer is None or depth > len(self.layers):
                continue
            found.append(self._tree_layer(layer, depth))
            pending += [(child, depth + 1) for child in reversed(self._layer_children.get(layer_id, []))]
        return found

    def _tree_layer(self, layer: StoredLayer, depth: int) -> TreeLayer:
        tags = tuple(name for image in self._on_layer.get(layer.id, []) for name in image.names)
        return TreeLayer(layer_id=layer.id, size=layer.diff_size or 0, tags=tags, depth=depth)
