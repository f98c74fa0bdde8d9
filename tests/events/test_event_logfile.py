"""The log file: podman's lines, rotation under many writers, followers through rotations."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from libpod.events.base import EventQuery
from libpod.events.logfile import ROTATE_ATTRIBUTE, LogFileEvents
from libpod.model.event import Event, EventStatus, EventType
from tests.events.conftest import PATIENCE, an_event
from tests.state.children import Child


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "events" / "events.log"


def documents(log: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


def names(log: Path) -> list[str]:
    return [
        event.name for event in LogFileEvents(log).read(EventQuery()) if event.type is EventType.CONTAINER
    ]


def test_a_line_has_podmans_keys_in_podmans_order(log: Path) -> None:
    backend = LogFileEvents(log)
    backend.write(an_event("web", status=EventStatus.DIED, exit_code=0, attributes={"b": "<&>", "a": "1"}))
    backend.write(an_event("web", status=EventStatus.START))
    backend.write(Event(type=EventType.SYSTEM, status=EventStatus.REFRESH, time="2026-01-01T00:00:00Z"))
    lines = log.read_text().splitlines()
    assert list(json.loads(lines[0])) == [
        "ContainerExitCode",
        "ID",
        "Image",
        "Name",
        "Status",
        "Time",
        "Type",
        "Attributes",
    ]
    assert lines[0].endswith('"Attributes":{"a":"1","b":"\\u003c\\u0026\\u003e"}}')
    assert lines[1].endswith('"Type":"container","Attributes":null}')
    assert list(json.loads(lines[2])) == ["Status", "Time", "Type", "Attributes"]


def test_times_are_written_with_the_local_offset(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for zone, written in (
        ("UTC0", "2026-01-31T12:00:00.5Z"),
        ("EST5", "2026-01-31T07:00:00.5-05:00"),
        ("IST-5:30", "2026-01-31T17:30:00.5+05:30"),
    ):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        LogFileEvents(log).write(an_event(time="2026-01-31T12:00:00.5Z"))
        assert documents(log)[-1]["Time"] == written
    monkeypatch.undo()
    time.tzset()


@pytest.mark.podman
@pytest.mark.skipif(shutil.which("podman") is None, reason="podman is not installed")
def test_podman_reads_our_lines_and_we_read_podmans() -> None:
    # podman refuses long paths.
    with tempfile.TemporaryDirectory(prefix="lpe-", dir="/tmp") as directory:
        _compare_with_podman(Path(directory))


def _compare_with_podman(root: Path) -> None:
    podman = [
        "podman",
        *("--root", str(root / "r"), "--runroot", str(root / "rr"), "--tmpdir", str(root / "t")),
        "--events-backend=file",
    ]
    subprocess.run([*podman, "volume", "create", "theirs"], check=True, capture_output=True)
    log = root / "t" / "events" / "events.log"
    assert [(event.type, event.status, event.name) for event in LogFileEvents(log).read(EventQuery())][
        -1
    ] == (
        EventType.VOLUME,
        EventStatus.CREATE,
        "theirs",
    )
    LogFileEvents(log).write(an_event("ours", status=EventStatus.DIED, exit_code=3, attributes={"k": "v"}))
    shown = subprocess.run(
        [*podman, "events", "--stream=false", "--format", "json"], check=True, capture_output=True, text=True
    )
    last = json.loads(shown.stdout.splitlines()[-1])
    assert (last["Name"], last["Status"], last["ContainerExitCode"]) == ("ours", "died", 3)
    assert last["Attributes"] == {"k": "v"}


# ---- rotation ---------------------------------------------------------------------------------------------------


def test_the_younger_half_is_kept_between_two_markers(log: Path) -> None:
    backend = LogFileEvents(log, max_size=10_000)
    for number in range(60):
        backend.write(an_event(f"n{number}"))
    assert log.stat().st_size < 10_000
    found = documents(log)
    marks = [at for at, item in enumerate(found) if item["Type"] == "system"]
    assert [found[at]["Attributes"] for at in marks] == [
        {ROTATE_ATTRIBUTE: "begin"},
        {ROTATE_ATTRIBUTE: "end"},
    ]
    assert all(found[at]["Status"] == "log-rotation" for at in marks)
    kept = [str(item["Name"]) for item in found if item["Type"] == "container"]
    assert kept == [f"n{number}" for number in range(60 - len(kept), 60)]
    assert len(kept) > 15


def test_no_limit_means_no_rotation(log: Path) -> None:
    backend = LogFileEvents(log, max_size=0)
    for number in range(200):
        backend.write(an_event(f"n{number}"))
    assert names(log) == [f"n{number}" for number in range(200)]


def test_a_line_larger_than_the_limit_is_written_all_the_same(log: Path) -> None:
    backend = LogFileEvents(log, max_size=1000)
    for number in range(5):
        backend.write(an_event(f"n{number}", attributes={"x": "y" * 3000}))
        assert names(log)[-1] == f"n{number}"


def test_writers_that_rotate_under_each_other_lose_no_line(log: Path) -> None:
    """Every process writes, and reads back what is kept: of each, without a gap, up to its last."""
    each = 150

    def work(say: Callable[[str], None]) -> None:
        backend = LogFileEvents(log, max_size=60_000)
        for number in range(each):
            backend.write(an_event(f"{os.getpid()}.{number}"))

    children = [Child(work) for _ in range(4)]
    for child in children:
        child.finish()
    kept = names(log)
    assert len(kept) > 100
    for child in children:
        mine = [int(name.split(".")[1]) for name in kept if name.startswith(f"{child.pid}.")]
        assert mine == list(range(each - len(mine), each))


def test_a_follower_sees_every_line_once_through_rotations_of_several_writers(log: Path) -> None:
    """The writers never run further ahead of the follower than the log keeps."""
    each, ahead = 200, 40
    LogFileEvents(log).write(an_event("first"))
    seen: list[str] = []
    ready = threading.Event()

    def follow() -> None:
        stream = LogFileEvents(log).read(EventQuery(follow=True, since="2026-01-01T00:00:00Z"))
        for event in stream:
            if event.type is EventType.CONTAINER:
                seen.append(event.name)
                ready.set()
                if len(seen) == 1 + 3 * each:
                    return

    def write(writer: int) -> None:
        backend = LogFileEvents(log, max_size=60_000)
        for number in range(each):
            deadline = time.monotonic() + PATIENCE
            while 3 * number - len(seen) > ahead and time.monotonic() < deadline:
                time.sleep(0.001)
            backend.write(an_event(f"{writer}.{number}"))

    follower = threading.Thread(target=follow)
    follower.start()
    assert ready.wait(PATIENCE)
    writers = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(PATIENCE)
    follower.join(PATIENCE)
    assert not follower.is_alive()
    assert sorted(seen) == sorted(["first", *(f"{w}.{n}" for w in range(3) for n in range(each))])
    for writer_number in range(3):
        mine = [name for name in seen if name.startswith(f"{writer_number}.")]
        assert mine == [f"{writer_number}.{number}" for number in range(each)]


def test_a_rotation_that_was_killed_half_way_changes_nothing(log: Path) -> None:
    backend = LogFileEvents(log, max_size=10_000)
    for number in range(10):
        backend.write(an_event(f"n{number}"))
    (log.parent / f".{log.name}.rotating").write_bytes(b'{"half')
    assert names(log) == [f"n{number}" for number in range(10)]
    for number in range(10, 60):
        backend.write(an_event(f"n{number}"))
    assert names(log)[-1] == "n59"


def test_a_writer_that_was_killed_holding_the_lock_frees_it(log: Path) -> None:
    backend = LogFileEvents(log)

    def work(say: Callable[[str], None]) -> None:
        with LogFileEvents(log)._locked():
            say("holding")
            time.sleep(1000)

    child = Child(work)
    child.wait_for("holding")
    child.kill()
    backend.write(an_event("after"))
    assert names(log) == ["after"]


# ---- damage -----------------------------------------------------------------------------------------------------


def test_a_line_cut_short_spoils_neither_its_neighbours_nor_the_reader(log: Path) -> None:
    backend = LogFileEvents(log)
    backend.write(an_event("before"))
    with log.open("ab") as stream:
        stream.write(b'{"Name":"cut sho')
    assert names(log) == ["before"]
    backend.write(an_event("after"))
    with log.open("ab") as stream:
        stream.write(b'\n{"Name":"no time"}\n{"Status":"from the future","Time":"x","Type":"comet"}\n')
    backend.write(an_event("last"))
    assert names(log) == ["before", "after", "last"]


def test_a_log_that_is_not_there_yet_is_empty_and_can_be_followed(log: Path) -> None:
    backend = LogFileEvents(log)
    assert list(backend.read(EventQuery())) == []
    found: list[Event] = []
    follower = threading.Thread(target=lambda: found.append(next(backend.read(EventQuery(follow=True)))))
    follower.start()
    deadline = time.monotonic() + PATIENCE
    while follower.is_alive() and time.monotonic() < deadline:
        backend.write(an_event("new"))
        follower.join(0.05)
    assert [event.name for event in found] == ["new"]


def test_an_event_that_cannot_be_written_is_a_warning_and_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = tmp_path / "events.log"
    backend = LogFileEvents(log)
    log.mkdir()
    backend.write(an_event("web"))
    assert "was not written" in caplog.text


def test_closing_a_follower_gives_its_descriptors_back(log: Path) -> None:
    backend = LogFileEvents(log)
    backend.write(an_event("web"))
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        stream = backend.read(EventQuery(follow=True, since="2026-01-01"))
        next(stream)
        stream.close()  # type: ignore[attr-defined]
    deadline = time.monotonic() + 30
    while len(os.listdir("/proc/self/fd")) != before:  # a thread closes them
        assert time.monotonic() < deadline
        time.sleep(0.005)
