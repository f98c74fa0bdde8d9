"""Recognising what holds images: the four kinds of archive, whatever their names say.

    docker-archive    a tar with `manifest.json` (what `docker save` writes)
    oci-archive       a tar with `index.json` and `oci-layout`
    oci               a directory with `index.json` and `oci-layout`
    dir               a directory with `manifest.json` and `version`

Tars may be compressed as a whole; those are decompressed into the scratch directory first, because skopeo wants to
jump about in them. An archive is hostile: only names and the two index documents are looked at here, up
to fixed limits, and nothing is unpacked by us.

Covers: libimage/load.go, image/docker/archive, image/oci/archive
"""

from __future__ import annotations

import enum
import stat
import tarfile
from pathlib import Path
from typing import Any, BinaryIO

import attrs

from libpod.define.errors import ImageError
from libpod.image.decompression import decompressed
from libpod.spec.image import MAX_DOCUMENT, decode_document, decode_json

_MEMBERS_READ = 100_000

REF_NAME = "org.opencontainers.image.ref.name"
FULL_NAME = "io.containerd.image.name"


class ArchiveKind(enum.StrEnum):
    """What an archive is; the value is skopeo's transport."""

    DOCKER_ARCHIVE = "docker-archive"
    OCI_ARCHIVE = "oci-archive"
    OCI_LAYOUT = "oci"
    DOCKER_DIRECTORY = "dir"


@attrs.frozen(kw_only=True)
class ArchivedImage:
    """One image of an archive."""

    selector: str
    """What chooses it, in the words of the transport: `@0` or a reference; empty when there is only one."""
    names: tuple[str, ...]
    """The names that the archive gives it, as written."""


@attrs.frozen(kw_only=True)
class Archive:
    """What `recognise` found."""

    kind: ArchiveKind
    compression: str
    images: tuple[ArchivedImage, ...]


def recognise(path: Path) -> Archive:
    """Look into *path*; raises ImageError when it is none of the four kinds, or cannot be read."""
    try:
        if stat.S_ISDIR(path.stat().st_mode):
            return _directory(path)
        with path.open("rb") as stream:
            return _tar(path, stream)
    except OSError as error:
        raise ImageError(f"{path} cannot be read as an image archive: {error.strerror or error}") from error


def _directory(path: Path) -> Archive:
    if (path / "index.json").is_file() and (path / "oci-layout").is_file():
        document = decode_document(_limited(path / "index.json"), subject=f"the index of {path}")
        return Archive(kind=ArchiveKind.OCI_LAYOUT, compression="none", images=_oci_images(document))
    if (path / "manifest.json").is_file():
        images = (ArchivedImage(selector="", names=()),)
        return Archive(kind=ArchiveKind.DOCKER_DIRECTORY, compression="none", images=images)
    raise _unknown(path)


def _tar(path: Path, stream: BinaryIO) -> Archive:
    documents: dict[str, bytes] = {}
    try:
        compression, content = decompressed(stream)
        with tarfile.open(mode="r|", fileobj=content) as tar:
            for number, member in enumerate(tar):
                if number >= _MEMBERS_READ:
                    raise ImageError(f"{path} has more than {_MEMBERS_READ} members and is not read")
                name = member.name.removeprefix("./")
                if name in ("manifest.json", "index.json", "oci-layout") and member.isreg():
                    documents[name] = _member(tar, member, path)
                # OCI wins: archives of newer Docker versions are both, and their OCI half is the complete one.
                if "index.json" in documents and "oci-layout" in documents:
                    break
    except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
        if "manifest.json" not in documents:
            raise _unknown(path) from error
    if "index.json" in documents and "oci-layout" in documents:
        index = decode_document(documents["index.json"], subject=f"the index of {path}")
        return Archive(kind=ArchiveKind.OCI_ARCHIVE, compression=compression, images=_oci_images(index))
    if "manifest.json" in documents:
        images = _docker_images(documents["manifest.json"], path)
        return Archive(kind=ArchiveKind.DOCKER_ARCHIVE, compression=compression, images=images)
    raise _unknown(path)


def _member(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> bytes:
    if member.size > MAX_DOCUMENT:
        raise ImageError(f"{path} has an index of more than {MAX_DOCUMENT} bytes and is not read")
    stream = tar.extractfile(member)
    return stream.read() if stream is not None else b""


def _limited(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(MAX_DOCUMENT + 1)


def _docker_images(data: bytes, path: Path) -> tuple[ArchivedImage, ...]:
    entries = decode_json(data, subject=f"the manifest of {path}")
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise ImageError(f"the manifest of {path} does not list images")
    return tuple(
        ArchivedImage(selector=f"@{number}", names=_strings(entry.get("RepoTags")))
        for number, entry in enumerate(entries)
    )


def _oci_images(index: dict[str, Any]) -> tuple[ArchivedImage, ...]:
    entries = index.get("manifests")
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise ImageError("the index of the OCI image does not list manifests")
    images = []
    for entry in entries:
        annotations = entry.get("annotations")
        annotations = annotations if isinstance(annotations, dict) else {}
        selector = annotations.get(REF_NAME)
        full = annotations.get(FULL_NAME)
        selector = selector if isinstance(selector, str) else ""
        name = full if isinstance(full, str) else selector
        images.append(ArchivedImage(selector=selector, names=(name,) if name else ()))
    if len(images) > 1 and not all(image.selector for image in images):
        # skopeo chooses by name only; what has none cannot be asked for when there are several.
        images = [image for image in images if image.selector]
    if not images:
        raise ImageError(
            "the OCI image holds several images without names, of which none can be chosen",
            resolution="write it with names, or as one index",
        )
    return tuple(images)


def _strings(value: object) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def _unknown(path: Path) -> ImageError:
    return ImageError(
        f"{path} is not an image archive",
        resolution="load takes docker and OCI archives and directories; a root file system is imported",
    )
