"""A container's files as seen from the host: mount, diff, export.

Covers: libpod/container_api.go (Mount, Unmount, Export), libpod/diff.go
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import attrs

from libpod.container_internal import id_mapping, rootfs, user_mounts
from libpod.container_internal.held import LockedContainer
from libpod.define.errors import InvalidStateError
from libpod.define.status import LIVE, Operation
from libpod.linux.process import require_program, stream
from libpod.model.event import EventStatus
from libpod.storage.changes import Change

NOT_PART_OF_IT = frozenset(
    {"/dev", "/proc", "/sys", "/run", "/run/.containerenv", "/run/secrets", "/etc/hostname", "/etc/hosts",
     "/etc/resolv.conf", "/etc/mtab"}
)  # fmt: skip
"""Paths that the engine makes in every root, by exact name; no diff shows them."""


def mount(held: LockedContainer) -> Path:
    """See `Container.mount`."""
    held.require(Operation.MOUNT)
    if held.config.rootfs:
        return Path(held.config.rootfs)
    rootfs.require_present(held)
    # Counted first: a kill in between leaves one too many here, and no mount that seems to be nobody's.
    user_mounts.change(held, +1)
    try:
        path = held.services.store.mount(held.id)
    except BaseException:
        user_mounts.change(held, -1)
        raise
    held.emit(EventStatus.MOUNT)
    return path


def unmount(held: LockedContainer, *, force: bool = False) -> None:
    """See `Container.unmount`."""
    if held.config.rootfs:
        return
    store = held.services.store
    if held.state.mounted and store.mount_count(held.id) <= 1:
        if held.status in LIVE:
            raise InvalidStateError(
                f"container {held.name} is {held.status.word}: its root file system is mounted for itself",
                resolution="stop it first",
            )
        held.update(mounted=False, mount_point="")
    store.unmount(held.id, force=force)
    if force:
        user_mounts.forget(held)
    else:
        user_mounts.change(held, -1)
    held.emit(EventStatus.UNMOUNT)


@attrs.frozen(kw_only=True)
class ContainerSize:
    """How large a container is, in bytes."""

    own: int
    """Its own layer: what it wrote."""
    root: int
    """Its image's layers; 0 for a root directory."""


def size(held: LockedContainer) -> ContainerSize:
    """See `Container.size`."""
    if held.config.rootfs:
        return ContainerSize(own=0, root=0)
    rootfs.require_present(held)
    store = held.services.store
    return ContainerSize(
        own=store.container_size(held.id),
        root=store.root_fs_size(held.config.rootfs_image_id) if held.config.rootfs_image_id else 0,
    )


def diff(held: LockedContainer) -> list[Change]:
    """See `Container.diff`."""
    if held.config.rootfs:
        raise InvalidStateError(
            f"container {held.name} has a directory as its root: there is nothing to compare with"
        )
    rootfs.require_present(held)
    return [change for change in held.services.store.changes(held.id) if change.path not in NOT_PART_OF_IT]


def export(held: LockedContainer, sink: BinaryIO) -> None:
    """See `Container.export`."""
    held.require(Operation.EXPORT)
    with mounted_root(held) as root:
        if id_mapping.is_mapped(held.config):
            write_mapped(held, root, sink)
            held.emit(EventStatus.EXPORT)
            return
        # tar is the best keeper of odd names, links and attributes there is; it writes straight into the sink.
        tar = require_program("tar", purpose="export a container")
        # Names as podman writes them, without a leading "./", and from a list, since one may begin with a dash.
        names = b"\0".join(sorted(os.listdir(os.fsencode(root))))
        words = [tar, "--numeric-owner", "--xattrs", "--one-file-system", "-C", os.fspath(root), "-c"]
        stream([*words, "--null", "--verbatim-files-from", "-T", "-"], sink, stdin=names)
    held.emit(EventStatus.EXPORT)


def write_mapped(held: LockedContainer, root: Path, sink: BinaryIO) -> None:
    """The mounted root of a container with ids of its own, as a tar in which they are."""
    from libpod.image.tree_tar import write_tree

    write_tree(root, sink, one_file_system=True, owner=id_mapping.store_maps(held.config).inside)


@contextlib.contextmanager
def mounted_root(held: LockedContainer) -> Iterator[Path]:
    """The root file system, mounted for the duration of the block."""
    if held.config.rootfs:
        yield Path(held.config.rootfs)
        return
    rootfs.require_present(held)
    store = held.services.store
    path = store.mount(held.id)
    try:
        yield path
    finally:
        store.unmount(held.id)
