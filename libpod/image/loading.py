"""Images out of archives.

`load` recognises the kind by the content, then copies image after image. Each gets the names that the archive gives
it, normalised; without any it is found by its id. Images of one archive are independent: when the third fails, the
first two are there, and loading again is safe.

Killed in the middle: as `libpod.image.transport` says, once per image.

Covers: libimage/load.go, libpod/runtime_img.go (LoadImage)
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

import attrs

from libpod.define.errors import InvalidArgumentError, NoSuchImageError
from libpod.image.archives import Archive, ArchivedImage, ArchiveKind, recognise
from libpod.image.decompression import decompressed
from libpod.image.local import LocalImages
from libpod.image.progress import Progress
from libpod.image.references import Location, Reference, Transport, normalise
from libpod.image.scratch import Scratch, fill, scratch
from libpod.image.transport import CopyOptions, Skopeo
from libpod.linux.process import StrPath
from libpod.spec.image import digest_of


@attrs.frozen(kw_only=True)
class LoadedImage:
    """One image that came out of an archive."""

    id: str
    names: tuple[str, ...]


def load(
    skopeo: Skopeo,
    images: LocalImages,
    source: StrPath | BinaryIO,
    *,
    only: str = "",
    options: CopyOptions | None = None,
    progress: Progress | None = None,
) -> list[LoadedImage]:
    """Load every image of an archive, given as a path or a stream, and return them in its order.

    *only* chooses one, by a name that the archive gives it or by `@number`. Raises NoSuchImageError when it has none
    of that name, ImageError when it is no archive, is damaged or holds nothing usable, and what `Skopeo.copy` raises.
    """
    with scratch(skopeo.tmpdir) as work:
        path = _at_hand(source, work)
        archive = recognise(path)
        if archive.compression != "none":
            path = _decompressed(path, work)
        chosen = choose(archive, only) if only else archive.images
        return [
            _load_one(skopeo, images, path, archive.kind, image, work, options, progress) for image in chosen
        ]


def choose(archive: Archive, only: str) -> tuple[ArchivedImage, ...]:
    """The image of the archive that *only* names; raises NoSuchImageError."""
    if only.startswith("@") and only[1:].isdecimal() and int(only[1:]) < len(archive.images):
        return (archive.images[int(only[1:])],)
    for image in archive.images:
        meant = [image.selector, *image.names, *map(str, stored_names(image))]
        if only in meant or any(name == f"{only}:latest" for name in meant):
            return (image,)
    raise NoSuchImageError(only, message=f'the archive has no image "{only}"')


def source_location(path: Path, kind: ArchiveKind, image: ArchivedImage) -> Location:
    """Where skopeo finds one image of an archive. Pure; *path* must have no colon."""
    selector = f":{image.selector}" if image.selector else ""
    return Location(transport=Transport(kind.value), details=f"{path}{selector}")


def stored_names(image: ArchivedImage) -> list[Reference]:
    """The names under which an image of an archive is stored; what is no name is left out.

    An OCI layout may name its images by a tag alone (`latest`); that is a name in `localhost/`, as everywhere else.
    """
    names = []
    for name in image.names:
        try:
            names.append(normalise(name))
        except InvalidArgumentError:
            continue
    return list(dict.fromkeys(names))


def _load_one(
    skopeo: Skopeo,
    images: LocalImages,
    path: Path,
    kind: ArchiveKind,
    image: ArchivedImage,
    work: Scratch,
    options: CopyOptions | None,
    progress: Progress | None,
) -> LoadedImage:
    source = source_location(path, kind, image)
    names = stored_names(image)
    shown = str(names[0]) if names else "the image"
    subject = f"loading {shown} from {path.name}"
    image_id = _image_id(skopeo, source, work, options, subject)
    destination = skopeo.store.location(names[0] if names else None, image_id=image_id)
    skopeo.copy(source, destination, options, progress=progress, work=work, subject=subject)
    if len(names) > 1:
        # Reversed, because names are put in front: the archive's order is the image's order.
        images.store.add_image_names(image_id, [str(name) for name in names])
    return LoadedImage(id=image_id, names=tuple(str(name) for name in names))


def _image_id(
    skopeo: Skopeo, source: Location, work: Scratch, options: CopyOptions | None, subject: str
) -> str:
    """The id the image will have: the digest of its configuration; of a list, of the instance that is chosen."""
    return digest_of(skopeo.inspect_config(source, options, work=work, subject=subject)).removeprefix(
        "sha256:"
    )


def _at_hand(source: StrPath | BinaryIO, work: Scratch) -> Path:
    path = work.path / "archive"
    if isinstance(source, (str, os.PathLike)):
        if ":" not in os.fspath(source):
            return Path(source)
        # A colon ends the path in skopeo's notation; a link has none.
        path.symlink_to(Path(source).absolute())
        return path
    fill(path, source)
    return path


def _decompressed(path: Path, work: Scratch) -> Path:
    plain = work.path / "plain.tar"
    with path.open("rb") as stream:
        fill(plain, decompressed(stream)[1])
    return plain
