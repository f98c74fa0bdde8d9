"""A checkpoint in two archives: the pre-checkpoint, and what changed since.

    pre-checkpoint/           from the first archive
    checkpoint/               from the second
    checkpoint/parent         CRIU's link to ../pre-checkpoint

Pages that did not change are only in the first; CRIU follows the link when it needs one. Whether all is there is said
before anything is woken: CRIU's own words for a missing parent are hard to read.

Covers: pkg/checkpoint/checkpoint_restore.go (--import-previous)
"""

from __future__ import annotations

import os
from pathlib import Path

import attrs

from libpod.checkpoint import documents, members
from libpod.checkpoint.reader import UnpackedArchive, open_archive
from libpod.define.errors import ArchiveError
from libpod.linux.files import remove_tree


def needs_previous(unpacked: UnpackedArchive) -> bool:
    """Whether a checkpoint refers to pages that are not in it."""
    return (unpacked.staging / members.CHECKPOINT_DIR / members.PARENT_LINK).is_symlink()


def require_complete(unpacked: UnpackedArchive) -> None:
    """Raise ArchiveError when the pre-checkpoint that a checkpoint is based on is not there."""
    if needs_previous(unpacked) and unpacked.pre_images is None:
        raise ArchiveError(
            str(unpacked.path),
            "it holds only what changed since a pre-checkpoint",
            resolution="give the pre-checkpoint's archive as import_previous",
        )


def add_previous(unpacked: UnpackedArchive, previous: Path) -> UnpackedArchive:
    """Put the pre-checkpoint of the archive *previous* beside the images of *unpacked*.

    Raises ArchiveError when it holds none, or one of another container.
    """
    directory = unpacked.staging / "previous"
    directory.mkdir(mode=0o700)
    try:
        with open_archive(previous, staging=directory) as archive:
            head = archive.head()
            found = archive.unpack()
        if found.pre_images is None:
            raise ArchiveError(
                str(previous),
                "it holds no pre-checkpoint",
                resolution="use the archive that pre_checkpoint made",
            )
        own = documents.read_config(unpacked.head.config, archive=str(unpacked.path))["id"]
        if documents.read_config(head.config, archive=str(previous))["id"] != own:
            raise ArchiveError(str(previous), "it is the pre-checkpoint of another container")
        target = unpacked.staging / members.PRE_CHECKPOINT_DIR
        remove_tree(target)
        os.rename(found.pre_images, target)
    finally:
        remove_tree(directory)
    added = {
        name: size for name, size in found.sizes.items() if name.startswith(f"{members.PRE_CHECKPOINT_DIR}/")
    }
    return attrs.evolve(unpacked, sizes={**unpacked.sizes, **added})
