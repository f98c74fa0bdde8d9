"""Pulling: from a name to an image that is here.

    always      ask the registry, whatever is here
    missing     only when it is not here
    newer       ask, and copy when the registry has another digest; when it does not answer, what is here will do
    never       only what is here

A short name that is here already is pulled again from where it came from; otherwise its candidates are tried in order
(`references.pull_candidates`). Archives and directories can be pulled too, by their transports.

Killed in the middle: as `libpod.image.transport` says. Repeating continues with the layers that are complete.

Covers: libimage/pull.go
"""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs
import msgspec

from libpod.define.errors import (
    AmbiguousNameError,
    ImageError,
    InvalidArgumentError,
    LibpodError,
    NoSuchImageError,
    RegistryUnreachableError,
)
from libpod.image.loading import load
from libpod.image.local import LocalImages
from libpod.image.look_up import FoundImage
from libpod.image.platforms import host_platform
from libpod.image.progress import Progress
from libpod.image.references import Location, Reference, Transport, is_image_id, pull_candidates
from libpod.image.transport import CopyOptions, Skopeo
from libpod.spec.image import LIST_TYPES, Platform, decode_document, digest_of, media_type, select_instance

logger = logging.getLogger(__name__)

RETRIES = 3
"""How often a transfer that broke off is tried again; podman's default."""


class PullPolicy(enum.StrEnum):
    """When a registry is asked."""

    ALWAYS = "always"
    MISSING = "missing"
    NEWER = "newer"
    NEVER = "never"

    @classmethod
    def parse(cls, text: str) -> PullPolicy:
        """The policy that *text* means; podman's older spellings are understood. Raises InvalidArgumentError."""
        word = {
            "ifnotpresent": "missing",
            "ifnewer": "newer",
            "true": "always",
            "false": "missing",
            "": "missing",
        }.get(text.lower(), text.lower())
        try:
            return cls(word)
        except ValueError:
            raise InvalidArgumentError(
                f'"{text}" is not a pull policy', resolution=f"use {', '.join(cls)}"
            ) from None


@attrs.frozen(kw_only=True)
class _Request:
    """One pull, with its defaults filled in."""

    policy: PullPolicy
    copy: CopyOptions
    announce: Callable[[Reference], None] | None


def pull(
    skopeo: Skopeo,
    images: LocalImages,
    name: str,
    *,
    policy: PullPolicy | str = PullPolicy.ALWAYS,
    options: CopyOptions | None = None,
    all_tags: bool = False,
    announce: Callable[[Reference], None] | None = None,
    progress: Progress | None = None,
) -> list[str]:
    """Make *name* be here as the policy says and return the ids: one, or more for all tags or an archive.

    *options* default to three retries; *announce* is told of each place before it is tried. Raises NoSuchImageError
    when it is nowhere (or not here and never to be pulled), RegistryAccessError, RegistryUnreachableError,
    ImagePolicyError, ImageError, InvalidArgumentError.
    """
    wish = _Request(
        policy=PullPolicy.parse(policy), copy=options or CopyOptions(retries=RETRIES), announce=announce
    )
    location = Location.parse(name)
    if location is not None and location.transport is not Transport.REGISTRY:
        if all_tags:
            raise InvalidArgumentError(f"all tags can be pulled from a registry only, not from {location}")
        return _pull_location(skopeo, images, location, wish, progress)
    text = location.details if location is not None else name
    if is_image_id(text):
        if wish.policy is PullPolicy.ALWAYS:
            raise InvalidArgumentError(
                f'"{name}" is an image ID, which no registry knows', resolution="pull a name"
            )
        return [images.find(text).id]
    reference = Reference.parse(text)
    if location is not None and reference.is_short:
        reference = reference.normalised(domain="docker.io")  # what docker:// means
    if all_tags:
        return _pull_all_tags(skopeo, images, reference, wish, progress)
    return [_pull_one(skopeo, images, reference, text, wish, progress)]


def _pull_one(
    skopeo: Skopeo,
    images: LocalImages,
    reference: Reference,
    text: str,
    wish: _Request,
    progress: Progress | None,
) -> str:
    here = _here(images, text, wish)
    if wish.policy is PullPolicy.NEVER:
        if here is None:
            raise NoSuchImageError(
                text, message=f'image "{text}" is not here and the policy forbids to pull it'
            )
        return here.image.id
    if here is not None:
        if wish.policy is PullPolicy.MISSING:
            return here.image.id
        if not here.name:
            # By an id: there is no registry to ask.
            if wish.policy is PullPolicy.ALWAYS:
                raise InvalidArgumentError(
                    f'"{text}" is an image ID, which no registry knows', resolution="pull a name"
                )
            return here.image.id
    candidates = _candidates(images, reference, here)
    errors: list[LibpodError] = []
    for candidate in candidates:
        try:
            if (
                here is not None
                and wish.policy is PullPolicy.NEWER
                and not _is_newer(skopeo, candidate, here, wish.copy)
            ):
                return here.image.id
            if wish.announce is not None:
                wish.announce(candidate)
            return copy_from_registry(skopeo, images, candidate, wish.copy, progress=progress)
        except (ImageError, NoSuchImageError) as error:
            logger.info("pulling %s failed: %s", candidate, error)
            errors.append(error)
    if here is not None and wish.policy is PullPolicy.NEWER:
        return here.image.id
    raise _combined(text, candidates, errors)


def copy_from_registry(
    skopeo: Skopeo,
    images: LocalImages,
    reference: Reference,
    options: CopyOptions,
    *,
    progress: Progress | None = None,
) -> str:
    """Copy one fully named image into the store, under its name, and return its id; raises as `Skopeo.copy`."""
    digest = skopeo.copy(
        Location.registry(reference),
        skopeo.store.location(reference),
        options,
        progress=progress,
        subject=f"pulling {reference}",
    )
    stored = images.all()
    for image in stored:
        if str(reference) in image.names and (not digest or digest in image.digests):
            return image.id
    # Another process has given the name to another image meanwhile; ours is still here.
    for image in stored:
        if digest in image.digests:
            return image.id
    raise ImageError(
        f"{reference} was pulled and removed by somebody else at once", resolution="pull it again"
    )


def _here(images: LocalImages, text: str, wish: _Request) -> FoundImage | None:
    try:
        found = images.resolve(text)
    except (NoSuchImageError, AmbiguousNameError, ImageError):
        return None  # an ImageError: a list is here, its image for this machine is not
    platform = wish.copy.platform
    if platform is None:
        return found
    # Another platform's image under the same name is not the image that is wanted.
    settings = images.settings(found.image)
    same = (settings.os, settings.architecture) == (platform["os"], platform["architecture"])
    return found if same and settings.variant == platform.get("variant", settings.variant) else None


def _candidates(images: LocalImages, reference: Reference, here: FoundImage | None) -> list[Reference]:
    if here is not None and here.name and reference.is_short:
        stored = Reference.parse(here.name)
        if stored.domain != "localhost" or not images.registries.search:
            return [stored]
    return pull_candidates(reference, images.registries)


def _is_newer(skopeo: Skopeo, candidate: Reference, here: FoundImage, options: CopyOptions) -> bool:
    """Whether the registry has other content under the name than we have."""
    raw = skopeo.inspect_raw(Location.registry(candidate), options, subject=f"asking for {candidate}")
    if digest_of(raw) in here.image.digests:
        return False
    document = decode_document(raw, subject=f"the manifest of {candidate}")
    if media_type(document) not in LIST_TYPES:
        return True
    platform: Platform = options.platform or host_platform()
    chosen = select_instance(document, platform)
    return chosen is None or chosen["digest"] not in here.image.digests


def _combined(text: str, candidates: Sequence[Reference], errors: Sequence[LibpodError]) -> LibpodError:
    if len(errors) == 1:
        return errors[0]
    telling = [error for error in errors if not isinstance(error, NoSuchImageError)]
    if not telling:
        tried = ", ".join(map(str, candidates))
        return NoSuchImageError(text, message=f'no registry has an image "{text}" (tried {tried})')
    first = telling[0]
    for other in errors:
        if other is not first:
            first.add_note(f"also tried: {other}")
    return first


def _pull_all_tags(
    skopeo: Skopeo, images: LocalImages, reference: Reference, wish: _Request, progress: Progress | None
) -> list[str]:
    if reference.tag or reference.digest:
        raise InvalidArgumentError(f"all tags of {reference.repository} cannot be pulled by naming one")
    errors: list[LibpodError] = []
    candidates = pull_candidates(reference, images.registries)
    for candidate in candidates:
        try:
            tags = skopeo.list_tags(msgspec.structs.replace(candidate, tag=""), wish.copy)
        except (NoSuchImageError, RegistryUnreachableError) as error:
            errors.append(error)
            continue
        named = [msgspec.structs.replace(candidate, tag=tag) for tag in tags]
        return [_pull_one(skopeo, images, each, str(each), wish, progress) for each in named]
    raise _combined(str(reference), candidates, errors)


def _pull_location(
    skopeo: Skopeo, images: LocalImages, location: Location, wish: _Request, progress: Progress | None
) -> list[str]:
    if location.transport is Transport.STORE:
        return [images.find(str(location)).id]
    path, _, selector = location.details.partition(":")
    loaded = load(skopeo, images, Path(path), only=selector, options=wish.copy, progress=progress)
    return [image.id for image in loaded]
