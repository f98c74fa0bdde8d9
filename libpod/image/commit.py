"""A container's changes become an image.

The container side brings the layer as a writer of a tar (`Store.diff_tar`, or for a squashed image the tar of the whole
root), the image it is based on, and what the container overrides of that image's settings. From them follow, by pure
functions, the new configuration and the list of layers; layer, configuration and manifest are laid out in a scratch
directory and copied by skopeo.

The layers of the base are only named, by their DiffIDs: the store has them, and skopeo uses what the store has without
looking for the blob. Should somebody remove the base image meanwhile, the copy fails and leaves nothing.

The OCI format has no place for a health check, but readers that know it find it where Docker puts it, so it is written
in both formats. Docker's format is the same image converted by skopeo; its id is the same.

Killed in the middle: before the copy there is a scratch directory, which the next image operation sweeps away; during
it see `libpod.image.transport`.

Covers: libpod/container_commit.go, buildah commit (the parts that libpod uses)
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import attrs

from libpod.define.errors import ImageError, InvalidArgumentError
from libpod.image.changes import apply_changes
from libpod.image.layout import Layout, WrittenLayer
from libpod.image.local import LocalImages
from libpod.image.look_up import shown
from libpod.image.platforms import host_platform
from libpod.image.progress import Progress
from libpod.image.references import normalise
from libpod.image.scratch import scratch
from libpod.image.transport import CopyOptions, Skopeo
from libpod.model.times import now
from libpod.spec.image import ContainerDefaults, Descriptor, History, MediaType

if TYPE_CHECKING:
    from libpod.storage.stored import StoredImage

WriteLayer = Callable[[BinaryIO], None]
"""Writes the tar of the new layer to a stream that can only be written to."""

FORMATS = {"oci": "", "docker": "v2s2"}


@attrs.frozen(kw_only=True)
class CommitOptions:
    """What may be asked of a commit."""

    defaults: ContainerDefaults | None = None
    """What containers of the new image get; None: what those of the base image get."""
    changes: Sequence[str] = ()
    """Dockerfile instructions, applied last."""
    author: str = ""
    message: str = ""
    created_by: str = ""
    """How the history calls the step: the container's command."""
    created: str = ""
    """RFC 3339; default the present time."""
    format: str = "oci"
    squash: bool = False
    """The writer gives the whole root file system: the image gets one layer and a history of one entry."""
    annotations: Mapping[str, str] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        if self.format not in FORMATS:
            raise InvalidArgumentError(
                f'"{self.format}" is not an image format', resolution="use oci or docker"
            )


def commit(
    skopeo: Skopeo,
    images: LocalImages,
    base: StoredImage | None,
    write_layer: WriteLayer,
    name: str | None = None,
    options: CommitOptions | None = None,
    *,
    progress: Progress | None = None,
) -> str:
    """Make an image of *base* and one more layer, give it *name* and return its id.

    *base* is None for a container that was made from nothing. A short name goes to `localhost/`; without a name the
    image is found by its id. The writer's errors go through unchanged. Raises ImageError, InvalidArgumentError.
    """
    wish = options or CommitOptions()
    reference = normalise(name) if name else None
    base_config = images.config(base) if base is not None else {}
    base_layers = base_descriptors(images, base) if base is not None and not wish.squash else []
    created = wish.created or now()
    with scratch(skopeo.tmpdir) as work:
        layout = Layout(work.path / "layout")
        with layout.layer() as sink:
            write_layer(cast("BinaryIO", sink))
        layer = WrittenLayer(digest=sink.digest(), size=sink.size)
        config = committed_config(base_config, layer, wish, created=created)
        image_id = layout.finish(
            config, [layer], base_layers=base_layers, annotations=wish.annotations or None
        )
        skopeo.copy(
            layout.location,
            skopeo.store.location(reference, image_id=image_id),
            CopyOptions(format=FORMATS[wish.format]),
            progress=progress,
            work=work,
            subject=f"committing {reference or image_id[:12]}",
        )
    return image_id


def committed_config(
    base: Mapping[str, Any], layer: WrittenLayer, options: CommitOptions, *, created: str
) -> dict[str, Any]:
    """The configuration of the new image. Pure; *base* is empty for a container made from nothing.

    Keys of the base that this version does not know are kept, except those that describe the base itself.
    """
    config = copy.deepcopy(dict(base))
    for key in (
        "id",
        "parent",
        "container",
        "container_config",
        "comment",
        "docker_version",
        "moby.buildkit.buildinfo.v1",
    ):
        config.pop(key, None)
    platform = host_platform()
    config.setdefault("architecture", platform["architecture"])
    config.setdefault("os", platform["os"])
    if not base and "variant" in platform:
        config["variant"] = platform["variant"]
    inherited = config.get("config")
    defaults = (
        options.defaults if options.defaults is not None else inherited if isinstance(inherited, dict) else {}
    )
    config["config"] = dict(apply_changes(cast("ContainerDefaults", defaults), options.changes))
    config["created"] = created
    if options.author:
        config["author"] = options.author
    older = config.get("rootfs")
    diff_ids = older.get("diff_ids") if isinstance(older, dict) else None
    kept = diff_ids if isinstance(diff_ids, list) and not options.squash else []
    config["rootfs"] = {"type": "layers", "diff_ids": [*kept, layer.digest]}
    history = config.get("history")
    before = history if isinstance(history, list) and not options.squash else []
    config["history"] = [*before, _step(options, created)]
    return config


def base_descriptors(images: LocalImages, base: StoredImage) -> list[Descriptor]:
    """The layers of *base*, lowest first, as uncompressed blobs that the store can supply.

    Raises ImageError when a layer is missing or was pulled in a way that did not tell its DiffID.
    """
    chain = list(reversed(images.graph().chain(base)))
    expected = images.settings(base).diff_ids
    found = [layer.diff_digest for layer in chain]
    if tuple(found) != expected:
        raise ImageError(
            f"the layers of image {shown(base)} in the store are not those of its configuration",
            resolution="pull or import the image again",
        )
    return [
        {
            "mediaType": MediaType.OCI_LAYER.value,
            "digest": str(layer.diff_digest),
            "size": layer.diff_size or 0,
        }
        for layer in chain
    ]


def _step(options: CommitOptions, created: str) -> History:
    step: History = {"created": created}
    if options.created_by:
        step["created_by"] = options.created_by
    if options.author:
        step["author"] = options.author
    if options.message:
        step["comment"] = options.message
    return step
