"""Filters, moments, and which back end a name means. No I/O but a look for a socket."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from libpod.define.errors import CommandError, ConfigError, InvalidArgumentError
from libpod.events import filters, open_backend
from libpod.events.base import EventQuery
from libpod.events.journald import SOCKET, JournaldEvents, datagram, fields, parsed
from libpod.events.logfile import LogFileEvents
from libpod.events.null import NullEvents
from libpod.model.event import Event, EventStatus, EventType
from libpod.model.times import to_nanoseconds
from tests.events.conftest import an_event

NOW = to_nanoseconds("2026-01-31T12:00:00Z")


def matches(subject: Event, /, **wanted: list[str]) -> bool:
    return filters.select(EventQuery(filters=wanted), now=NOW).matches(subject)


@pytest.mark.parametrize(
    ("wanted", "answer"),
    [
        ({"container": ["web"]}, True),
        ({"container": ["012345"]}, True),
        ({"container": ["we"]}, False),
        ({"container": ["no", "web"]}, True),
        ({"pod": ["web"]}, False),
        ({"event": ["start"]}, True),
        ({"status": ["start"]}, True),
        ({"event": ["stop"], "status": ["start"]}, True),
        ({"event": ["start"], "container": ["no"]}, False),
        ({"type": ["container"]}, True),
        ({"TYPE": ["image"]}, False),
        ({"label": ["app"]}, True),
        ({"label": ["app=shop"]}, True),
        ({"label": ["app=bazaar"]}, False),
        ({"label": ["none"]}, False),
        ({}, True),
    ],
)
def test_filters_are_alternatives_within_a_key_and_all_across_keys(
    wanted: dict[str, list[str]], answer: bool
) -> None:
    assert matches(an_event("web", attributes={"app": "shop"}), **wanted) is answer


def test_die_means_died() -> None:
    assert matches(an_event(status=EventStatus.DIED), event=["die"])


def test_volumes_images_and_networks_are_found_by_their_own_filters() -> None:
    volume = Event(type=EventType.VOLUME, status=EventStatus.CREATE, time="2026-01-01T00:00:00Z", name="data")
    assert matches(volume, volume=["da"])
    assert not matches(volume, container=["data"])
    image = an_event("busybox", type=EventType.IMAGE, status=EventStatus.PULL)
    assert matches(image, image=["busybox"])
    assert matches(image, image=["0123"])
    assert not matches(an_event("x", image="busybox"), image=["busybox"])
    assert matches(an_event("net", type=EventType.NETWORK), network=["net"])


def test_filter_words_are_split_at_the_first_equals_sign() -> None:
    assert filters.parse_filters(["label=a=b", "event=start", "label=c"]) == {
        "label": ["a=b", "c"],
        "event": ["start"],
    }
    with pytest.raises(InvalidArgumentError, match="key=value"):
        filters.parse_filters(["label"])


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z"),
        ("2026-01-31T12:00:00.123456789+02:00", "2026-01-31T10:00:00.123456789Z"),
        ("2026-01-31T12:00:00", "2026-01-31T12:00:00Z"),
        ("2026-01-31T12:00", "2026-01-31T12:00:00Z"),
        ("2026-01-31", "2026-01-31T00:00:00Z"),
        ("2026-01-31+01:00", "2026-01-30T23:00:00Z"),
        ("1769860800", "2026-01-31T12:00:00Z"),
        ("1769860800.5", "2026-01-31T12:00:00.5Z"),
        ("10m", "2026-01-31T11:50:00Z"),
        ("1h30m", "2026-01-31T10:30:00Z"),
        ("1.5h", "2026-01-31T10:30:00Z"),
        ("-10m", "2026-01-31T12:10:00Z"),
    ],
)
def test_a_moment_can_be_written_in_many_ways(text: str, moment: str) -> None:
    assert filters.moment(text, now=NOW) == to_nanoseconds(moment)


@pytest.mark.parametrize(
    "text", ["yesterday", "10x", "2026-13-01", "2026-01-32", "m", "2026-01-31T25:00:00Z"]
)
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match="is not a time"):
        filters.moment(text, now=NOW)


def test_a_name_means_a_back_end(tmp_path: Path) -> None:
    assert isinstance(open_backend("none", tmp_path / "e"), NullEvents)
    assert isinstance(open_backend("file", tmp_path / "e"), LogFileEvents)
    with pytest.raises(ConfigError, match='"syslog" is not an events logger'):
        open_backend("syslog", tmp_path / "e")
    expected = JournaldEvents if JournaldEvents.available(SOCKET) else LogFileEvents
    for name in ("journald", ""):
        backend = open_backend(name, tmp_path / "e")
        assert isinstance(backend, expected)
        backend.close()


def test_nothing_is_kept_by_the_null_back_end() -> None:
    backend = NullEvents()
    backend.write(an_event())
    assert list(backend.read(EventQuery())) == []


def test_the_journals_fields_are_podmans() -> None:
    event = an_event(
        "web", status=EventStatus.DIED, exit_code=137, pod_id="p", attributes={"b": "2", "a": "1"}
    )
    found = fields(event)
    assert found["PODMAN_EVENT"] == "died"
    assert found["PODMAN_TYPE"] == "container"
    assert found["PODMAN_EXIT_CODE"] == "137"
    assert found["PODMAN_LABELS"] == '{"a":"1","b":"2"}'
    assert found["MESSAGE"].startswith("container died 0123")
    assert "PODMAN_NETWORK_NAME" not in found


def test_a_value_with_a_line_break_is_sent_with_its_length() -> None:
    assert datagram({"A": "one", "B": "two\nlines"}) == b"A=one\nB\n\x09\0\0\0\0\0\0\0two\nlines\n"


def test_an_entry_that_is_no_event_is_skipped() -> None:
    assert parsed(b'{"MESSAGE": "hello"}') is None
    assert parsed(b"not json") is None
    assert parsed(
        b'{"PODMAN_EVENT":"start","PODMAN_TYPE":"container","PODMAN_TIME":"t","PODMAN_NAME":[195,188]}'
    )


def test_a_journal_that_cannot_be_read_is_an_error_with_journalctls_words(tmp_path: Path) -> None:
    if shutil.which("journalctl") is None:
        pytest.skip("journalctl is not installed")
    backend = JournaldEvents(socket_path=tmp_path / "socket", directory=tmp_path / "gone")
    with pytest.raises(CommandError, match="No such file or directory"):
        list(backend.read(EventQuery()))
    backend.close()


def test_an_event_nobody_listens_for_is_a_warning_and_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    backend = JournaldEvents(socket_path=tmp_path / "socket")
    assert not JournaldEvents.available(tmp_path / "socket")
    backend.write(an_event())
    backend.close()
    assert "was not written to the journal" in caplog.text
