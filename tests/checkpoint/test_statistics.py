"""CRIU's numbers."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from libpod.checkpoint.statistics import (
    DumpStatistics,
    RestoreStatistics,
    checkpoint_report,
    read_dump_statistics,
    read_restore_statistics,
    restore_report,
)
from libpod.define.errors import ArchiveError


def varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def statistics(part: int, fields: dict[int, int]) -> bytes:
    inner = b"".join(varint(number << 3) + varint(value) for number, value in fields.items())
    body = varint(part << 3 | 2) + varint(len(inner)) + inner
    return struct.pack("<III", 0x55105940, 0x57093306, len(body)) + body


def test_a_dump_is_read(tmp_path: Path) -> None:
    (tmp_path / "s").write_bytes(
        statistics(1, {1: 12, 2: 3456, 3: 0, 4: 1 << 31, 5: 1 << 40, 6: 7, 7: 8, 9: 0, 12: 3})
    )
    assert read_dump_statistics(tmp_path / "s") == DumpStatistics(
        freezing_time=12, frozen_time=3456, memwrite_time=1 << 31, pages_scanned=1 << 40, pages_skipped_parent=7,
        pages_written=8,
    )  # fmt: skip


def test_a_restore_is_read(tmp_path: Path) -> None:
    (tmp_path / "s").write_bytes(statistics(2, {1: 1, 2: 2, 3: 3, 4: 4, 5: 5}))
    assert read_restore_statistics(tmp_path / "s") == RestoreStatistics(
        pages_compared=1, pages_skipped_cow=2, forking_time=3, restore_time=4, pages_restored=5
    )


@pytest.mark.parametrize("cut", range(22))
def test_a_damaged_file_is_refused(cut: int, tmp_path: Path) -> None:
    data = statistics(1, {1: 12, 2: 3456, 7: 88})
    (tmp_path / "s").write_bytes(data[: min(cut, len(data) - 1)])
    with pytest.raises(ArchiveError):
        read_dump_statistics(tmp_path / "s")


def test_the_other_part_is_not_taken_for_this_one(tmp_path: Path) -> None:
    (tmp_path / "s").write_bytes(statistics(2, {1: 1}))
    with pytest.raises(ArchiveError):
        read_dump_statistics(tmp_path / "s")


def test_the_report_has_podmans_names_and_leaves_zeros_out() -> None:
    assert checkpoint_report("ab", 99, DumpStatistics(freezing_time=1, pages_skipped_parent=5)) == {
        "Id": "ab", "runtime_checkpoint_duration": 99, "criu_statistics": {"freezing_time": 1},
    }  # fmt: skip
    assert restore_report("ab", 99, RestoreStatistics(restore_time=1)) == {
        "Id": "ab", "runtime_restore_duration": 99, "criu_statistics": {"restore_time": 1},
    }  # fmt: skip
    assert checkpoint_report("ab", 0, None)["criu_statistics"] is None
