"""The images of the store, by whatever a person or program calls them.

`LocalImages` finds, names and describes; it moves nothing and runs no program. How a name is understood is in
`look_up`. A manifest list that was stored as such is replaced by the local instance for this platform. All reads see
one loaded state of the store and may be stale a moment later, as with every tool that shares it.

Covers: libimage/runtime.go (LookupImage), libimage/image.go (names), libpod/runtime_img.go
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec

from libpod.define.errors import (
    ImageError,
    InvalidArgumentError,
    NoSuchImageError,
    StorageError,
)
from libpod.image.look_up import FoundImage, held_name, is_runnable, look_up, shown
from libpod.image.platforms import host_platform
from libpod.image.references import normalise
from libpod.image.registries import RegistriesConfig
from libpod.spec.image import (
    LIST_TYPES,
    Document,
    ImageSettings,
    decode_document,
    media_type,
    select_instance,
)
from libpod.storage.stored import StoredImage

if TYPE_CHECKING:
    from libpod.image.graph import ImageGraph
    from libpod.storage.store import Store

CACHED_DOCUMENTS = 4096


class LocalImages:
    """What is in one store."""

    def __init__(self, store: Store, registries: RegistriesConfig | None = None) -> None:
        self.store = store
        self.registries = registries or RegistriesConfig()
        # By digest, so never stale. Replaced by an empty one when it is full: threads need no lock for that.
        self._documents: dict[str, Document] = {}

    # ---- looking up -------------------------------------------------------------------------------------------

    def all(self) -> list[StoredImage]:
        """Every image, in the order in which they came."""
        return list(self.store.images())

    def find(self, name_or_id: str) -> StoredImage:
        """The image that *name_or_id* means, of a manifest list the one for this machine.

        Raises NoSuchImageError, AmbiguousNameError, InvalidArgumentError, and ImageError for a list whose image for
        this machine is not here.
        """
        return self.resolve(name_or_id).image

    def exists(self, name_or_id: str) -> bool:
        """Whether *name_or_id* means an image here; a name that no image can have is no image."""
        try:
            self.look_up(name_or_id)
        except (NoSuchImageError, InvalidArgumentError):
            return False
        return True

    def look_up(self, name_or_id: str) -> FoundImage:
        """What *name_or_id* names, be it an image or a manifest list, and by which name; raises as `find`."""
        return look_up(self.all(), name_or_id, self.registries)

    def resolve(self, name_or_id: str) -> FoundImage:
        """As `find`, and tells by which name."""
        images = self.all()
        found = look_up(images, name_or_id, self.registries)
        if "manifest" not in found.image.big_data_names or found.image.top_layer is not None:
            return found
        instance = self._instance(found.image, images)
        return found if instance is None else msgspec.structs.replace(found, image=instance)

    def _instance(self, image: StoredImage, images: Sequence[StoredImage]) -> StoredImage | None:
        manifest = self.manifest(image)
        if media_type(manifest) not in LIST_TYPES:
            return None
        chosen = select_instance(manifest, host_platform())
        if chosen is None:
            raise ImageError(f"the manifest list {shown(image)} has no image for this machine")
        local = [other for other in images if chosen["digest"] in other.digests and other.id != image.id]
        if not local:
            raise ImageError(
                f"the manifest list {shown(image)} is here without its image for this machine",
                resolution="pull the image",
            )
        return local[0]

    # ---- documents --------------------------------------------------------------------------------------------

    def manifest(self, image: StoredImage) -> Document:
        """The manifest of an image, not to be modified; raises ImageError."""
        return self._document(image, "manifest", image.big_data_digests.get("manifest", ""))

    def config(self, image: StoredImage) -> Document:
        """The configuration of an image as it is stored, not to be modified; raises ImageError."""
        config = self.manifest(image).get("config")
        digest = config.get("digest") if isinstance(config, dict) else None
        # Schema 1 has no configuration of its own; the one made for it is stored under the image's id.
        key = digest if isinstance(digest, str) else f"sha256:{image.id}"
        return self._document(image, key, key)

    def _document(self, image: StoredImage, key: str, digest: str) -> Document:
        known = self._documents.get(digest)
        if known is not None:
            return known
        try:
            data = self.store.image_data(image.id, key)
        except StorageError as error:
            raise ImageError(error.message, resolution=error.resolution) from error
        document = decode_document(data, subject=f'"{key[:19]}" of image {shown(image)}')
        if digest:
            if len(self._documents) >= CACHED_DOCUMENTS:
                self._documents = {}
            self._documents[digest] = document
        return document

    def settings(self, image: StoredImage) -> ImageSettings:
        """What the image's configuration means for a container; raises ImageError.

        An image without a configuration (an artifact, a manifest list) has empty settings.
        """
        if image.top_layer is None and not is_runnable(self.manifest(image)):
            return ImageSettings()
        return ImageSettings.read(self.config(image), subject=shown(image))

    def is_list(self, image: StoredImage) -> bool:
        """Whether the image is a manifest list; one that cannot be read is none."""
        try:
            return image.top_layer is None and media_type(self.manifest(image)) in LIST_TYPES
        except (ImageError, NoSuchImageError):
            return False

    def graph(self) -> ImageGraph:
        """How the images hang together, as one reading of the store says."""
        from libpod.image.graph import ImageGraph

        return ImageGraph(self.all(), self.store.layers(), self.settings)

    # ---- names ------------------------------------------------------------------------------------------------

    def tag(self, name_or_id: str, names: Iterable[str]) -> StoredImage:
        """Give an image more names; whoever had one of them loses it.

        A name that a digest is part of cannot be given. Raises NoSuchImageError, InvalidArgumentError.
        """
        added = []
        for name in names:
            reference = normalise(name)
            if reference.digest:
                raise InvalidArgumentError(
                    f'"{name}" cannot be a tag: it has a digest', resolution="give a tag instead"
                )
            added.append(str(reference))
        return self.store.add_image_names(self.look_up(name_or_id).image.id, added)

    def untag(self, name_or_id: str, names: Iterable[str] = ()) -> StoredImage:
        """Take names away from an image: *names*, or all that it has.

        With names that the image does not have nothing changes and NoSuchImageError says which.
        """
        image = self.look_up(name_or_id).image
        wanted = list(names)
        if not wanted:
            return self.store.remove_image_names(image.id, image.names)
        removed = []
        for name in wanted:
            held = held_name(image, name, self.registries)
            if held is None:
                raise NoSuchImageError(name, message=f'image {shown(image)} has no name "{name}"')
            removed.append(held)
        return self.store.remove_image_names(image.id, removed)
