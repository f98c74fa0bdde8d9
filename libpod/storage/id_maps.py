"""Containers whose ids are others than the host's.

The layers of an image are mapped by the kernel while they are mounted (ID-mapped mounts, Linux 5.19 for overlay): the
driver's home is bound once more below the layer, through a user namespace with the container's mapping, and the lower
directories are taken from there. The bind mount goes as soon as the overlay stands. The container's own directory is
not mapped: what is written there carries the ids of the host, and they are mapped back when a layer is made of it.

    <layer>/mapped/<n>     the homes, while the overlay is being mounted; a kill leaves them to the next (un)mount

The record of the container has the mapping (`uidmap`, `gidmap`), as podman writes it.

Covers: storage/drivers/overlay/idmapped_utils.go, storage/pkg/idtools
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from libpod.define.errors import NotSupportedError, StorageError
from libpod.linux import mounts
from libpod.linux.files import remove_tree
from libpod.linux.user_namespaces import mapped_namespace

Range = tuple[int, int, int]
"""(id inside, id on the host, how many)."""

_UNABLE = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM)


class IdMaps(msgspec.Struct, frozen=True, kw_only=True):
    """The mapping of a container; both parts empty: none."""

    uids: tuple[Range, ...] = ()
    gids: tuple[Range, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.uids or self.gids)

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> IdMaps:
        """From a container's record."""
        return cls(uids=_ranges(record.get("uidmap")), gids=_ranges(record.get("gidmap")))

    def record(self) -> dict[str, Any]:
        """The keys of a container's record."""
        return {
            key: [dict(zip(("container_id", "host_id", "size"), entry, strict=True)) for entry in ranges]
            for key, ranges in (("uidmap", self.uids), ("gidmap", self.gids))
            if ranges
        }

    def on_host(self, uid: int, gid: int) -> tuple[int, int]:
        """The host's ids of an owner inside; raises StorageError for one outside of the mapping."""
        return _mapped(self.uids, uid, 0), _mapped(self.gids, gid, 0)

    def inside(self, uid: int, gid: int) -> tuple[int, int]:
        """The container's ids of an owner on the host; raises StorageError."""
        return _mapped(self.uids, uid, 1), _mapped(self.gids, gid, 1)


NO_MAPS = IdMaps()

Owner = Callable[[int, int], tuple[int, int]]
"""What `IdMaps.inside` is."""


def _ranges(entries: Any) -> tuple[Range, ...]:
    return tuple((int(e["container_id"]), int(e["host_id"]), int(e["size"])) for e in entries or ())


def _mapped(ranges: Sequence[Range], number: int, side: int) -> int:
    if not ranges:
        return number
    for entry in ranges:
        if entry[side] <= number < entry[side] + entry[2]:
            return number - entry[side] + entry[1 - side]
    whose = ("container", "host")[side]
    raise StorageError(f"the {whose}'s id {number} is not part of the mapping of ids")


@contextlib.contextmanager
def mapped_lowers(
    layer: Path, lowers: Sequence[Path], homes: Sequence[Path], maps: IdMaps
) -> Iterator[tuple[Path, ...]]:
    """*lowers*, each below one of *homes*, with their ids mapped, for the duration of the block.

    Raises NotSupportedError where the kernel, or the file system below, cannot map ids.
    """
    place = layer / "mapped"
    unmount_all(layer)
    place.mkdir(mode=0o700, exist_ok=True)
    real = [Path(os.path.realpath(home)) for home in homes]
    try:
        with mapped_namespace(maps.uids, maps.gids) as namespace:
            moved: dict[Path, Path] = {}
            found = []
            for lower in (Path(os.path.realpath(lower)) for lower in lowers):
                home = next((home for home in real if lower.is_relative_to(home)), lower)
                if home not in moved:
                    moved[home] = _mapped_bind(home, place / str(len(moved)), namespace, layer)
                found.append(moved[home] / lower.relative_to(home))
            yield tuple(found)
    finally:
        unmount_all(layer)


def _mapped_bind(home: Path, target: Path, namespace: int, layer: Path) -> Path:
    target.mkdir(mode=0o700, exist_ok=True)
    tree = mounts.clone_tree(home)
    try:
        mounts.set_id_map(tree, namespace)
        mounts.move_mount(tree, target)
    except OSError as error:
        if error.errno not in _UNABLE:
            raise
        raise NotSupportedError(
            f"layer {layer.name} cannot be mounted with other ids: the kernel does not map ids on the file system of "
            f"{home} ({error.strerror})",
            resolution="use ext4, xfs or btrfs and Linux 5.19 or newer, or a container without a mapping",
        ) from error
    finally:
        os.close(tree)
    return target


def unmount_all(layer: Path) -> None:
    """Take away what is, or a killed process left, in `mapped`."""
    place = layer / "mapped"
    if not place.is_dir():
        return
    for name in os.listdir(place):
        with contextlib.suppress(OSError):  # EINVAL: nothing is mounted there
            while True:
                mounts.unmount(place / name, mounts.MNT_DETACH | mounts.UMOUNT_NOFOLLOW)
    remove_tree(place)
