"""What mount options ask to be done to a source before it is mounted: change its owner (U), relabel it (z, Z).

Covers: libpod/container_internal_common.go (U), libpod/container_internal_linux.go (relabel)
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from libpod.container_internal import id_mapping
from libpod.container_internal.held import LockedContainer
from libpod.define.errors import VolumeError
from libpod.linux import process
from libpod.spec.mounts import source_actions
from libpod.spec.users import ResolvedUser


def prepare(held: LockedContainer, user: ResolvedUser) -> None:
    """Do what the container's mounts and volumes ask for."""
    state = held.services.state
    entries: list[Mapping[str, Any]] = list(held.config.spec.get("mounts") or ())
    entries += [
        {"source": state.volume_config(volume.name).mount_point, "options": volume.options}
        for volume in held.config.named_volumes
    ]
    _carry_out(held, entries, id_mapping.on_host(held.config, user.uid, user.gid))


def _carry_out(held: LockedContainer, entries: Iterable[Mapping[str, Any]], owner: tuple[int, int]) -> None:
    for action in source_actions(entries):
        if action.chown:
            _chown(held, Path(action.source), owner)
        if action.relabel and held.services.host.selinux and held.config.mount_label:
            label = held.config.mount_label
            process.run(["chcon", "-R", "-h", label, action.source])


def _chown(held: LockedContainer, top: Path, owner: tuple[int, int]) -> None:
    """Give a tree to the container's user; one whose top is right already was done before."""
    try:
        found = top.stat()
        if (found.st_uid, found.st_gid) == owner:
            return
        # The top comes last, so that a kill in between leaves the work to be done again.
        for directory, names, files in os.walk(top, topdown=False):
            for name in (*names, *files):
                os.chown(os.path.join(directory, name), *owner, follow_symlinks=False)
        os.chown(top, *owner)
    except OSError as error:
        raise VolumeError(
            f"container {held.name}: {top} cannot be given to its user ({error.strerror})"
        ) from error
