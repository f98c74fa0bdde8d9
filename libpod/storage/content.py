"""The content of layers: changes, diffs, sizes.

The layer is looked up under the locks, its directories are read without them: reading a big layer takes long, and a
lock held meanwhile would stop every podman on the machine. The layers below cannot go away while the container exists;
should the container itself be removed meanwhile, a StorageError says so.

Covers: storage/layers.go (Changes, Diff, DiffSize), storage/store.go (the same), storage/drivers/fsdiff.go
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from libpod.define.errors import StorageError
from libpod.storage import layers
from libpod.storage.driver import LayerStack
from libpod.storage.id_maps import Owner
from libpod.storage.parts import StoreParts

# The readers of whole trees are loaded by the functions that read some: a run, a listing, a removal do not.
if TYPE_CHECKING:
    from libpod.storage import merged
    from libpod.storage.changes import Change


def stack(parts: StoreParts, layer_id: str) -> LayerStack:
    """The directories that make up the layer."""
    with parts.locks.reading_layers() as held:
        found = parts.all_layers(held).get(layer_id)
        if found is None:
            raise StorageError(f"there is no layer {layer_id} in the store")
        parent = found[0].get("parent") or None
        try:
            return parts.driver.stack(layer_id, parent)
        except StorageError as error:
            damage = error
    # A lost short link can be made again, which takes the write lock.
    if not repair(parts):
        raise damage
    with parts.locks.reading_layers():
        return parts.driver.stack(layer_id, parent)


def repair(parts: StoreParts) -> list[str]:
    """Make again what the driver can make again of its own records."""
    with parts.locks.deleting():
        try:
            return parts.driver.repair()
        except OSError as error:
            raise StorageError(f"cannot repair the links in {parts.paths.home} ({error})") from error


def changes(parts: StoreParts, layer_id: str, *, exact: bool = False) -> list[Change]:
    """What the layer changes in those below it; *exact*: directories with other owners, times, attributes too."""
    from libpod.storage import changes as upper_changes
    from libpod.storage import merged
    from libpod.storage.upper import NeedsMergedView

    directories = stack(parts, layer_id)
    with _reading(layer_id):
        if not directories.whole and not directories.program:
            try:
                return upper_changes.changes(directories.upper, directories.lowers, exact=exact)
            except NeedsMergedView:
                pass
        return merged.changes(_trees(parts, directories), exact=exact)


def compare(parts: StoreParts, new: str, old: str | None) -> list[Change]:
    """What is different in the whole content of layer *new* when one comes from *old*; None: from nothing."""
    from libpod.storage import merged

    contents = [_whole(parts, layer_id) for layer_id in (new, old) if layer_id is not None]
    program = parts.options.mount_program
    trees = merged.Trees(
        contents[0], contents[1] if len(contents) > 1 else (), parts.paths.run_layers, program
    )
    with _reading(new):
        return merged.changes(trees, strangers=True)


def _whole(parts: StoreParts, layer_id: str) -> tuple[Path, ...]:
    """The directories with everything that the layer shows, nearest first."""
    directories = stack(parts, layer_id)
    return (directories.upper,) if directories.whole else (directories.upper, *directories.lowers)


def write_layer(parts: StoreParts, layer_id: str, sink: BinaryIO, owner: Owner | None = None) -> None:
    """The layer as a tar, with owners as *owner* gives them.

    A look beforehand decides how, because what was written cannot be taken back.
    """
    from libpod.storage import diff, merged
    from libpod.storage.upper import NeedsMergedView

    directories = stack(parts, layer_id)
    with _reading(layer_id):
        if directories.whole or directories.program or not _tells_its_content(directories):
            merged.write_layer(_trees(parts, directories), sink, owner)
            return
        try:
            diff.write_layer(directories.upper, directories.lowers, sink, owner)
        except NeedsMergedView as error:
            raise StorageError(
                f"layer {layer_id} changed while it was read", resolution="pause the container and try again"
            ) from error


def _tells_its_content(directories: LayerStack) -> bool:
    from libpod.storage.upper import NeedsMergedView, walk

    try:
        for _ in walk(directories.upper, directories.lowers):
            pass
    except NeedsMergedView:
        return False
    return True


def _trees(parts: StoreParts, directories: LayerStack) -> merged.Trees:
    from libpod.storage import merged

    new = (directories.upper,) if directories.whole else (directories.upper, *directories.lowers)
    return merged.Trees(new, directories.lowers, parts.paths.run_layers, directories.program)


def layer_size(parts: StoreParts, layer_id: str) -> int:
    with parts.locks.reading_layers() as held:
        found = parts.all_layers(held).get(layer_id)
    if found is None:
        raise StorageError(f"there is no layer {layer_id} in the store")
    return layers.size(parts, found[0])


@contextlib.contextmanager
def _reading(layer_id: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"cannot read the content of layer {layer_id} ({error})",
            resolution="it may have been removed meanwhile; try again",
        ) from error
