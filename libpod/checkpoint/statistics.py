"""CRIU's own numbers: stats-dump and stats-restore.

A service image: two magic words, a length, one protobuf message whose field 1 is the dump's part and field 2 the
restore's. Both parts hold only varint fields, so thirty lines of decoding take the place of a protobuf library.
All times are microseconds.

Covers: go-criu/stats, libpod/container_internal_common.go (print-stats)
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from libpod.define.errors import ArchiveError

_MAGICS = struct.pack("<II", 0x55105940, 0x57093306)
_HEADER = 12


@attrs.frozen(kw_only=True)
class DumpStatistics:
    """What CRIU says about a dump."""

    freezing_time: int = 0
    frozen_time: int = 0
    memdump_time: int = 0
    memwrite_time: int = 0
    pages_scanned: int = 0
    pages_skipped_parent: int = 0
    pages_written: int = 0
    pages_lazy: int = 0

    def podman_document(self) -> dict[str, int]:
        """The `criu_statistics` of `--print-stats`; zeros are left out, as podman does."""
        shown = (
            "freezing_time",
            "frozen_time",
            "memdump_time",
            "memwrite_time",
            "pages_scanned",
            "pages_written",
        )
        return {name: value for name in shown if (value := getattr(self, name))}


@attrs.frozen(kw_only=True)
class RestoreStatistics:
    """What CRIU says about a restore."""

    pages_compared: int = 0
    pages_skipped_cow: int = 0
    forking_time: int = 0
    restore_time: int = 0
    pages_restored: int = 0

    def podman_document(self) -> dict[str, int]:
        """The `criu_statistics` of `--print-stats`; zeros are left out, as podman does."""
        return {name: value for name, value in attrs.asdict(self).items() if value}


_DUMP_FIELDS = {
    1: "freezing_time",
    2: "frozen_time",
    3: "memdump_time",
    4: "memwrite_time",
    5: "pages_scanned",
    6: "pages_skipped_parent",
    7: "pages_written",
    9: "pages_lazy",
}
_RESTORE_FIELDS = {
    1: "pages_compared",
    2: "pages_skipped_cow",
    3: "forking_time",
    4: "restore_time",
    5: "pages_restored",
}


def read_dump_statistics(path: Path) -> DumpStatistics:
    """The numbers of a stats-dump. Raises FileNotFoundError and, for a file that is none, ArchiveError."""
    return DumpStatistics(**_read(path, lambda entry: entry.get(1), _DUMP_FIELDS))


def read_restore_statistics(path: Path) -> RestoreStatistics:
    """The numbers of a stats-restore. Raises FileNotFoundError and, for a file that is none, ArchiveError."""
    return RestoreStatistics(**_read(path, lambda entry: entry.get(2), _RESTORE_FIELDS))


def _read(path: Path, part: Callable[[dict[int, Any]], Any], names: Mapping[int, str]) -> dict[str, int]:
    data = path.read_bytes()
    try:
        if not data.startswith(_MAGICS):
            raise ValueError("wrong magic")
        (length,) = struct.unpack_from("<I", data, len(_MAGICS))
        body = data[_HEADER : _HEADER + length]
        if len(body) < length:
            raise ValueError("cut short")
        inner = part(dict(fields(body)))
        if not isinstance(inner, bytes):
            raise ValueError("part missing")
        return {
            names[number]: value
            for number, value in fields(inner)
            if number in names and isinstance(value, int)
        }
    except (ValueError, IndexError, struct.error) as error:
        raise ArchiveError(str(path), "it is no statistics file of CRIU") from error


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a protobuf message: varints as int, everything with a length as bytes."""
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, position = _varint(data, position)
            yield number, value
        elif wire == 2:
            length, position = _varint(data, position)
            if position + length > len(data):
                raise ValueError("cut short")
            yield number, data[position : position + length]
            position += length
        elif wire in (1, 5):
            position += 8 if wire == 1 else 4
        else:
            raise ValueError("unknown wire type")


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 70:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise ValueError("number too long")


# ---- reports ---------------------------------------------------------------------------------------------------


def checkpoint_report(
    ctr_id: str, runtime_duration: int, statistics: DumpStatistics | None
) -> dict[str, object]:
    """One element of `container_statistics` after a checkpoint, with podman's names."""
    return {
        "Id": ctr_id,
        "runtime_checkpoint_duration": runtime_duration,
        "criu_statistics": None if statistics is None else statistics.podman_document(),
    }


def restore_report(
    ctr_id: str, runtime_duration: int, statistics: RestoreStatistics | None
) -> dict[str, object]:
    """One element of `container_statistics` after a restore, with podman's names."""
    return {
        "Id": ctr_id,
        "runtime_restore_duration": runtime_duration,
        "criu_statistics": None if statistics is None else statistics.podman_document(),
    }
