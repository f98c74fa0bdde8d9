"""The store as a whole: schema, recorded directories, the beginning of a boot.

Covers: libpod/boltdb_state_internal.go and sqlite_state_internal.go (schema, validateDBConfig), State.Refresh
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from libpod.linux.files import remove_tree
from libpod.state import keys, lmdb_allocations, lmdb_repair, refusals
from libpod.state.lmdb_environment import Transaction
from libpod.state.lmdb_rows import exists, rows, under

SCHEMA_VERSION = 1

_DOCUMENT = msgspec.json.Decoder(dict[str, str])
_ENCODER = msgspec.json.Encoder(order="deterministic")
_BOOT = "boot-"


# ---- schema -----------------------------------------------------------------------------------------------------


def _derive_again(durable: Transaction) -> None:
    """From 0, the layout of development versions, which had no summaries: derived rows are written anew."""
    lmdb_repair.corrected(durable)


UPGRADES: Mapping[int, Callable[[Transaction], None]] = {0: _derive_again}
"""Version → what makes the next version of it. All upgrades that are needed run in one transaction."""


def is_refreshed(volatile: Transaction, path: str) -> bool:
    """Whether `refresh` has run in this boot; raises StateStoreError when a newer program ran it."""
    return _version(volatile, keys.REFRESHED, path) is not None


def _version(transaction: Transaction, row: bytes, path: str) -> int | None:
    data = transaction.get(row)
    if data is None:
        return None
    if not data.isdigit() or int(data) > SCHEMA_VERSION:
        raise refusals.schema_unknown(path, data.decode(errors="replace"), SCHEMA_VERSION)
    return int(data)


def schema_is_current(durable: Transaction, path: str) -> bool:
    """Whether nothing has to be done; raises StateStoreError when the data is newer than this program."""
    return _version(durable, keys.SCHEMA, path) == SCHEMA_VERSION


def bring_up_to_date(durable: Transaction, path: str) -> None:
    """Stamp a new database, or upgrade an older one."""
    found = _version(durable, keys.SCHEMA, path)
    for version in range(found if found is not None else SCHEMA_VERSION, SCHEMA_VERSION):
        UPGRADES[version](durable)
    durable.put(keys.SCHEMA, b"%d" % SCHEMA_VERSION)


# ---- directories ------------------------------------------------------------------------------------------------


def paths(durable: Transaction) -> dict[str, str]:
    data = durable.get(keys.PATHS)
    return _DOCUMENT.decode(data) if data is not None else {}


def paths_agree(durable: Transaction, given: Mapping[str, str]) -> bool:
    """False when some of *given* are not recorded yet; raises ConfigError when one differs."""
    stored = paths(durable)
    for name, path in sorted(given.items()):
        if name in stored and stored[name] != path:
            raise refusals.paths_differ(name, stored[name], path)
    return given.keys() <= stored.keys()


def complete_paths(durable: Transaction, given: Mapping[str, str]) -> None:
    """Record those that are not recorded yet."""
    if not paths_agree(durable, given):
        durable.put(keys.PATHS, _ENCODER.encode(dict(given) | paths(durable)))


def write_paths(durable: Transaction, given: Mapping[str, str]) -> None:
    """Record *given* whatever was recorded."""
    durable.put(keys.PATHS, _ENCODER.encode(paths(durable) | dict(given)))


# ---- boots ------------------------------------------------------------------------------------------------------


def boot_directory(boot_id: str) -> str:
    """The name of a boot's directory."""
    return _BOOT + re.sub(r"[^0-9A-Za-z_-]", "_", boot_id)


def delete_other_boots(home: Path, *, keep: str) -> None:
    """Delete the volatile halves of earlier boots."""
    for directory in home.glob(f"{_BOOT}*"):
        if directory.name != keep:
            remove_tree(directory)


def refresh(durable: Transaction, volatile: Transaction) -> None:
    """Give every object the state in which it begins the boot; nothing when that has been done in this boot.

    Rows that are there already belong to objects made since the boot by processes that did not refresh first.
    """
    if exists(volatile, keys.REFRESHED):
        return
    for kind, target in ((keys.CTR_KEPT, keys.CTR), (keys.POD_KEPT, keys.POD), (keys.VOL_KEPT, keys.VOL)):
        for row, kept in rows(durable, kind):
            if not exists(volatile, target + row[len(kind) :]):
                volatile.put(target + row[len(kind) :], kept)
    for row in under(durable, keys.LOCK):
        lmdb_allocations.hold_lock(volatile, int(row[len(keys.LOCK) :].split(b"/", 1)[0]))
    volatile.put(keys.REFRESHED, b"%d" % SCHEMA_VERSION)
