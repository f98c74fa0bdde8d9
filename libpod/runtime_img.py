"""Images of a runtime: find, list, import, load, pull, and what a container takes from one.

Covers: libpod/runtime_img.go
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from libpod.container_internal.services import Services
from libpod.image.platforms import host_platform, parse_platform
from libpod.image.transport import CopyOptions, Skopeo, StoreAddress
from libpod.image_api import Image
from libpod.model.event import EventStatus, EventType
from libpod.spec.plan import ImageFacts

if TYPE_CHECKING:
    from libpod.image.progress import Progress

StrPath = str | os.PathLike[str]


def skopeo(services: Services) -> Skopeo:
    """The transport into and out of this runtime's store."""
    return Skopeo(
        store=StoreAddress.of(services.store),
        registries=services.images.registries,
        tmpdir=services.paths.staging,
    )


def get_image(services: Services, name_or_id: str) -> Image:
    """See `Runtime.image`."""
    return Image(services, services.images.find(name_or_id))


def images(services: Services, filters: Sequence[str] = ()) -> list[Image]:
    """See `Runtime.images`."""
    if not filters:
        return [Image(services, stored) for stored in services.images.all()]
    from libpod.image.filters import filtered

    return [Image(services, stored) for stored in filtered(services.images, filters)]


def import_image(
    services: Services,
    source: StrPath,
    reference: str = "",
    *,
    changes: Sequence[str] = (),
    message: str = "",
) -> Image:
    """See `Runtime.import_image`."""
    from libpod.image.importing import ImportOptions, import_rootfs

    image_id = import_rootfs(
        skopeo(services),
        Path(source),
        reference or None,
        ImportOptions(changes=tuple(changes), message=message),
    )
    return _announced(services, image_id, EventStatus.IMPORT)


def load_images(services: Services, archive: StrPath) -> list[Image]:
    """See `Runtime.load_images`."""
    from libpod.image.loading import load

    loaded = load(skopeo(services), services.images, archive)
    return [_announced(services, image.id, EventStatus.LOAD) for image in loaded]


def pull(
    services: Services,
    reference: str,
    *,
    policy: str = "always",
    platform: str = "",
    progress: Progress | None = None,
    **options: Any,
) -> Image:
    """See `Runtime.pull`; *options* are fields of `libpod.image.transport.CopyOptions`."""
    from libpod.image.pull import pull as pull_image

    wanted = CopyOptions(platform=parse_platform(platform) if platform else host_platform(), **options)
    pulled = pull_image(
        skopeo(services), services.images, reference, policy=policy, options=wanted, progress=progress
    )
    image = Image(services, services.images.find(pulled[0]))
    services.emit(EventStatus.PULL, type=EventType.IMAGE, id=image.id, name=reference, image=reference)
    return image


def image_facts(services: Services, name: str, *, pull: str = "", platform: str = "") -> ImageFacts:
    """What a new container takes from its image, which is pulled by the policy *pull* when it is not here."""
    policy = pull or services.config.pull_policy or "missing"
    if policy in {"always", "newer"} or not services.images.exists(name):
        from libpod.image.pull import pull as pull_image

        options = CopyOptions(platform=parse_platform(platform)) if platform else CopyOptions()
        pull_image(skopeo(services), services.images, name, policy=policy, options=options)
    found = services.images.resolve(name)
    return ImageFacts(
        id=found.image.id,
        name=found.name or (found.image.names[0] if found.image.names else found.image.id),
        settings=services.images.settings(found.image),
    )


def _announced(services: Services, image_id: str, status: EventStatus) -> Image:
    image = Image(services, services.images.find(image_id))
    services.emit(status, type=EventType.IMAGE, id=image.id, name=image.name, image=image.name)
    return image
