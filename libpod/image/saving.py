"""Images into archives and registries.

    docker-archive    one tar, also for several images       oci-archive    one tar, also for several images
    docker-dir        a directory for one image              oci-dir        a directory, also for several images

skopeo writes one image at a time. Several go into one OCI layout one after the other; several Docker archives are
merged into one while they are copied, each layer once. Everything is made beside the target under a temporary name
and renamed when it is complete and on disk, so the target appears whole or not at all; what a killed process leaves is
a scratch directory beside it, which the next save there sweeps away. An existing target is refused, not replaced.

Covers: libimage/save.go, libimage/push.go
"""

from __future__ import annotations

import contextlib
import enum
import io
import os
import shutil
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import attrs

from libpod.define.errors import AlreadyExistsError, ImageError, InvalidArgumentError
from libpod.image.local import LocalImages
from libpod.image.look_up import FoundImage
from libpod.image.progress import Progress
from libpod.image.references import Location, Reference, Transport
from libpod.image.scratch import CHUNK, Scratch, scratch
from libpod.image.transport import CopyOptions, Skopeo
from libpod.linux.files import sync_directory
from libpod.linux.process import StrPath
from libpod.spec.image import decode_document, decode_json, encode_document


class SaveFormat(enum.StrEnum):
    """The kinds of archive, in podman's words."""

    DOCKER_ARCHIVE = "docker-archive"
    OCI_ARCHIVE = "oci-archive"
    OCI_DIRECTORY = "oci-dir"
    DOCKER_DIRECTORY = "docker-dir"

    @classmethod
    def parse(cls, text: str) -> SaveFormat:
        """The format that *text* names; raises InvalidArgumentError."""
        try:
            return cls(text)
        except ValueError:
            raise InvalidArgumentError(
                f'"{text}" is not an archive format', resolution=f"use {', '.join(cls)}"
            ) from None


class TargetExistsError(AlreadyExistsError):
    """The file or directory to save to is there already."""

    kind = "file"


@attrs.frozen(kw_only=True)
class SaveOptions:
    """What may be asked of a save."""

    format: SaveFormat = SaveFormat.DOCKER_ARCHIVE
    compress: bool = False
    """Compress the layers of a docker-dir."""
    uncompressed: bool = False
    """Leave the layers of the OCI formats uncompressed."""
    copy: CopyOptions = attrs.field(factory=CopyOptions)


def save(
    skopeo: Skopeo,
    images: LocalImages,
    names: Sequence[str],
    target: StrPath | BinaryIO,
    options: SaveOptions | None = None,
    *,
    progress: Progress | None = None,
) -> None:
    """Write the images *names* into *target*: a path that does not exist, or for archives a stream.

    The names as stored go into the archive; an image given by its id takes all its names along. Raises
    NoSuchImageError, TargetExistsError, InvalidArgumentError, ImageError and what `Skopeo.copy` raises.
    """
    wish = options or SaveOptions()
    chosen = _grouped(images, names, wish.format)
    if not isinstance(target, (str, os.PathLike)):
        _save_to_stream(skopeo, chosen, target, wish, progress)
        return
    path = Path(target)
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise TargetExistsError(str(path), message=f"{path} exists already")
    if not path.parent.is_dir():
        raise InvalidArgumentError(f"{path.parent}, where the archive is to be, is not a directory")
    with scratch(path.parent) as beside, scratch(skopeo.tmpdir) as work:
        made = _make(skopeo, chosen, _reachable(beside.path, work), work, wish, progress)
        try:
            if not made.is_dir():
                _sync(made)
            if path.is_dir():
                path.rmdir()
            os.rename(made, path)
            sync_directory(path.parent)
        except OSError as error:
            raise ImageError(f"{path} cannot be written: {error.strerror}") from error


def push(
    skopeo: Skopeo,
    images: LocalImages,
    name_or_id: str,
    destination: str = "",
    options: CopyOptions | None = None,
    *,
    progress: Progress | None = None,
) -> str:
    """Copy an image to a registry (default: the one in its name) or another place; returns the digest it has there.

    A registry has the image completely or not under that tag: the manifest is written last. A push that broke off
    leaves blobs at most, which the next one uses. Raises NoSuchImageError and what `Skopeo.copy` raises.
    """
    whole_list = options is not None and options.all_platforms
    found = images.look_up(name_or_id) if whole_list else images.resolve(name_or_id)
    if destination:
        target = Location.parse(destination) or Location.registry(Reference.parse(destination).normalised())
    elif found.name:
        target = Location.registry(Reference.parse(found.name))
    else:
        raise InvalidArgumentError(
            f"image {found.image.id[:12]} was named by its ID: where to push it is not known",
            resolution="give a destination",
        )
    if (
        target.transport is Transport.REGISTRY
        and Reference.parse(target.details).normalised().domain == "localhost"
    ):
        raise InvalidArgumentError(
            f'"{target.details}" names no registry: localhost/ is for images that stay here',
            resolution="give a destination such as registry.example.org/name",
        )
    subject = f"pushing {name_or_id} to {target.details}"
    return skopeo.copy(_in_store(skopeo, found), target, options, progress=progress, subject=subject)


# ---- making archives ------------------------------------------------------------------------------------------


def _grouped(
    images: LocalImages, names: Sequence[str], kind: SaveFormat
) -> list[tuple[FoundImage, tuple[str, ...]]]:
    """Each image once, with all names it was asked by."""
    if not names:
        raise InvalidArgumentError("an image to save must be named")
    grouped: dict[str, tuple[FoundImage, list[str]]] = {}
    for name in names:
        found = images.resolve(name)
        _, taken = grouped.setdefault(found.image.id, (found, []))
        taken += [found.name] if found.name else [held for held in found.image.names if "@" not in held]
    if kind is SaveFormat.DOCKER_DIRECTORY and len(grouped) > 1:
        raise InvalidArgumentError(
            "a docker-dir holds one image only", resolution="save the images one by one"
        )
    return [(found, tuple(dict.fromkeys(taken))) for found, taken in grouped.values()]


def _make(
    skopeo: Skopeo,
    chosen: Sequence[tuple[FoundImage, tuple[str, ...]]],
    folder: Path,
    work: Scratch,
    wish: SaveOptions,
    progress: Progress | None,
) -> Path:
    target = folder / "image"
    several = len(chosen) > 1
    for number, (found, names) in enumerate(chosen):
        subject = f"saving {names[0] if names else found.image.id[:12]}"
        source, options = _in_store(skopeo, found), _copy_options(wish, names)
        if wish.format is SaveFormat.DOCKER_ARCHIVE:
            path = folder / f"part-{number}" if several else target
            destination = Location(transport=Transport.DOCKER_ARCHIVE, details=_named(path, names[:1]))
            skopeo.copy(source, destination, options, progress=progress, work=work, subject=subject)
        elif wish.format is SaveFormat.DOCKER_DIRECTORY:
            destination = Location(transport=Transport.DIRECTORY, details=str(target))
            skopeo.copy(source, destination, options, progress=progress, work=work, subject=subject)
        else:
            layout = folder / "layout" if wish.format is SaveFormat.OCI_ARCHIVE else target
            for name in names or ("",):
                destination = Location(
                    transport=Transport.OCI_LAYOUT, details=_named(layout, [name] if name else [])
                )
                skopeo.copy(source, destination, options, progress=progress, work=work, subject=subject)
    if wish.format is SaveFormat.OCI_ARCHIVE:
        _tar_layout(folder / "layout", target)
    elif wish.format is SaveFormat.DOCKER_ARCHIVE and several:
        merge_docker_archives([folder / f"part-{number}" for number in range(len(chosen))], target)
    return target


def _in_store(skopeo: Skopeo, found: FoundImage) -> Location:
    # The name matters for signatures and `--format`; the id makes sure that it is this image.
    reference = Reference.parse(found.name) if found.name and "@" not in found.name else None
    return skopeo.store.location(reference, image_id=found.image.id)


def _copy_options(wish: SaveOptions, names: Sequence[str]) -> CopyOptions:
    options = wish.copy
    if wish.format is SaveFormat.DOCKER_ARCHIVE:
        options = attrs.evolve(options, additional_tags=tuple(names[1:]))
    if wish.format is SaveFormat.DOCKER_DIRECTORY and not options.format:
        options = attrs.evolve(options, format="v2s2")
    if wish.format is SaveFormat.DOCKER_DIRECTORY and wish.compress:
        options = attrs.evolve(options, compression="gzip")
    if wish.format in (SaveFormat.OCI_ARCHIVE, SaveFormat.OCI_DIRECTORY):
        options = attrs.evolve(options, format=options.format or "oci")
        if wish.uncompressed:
            options = attrs.evolve(options, compression="none")
    return options


def _named(path: Path, names: Sequence[str]) -> str:
    return f"{path}:{names[0]}" if names else str(path)


def _reachable(folder: Path, work: Scratch) -> Path:
    """*folder*, through a link when its path has a colon, which ends a path in skopeo's notation."""
    if ":" not in str(folder):
        return folder
    link = work.path / "beside"
    link.symlink_to(folder.absolute())
    return link


def _save_to_stream(
    skopeo: Skopeo,
    chosen: Sequence[tuple[FoundImage, tuple[str, ...]]],
    target: BinaryIO,
    wish: SaveOptions,
    progress: Progress | None,
) -> None:
    if wish.format in (SaveFormat.OCI_DIRECTORY, SaveFormat.DOCKER_DIRECTORY):
        raise InvalidArgumentError(f"{wish.format} is a directory and cannot be written to a stream")
    with scratch(skopeo.tmpdir) as work:
        folder = work.path / "made"
        folder.mkdir()
        made = _make(skopeo, chosen, folder, work, wish, progress)
        with made.open("rb") as stream:
            shutil.copyfileobj(stream, target, CHUNK)


def _tar_layout(layout: Path, target: Path) -> None:
    """An OCI layout as a tar; equal layouts give equal tars."""
    files = sorted(path for path in layout.rglob("*") if path.is_file())
    # The index first: whoever reads a stream knows at once what it holds.
    files.sort(key=lambda path: path.parent != layout)
    with tarfile.TarFile(target, "w", format=tarfile.PAX_FORMAT, copybufsize=CHUNK) as tar:
        for path in files:
            info = _member(path.relative_to(layout).as_posix(), path.stat().st_size)
            with path.open("rb") as stream:
                tar.addfile(info, stream)
            path.unlink()  # not twice on the disk for longer than needed


def merge_docker_archives(parts: Sequence[Path], target: Path) -> None:
    """One Docker archive with the images of all *parts*, each layer and configuration once."""
    manifest: list[dict[str, Any]] = []
    repositories: dict[str, dict[str, str]] = {}
    written: set[str] = set()
    with tarfile.TarFile(target, "w", format=tarfile.PAX_FORMAT, copybufsize=CHUNK) as merged:
        for part in parts:
            with tarfile.open(part, "r:") as tar:
                for member, stream in _members(tar):
                    if member.name == "manifest.json" and stream is not None:
                        manifest += decode_json(stream.read(), subject="the manifest that skopeo wrote")
                    elif member.name == "repositories" and stream is not None:
                        known = decode_document(stream.read(), subject="the names that skopeo wrote")
                        for name, tags in known.items():
                            repositories.setdefault(name, {}).update(tags)
                    elif member.name not in written:
                        written.add(member.name)
                        merged.addfile(member, stream)
            part.unlink()
        for name, document in (("manifest.json", manifest), ("repositories", repositories)):
            data = encode_document(document)
            merged.addfile(_member(name, len(data)), io.BytesIO(data))


def _members(tar: tarfile.TarFile) -> Iterator[tuple[tarfile.TarInfo, Any]]:
    for member in tar:
        stream = tar.extractfile(member) if member.isreg() else None
        with contextlib.closing(stream) if stream is not None else contextlib.nullcontext():
            yield member, stream


def _member(name: str, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    return info


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
