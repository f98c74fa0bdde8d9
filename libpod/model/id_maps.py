"""Ids of a user namespace and of the host, by the ranges of a mapping.

Covers: storage/pkg/idtools (ToHost, ToContainer), pkg/util (ParseIDMapping, the ranges)
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from libpod.define.errors import InvalidArgumentError
from libpod.model.container_config import IDMap, IDMappingOptions

MAX_ID = 2**32 - 1


def to_host(maps: Sequence[IDMap] | None, number: int) -> int:
    """The host's id for *number* inside; without a mapping the same. Raises InvalidArgumentError for one outside it."""
    if not maps:
        return number
    for entry in maps:
        if entry.container_id <= number < entry.container_id + entry.size:
            return entry.host_id + number - entry.container_id
    raise InvalidArgumentError(f"the id {number} is not part of the container's mapping of ids")


def to_container(maps: Sequence[IDMap] | None, number: int) -> int | None:
    """The id inside for the host's *number*; None for one that the mapping does not have."""
    if not maps:
        return number
    for entry in maps:
        if entry.host_id <= number < entry.host_id + entry.size:
            return entry.container_id + number - entry.host_id
    return None


def owner_on_host(mapping: IDMappingOptions, uid: int, gid: int) -> tuple[int, int]:
    """Both ids of an owner."""
    return to_host(mapping.uid_map, uid), to_host(mapping.gid_map, gid)


def check_maps(maps: Sequence[IDMap], what: str) -> None:
    """Raise InvalidArgumentError for ranges that are empty, too large, or have an id twice on one side."""
    for entry in maps:
        if entry.size < 1 or entry.container_id < 0 or entry.host_id < 0:
            raise InvalidArgumentError(f"the {what} {_shown(entry)} is no range of ids")
        if max(entry.container_id, entry.host_id) + entry.size > MAX_ID:
            raise InvalidArgumentError(f"the {what} {_shown(entry)} ends above {MAX_ID}")
    for side in ("container_id", "host_id"):
        ordered = sorted(maps, key=lambda entry: int(getattr(entry, side)))
        for one, other in itertools.pairwise(ordered):
            if getattr(one, side) + one.size > getattr(other, side):
                raise InvalidArgumentError(f"the {what}s {_shown(one)} and {_shown(other)} overlap")


def _shown(entry: IDMap) -> str:
    return f"{entry.container_id}:{entry.host_id}:{entry.size}"
