"""The JSON files of the store: loaded when they changed, changed as drafts, saved token first.

A *record* is the JSON object of one layer, image, container or mount, as a dictionary that nobody modifies: a change
is a new dictionary, so keys that this version does not know are kept (the Go programs drop theirs; only `flags` and
`metadata` survive them). Beside a record its *text* is kept, as it was read or written. A change encodes only the
record that it changes and joins the texts of the others: nothing but copying grows with their number, and what somebody
else wrote stays as it was, to the byte.

`Table.read` gives a `Snapshot`. It is loaded again when the token in the lock file differs from the one seen with the
data, or when inode, size or modification time of a file differ: the first tells of every orderly writer, the second of
writers up to c/storage 1.46 that were killed between replacing the file and writing the token.

`Table.edit` gives a `Draft`, for which the lock must be held for writing. `save` writes a new token first and then
replaces each file that changed by rename, after fdatasync (not for the volatile files). A process killed before the
rename leaves the old content and a temporary file `.tmp-<name>.<random>`, which every reader ignores and recovery
removes. A record that goes from one file to another is for a moment in both, never in none.

Rules of the format that live here: array order is kept; an id in two files belongs to the one read first; of two
records with one name the later keeps it, of two in one file with one id the earlier is the only one.

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

Note = Callable[[Record], bool]
"""What a table is to remember of a record, so that nobody looks through all of them for the few."""

Piece = bytes | msgspec.Raw

_decoder = msgspec.json.Decoder()
_encoder = msgspec.json.Encoder()
_cutter = msgspec.json.Decoder(list[msgspec.Raw])


class Snapshot(msgspec.Struct, frozen=True, eq=False):
    """What the files of one table said at one moment."""

    token: bytes
    stamps: tuple[Stamp, ...]
    files: tuple[Mapping[str, Record], ...]
    """The records of each file by id, in file order."""
    texts: tuple[Text, ...]
    """The same records as JSON."""
    by_name: Mapping[str, Record]
    noted: frozenset[str]
    """The ids of the records that the table takes note of."""

    def __iter__(self) -> Iterator[Record]:
        return iter(self.by_id.values())

    def __len__(self) -> int:
        return len(self.by_id)

    @property
    def by_id(self) -> Mapping[str, Record]:
        """Every record once; with one file in use, which is the rule, this costs nothing."""
        used = [records for records in self.files if records]
        if len(used) < 2:
            return used[0] if used else {}
        merged = dict(used[0])
        for records in used[1:]:
            for record_id, record in records.items():
                merged.setdefault(record_id, record)
        return merged

    def get(self, record_id: str) -> Record | None:
        for records in self.files:
            found = records.get(record_id)
            if found is not None:
                return found
        return None

    def file_of(self, record_id: str) -> int:
        """The file in which `get` finds the record."""
        for number, records in enumerate(self.files):
            if record_id in records:
                return number
        raise KeyError(record_id)

    def find(self, name_or_id: str) -> Record | None:
        """By exact id, exact name, or an id prefix that only one record has."""
        found = self.get(name_or_id) or self.by_name.get(name_or_id)
        if found is not None or not name_or_id:
            return found
        matches = [record for record_id, record in self.by_id.items() if record_id.startswith(name_or_id)]
        return matches[0] if len(matches) == 1 else None

    def edited(self, number: int, record_id: str, record: Record | None, note: Note | None) -> Snapshot:
        """What it says once file *number* has *record* for the id, or none: all else is shared or copied."""
        records, pieces = dict(self.files[number]), dict(self.texts[number].pieces())
        if record is None:
            del records[record_id], pieces[record_id]
        else:
            records[record_id], pieces[record_id] = record, _encoder.encode(record)
        changed = msgspec.structs.replace(
            self,
            files=(*self.files[:number], records, *self.files[number + 1 :]),
            texts=(*self.texts[:number], Text(records, pieces=pieces), *self.texts[number + 1 :]),
        )
        before, after = self.get(record_id), changed.get(record_id)
        if before is after:
            return changed  # another file has the record that counts
        by_name, noted = dict(self.by_name), self.noted - {record_id}
        if before is not None:
            for name in before.get("names") or ():
                if by_name.get(name) is before:
                    del by_name[name]
        if after is not None:
            for name in after.get("names") or ():
                by_name.setdefault(name, after)
            if note is not None and note(after):
                noted |= {record_id}
        return msgspec.structs.replace(changed, by_name=by_name, noted=noted)


class Text:
    """The JSON texts of a file's records by id: cut out of the file when they are first asked for, or made singly."""

    __slots__ = ("_content", "_pieces", "_records")

    def __init__(
        self,
        records: Mapping[str, Record],
        content: bytes | None = None,
        pieces: Mapping[str, Piece] | None = None,
    ) -> None:
        """*content* is the file, where it says what *records* are, one after the other."""
        self._records = records
        self._content = content
        self._pieces = pieces

    def pieces(self) -> Mapping[str, Piece]:
        """To be copied, not changed."""
        # In this order: whoever is faster lets go of the content last.
        content, pieces = self._content, self._pieces
        if pieces is None:
            if content is not None:
                pieces = dict(zip(self._records, _cutter.decode(content), strict=True))
            else:
                pieces = {record_id: _encoder.encode(record) for record_id, record in self._records.items()}
            self._pieces = pieces
            self._content = None
        return pieces


def snapshot_of(
    files: Sequence[Sequence[Record]],
    *,
    token: bytes = b"",
    stamps: tuple[Stamp, ...] = (),
    contents: Sequence[bytes] = (),
    note: Note | None = None,
) -> Snapshot:
    """Index the records: the first of an id counts, the last of a name."""
    by_file: list[dict[str, Record]] = []
    known: set[str] = set()
    owner: dict[str, str] = {}
    stolen = False
    for records in files:
        by_id: dict[str, Record] = {}
        for record in records:
            record_id = record["id"]
            if record_id in by_id:
                continue
            by_id[record_id] = record
            if record_id in known:
                continue
            known.add(record_id)
            for name in record.get("names") or ():
                stolen = stolen or name in owner
                owner[name] = record_id
        by_file.append(by_id)
    if stolen:
        by_file = [{key: _keeping_names(r, owner) for key, r in by_id.items()} for by_id in by_file]
    texts = []
    for number, by_id in enumerate(by_file):
        as_read = contents and contents[number] and not stolen and len(by_id) == len(files[number])
        texts.append(Text(by_id, contents[number] if as_read else None))
    snapshot = Snapshot(
        token=token,
        stamps=stamps,
        files=tuple(by_file),
        texts=tuple(texts),
        by_name={},
        noted=frozenset(),
    )
    everything = snapshot.by_id
    return msgspec.structs.replace(
        snapshot,
        by_name={name: everything[record_id] for name, record_id in owner.items()},
        noted=frozenset(r["id"] for r in everything.values() if note(r)) if note is not None else frozenset(),
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

    def __init__(
        self,
        kind: str,
        files: Sequence[Path],
        *,
        durable: Sequence[bool] | None = None,
        removable: int | None = None,
        note: Note | None = None,
    ) -> None:
        """*removable* is the number of a file that is removed when it has no record left."""
        self.kind = kind
        self.files = tuple(files)
        self.note = note
        self._removable = removable
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
        contents, files = zip(*(self._load(path) for path in self.files), strict=True)
        snapshot = snapshot_of(files, token=token, stamps=stamps, contents=contents, note=self.note)
        self._cached = snapshot
        return snapshot

    def edit(self, lock: HeldLock) -> Draft:
        """The records as they are now, to be changed and saved."""
        return Draft(self, lock, self.read(lock))

    def _load(self, path: Path) -> tuple[bytes, list[Record]]:
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return b"", []
        except OSError as error:
            raise StorageError(f"cannot read {path} ({error.strerror})") from error
        if not content.strip():
            return b"", []
        try:
            records = _decoder.decode(content)
        except msgspec.DecodeError as error:
            raise StorageError(
                f"{path} is damaged ({error})",
                resolution="restore it from a backup, or reset the store with its owner",
            ) from error
        if records is None:
            return b"", []
        if not isinstance(records, list) or not all(
            isinstance(record, dict) and isinstance(record.get("id"), str) for record in records
        ):
            raise StorageError(f"{path} is damaged (it is not a list of {self.kind} records)")
        return content, records

    def _save(self, lock: HeldLock, draft: Snapshot, changed: Iterable[int]) -> Snapshot:
        """Write the files *changed*, in that order."""
        token = lock.write_token()
        for number in changed:
            path = self.files[number]
            try:
                if number == self._removable and not draft.files[number]:
                    path.unlink(missing_ok=True)
                    continue
                with replacing(path, mode=0o600, durable=self._durable[number], sync_name=False) as stream:
                    # Three writes, because putting brackets around megabytes copies them twice.
                    stream.write(b"[")
                    stream.write(b",".join(draft.texts[number].pieces().values()))
                    stream.write(b"]")
            except OSError as error:
                raise StorageError(f"cannot write {path} ({error.strerror})") from error
        stamps = tuple(_stamp(path) for path in self.files)
        snapshot = msgspec.structs.replace(draft, token=token, stamps=stamps)
        self._cached = snapshot
        return snapshot


class Draft:
    """Changes to one table that become real with `save`. Lives no longer than the lock it was made with."""

    def __init__(self, table: Table, lock: HeldLock, snapshot: Snapshot) -> None:
        self._table = table
        self._lock = lock
        self._saved = snapshot
        self._now = snapshot
        self._grown: set[int] = set()
        """The files that got a record."""

    @property
    def now(self) -> Snapshot:
        """The records, with the changes made so far."""
        return self._now

    def get(self, record_id: str) -> Record | None:
        return self._now.get(record_id)

    def add(self, record: Record, *, file: int = 0) -> None:
        """Append a record; names that others hold go over to it."""
        if record["id"] in self._now.files[file]:
            raise StorageError(f"there is a {self._table.kind} {record['id']} already")
        self._put(record, file)

    def replace(self, record: Record) -> None:
        """Put a new version in the place of the record with the same id; names that others hold go over to it."""
        self._put(record, self._now.file_of(record["id"]))

    def change(self, record_id: str, change: Callable[[Record], Record]) -> None:
        """Replace one record by what *change* makes of it."""
        number = self._now.file_of(record_id)
        self._edit(number, record_id, change(self._now.files[number][record_id]))

    def move(self, record: Record, *, file: int) -> None:
        """Put a new version into *file*, and take the record out of the others."""
        self._put(record, file)
        for number in range(len(self._now.files)):
            if number != file:
                self._edit(number, record["id"], None)

    def remove(self, record_id: str) -> None:
        """Take a record out, of whichever files have it; one that is not there is fine."""
        for number in range(len(self._now.files)):
            self._edit(number, record_id, None)

    def save(self) -> Snapshot:
        """Write the files that changed, if any did."""
        changed = [n for n, saved in enumerate(self._saved.files) if self._now.files[n] is not saved]
        if changed:
            # Those that got a record first: what moves is never in none of them.
            changed.sort(key=lambda number: (number not in self._grown, number))
            self._saved = self._now = self._table._save(self._lock, self._now, changed)
            self._grown.clear()
        return self._saved

    def _put(self, record: Record, number: int) -> None:
        for name in record.get("names") or ():
            holder = self._now.by_name.get(name)
            if holder is not None and holder["id"] != record["id"]:
                self.change(holder["id"], functools.partial(_without_name, name))
        self._edit(number, record["id"], record)

    def _edit(self, number: int, record_id: str, record: Record | None) -> None:
        before = self._now.files[number].get(record_id)
        if before == record:
            return
        if before is None:
            self._grown.add(number)
        self._now = self._now.edited(number, record_id, record, self._table.note)


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
