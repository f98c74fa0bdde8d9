"""Images of a runtime: find, list, bring in, take out, remove, and what a container takes from one.

Covers: libpod/runtime_img.go
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from libpod.container_internal.services import Services
from libpod.image_api import Image
from libpod.model.event import EventStatus, EventType
from libpod.spec.plan_request import ImageFacts

if TYPE_CHECKING:
    from libpod.image.describing import ImageSummary
    from libpod.image.progress import Progress
    from libpod.image.removing import RemovalReport
    from libpod.image.search import SearchResult
    from libpod.image.transport import CopyOptions, Skopeo

StrPath = str | os.PathLike[str]


def skopeo(services: Services) -> Skopeo:
    """The transport into and out of this runtime's store."""
    from libpod.image.transport import Skopeo, StoreAddress

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
    source: StrPath | BinaryIO,
    reference: str = "",
    *,
    changes: Sequence[str] = (),
    message: str = "",
    created: str = "",
) -> Image:
    """See `Runtime.import_image`."""
    from libpod.image.importing import ImportOptions, import_rootfs

    given = ImportOptions(changes=tuple(changes), message=message, created=created)
    image_id = import_rootfs(skopeo(services), source, reference or None, given)
    return _announced(services, image_id, EventStatus.IMPORT)


def build(
    services: Services,
    context: StrPath,
    *,
    on_output: Callable[[bytes], None] | None = None,
    platform: str = "",
    pull: str = "missing",
    **options: Any,
) -> Image:
    """See `Runtime.build`; *options* are fields of `libpod.image.build.BuildOptions`."""
    from libpod.image.build import BuildOptions
    from libpod.image.build import build as build_image
    from libpod.image.platforms import parse_platform
    from libpod.image.pull import PullPolicy

    runtime = services.runtimes.named(services.runtimes.default_name).capabilities.path
    wish = BuildOptions(
        platform=parse_platform(platform) if platform else None,
        pull=PullPolicy.parse(pull),
        **{"runtime": str(runtime), **options},
    )
    image_id = build_image(skopeo(services), Path(context), wish, on_output=on_output)
    return _announced(services, image_id, EventStatus.BUILD)


def load_images(
    services: Services, archive: StrPath | BinaryIO, *, only: str = "", progress: Progress | None = None
) -> list[Image]:
    """See `Runtime.load_images`."""
    from libpod.image.loading import load

    loaded = load(skopeo(services), services.images, archive, only=only, progress=progress)
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

    pulled = pull_image(
        skopeo(services),
        services.images,
        reference,
        policy=policy,
        options=_pull_options(platform, options),
        progress=progress,
    )
    image = Image(services, services.images.find(pulled[0]))
    services.emit(EventStatus.PULL, type=EventType.IMAGE, id=image.id, name=reference, image=reference)
    return image


def pull_all_tags(
    services: Services,
    reference: str,
    *,
    platform: str = "",
    progress: Progress | None = None,
    **options: Any,
) -> list[Image]:
    """See `Runtime.pull_all_tags`; *options* as for `pull`."""
    from libpod.image.pull import pull as pull_image

    pulled = pull_image(
        skopeo(services),
        services.images,
        reference,
        options=_pull_options(platform, options),
        all_tags=True,
        progress=progress,
    )
    return [_announced(services, image_id, EventStatus.PULL) for image_id in dict.fromkeys(pulled)]


def _pull_options(platform: str, options: Mapping[str, Any]) -> CopyOptions:
    from libpod.image.platforms import host_platform, parse_platform
    from libpod.image.pull import RETRIES
    from libpod.image.transport import CopyOptions

    chosen = parse_platform(platform) if platform else host_platform()
    return CopyOptions(**{"platform": chosen, "retries": RETRIES, **options})


def list_images(
    services: Services, filters: Sequence[str] = (), *, name: str = "", steps: bool = False
) -> list[ImageSummary]:
    """See `Runtime.list_images`."""
    from libpod.image.describing import summaries

    return summaries(services.images, filters=filters, name=name, include_intermediate=steps)


def remove_image(
    services: Services, name_or_id: str, *, force: bool = False, prune: bool = True
) -> list[RemovalReport]:
    """See `Runtime.remove_image`."""
    from libpod.image.removing import remove

    reports = remove(
        services.images,
        name_or_id,
        force=force,
        prune=prune,
        remove_container=lambda ctr_id: _remove_user(services, ctr_id),
    )
    _announce_removals(services, reports)
    return reports


def prune_images(
    services: Services, filters: Sequence[str] = (), *, everything: bool = False
) -> list[RemovalReport]:
    """See `Runtime.prune_images`."""
    from libpod.image.removing import prune

    reports = prune(services.images, everything=everything, filters=filters)
    _announce_removals(services, reports)
    return reports


def save_images(
    services: Services,
    names: Sequence[str],
    target: StrPath | BinaryIO,
    *,
    format: str = "docker-archive",
    compress: bool = False,
    uncompressed: bool = False,
    progress: Progress | None = None,
) -> None:
    """See `Runtime.save_images`."""
    from libpod.image.saving import SaveFormat, SaveOptions, save

    options = SaveOptions(format=SaveFormat.parse(format), compress=compress, uncompressed=uncompressed)
    save(skopeo(services), services.images, names, target, options, progress=progress)
    for name in names:
        image = services.images.find(name)
        services.emit(EventStatus.SAVE, type=EventType.IMAGE, id=image.id, name=name, image=name)


def push(
    services: Services,
    name_or_id: str,
    destination: str = "",
    *,
    progress: Progress | None = None,
    **options: Any,
) -> str:
    """See `Runtime.push`; *options* are fields of `libpod.image.transport.CopyOptions`."""
    from libpod.image.pull import RETRIES
    from libpod.image.saving import push as push_image
    from libpod.image.transport import CopyOptions

    digest = push_image(
        skopeo(services),
        services.images,
        name_or_id,
        destination,
        CopyOptions(**{"retries": RETRIES, **options}),
        progress=progress,
    )
    image = services.images.find(name_or_id)
    services.emit(EventStatus.PUSH, type=EventType.IMAGE, id=image.id, name=name_or_id, image=name_or_id)
    return digest


def search(services: Services, term: str, **options: Any) -> list[SearchResult]:
    """See `Runtime.search`; *options* are fields of `libpod.image.search.SearchOptions`."""
    from libpod.image.search import SearchOptions
    from libpod.image.search import search as search_images

    return search_images(term, services.images.registries, SearchOptions(**options), skopeo=skopeo(services))


def _remove_user(services: Services, ctr_id: str) -> None:
    """A container that is based on an image that goes: ours with all that belongs to it, another engine's as it is."""
    if services.state.has_container(ctr_id):
        from libpod.container_internal import removal

        removal.remove_container(services, ctr_id, force=True)
    else:
        services.store.delete_container(ctr_id)


def _announce_removals(services: Services, reports: Sequence[RemovalReport]) -> None:
    for report in reports:
        for name in report.untagged:
            services.emit(EventStatus.UNTAG, type=EventType.IMAGE, id=report.id, name=name, image=name)
        if report.deleted:
            shown = report.untagged[0] if report.untagged else ""
            services.emit(EventStatus.REMOVE, type=EventType.IMAGE, id=report.id, name=shown, image=shown)


def image_facts(services: Services, name: str, *, pull: str = "", platform: str = "") -> ImageFacts:
    """What a new container takes from its image, which is pulled by the policy *pull* when it is not here."""
    policy = pull or services.config.pull_policy or "missing"
    if policy in {"always", "newer"} or not services.images.exists(name):
        from libpod.image.pull import pull as pull_image

        pull_image(
            skopeo(services), services.images, name, policy=policy, options=_pull_options(platform, {})
        )
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
