"""What can be told about local images: the list, the inspect document, history and tree.

Keys and values are podman's, so that scripts and templates written for it work. One call is one reading of the store;
configurations and manifests are content-addressed and come from the cache of `LocalImages` after the first time.

Covers: libimage/inspect.go, libimage/history.go, cmd/podman/images/list.go (the summary)
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import attrs

from libpod.define.errors import InvalidArgumentError
from libpod.image.filters import apply_filters, context_of, created_ns
from libpod.image.graph import HistoryEntry, ImageGraph, TreeLayer
from libpod.image.local import LocalImages
from libpod.image.look_up import is_runnable, shown
from libpod.image.references import Reference
from libpod.spec.image import MediaType, media_type

if TYPE_CHECKING:
    from libpod.storage.stored import StoredImage

DOCKER_TYPES = (MediaType.DOCKER_MANIFEST, "application/vnd.docker.distribution.manifest.v1+prettyjws")


@attrs.frozen(kw_only=True)
class ImageSummary:
    """One image in a list."""

    id: str
    names: tuple[str, ...]
    names_history: tuple[str, ...]
    digest: str
    repo_digests: tuple[str, ...]
    parent_id: str
    created: str
    """RFC 3339."""
    created_unix: int
    size: int
    shared_size: int
    labels: dict[str, str]
    containers: int
    """How many containers are based on it, whoever made them."""
    dangling: bool
    intermediate: bool
    read_only: bool
    is_list: bool

    def document(self) -> dict[str, Any]:
        """The JSON object that `podman images --format json` prints."""
        created_at = self.created.partition(".")[0].removesuffix("Z") + "Z"
        document: dict[str, Any] = {
            "Id": self.id,
            "ParentId": self.parent_id,
            "RepoTags": None,
            "RepoDigests": list(self.repo_digests),
            "Size": self.size,
            "SharedSize": self.shared_size,
            "VirtualSize": self.size,
            "Labels": self.labels or None,
            "Containers": self.containers,
            "Names": list(self.names),
            "Digest": self.digest,
            "History": list(self.names_history),
            "Created": self.created_unix,
            "CreatedAt": created_at,
        }
        for key in ("Names", "History"):
            if not document[key]:
                del document[key]
        if self.dangling:
            document["Dangling"] = True
        if self.read_only:
            document["ReadOnly"] = True
        return document


def summaries(
    images: LocalImages,
    *,
    filters: Sequence[str] = (),
    name: str = "",
    include_intermediate: bool = False,
) -> list[ImageSummary]:
    """The images, newest first; raises InvalidArgumentError and NoSuchImageError for bad filters.

    *name* is what is given to `images NAME`: a name, an id or a pattern. Steps of builds are shown only on request, or
    when a filter speaks about them.
    """
    graph = images.graph()
    containers = Counter(container.image_id for container in images.store.containers() if container.image_id)
    wanted = [*filters, *([f"reference={name}"] if name else [])]
    chosen = apply_filters(graph.images, wanted, context_of(images, graph))
    about_steps = include_intermediate or any(
        text.startswith(("intermediate", "dangling", "id")) for text in filters
    )
    made = [_summary(images, graph, image, containers[image.id]) for image in chosen]
    shown = [summary for summary in made if about_steps or not summary.intermediate]
    return sorted(shown, key=lambda summary: summary.created_unix, reverse=True)


def inspect(images: LocalImages, wanted: str | StoredImage) -> dict[str, Any]:
    """The document of `podman image inspect`; raises NoSuchImageError, AmbiguousNameError, ImageError."""
    image = images.find(wanted) if isinstance(wanted, str) else wanted
    graph = images.graph()
    manifest = images.manifest(image)
    if not is_runnable(manifest):
        raise InvalidArgumentError(
            f'"{shown(image)}" is a manifest list or an artifact, not an image',
            resolution="inspect its manifest instead",
        )
    config, settings = images.config(image), images.settings(image)
    kind = media_type(manifest)
    parent = graph.parent(image)
    size = graph.size(image)
    history = [dict(entry) for entry in settings.history]
    comment = (
        settings.comment if kind in DOCKER_TYPES else str(history[0].get("comment", "")) if history else ""
    )
    annotations = manifest.get("annotations")
    rootfs = config.get("rootfs")
    document: dict[str, Any] = {
        "Id": image.id,
        "Digest": image.digest or "",
        "RepoTags": [name for name in image.names if "@" not in name],
        "RepoDigests": repo_digests(image),
        "Parent": parent.id if parent is not None else "",
        "Comment": comment,
        "Created": settings.created or None,
        "Config": container_defaults(config),
        "Version": str(config.get("docker_version") or ""),
        "Author": settings.author,
        "Architecture": settings.architecture,
        "Os": settings.os,
        "Size": size,
        "VirtualSize": size,
        "GraphDriver": _driver_data(images, graph, image),
        "RootFS": {
            "Type": rootfs.get("type", "layers") if isinstance(rootfs, dict) else "layers",
            "Layers": list(settings.diff_ids),
        },
        "Labels": dict(settings.labels) or None,
        "Annotations": annotations if isinstance(annotations, dict) else {},
        "ManifestType": str(kind),
        "User": settings.user,
        "History": history,
        "NamesHistory": list(image.names_history) or None,
    }
    if settings.healthcheck is not None:
        document["Healthcheck"] = settings.healthcheck
    return document


def history(images: LocalImages, name_or_id: str) -> list[HistoryEntry]:
    """The steps that led to the image, newest first."""
    return images.graph().history(images.find(name_or_id))


def tree(images: LocalImages, name_or_id: str, *, what_requires: bool = False) -> list[TreeLayer]:
    """The image's layers from the base up, or with *what_requires* everything built upon it."""
    graph, image = images.graph(), images.find(name_or_id)
    return graph.tree_above(image) if what_requires else graph.tree(image)


def repo_digests(image: StoredImage) -> list[str]:
    """`repository@digest` for every repository and every digest of the image, sorted."""
    found = set()
    for name in image.names:
        try:
            reference = Reference.parse(name)
        except InvalidArgumentError:
            continue
        found |= {str(reference.with_digest(digest)) for digest in image.digests}
    return sorted(found)


_OCI_CONFIG_KEYS = (
    "User",
    "ExposedPorts",
    "Env",
    "Entrypoint",
    "Cmd",
    "Volumes",
    "WorkingDir",
    "Labels",
    "StopSignal",
    "ArgsEscaped",
)


def container_defaults(config: dict[str, Any]) -> dict[str, Any]:
    """What podman shows as `Config`: the OCI keys that are set, in the specification's order."""
    inner = config.get("config")
    inner = inner if isinstance(inner, dict) else {}
    return {key: inner[key] for key in _OCI_CONFIG_KEYS if inner.get(key)}


def _summary(images: LocalImages, graph: ImageGraph, image: StoredImage, containers: int) -> ImageSummary:
    settings = graph.settings(image)
    children = not image.names and bool(graph.children(image))
    parent = graph.parent(image)
    nanoseconds = created_ns(image)
    return ImageSummary(
        id=image.id,
        names=image.names,
        names_history=image.names_history,
        digest=image.digest or "",
        repo_digests=tuple(repo_digests(image)),
        parent_id=parent.id if parent is not None else "",
        created=image.created,
        created_unix=nanoseconds // 10**9,
        size=graph.size(image),
        shared_size=0,
        labels=dict(settings.labels) if settings is not None else {},
        containers=containers,
        dangling=not image.names and not children,
        intermediate=children,
        read_only=image.read_only,
        is_list=images.is_list(image),
    )


def _driver_data(images: LocalImages, graph: ImageGraph, image: StoredImage) -> dict[str, Any]:
    driver = images.store.driver
    data: dict[str, str] = {}
    layer = graph.layers.get(image.top_layer or "")
    if layer is not None:
        stack = driver.stack(layer.id, layer.parent)
        if stack.lowers:
            data["LowerDir"] = ":".join(os.path.realpath(lower) for lower in stack.lowers)
        data["UpperDir"] = str(stack.upper)
        data["WorkDir"] = str(stack.upper.parent / "work")
    return {"Name": driver.name, "Data": data}
