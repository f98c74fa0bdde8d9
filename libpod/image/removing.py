"""Removing images and names.

What `rmi NAME` does depends on what NAME is:

    a name, and the image has others      that name goes, nothing else
    the only name                         the image goes – unless a container is based on it
    an id, and the image has one name     the image goes
    an id, and the image has several      refused without force

With an image go its nameless ancestors that nothing else is built on (the steps of its build), unless *prune* is off.
What children need of an image stays: layers are shared. With force, the containers go first; who removes them is the
caller's business, because they may be running.

`plan_removal` and `prune_candidates` decide and touch nothing; the store refuses once more, under its own locks, to
delete an image that a container has got meanwhile.

Killed in the middle: names go by one replacement of a file; for the image see `libpod.storage.images`.

Covers: libimage/image.go (removeRecursive), libimage/runtime.go (RemoveImages), libpod/runtime_img.go (RemoveImage)
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import attrs

from libpod.define.errors import ImageError, ImageInUseError, LibpodError, NoSuchImageError
from libpod.image.filters import FilterContext, apply_filters, context_of
from libpod.image.graph import ImageGraph
from libpod.image.local import LocalImages
from libpod.image.look_up import FoundImage, shown

if TYPE_CHECKING:
    from libpod.storage.stored import StoredImage

logger = logging.getLogger(__name__)

RemoveContainer = Callable[[str], None]
"""Removes the container with this id, running or not, whoever made it."""


@attrs.frozen(kw_only=True)
class RemovalPlan:
    """What is to be done with one image."""

    image: StoredImage
    untag: tuple[str, ...]
    """The names that go."""
    delete: bool
    containers: tuple[str, ...] = ()
    """These have to be removed first."""


@attrs.frozen(kw_only=True)
class RemovalReport:
    """What was done with one image."""

    id: str
    untagged: tuple[str, ...] = ()
    deleted: bool = False
    size: int = 0
    """The bytes that the image had; not all of them are free now when others share its layers."""


def plan_removal(
    found: FoundImage, *, users: Sequence[str], force: bool = False, whole: bool = False
) -> RemovalPlan:
    """Decide what removing *found* means; *users* are the containers based on it, *whole* is true for `rmi --all`.

    Raises ImageInUseError and ImageError as the rules above say.
    """
    image = found.image
    if image.read_only:
        raise ImageError(f"image {shown(image)} lives in a read-only store", resolution="remove it there")
    if found.name and len(image.names) > 1 and not whole:
        return RemovalPlan(image=image, untag=(found.name,), delete=False)
    if not found.name and len(image.names) > 1 and not force and not whole:
        raise ImageError(
            f"image {image.id[:12]} has several names ({', '.join(image.names)}) and was given by its ID",
            resolution="name the one that is to go, or force the removal of all",
        )
    if users and not force:
        raise ImageInUseError(shown(image), users)
    return RemovalPlan(image=image, untag=image.names, delete=True, containers=tuple(users))


def remove(
    images: LocalImages,
    name_or_id: str,
    *,
    force: bool = False,
    prune: bool = True,
    whole: bool = False,
    remove_container: RemoveContainer | None = None,
) -> list[RemovalReport]:
    """Remove an image or a name of it; returns what happened, the image itself first, then its ancestors.

    With *force*, *remove_container* is called for each container that is based on the image (by default the store's own
    record of it is deleted). Raises NoSuchImageError, AmbiguousNameError, ImageInUseError, ImageError.
    """
    return _remove(
        images, name_or_id, force=force, prune=prune, whole=whole, remove_container=remove_container
    )


def _remove(
    images: LocalImages,
    name_or_id: str,
    *,
    force: bool,
    prune: bool,
    whole: bool,
    remove_container: RemoveContainer | None,
    graph: ImageGraph | None = None,
) -> list[RemovalReport]:
    found = images.look_up(name_or_id)
    plan = plan_removal(found, users=users_of(images, found.image.id), force=force, whole=whole)
    if not plan.delete:
        images.store.remove_image_names(plan.image.id, plan.untag)
        return [RemovalReport(id=plan.image.id, untagged=plan.untag)]
    delete_container = remove_container or images.store.delete_container
    for ctr_id in plan.containers:
        delete_container(ctr_id)
    return _delete(images, plan.image, prune=prune, graph=graph)


def prune_candidates(
    graph: ImageGraph,
    *,
    used_images: Collection[str],
    everything: bool = False,
    filters: Sequence[str] = (),
    context: FilterContext | None = None,
) -> list[StoredImage]:
    """What a prune would remove now: images that no container is based on and that are dangling – or, with
    *everything*, whatever their names. Children come before their parents. Pure.
    """
    chosen = [
        image
        for image in graph.images
        if not image.read_only and image.id not in used_images and (everything or graph.is_dangling(image))
    ]
    if filters and context is not None:
        chosen = apply_filters(chosen, filters, context)
    depth = {image.id: (len(graph.chain(image)), _steps(graph, image)) for image in chosen}
    return sorted(chosen, key=lambda image: depth[image.id], reverse=True)


def prune(
    images: LocalImages, *, everything: bool = False, filters: Sequence[str] = ()
) -> list[RemovalReport]:
    """Remove what nobody needs, until nothing more can go; returns what went.

    An image that gets a container meanwhile stays. Raises InvalidArgumentError for a bad filter.
    """
    reports: list[RemovalReport] = []
    kept: set[str] = set()
    while True:
        graph = images.graph()
        used = {container.image_id for container in images.store.containers() if container.image_id} | kept
        try:
            chosen = prune_candidates(
                graph,
                used_images=used,
                everything=everything,
                filters=filters,
                context=context_of(images, graph),
            )
        except NoSuchImageError:
            if not reports:
                raise
            return reports  # the image that a filter speaks of went in the round before
        if not chosen:
            return reports
        for image in chosen:
            try:
                reports += _delete(images, image, prune=False, graph=graph)
            except (ImageInUseError, NoSuchImageError) as error:
                logger.info("not pruned: %s", error)
                kept.add(image.id)


def remove_all(
    images: LocalImages, *, force: bool = False, remove_container: RemoveContainer | None = None
) -> tuple[list[RemovalReport], Mapping[str, LibpodError]]:
    """Remove every image; what could not be removed is returned by image id, with the reason."""
    reports: list[RemovalReport] = []
    errors: dict[str, LibpodError] = {}
    graph = images.graph()
    writable = [image for image in graph.images if not image.read_only]
    for image in sorted(writable, key=lambda each: len(graph.chain(each)), reverse=True):
        try:
            reports += _remove(
                images,
                image.id,
                force=force,
                prune=False,
                whole=True,
                remove_container=remove_container,
                graph=graph,
            )
        except NoSuchImageError:
            continue
        except LibpodError as error:
            errors[image.id] = error
    return reports, errors


def users_of(images: LocalImages, image_id: str) -> list[str]:
    """The containers, of whatever program, that are based on the image."""
    return [container.id for container in images.store.containers() if container.image_id == image_id]


def _delete(
    images: LocalImages, image: StoredImage, *, prune: bool, graph: ImageGraph | None = None
) -> list[RemovalReport]:
    before = graph or images.graph()
    parent = before.parent(image) if prune else None
    size = before.size(image)
    images.store.delete_image(image.id)
    reports = [RemovalReport(id=image.id, untagged=image.names, deleted=True, size=size)]
    if parent is None or parent.names or parent.read_only or users_of(images, parent.id):
        return reports
    after = images.graph()
    current = next((each for each in after.images if each.id == parent.id), None)
    if current is None or not after.is_dangling(current):
        return reports
    return reports + _delete(images, current, prune=True, graph=after)


def _steps(graph: ImageGraph, image: StoredImage) -> int:
    settings = graph.settings(image)
    return len(settings.history) if settings is not None else 0
