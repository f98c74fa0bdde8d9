"""The JSON files of the store: loaded when they changed, changed as drafts, saved token first.

A *record* is the JSON object of one layer, image, container or mount, as a dictionary that nobody modifies: a change
is a new dictionary, so keys that this version does not know are kept (the Go programs drop theirs; only `flags` and
`metadata` survive them).

`Table.read` gives a `Snapshot`. It is loaded again when the token in the lock file differs from the one seen with the
data, or when inode, size or modification time of a file differ: the first tells of every orderly writer, the second of
writers up to c/storage 1.46 that were killed between replacing the file and writing the token.

`Table.edit` gives a `Draft`, for which the lock must be held for writing. `save` writes a new token first and then
replaces each file that changed by rename, after fdatasync (not for the volatile files). A process killed before the
rename leaves the old content and a temporary file `.tmp-<name>.<random>`, which every reader ignores and recovery
removes.

Rules of the format that live here: array order is kept; an id in two files belongs to the one read first; of two
records with one name the later keeps it.

Covers: storage/layers.go, storage/images.go, storage/containers.go (load, save, the indexes)
"""

from __future__ import annotations

import datetime
import functools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from libpod.define.errors import StorageError
from libpod.linux.files import replacing
from libpod.storage.locks import HeldLock

Record = Mapping[str, Any]
"""A JSON object of the store; treated as immutable."""

Stamp = tuple[int, int, int] | None
"""Inode, size and modification time of a file; None when it is missing."""

_decoder = msgspec.json.Decoder()
_encoder = msgspec.json.Encoder()


class Snapshot(msgspec.Struct, frozen=True, eq=False):
    """What the files of one table said at one moment."""

    token: bytes
    stamps: tuple[Stamp, ...]
    files: tuple[tuple[Record, ...], ...]
    """The records of each file, in file order."""
    by_id: Mapping[str, Record]
    by_name: Mapping[str, Record]
    file_of: Mapping[str, int]

    def __iter__(self) -> Iterator[Record]:
        return iter(self.by_id.values())

    def __len__(self) -> int:
        return len(self.by_id)

    def get(self, record_id: str) -> Record | None:
        return self.by_id.get(record_id)

    def find(self, name_or_id: str) -> Record | None:
        """By exact id, exact name, or an id prefix that only one record has."""
        found = self.by_id.get(name_or_id) or self.by_name.get(name_or_id)
        if found is not None or not name_or_id:
            return found
        matches = [record for record_id, record in self.by_id.items() if record_id.startswith(name_or_id)]
        return matches[0] if len(matches) == 1 else None


def snapshot_of(
    files: Sequence[Sequence[Record]], *, token: bytes = b"", stamps: tuple[Stamp, ...] = ()
) -> Snapshot:
    """Index the records: the first file wins an id, the last record wins a name."""
    by_id: dict[str, Record] = {}
    file_of: dict[str, int] = {}
    owner: dict[str, str] = {}
    stolen = False
    for number, records in enumerate(files):
        for record in records:
            record_id = record["id"]
            if record_id in by_id:
                continue
            by_id[record_id] = record
            file_of[record_id] = number
            for name in record.get("names") or ():
                stolen = stolen or name in owner
                owner[name] = record_id
    if stolen:
        files = [[_keeping_names(record, owner) for record in records] for records in files]
        by_id = {record_id: _keeping_names(record, owner) for record_id, record in by_id.items()}
    return Snapshot(
        token=token,
        stamps=stamps,
        files=tuple(tuple(records) for records in files),
        by_id=by_id,
        by_name={name: by_id[record_id] for name, record_id in owner.items()},
        file_of=file_of,
    )


def _keeping_names(record: Record, owner: Mapping[str, str]) -> Record:
    names = record.get("names") or []
    kept = [name for name in names if owner.get(name) == record["id"]]
    return record if kept == names else with_names(record, kept)


def with_names(record: Record, names: Sequence[str]) -> Record:
    """*record* with other names; no names is no key, as everywhere in the format."""
    changed = {**record, "names": list(names)}
    if not names:
        del changed["names"]
    return changed


class Table:
    """The records of one kind, in one or more JSON files that one lock guards."""

    def __init__(self, kind: str, files: Sequence[Path], *, durable: Sequence[bool] | None = None) -> None:
        self.kind = kind
        self.files = tuple(files)
        self._durable = tuple(durable) if durable is not None else (True,) * len(self.files)
        # Replaced as a whole, so that threads need no lock among themselves: at worst two load the same files.
        self._cached: Snapshot | None = None

    def read(self, lock: HeldLock) -> Snapshot:
        """The records as they are now."""
        token = lock.token()
        stamps = tuple(_stamp(path) for path in self.files)
        cached = self._cached
        # An empty token tells nothing: nobody wrote one yet, so only the stamps speak.
        if cached is not None and cached.token == token and cached.stamps == stamps:
            return cached
        snapshot = snapshot_of([self._load(path) for path in self.files], token=token, stamps=stamps)
        self._cached = snapshot
        return snapshot

    def edit(self, lock: HeldLock) -> Draft:
        """The records as they are now, to be changed and saved."""
        return Draft(self, lock, self.read(lock))

    def _load(self, path: Path) -> list[Record]:
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StorageError(f"cannot read {path} ({error.strerror})") from error
        if not content.strip():
            return []
        try:
            records = _decoder.decode(content)
        except msgspec.DecodeError as error:
            raise StorageError(
                f"{path} is damaged ({error})",
                resolution="restore it from a backup, or reset the store with its owner",
            ) from error
        if records is None:
            return []
        if not isinstance(records, list) or not all(
            isinstance(record, dict) and isinstance(record.get("id"), str) for record in records
        ):
            raise StorageError(f"{path} is damaged (it is not a list of {self.kind} records)")
        return records

    def _save(self, lock: HeldLock, files: Sequence[Sequence[Record]], changed: Iterable[int]) -> Snapshot:
        token = lock.write_token()
        for number in sorted(changed):
            path = self.files[number]
            try:
                with replacing(path, mode=0o600, durable=self._durable[number], sync_name=False) as stream:
                    stream.write(_encoder.encode(files[number]))
            except OSError as error:
                raise StorageError(f"cannot write {path} ({error.strerror})") from error
        stamps = tuple(_stamp(path) for path in self.files)
        snapshot = snapshot_of(files, token=token, stamps=stamps)
        self._cached = snapshot
        return snapshot


class Draft:
    """Changes to one table that become real with `save`. Lives no longer than the lock it was made with."""

    def __init__(self, table: Table, lock: HeldLock, snapshot: Snapshot) -> None:
        self._table = table
        self._lock = lock
        self._saved = snapshot
        self._files: list[list[Record]] = [list(records) for records in snapshot.files]
        self._indexed: Snapshot | None = snapshot

    @property
    def now(self) -> Snapshot:
        """The records, with the changes made so far."""
        if self._indexed is None:
            self._indexed = snapshot_of(self._files)
            self._files = [list(records) for records in self._indexed.files]
        return self._indexed

    def get(self, record_id: str) -> Record | None:
        return self.now.get(record_id)

    def add(self, record: Record, *, file: int = 0) -> None:
        """Append a record; names that others hold go over to it."""
        self._take_names(record)
        self._files[file].append(record)
        self._indexed = None

    def replace(self, record: Record) -> None:
        """Put a new version in the place of the record with the same id; names that others hold go over to it."""
        self._take_names(record)
        self.change(record["id"], lambda _: record)

    def change(self, record_id: str, change: Callable[[Record], Record]) -> None:
        """Replace one record by what *change* makes of it."""
        number = self.now.file_of[record_id]
        self._files[number] = [
            change(record) if record["id"] == record_id else record for record in self._files[number]
        ]
        self._indexed = None

    def remove(self, record_id: str) -> None:
        """Take a record out, of whichever files have it; one that is not there is fine."""
        self._files = [[record for record in records if record["id"] != record_id] for records in self._files]
        self._indexed = None

    def save(self) -> Snapshot:
        """Write the files that changed, if any did."""
        files = self.now.files
        changed = [number for number, before in enumerate(self._saved.files) if files[number] != before]
        if changed:
            self._saved = self._indexed = self._table._save(self._lock, files, changed)
        return self._saved

    def _take_names(self, record: Record) -> None:
        for name in record.get("names") or ():
            holder = self.now.by_name.get(name)
            if holder is not None and holder["id"] != record["id"]:
                self.change(holder["id"], functools.partial(_without_name, name))


def _without_name(name: str, record: Record) -> Record:
    return with_names(record, [other for other in record["names"] if other != name])


def deduplicated(names: Iterable[str]) -> list[str]:
    """The first occurrence of each."""
    return list(dict.fromkeys(names))


def now() -> str:
    """This moment as the format writes it."""
    moment = datetime.datetime.now(datetime.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f").rstrip("0").rstrip(".") + "Z"


def _stamp(path: Path) -> Stamp:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
