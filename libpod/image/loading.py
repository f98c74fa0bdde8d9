"""Images out of archives.

`load` recognises the kind by the content, then copies image after image. Each gets the names that the archive gives
it, normalised; without any it is found by its id. Images of one archive are independent: when the third fails, the
first two are there, and loading again is safe.

Killed in the middle: as `libpod.image.transport` says, once per image.

Covers: libimage/load.go, libpod/runtime_img.go (LoadImage)
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import BinaryIO

import attrs

from libpod.define.errors import ImageError, InvalidArgumentError
from libpod.image.archives import Archive, ArchivedImage, ArchiveKind, recognise
from libpod.image.decompression import decompressed
from libpod.image.layout import CHUNK
from libpod.image.local import LocalImages
from libpod.image.progress import Progress
from libpod.image.references import Location, Reference, Transport, normalise
from libpod.image.scratch import Scratch, scratch
from libpod.image.transport import CopyOptions, Skopeo
from libpod.linux.process import StrPath
from libpod.spec.image import decode_document


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
    platform_options: CopyOptions | None = None,
    progress: Progress | None = None,
) -> list[LoadedImage]:
    """Load every image of an archive, given as a path or a stream, and return them in its order.

    Raises ImageError when it is no archive, is damaged or holds nothing usable, and what `Skopeo.copy` raises.
    """
    with scratch(skopeo.tmpdir) as work:
        path = _at_hand(source, work)
        archive = recognise(path)
        if archive.compression != "none":
            path = _decompressed(path, work)
        return [
            _load_one(skopeo, images, path, archive, image, work, platform_options, progress)
            for image in archive.images
        ]


def source_location(path: Path, kind: ArchiveKind, image: ArchivedImage) -> Location:
    """Where skopeo finds one image of an archive. Pure; raises InvalidArgumentError for a path it cannot be told."""
    if ":" in str(path) and kind is not ArchiveKind.DOCKER_DIRECTORY:
        raise InvalidArgumentError(f'the path "{path}" has a colon, which the transports cannot express')
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
    archive: Archive,
    image: ArchivedImage,
    work: Scratch,
    options: CopyOptions | None,
    progress: Progress | None,
) -> LoadedImage:
    source = source_location(path, archive.kind, image)
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
    """The id the image will have: the digest of its configuration, which skopeo computes for us."""
    manifest = decode_document(
        skopeo.inspect_raw(source, options, work=work, subject=subject), subject="the manifest"
    )
    config = manifest.get("config")
    digest = config.get("digest") if isinstance(config, dict) else None
    if not isinstance(digest, str) or not digest.startswith("sha256:"):
        raise ImageError(f"{subject} failed: its manifest names no configuration")
    return digest.removeprefix("sha256:")


def _at_hand(source: StrPath | BinaryIO, work: Scratch) -> Path:
    if isinstance(source, (str, Path)) or hasattr(source, "__fspath__"):
        return Path(source)
    path = work.path / "archive"
    with path.open("wb") as stream:
        shutil.copyfileobj(source, stream, CHUNK)
    return path


def _decompressed(path: Path, work: Scratch) -> Path:
    plain = work.path / "plain.tar"
    try:
        with path.open("rb") as stream, plain.open("wb") as target:
            shutil.copyfileobj(decompressed(stream)[1], target, CHUNK)
    except (OSError, EOFError, ValueError) as error:
        raise ImageError(f"{path} is damaged: {error}") from error
    return plain
