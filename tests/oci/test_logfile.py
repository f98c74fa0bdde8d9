"""The log as conmon writes it, and reading along."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from libpod.linux.pidfd import ProcessIdentity
from libpod.oci.logfile import LogRecord, LogSelection, Writer, parse_time, read_log
from tests.oci.bundles import PATIENCE, Workshop

SECOND = 1_000_000_000


def line(number: int, text: str, *, stream: str = "stdout", tag: str = "F") -> str:
    return f"2026-11-22T21:14:{number:02d}.346301179+00:00 {stream} {tag} {text}\n"


def write(path: Path, *lines: str) -> Path:
    path.write_text("".join(lines))
    return path


def texts(records: list[LogRecord]) -> list[bytes]:
    return [record.data for record in records]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "ctr.log"


def test_a_log_that_does_not_exist_is_empty(log: Path) -> None:
    assert list(read_log(log)) == []


def test_records_come_in_order_with_their_streams(log: Path) -> None:
    write(log, line(1, "one"), line(2, "", stream="stderr"), line(3, "with  spaces "))
    assert [(r.stream, r.data) for r in read_log(log)] == [
        ("stdout", b"one"),
        ("stderr", b""),
        ("stdout", b"with  spaces "),
    ]
    assert texts(list(read_log(log, LogSelection(streams=frozenset({"stderr"}))))) == [b""]


def test_pieces_say_where_a_line_starts_and_ends(log: Path) -> None:
    write(
        log,
        line(1, "a", tag="P"),
        line(1, "x", stream="stderr"),
        line(2, "b", tag="P"),
        line(2, ""),
        line(3, "c"),
    )
    marks = [(r.data, r.starts_line, r.ends_line) for r in read_log(log)]
    assert marks == [
        (b"a", True, False),
        (b"x", True, True),
        (b"b", False, False),
        (b"", False, True),
        (b"c", True, True),
    ]


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, []),
        (1, [b"last"]),
        (2, [b"long", b"er", b"last"]),
        (3, [b"one", b"long", b"er", b"last"]),
        (99, [b"one", b"long", b"er", b"last"]),
    ],
)
def test_tail_counts_lines_and_keeps_them_whole(log: Path, count: int, expected: list[bytes]) -> None:
    write(log, line(1, "one"), line(2, "long", tag="P"), line(2, "er"), line(3, "last"))
    assert texts(list(read_log(log, LogSelection(tail=count)))) == expected


def test_a_trailing_piece_counts_as_a_line(log: Path) -> None:
    write(log, line(1, "one"), line(2, "no", tag="P"), line(2, "end", tag="P"))
    assert texts(list(read_log(log, LogSelection(tail=1)))) == [b"no", b"end"]


def test_tail_works_across_blocks(log: Path) -> None:
    with log.open("w") as stream:
        for number in range(20000):
            stream.write(line(number % 60, f"{number} {'x' * (number % 97)}"))
    for count in (1, 5, 5000, 19999, 20000, 20001):
        found = texts(list(read_log(log, LogSelection(tail=count))))
        assert [int(data.split()[0]) for data in found] == list(range(max(0, 20000 - count), 20000))


def test_since_and_until_are_inclusive(log: Path) -> None:
    write(log, *(line(number, str(number)) for number in range(10)))
    begin = parse_time("2026-11-22T21:14:03.346301179+00:00")
    found = read_log(log, LogSelection(since_ns=begin, until_ns=begin + 2 * SECOND))
    assert texts(list(found)) == [b"3", b"4", b"5"]


def test_times_with_any_offset_are_understood() -> None:
    expected = 1795382084 * SECOND
    assert parse_time("2026-11-22T21:14:44.000000001+00:00") == expected + 1
    assert parse_time("2026-11-22T23:14:44.5+02:00") == expected + SECOND // 2
    assert parse_time("2026-11-22T16:44:44-04:30") == expected
    assert parse_time("2026-11-22T21:14:44.25Z") == expected + SECOND // 4


def test_damaged_lines_are_skipped(log: Path) -> None:
    write(
        log, "nonsense\n", line(1, "good"), "\n", "x stdout Q y\n", line(2, "good too"), "2026-11-22T21:14:44"
    )
    assert texts(list(read_log(log))) == [b"good", b"good too"]
    assert texts(list(read_log(log, LogSelection(tail=1)))) == [b"good too"]


def test_a_half_written_record_is_completed_while_following(log: Path, tmp_path: Path) -> None:
    record = line(1, "whole")
    log.write_text(record[:50])
    (tmp_path / "exits").mkdir()
    writer = Writer(conmon=ProcessIdentity.of(1), exit_file=tmp_path / "exits" / "id")
    found: list[LogRecord] = []
    reader = threading.Thread(target=lambda: found.extend(read_log(log, follow=writer)))
    reader.start()
    with log.open("a") as stream:
        stream.write(record[50:])
    temporary = tmp_path / "exit"
    temporary.write_text("0")
    temporary.rename(writer.exit_file)
    reader.join(PATIENCE)
    assert texts(found) == [b"whole"]


def test_following_ends_at_until(log: Path, tmp_path: Path) -> None:
    write(log, line(1, "one"))
    writer = Writer(conmon=ProcessIdentity.of(1), exit_file=tmp_path / "id")
    until = time.time_ns() + SECOND // 5
    assert texts(list(read_log(log, LogSelection(until_ns=until), follow=writer))) in ([b"one"], [])


@pytest.mark.root
def test_a_long_line_and_one_without_end_come_back_as_written(shop: Workshop) -> None:
    bundle, launched = shop.shell("head -c 20000 /dev/zero | tr '\\0' x; echo; echo -n end")
    assert shop.code(bundle, launched) == 0
    assert bundle.log_path is not None
    records = list(read_log(bundle.log_path))
    whole = b"".join(r.data + (b"\n" if r.ends_line else b"") for r in records)
    assert whole == b"x" * 20000 + b"\nend"
    assert [r.starts_line for r in records].count(True) == 2
    assert abs(records[-1].moment_ns - time.time_ns()) < 600 * SECOND


@pytest.mark.root
def test_following_loses_nothing_across_rotations(shop: Workshop) -> None:
    bundle = shop.bundle(log_size_max=4000)
    script = "i=0; while [ $i -lt 400 ]; do i=$((i+1)); echo line $i; sleep 0.002; done"
    bundle, launched = shop.create(["sh", "-c", script], bundle=bundle)
    assert bundle.log_path is not None
    found: list[LogRecord] = []
    writer = Writer(conmon=launched.conmon, exit_file=bundle.exit_file)
    path = bundle.log_path
    reader = threading.Thread(target=lambda: found.extend(read_log(path, follow=writer)))
    reader.start()
    shop.runtime.start(bundle, launched)
    reader.join(PATIENCE)
    assert not reader.is_alive()
    assert texts(found) == [b"line %d" % number for number in range(1, 401)]
    assert shop.code(bundle, launched) == 0
    assert path.stat().st_size <= 4000


@pytest.mark.root
def test_the_log_can_be_started_anew(shop: Workshop) -> None:
    bundle, launched = shop.shell("echo before; read x; echo after", bundle=shop.bundle(stdin_open=True))
    assert bundle.log_path is not None
    path = bundle.log_path
    deadline = time.monotonic() + PATIENCE
    while not list(read_log(path)) and time.monotonic() < deadline:
        time.sleep(0.005)
    shop.runtime.reopen_log(bundle)
    while list(read_log(path)) and time.monotonic() < deadline:
        time.sleep(0.005)
    with shop.runtime.attach(bundle) as stream:
        stream.send(b"\n")
        assert shop.code(bundle, launched) == 0
    assert texts(list(read_log(path))) == [b"after"]


@pytest.mark.root
@pytest.mark.parametrize("driver", ["none", "json-file"])
def test_other_drivers_write_what_they_say(shop: Workshop, driver: str) -> None:
    bundle, launched = shop.shell("echo text", bundle=shop.bundle(log_driver=driver))
    assert shop.code(bundle, launched) == 0
    assert bundle.log_path is not None
    assert texts(list(read_log(bundle.log_path))) == ([] if driver == "none" else [b"text"])
