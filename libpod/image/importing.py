"""A root file system becomes an image.

The source – a tar, compressed or not, a directory, or a stream – becomes the single layer of an OCI layout in a
scratch directory; skopeo copies that into the store. Content and configuration decide the id, so importing the same
source with the same `created` twice gives the same image.

Killed in the middle: before the copy there is only the scratch directory, which the next image operation sweeps away;
during the copy see `libpod.image.transport`. The name moves to the new image last.

Covers: libimage/import.go, libpod/runtime_img.go (Import)
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import attrs

from libpod.define.errors import ImageError
from libpod.image.changes import apply_changes
from libpod.image.decompression import decompressed
from libpod.image.layout import Layout, WrittenLayer, hashed
from libpod.image.platforms import host_platform
from libpod.image.progress import Progress
from libpod.image.references import normalise
from libpod.image.scratch import CHUNK, scratch
from libpod.image.transport import Skopeo
from libpod.image.tree_tar import write_tree
from libpod.linux.process import StrPath
from libpod.model.times import now
from libpod.spec.image import History, ImageConfig, Platform

Source = StrPath | BinaryIO


@attrs.frozen(kw_only=True)
class ImportOptions:
    """What may be asked of an import."""

    changes: Sequence[str] = ()
    """Dockerfile instructions, see `libpod.image.changes`."""
    message: str = ""
    author: str = ""
    created: str = ""
    """RFC 3339; default the present time."""
    platform: Platform = attrs.field(factory=host_platform)
    one_file_system: bool = False
    """Of a directory, leave out what is mounted below it."""


def import_rootfs(
    skopeo: Skopeo,
    source: Source,
    name: str | None = None,
    options: ImportOptions | None = None,
    *,
    progress: Progress | None = None,
) -> str:
    """Make an image of *source* and return its id; *name* is normalised (a short one goes to `localhost/`).

    Without a name the image is found by its id only. Raises InvalidArgumentError, ImageError, ProgramMissingError.
    """
    wish = options or ImportOptions()
    reference = normalise(name) if name else None
    defaults = apply_changes({}, wish.changes)
    with scratch(skopeo.tmpdir) as work:
        layout = Layout(work.path / "layout")
        layer = _take_layer(layout, source, wish)
        created = wish.created or now()
        config: ImageConfig = {
            "created": created,
            "architecture": wish.platform["architecture"],
            "os": wish.platform["os"],
            "config": defaults,
            "rootfs": {"type": "layers", "diff_ids": [layer.digest]},
            "history": [_history(layer, created, wish)],
        }
        if "variant" in wish.platform:
            config["variant"] = wish.platform["variant"]
        if wish.author:
            config["author"] = wish.author
        image_id = layout.finish(config, [layer])
        skopeo.copy(
            layout.location,
            skopeo.store.location(reference, image_id=image_id),
            progress=progress,
            work=work,
            subject=f"importing {_shown(source)}",
        )
    return image_id


def _history(layer: WrittenLayer, created: str, options: ImportOptions) -> History:
    entry: History = {
        "created": created,
        "created_by": f"/bin/sh -c #(nop) ADD file:{layer.digest.removeprefix('sha256:')} in /",
    }
    if options.author:
        entry["author"] = options.author
    if options.message:
        entry["comment"] = options.message
    return entry


def _take_layer(layout: Layout, source: Source, options: ImportOptions) -> WrittenLayer:
    if not isinstance(source, (str, os.PathLike)):
        return _from_stream(layout, source)
    path = Path(source)
    try:
        if stat.S_ISDIR(path.stat().st_mode):
            with layout.layer() as sink:
                write_tree(path, sink, one_file_system=options.one_file_system)
            return WrittenLayer(digest=sink.digest(), size=sink.size)
        with path.open("rb") as stream:
            return _from_file(layout, path, stream)
    except OSError as error:
        raise ImageError(f"{path} cannot be imported: {error.strerror}") from error


def _from_file(layout: Layout, path: Path, stream: BinaryIO) -> WrittenLayer:
    kind, content = decompressed(stream)
    if kind != "none" or not path.is_file():
        return _copied(layout, content)
    layer = hashed(content)
    if not layer.size:
        raise ImageError(f"the root file system {path} is empty")
    layout.borrow_layer(path, layer.digest)
    return layer


def _from_stream(layout: Layout, stream: BinaryIO) -> WrittenLayer:
    return _copied(layout, decompressed(stream)[1])


def _shown(source: Source) -> str:
    return os.fspath(source) if isinstance(source, (str, os.PathLike)) else "the stream"


def _copied(layout: Layout, content: BinaryIO) -> WrittenLayer:
    with layout.layer() as sink:
        while data := content.read(CHUNK):
            sink.write(data)
        if not sink.size:
            raise ImageError("the root file system to import is empty")
    return WrittenLayer(digest=sink.digest(), size=sink.size)
