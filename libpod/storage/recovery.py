"""Collecting what killed processes left in the store.

| killed while                      | left                                        | collected by                   |
|-----------------------------------|---------------------------------------------|--------------------------------|
| making or removing a layer        | a record with `incomplete`, its directory   | the next writer of any program |
| between layer and container       | a layer with our mark that nobody names     | `collect`                      |
| between container and engine      | a container with our mark, unknown to it    | `collect`                      |
| removing a container, after layer | a container without a layer                 | `collect`                      |
| between mounting and recording it | a mount that is not counted                 | the next `mount`, or `collect` |
| replacing a JSON file             | `.tmp-<name>.<random>`                      | `collect`                      |
| making a layer's directory        | part of it, or a short link leading nowhere | the next writer, or `collect`  |

Only what carries the mark of the same owner is touched, and only when the process in the mark is dead (`creator`), so
that a container which another process is just making is left alone. The engine is asked what it knows *after* the dead
have been found: what a dead process told the engine is there by then. A container whose creator lives on without
wanting it any more is left to that process, or to a later recovery. What cannot be removed is logged and left to a
later recovery too: a leftover must not keep anybody from working.

Covers: nothing in podman; storage/check.go collects a part, and only on request.
"""

from __future__ import annotations

import enum
import logging
import os
import time
from collections.abc import Callable, Collection
from pathlib import Path

import msgspec

from libpod.define.errors import StorageError
from libpod.storage import containers, creator, layers, short_links
from libpod.storage.locks import HeldLocks
from libpod.storage.parts import StoreParts
from libpod.storage.records import Draft, Record, Snapshot

logger = logging.getLogger(__name__)

_TEMPORARY = ".tmp-"
_TEMPORARY_AGE = 60.0
"""Seconds: under the write lock of a directory its temporary files have no writer, except pullers' in image data."""


class LeftoverKind(enum.Enum):
    CONTAINER = "container"
    LAYER = "layer"
    TEMPORARY_FILE = "temporary file"
    SHORT_LINK = "short link"


class Leftover(msgspec.Struct, frozen=True):
    """Something that was collected."""

    kind: LeftoverKind
    name: str
    """An id, or a path."""


def collect(parts: StoreParts, known: Callable[[], Collection[str]]) -> list[Leftover]:
    """Remove our leftovers; *known* returns the ids of the containers that the engine has.

    It is asked once, and only when there are containers of dead processes. A store in order is only read.
    """
    candidates = _dead_containers(parts)
    unwanted = candidates - frozenset(known()) if candidates else candidates
    if not unwanted and not _has_leftovers(parts):
        return []
    with parts.locks.deleting() as held:
        draft = layers.edit(parts, held)
        table = parts.containers.edit(held.containers)
        found = _collect_containers(parts, held, draft, table, unwanted)
        found += _collect_layers(parts, held, draft, table.now)
        found += _collect_links(parts)
        found += _collect_temporary_files(parts)
    return found


def find(parts: StoreParts, known: Callable[[], Collection[str]]) -> list[Leftover]:
    """What `collect` would remove."""
    candidates = _dead_containers(parts)
    unwanted = candidates - frozenset(known()) if candidates else candidates
    with parts.locks.reading_everything() as held:
        all_layers = parts.layers.read(held.layers)
        unnamed = _unnamed_layers(parts, all_layers, parts.containers.read(held.containers))
        incomplete = sorted(all_layers.noted)
        links = [str(parts.paths.home / "l" / name) for name in short_links.dangling(parts.paths.home)]
        return [
            *(Leftover(LeftoverKind.CONTAINER, ctr_id) for ctr_id in sorted(unwanted)),
            *(Leftover(LeftoverKind.LAYER, layer_id) for layer_id in dict.fromkeys([*unnamed, *incomplete])),
            *(Leftover(LeftoverKind.SHORT_LINK, link) for link in links),
            *(Leftover(LeftoverKind.TEMPORARY_FILE, str(path)) for path in _old_temporary_files(parts)),
        ]


def _dead_containers(parts: StoreParts) -> frozenset[str]:
    with parts.locks.reading_containers() as held:
        return frozenset(r["id"] for r in parts.containers.read(held.containers) if _is_left_over(parts, r))


def _has_leftovers(parts: StoreParts) -> bool:
    """Whether there is anything else than containers to collect, seen with read locks."""
    with parts.locks.reading_everything() as held:
        all_layers = parts.layers.read(held.layers)
        containers_now = parts.containers.read(held.containers)
        return bool(
            all_layers.noted
            or _unnamed_layers(parts, all_layers, containers_now)
            or _old_temporary_files(parts)
            or short_links.dangling(parts.paths.home)
        )


def _is_left_over(parts: StoreParts, record: Record) -> bool:
    return creator.made_by(record, parts.owner) and creator.is_dead(record)


def _collect_containers(
    parts: StoreParts, held: HeldLocks, draft: Draft, table: Draft, unwanted: Collection[str]
) -> list[Leftover]:
    found = []
    for ctr_id in unwanted:
        record = table.get(ctr_id)
        # The id may have been taken again since, by somebody who lives.
        if record is None or not _is_left_over(parts, record):
            continue
        try:
            containers.delete_held(parts, held, draft, table, ctr_id)
        except StorageError as error:
            logger.warning("container %s was left over and cannot be removed: %s", ctr_id, error)
            continue
        found.append(Leftover(LeftoverKind.CONTAINER, ctr_id))
    return found


def _collect_layers(parts: StoreParts, held: HeldLocks, draft: Draft, known: Snapshot) -> list[Leftover]:
    """Layers with our mark that no container names. No creator can be in between: it would hold the locks."""
    found = []
    for layer_id in _unnamed_layers(parts, draft.now, known):
        try:
            layers.delete(parts, held, draft, layer_id)
        except StorageError as error:
            logger.warning("layer %s was left over and cannot be removed: %s", layer_id, error)
            continue
        found.append(Leftover(LeftoverKind.LAYER, layer_id))
    return found


def _unnamed_layers(parts: StoreParts, all_layers: Snapshot, all_containers: Snapshot) -> list[str]:
    named = {record.get("layer") for record in all_containers} | {
        record.get("parent") for record in all_layers
    }
    return [r["id"] for r in all_layers if r["id"] not in named and creator.made_by(r, parts.owner)]


def _collect_links(parts: StoreParts) -> list[Leftover]:
    """Short links that lead to a layer which does not exist; whoever makes a layer makes its directory first."""
    found = []
    for name in short_links.dangling(parts.paths.home):
        path = parts.paths.home / "l" / name
        path.unlink(missing_ok=True)
        found.append(Leftover(LeftoverKind.SHORT_LINK, str(path)))
    return found


def _collect_temporary_files(parts: StoreParts) -> list[Leftover]:
    found = []
    for path in _old_temporary_files(parts):
        path.unlink(missing_ok=True)
        found.append(Leftover(LeftoverKind.TEMPORARY_FILE, str(path)))
    return found


def _old_temporary_files(parts: StoreParts) -> list[Path]:
    paths = parts.paths
    directories = (paths.layers, paths.images, paths.containers, paths.run_layers)
    return [path for directory in directories for path in _old_temporary_files_in(directory)]


def _old_temporary_files_in(directory: Path) -> list[Path]:
    limit = time.time() - _TEMPORARY_AGE
    try:
        with os.scandir(directory) as entries:
            return [
                Path(entry.path)
                for entry in entries
                if entry.name.startswith(_TEMPORARY)
                and entry.is_file(follow_symlinks=False)
                and entry.stat(follow_symlinks=False).st_mtime < limit
            ]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StorageError(f"cannot look for leftovers in {directory} ({error.strerror})") from error
