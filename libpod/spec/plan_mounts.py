"""Everything that a new container has mounted on request.

Weakest first: the image's volumes, those of other containers, the configuration's, the request's. A stronger one
replaces a weaker one on the same destination, whatever the kinds. A read-only container gets writable memory on /run,
/tmp and /var/tmp, unless something is mounted there or it is not wanted.

Covers: pkg/specgen/generate/storage.go, pkg/specgenutil/volumes.go (read-only tmpfs)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from libpod.config import RuntimeConfig
from libpod.define.errors import InvalidArgumentError
from libpod.model.container_config import ContainerConfig, ImageVolume, NamedVolume, OverlayVolume
from libpod.model.create_options import CreateOptions
from libpod.model.mount_text import parse_volume
from libpod.model.mounts import (
    BindMount,
    ImageMount,
    Mount,
    OverlayMount,
    TmpfsMount,
    VolumeMount,
    clean_destination,
)
from libpod.spec import mounts
from libpod.spec.surroundings import Surroundings

if TYPE_CHECKING:
    from libpod.spec.document_parts import MountEntry

_IMAGE_VOLUME_OPTIONS = ("rprivate", "rw", "nodev", "exec")
_READ_ONLY_TMPFS = ("/run", "/tmp", "/var/tmp")

_Planned: TypeAlias = "MountEntry | NamedVolume | OverlayVolume | ImageVolume"


class PlannedMounts(msgspec.Struct, frozen=True, kw_only=True):
    """The decision: entries of the template, and what the engine mounts itself before."""

    entries: list[MountEntry]
    volumes: tuple[NamedVolume, ...]
    overlays: tuple[OverlayVolume, ...]
    images: tuple[ImageVolume, ...]
    destinations: tuple[str, ...]
    """All destinations a user, or the image, asked for."""


def plan_mounts(
    options: CreateOptions,
    *,
    image_volumes: Iterable[str],
    config: RuntimeConfig,
    around: Surroundings,
    read_only: bool,
    volume_name: Callable[[], str],
) -> PlannedMounts:
    """Decide; raises InvalidArgumentError."""
    found: dict[str, _Planned] = {}
    mode = options.image_volume or config.image_volume_mode
    for path in image_volumes:
        if mode != "ignore":
            destination = clean_destination(path)
            found[destination] = _image_volume(destination, mode, volume_name)
    for text in options.volumes_from:
        found |= _volumes_of(text, around)
    asked = {mount.destination: mount for mount in options.all_mounts}
    for text in config.containers.volumes:
        mount = parse_volume(text)
        asked.setdefault(mount.destination, mount)
    if read_only and options.read_only_tmpfs:
        for destination in _READ_ONLY_TMPFS:
            asked.setdefault(destination, TmpfsMount(destination=destination, options=("rprivate", "rw")))
    for destination, item in asked.items():
        found[destination] = _planned(item, volume_name)
    if around.init_program:
        if mounts.INIT_PATH in found:
            raise InvalidArgumentError(
                f"{mounts.INIT_PATH} is where the init program goes", resolution="mount elsewhere"
            )
        found[mounts.INIT_PATH] = {
            "destination": mounts.INIT_PATH,
            "type": "bind",
            "source": around.init_program,
            "options": mounts.bind_options(("bind", "ro")),
        }
    return PlannedMounts(
        entries=[item for item in found.values() if isinstance(item, dict)],
        volumes=tuple(item for item in found.values() if isinstance(item, NamedVolume)),
        overlays=tuple(item for item in found.values() if isinstance(item, OverlayVolume)),
        images=tuple(item for item in found.values() if isinstance(item, ImageVolume)),
        destinations=tuple(found),
    )


def _planned(mount: Mount, volume_name: Callable[[], str]) -> _Planned:
    if isinstance(mount, VolumeMount):
        return NamedVolume(
            name=mount.name or volume_name(),
            dest=mount.destination,
            options=mounts.volume_options(mount.options),
            is_anonymous=not mount.name,
            sub_path=mount.sub_path,
        )
    if isinstance(mount, OverlayMount):
        return OverlayVolume(dest=mount.destination, source=mount.source, options=mount.options)
    if isinstance(mount, ImageMount):
        return ImageVolume(source=mount.source, dest=mount.destination, read_write=mount.read_write)
    return mounts.user_mount(mount)


def _image_volume(destination: str, mode: str, volume_name: Callable[[], str]) -> _Planned:
    if mode == "tmpfs":
        return mounts.user_mount(TmpfsMount(destination=destination, options=_IMAGE_VOLUME_OPTIONS))
    return NamedVolume(
        name=volume_name(),
        dest=destination,
        options=mounts.volume_options(_IMAGE_VOLUME_OPTIONS),
        is_anonymous=True,
    )


def _volumes_of(text: str, around: Surroundings) -> dict[str, _Planned]:
    """What another container has mounted on request; its options, unless others are given."""
    name, _, words = text.partition(":")
    owner: ContainerConfig | None = around.containers.get(name)
    if owner is None:
        raise InvalidArgumentError(f'the container "{name}" whose volumes are wanted was not looked up')
    options = tuple(filter(None, words.split(",")))
    found: dict[str, _Planned] = {}
    for entry in owner.spec.get("mounts") or ():
        if entry.get("type") == "bind" and entry["destination"] in owner.user_volumes:
            given = options or tuple(entry.get("options") or ())
            found[entry["destination"]] = mounts.user_mount(
                BindMount(source=entry["source"], destination=entry["destination"], options=given)
            )
    for volume in owner.named_volumes:
        given = options or volume.options
        found[volume.dest] = NamedVolume(
            name=volume.name, dest=volume.dest, options=mounts.volume_options(given), sub_path=volume.sub_path
        )
    return found
