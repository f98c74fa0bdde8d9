"""What an open store consists of; the operations in `layers`, `images`, `containers` and `mounting` work on it.

Covers: storage/store.go (the store structure)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from libpod.storage.driver import LayerDriver
from libpod.storage.layout import StorePaths
from libpod.storage.locks import HeldLocks, StoreLocks
from libpod.storage.options import StoreOptions
from libpod.storage.records import Record, Snapshot, Table


class ReadOnlyStore(msgspec.Struct, frozen=True, eq=False):
    """An additional image store: its images and layers may be used, nothing in it is ever changed."""

    paths: StorePaths
    layers: Table
    images: Table


class StoreParts(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    paths: StorePaths
    options: StoreOptions
    owner: str
    """Who creates containers through this store object; recovery collects only what the same owner left."""
    locks: StoreLocks
    driver: LayerDriver
    layers: Table
    images: Table
    containers: Table
    mounts: Table
    read_only: tuple[ReadOnlyStore, ...]

    def all_layers(self, held: HeldLocks) -> AllRecords:
        """The layers of this store and of those behind it."""
        return AllRecords(
            self.layers.read(held.layers),
            [store.layers.read(lock) for store, lock in zip(self.read_only, held.read_only_layers)],
        )

    def all_images(self, held: HeldLocks) -> AllRecords:
        return AllRecords(
            self.images.read(held.images),
            [store.images.read(lock) for store, lock in zip(self.read_only, held.read_only_images)],
        )


class AllRecords:
    """The records of the own store and, after them, of the read-only ones; an own record hides a foreign one."""

    def __init__(self, own: Snapshot, read_only: Sequence[Snapshot]) -> None:
        self.own = own
        self.read_only = tuple(read_only)

    def get(self, record_id: str) -> tuple[Record, int | None] | None:
        """The record, and the number of the read-only store that has it (None: our own)."""
        record = self.own.get(record_id)
        if record is not None:
            return record, None
        for number, snapshot in enumerate(self.read_only):
            record = snapshot.get(record_id)
            if record is not None:
                return record, number
        return None

    def find(self, name_or_id: str) -> tuple[Record, int | None] | None:
        """By exact id, name or unique prefix, in the own store first."""
        record = self.own.find(name_or_id)
        if record is not None:
            return record, None
        for number, snapshot in enumerate(self.read_only):
            record = snapshot.find(name_or_id)
            # A name over there is void when we have an image of the same id, which then has its own names.
            if record is not None and record["id"] not in self.own.by_id:
                return record, number
        return None

    def all(self) -> list[tuple[Record, bool]]:
        """Every record once, and whether it is a read-only one."""
        found: dict[str, tuple[Record, bool]] = {record["id"]: (record, False) for record in self.own}
        for snapshot in self.read_only:
            for record in snapshot:
                found.setdefault(record["id"], (record, True))
        return list(found.values())


def read_only_store(graph_root: Path, run_root: Path, driver: str) -> ReadOnlyStore:
    paths = StorePaths(graph_root, run_root, driver)
    return ReadOnlyStore(
        paths,
        Table("layer", [paths.layers / "layers.json"]),
        Table("image", [paths.images / "images.json"]),
    )
