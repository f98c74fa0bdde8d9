"""Which image a text means.

In this order:

1. `sha256:<64 digits>` or 64 digits: that id; with `sha256:` also the digest of a manifest;
2. `containers-storage:` in front: the rest, in this store;
3. the stored names it may mean (`references.lookup_candidates`), each as an exact name; with a digest also any image
   that has the digest and a name in the same repository;
4. an id, or the beginning of exactly one id (`sha256:` may stand in front);
5. for a short name: an image whose stored name ends in the wanted repository and has the tag. Several different
   images are ambiguous.

Pure: works on a list of records.

Covers: libimage/runtime.go (LookupImage), libimage/image.go (names)
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from libpod.define.errors import AmbiguousNameError, InvalidArgumentError, NoSuchImageError
from libpod.image.references import Location, Reference, Transport, is_image_id, lookup_candidates
from libpod.image.registries import RegistriesConfig
from libpod.spec.image import LIST_TYPES, Document, is_digest, media_type
from libpod.storage.stored import StoredImage


class FoundImage(msgspec.Struct, frozen=True, kw_only=True):
    """An image and the name under which it was asked for."""

    image: StoredImage
    name: str
    """The stored name that matched; empty when it was found by id or digest."""


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
    if not prefix:
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
