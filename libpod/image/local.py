"""The images of the store, by whatever a person or program calls them.

`LocalImages` finds, names and describes; it moves nothing and runs no program. How a name is understood, in this order:

1. `sha256:<64 digits>` or 64 digits: that id, nothing else;
2. `containers-storage:` in front: the rest, in this store;
3. the stored names it may mean (`references.lookup_candidates`), each as an exact name; with a digest also any image
   that has the digest and a name in the same repository;
4. an id, or the beginning of exactly one id (`sha256:` may stand in front);
5. a bare digest of a manifest;
6. for a short name: an image whose stored name ends in the wanted repository and has the tag. Several different
   images are ambiguous.

A manifest list that was stored as such is replaced by the local instance for this platform. All reads see one loaded
state of the store and may be stale a moment later, as with every tool that shares it.

Covers: libimage/runtime.go (LookupImage), libimage/image.go (names), libpod/runtime_img.go
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import attrs

from libpod.define.errors import (
    AmbiguousNameError,
    ImageError,
    InvalidArgumentError,
    NoSuchImageError,
    StorageError,
)
from libpod.image.graph import ImageGraph
from libpod.image.platforms import host_platform
from libpod.image.references import (
    Location,
    Reference,
    Transport,
    is_image_id,
    lookup_candidates,
    normalise,
)
from libpod.image.registries import RegistriesConfig
from libpod.spec.image import (
    LIST_TYPES,
    Document,
    ImageSettings,
    decode_document,
    is_digest,
    media_type,
    select_instance,
)
from libpod.storage.stored import StoredImage

if TYPE_CHECKING:
    from libpod.storage.store import Store

MIN_PREFIX = 1
CACHED_DOCUMENTS = 4096


@attrs.frozen(kw_only=True)
class FoundImage:
    """An image and the name under which it was asked for."""

    image: StoredImage
    name: str
    """The stored name that matched; empty when it was found by id or digest."""


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
        """The image that *name_or_id* means; raises NoSuchImageError, AmbiguousNameError, InvalidArgumentError."""
        return self.resolve(name_or_id).image

    def exists(self, name_or_id: str) -> bool:
        """Whether *name_or_id* means an image here; a name that no image can have is no image."""
        try:
            self.resolve(name_or_id)
        except (NoSuchImageError, InvalidArgumentError):
            return False
        return True

    def resolve(self, name_or_id: str) -> FoundImage:
        """As `find`, and tells by which name."""
        images = self.all()
        found = look_up(images, name_or_id, self.registries)
        if "manifest" not in found.image.big_data_names or found.image.top_layer is not None:
            return found
        instance = self._instance(found.image, images)
        return found if instance is None else attrs.evolve(found, image=instance)

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
        """Whether the image is a manifest list; raises ImageError."""
        return image.top_layer is None and media_type(self.manifest(image)) in LIST_TYPES

    def graph(self) -> ImageGraph:
        """How the images hang together, as one reading of the store says."""
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
        image = self.find(name_or_id)
        return self.store.add_image_names(image.id, added)

    def untag(self, name_or_id: str, names: Iterable[str] = ()) -> StoredImage:
        """Take names away from an image: *names*, or all that it has.

        With names that the image does not have nothing changes and NoSuchImageError says which.
        """
        image = self.find(name_or_id)
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


# ---- the look-up, pure ----------------------------------------------------------------------------------------


def look_up(images: Sequence[StoredImage], name_or_id: str, config: RegistriesConfig) -> FoundImage:
    """The one of *images* that is meant, by the rules above; raises as `LocalImages.find`."""
    text = name_or_id
    location = Location.parse(text)
    if location is not None:
        if location.transport is not Transport.STORE:
            raise NoSuchImageError(name_or_id, message=f'"{name_or_id}" is not a name in the store')
        text = location.details.rpartition("]")[2].removeprefix("@")
    image_id = is_image_id(text)
    if image_id:
        for each in images:
            if each.id == image_id:
                return FoundImage(image=each, name="")
        if image_id == text:
            raise NoSuchImageError(name_or_id)
    # What follows needs a name or a prefix; `sha256:<digits>` may still be the digest of a manifest.
    if is_digest(text):
        return _by_digest(images, text)
    try:
        reference = Reference.parse(text)
    except InvalidArgumentError:
        found = by_prefix(images, text.removeprefix("sha256:"))
        if found is None:
            raise
        return FoundImage(image=found, name="")
    by_name = {name: image for image in images for name in image.names}
    for candidate in lookup_candidates(reference, config):
        if (named := by_name.get(str(candidate))) is not None:
            return FoundImage(image=named, name=str(candidate))
        if candidate.digest and (image := _in_repository(images, candidate)) is not None:
            return FoundImage(image=image, name="")
    found = by_prefix(images, text.removeprefix("sha256:"))
    if found is not None:
        return FoundImage(image=found, name="")
    return _by_ending(images, reference, name_or_id)


def by_prefix(images: Sequence[StoredImage], prefix: str) -> StoredImage | None:
    """The image whose id begins with *prefix*; raises AmbiguousNameError when there are several."""
    if len(prefix) < MIN_PREFIX:
        return None
    found = [image for image in images if image.id.startswith(prefix)]
    if len(found) > 1:
        raise AmbiguousNameError("image", prefix, [image.id for image in found])
    return found[0] if found else None


def held_name(image: StoredImage, name: str, config: RegistriesConfig) -> str | None:
    """Which of the image's own names *name* means, or None."""
    try:
        reference = Reference.parse(name)
    except InvalidArgumentError:
        return None
    names = set(image.names)
    for candidate in lookup_candidates(reference, config):
        if str(candidate) in names:
            return str(candidate)
    endings = [held for held in image.names if ends_in(held, reference)] if reference.is_short else []
    return endings[0] if len(endings) == 1 else None


def ends_in(stored: str, reference: Reference) -> bool:
    """Whether the stored name is *reference* with something in front: `quay.io/a/b:1` ends in `b:1`."""
    try:
        other = Reference.parse(stored)
    except InvalidArgumentError:
        return False
    wanted = reference.normalised()
    same = other.digest == wanted.digest if wanted.digest else other.tag == wanted.tag and not other.digest
    return same and f"/{other.repository}".endswith(f"/{reference.path}")


def shown(image: StoredImage) -> str:
    """What an image is called in a message."""
    return image.names[0] if image.names else image.id[:12]


def is_runnable(manifest: Document) -> bool:
    """Whether the manifest has a configuration that is an image's: not a list, not an artifact."""
    config = manifest.get("config")
    kind = config.get("mediaType") if isinstance(config, dict) else None
    return media_type(manifest) not in LIST_TYPES and (
        kind is None or "image.config" in kind or "container.image" in kind
    )


def _by_digest(images: Sequence[StoredImage], digest: str) -> FoundImage:
    for image in images:
        if digest in image.digests:
            return FoundImage(image=image, name="")
    raise NoSuchImageError(digest)


def _in_repository(images: Sequence[StoredImage], candidate: Reference) -> StoredImage | None:
    for image in images:
        if candidate.digest in image.digests and any(
            _repository(name) == candidate.repository for name in image.names
        ):
            return image
    return None


def _by_ending(images: Sequence[StoredImage], reference: Reference, name_or_id: str) -> FoundImage:
    if not reference.is_short:
        raise NoSuchImageError(name_or_id)
    found = {name: image for image in images for name in image.names if ends_in(name, reference)}
    different = {image.id for image in found.values()}
    if len(different) > 1:
        raise AmbiguousNameError("image", name_or_id, sorted(found))
    for name, image in found.items():
        return FoundImage(image=image, name=name)
    raise NoSuchImageError(name_or_id)


def _repository(name: str) -> str:
    try:
        return Reference.parse(name).repository
    except InvalidArgumentError:
        return ""
