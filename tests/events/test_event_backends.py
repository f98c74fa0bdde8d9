"""What every back end that keeps events must do, the log file and a real journald."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Mapping, Sequence

import pytest

from libpod.define.errors import InvalidArgumentError
from libpod.events.base import EventBackend, EventQuery
from libpod.model.event import Event, EventStatus, EventType
from libpod.model.times import from_nanoseconds, now, to_nanoseconds
from tests.events.conftest import PATIENCE, an_event


def eventually(backend: EventBackend, query: EventQuery, count: int) -> list[Event]:
    """What a query finds, once it finds *count* events: the journal takes a moment."""
    deadline = time.monotonic() + PATIENCE
    while True:
        found = list(backend.read(query))
        if len(found) >= count or time.monotonic() > deadline:
            return found
        time.sleep(0.02)


def named(name: str, **more: Sequence[str]) -> Mapping[str, Sequence[str]]:
    return {"container": [name], **more}


def test_an_event_is_read_back_as_it_was_written(backend: EventBackend) -> None:
    name = f"full-{secrets.token_urlsafe(6)}"
    event = an_event(
        name,
        status=EventStatus.DIED,
        exit_code=0,
        pod_id="f" * 64,
        network="podman",
        health_status="healthy",
        error="it\nbroke <&>",
        attributes={"label": "1 = 2", "a": "ü\n"},
    )
    backend.write(event)
    (found,) = eventually(backend, EventQuery(filters=named(name)), 1)
    assert to_nanoseconds(found.time) == to_nanoseconds(event.time)
    assert (found.status, found.type, found.id, found.name, found.image) == (
        event.status,
        event.type,
        event.id,
        event.name,
        event.image,
    )
    assert (found.exit_code, found.pod_id, found.network) == (0, "f" * 64, "podman")
    assert (found.health_status, found.error, found.attributes) == (
        "healthy",
        "it\nbroke <&>",
        event.attributes,
    )


@pytest.mark.parametrize("status", list(EventStatus))
def test_every_status_is_written_and_read(backend: EventBackend, status: EventStatus) -> None:
    name = f"{status.value}-{secrets.token_urlsafe(6)}"
    backend.write(an_event(name, status=status))
    (found,) = eventually(backend, EventQuery(filters=named(name, event=[status.value])), 1)
    assert found.status is status


def test_events_come_in_the_order_of_writing(backend: EventBackend) -> None:
    prefix = f"o-{secrets.token_urlsafe(6)}"
    for number in range(50):
        backend.write(an_event(f"{prefix}-{number}", attributes={"batch": prefix}))
    found = eventually(backend, EventQuery(filters={"label": [f"batch={prefix}"]}), 50)
    assert [event.name for event in found] == [f"{prefix}-{number}" for number in range(50)]


def test_a_very_large_event_is_written_whole(backend: EventBackend) -> None:
    name = f"large-{secrets.token_urlsafe(6)}"
    attributes = {f"label{number}": "x" * 1000 for number in range(600)}
    backend.write(an_event(name, attributes=attributes))
    (found,) = eventually(backend, EventQuery(filters=named(name)), 1)
    assert found.attributes == attributes


def test_since_and_until_are_exclusive(backend: EventBackend) -> None:
    prefix = f"s-{secrets.token_urlsafe(6)}"
    start = time.time_ns()
    moments = [from_nanoseconds(start + number * 1000) for number in range(5)]
    for moment in moments:
        backend.write(an_event(prefix, time=moment))
    eventually(backend, EventQuery(filters=named(prefix)), 5)
    found = list(backend.read(EventQuery(since=moments[1], until=moments[3], filters=named(prefix))))
    assert [to_nanoseconds(event.time) for event in found] == [start + 2000]


def test_following_delivers_what_comes_and_nothing_older(backend: EventBackend) -> None:
    prefix = f"f-{secrets.token_urlsafe(6)}"
    backend.write(an_event(prefix, status=EventStatus.CREATE))
    eventually(backend, EventQuery(filters=named(prefix)), 1)
    found: list[Event] = []
    follower = threading.Thread(target=lambda: found.extend(_two_deaths(backend, prefix)))
    follower.start()
    # Until the follower has come to the end of what is there, events are written again and again.
    deadline = time.monotonic() + PATIENCE
    while follower.is_alive() and time.monotonic() < deadline:
        backend.write(an_event(prefix, status=EventStatus.DIED, exit_code=1))
        follower.join(0.05)
    follower.join(PATIENCE)
    assert [event.status for event in found] == [EventStatus.DIED] * 2


def _two_deaths(backend: EventBackend, prefix: str) -> list[Event]:
    stream = backend.read(EventQuery(follow=True, filters=named(prefix)))
    try:
        return [next(stream), next(stream)]
    finally:
        stream.close()  # type: ignore[attr-defined]


def test_following_since_a_moment_begins_with_the_past(backend: EventBackend) -> None:
    name = f"p-{secrets.token_urlsafe(6)}"
    before = now()
    backend.write(an_event(name, status=EventStatus.CREATE))
    backend.write(an_event(name, status=EventStatus.START))
    stream = backend.read(EventQuery(follow=True, since=before, filters=named(name)))
    assert [next(stream).status, next(stream).status] == [EventStatus.CREATE, EventStatus.START]
    stream.close()  # type: ignore[attr-defined]


def test_following_until_a_moment_ends_then(backend: EventBackend) -> None:
    name = f"u-{secrets.token_urlsafe(6)}"
    before = now()
    backend.write(an_event(name))
    eventually(backend, EventQuery(filters=named(name)), 1)
    end = time.time_ns() + 500_000_000
    found = list(
        backend.read(EventQuery(follow=True, since=before, until=from_nanoseconds(end), filters=named(name)))
    )
    assert time.time_ns() >= end
    assert [event.name for event in found] == [name]


def test_an_unknown_filter_is_refused_at_once(backend: EventBackend) -> None:
    with pytest.raises(InvalidArgumentError, match='"colour" is not a filter'):
        backend.read(EventQuery(filters={"colour": ["red"]}))


def test_writers_of_many_threads_lose_nothing(backend: EventBackend) -> None:
    prefix = f"m-{secrets.token_urlsafe(6)}"

    def work(thread: int) -> None:
        for number in range(25):
            backend.write(an_event(f"{thread}.{number}", type=EventType.POD, attributes={"batch": prefix}))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = eventually(backend, EventQuery(filters={"label": [f"batch={prefix}"]}), 100)
    assert sorted(event.name for event in found) == sorted(f"{t}.{n}" for t in range(4) for n in range(25))
