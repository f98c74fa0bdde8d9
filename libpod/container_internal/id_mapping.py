"""A container with ids of its own: what on the host has to fit to them.

Its image's files are mapped by the store. Here: who owns what the engine makes for it, and that its first process,
which is nobody on the host, gets through the directories above its root and its generated files.

Covers: libpod/oci_conmon_linux.go (makeAccessible), libpod/container.go (RootUID, RootGID)
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from libpod.model import id_maps
from libpod.model.container_config import ContainerConfig, IDMap
from libpod.storage.id_maps import IdMaps

if TYPE_CHECKING:
    from libpod.container_internal.held import LockedContainer

_PASSAGE = stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH


def is_mapped(config: ContainerConfig) -> bool:
    """Whether the container has ids of its own."""
    return bool(config.id_mappings.uid_map or config.id_mappings.gid_map)


def store_maps(config: ContainerConfig) -> IdMaps:
    """The mapping as the store takes it."""
    return IdMaps(uids=_ranges(config.id_mappings.uid_map), gids=_ranges(config.id_mappings.gid_map))


def _ranges(maps: Iterable[IDMap] | None) -> tuple[tuple[int, int, int], ...]:
    return tuple((each.container_id, each.host_id, each.size) for each in maps or ())


def on_host(config: ContainerConfig, uid: int, gid: int) -> tuple[int, int]:
    """The host's ids of an owner inside; raises InvalidArgumentError for one outside of the mapping."""
    return id_maps.owner_on_host(config.id_mappings, uid, gid)


def root_on_host(config: ContainerConfig) -> tuple[int, int]:
    """The host's ids of the container's root."""
    return on_host(config, 0, 0)


def give_to_root(config: ContainerConfig, paths: Iterable[str | os.PathLike[str]]) -> None:
    """Let files that were made for the container belong to its root; nothing to do without a mapping."""
    if is_mapped(config):
        for path in paths:
            os.chown(path, *root_on_host(config), follow_symlinks=False)


def make_accessible(held: LockedContainer, root: Path) -> None:
    """Let the container's root pass through the directories above what it mounts: as podman, o+x and no more."""
    if not is_mapped(held.config):
        return
    owner = root_on_host(held.config)
    for place in (root, held.directory, held.run_directory, held.services.paths.volumes):
        for directory in (place, *place.parents):
            try:
                found = directory.stat()
            except FileNotFoundError:
                continue
            if (found.st_uid, found.st_gid) != owner and found.st_mode & _PASSAGE != _PASSAGE:
                directory.chmod(stat.S_IMODE(found.st_mode) | _PASSAGE)
