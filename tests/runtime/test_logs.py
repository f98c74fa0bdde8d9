"""Reading a container's log through the library."""

from __future__ import annotations

import threading

from libpod import LogOptions
from tests.engines import lines, until


def test_tail_and_streams(runtime):
    container = runtime.run(
        "bb:1", "sh", "-c", "for i in 1 2 3; do echo $i; done; echo four >&2", network="none"
    )
    container.wait()
    assert [line.data for line in container.logs(LogOptions(tail=2))] != []
    assert [line.data for line in container.logs(LogOptions(stderr=False))] == [b"1", b"2", b"3"]
    assert [line.data for line in container.logs(LogOptions(stdout=False))] == [b"four"]
    assert list(container.logs(LogOptions(tail=0))) == []


def test_since_and_until(runtime):
    container = runtime.run("bb:1", "sh", "-c", "echo early; sleep 1.2; echo late", network="none")
    container.wait()
    early, late = list(container.logs())
    assert [line.data for line in container.logs(LogOptions(since=late.time))] == [b"late"]
    assert [line.data for line in container.logs(LogOptions(until=early.time))] == [b"early"]


def test_follow_ends_with_the_container(runtime):
    container = runtime.run(
        "bb:1",
        "sh",
        "-c",
        "echo first; while [ ! -e /tmp/go ]; do sleep 0.05; done; echo last",
        network="none",
    )
    seen: list[bytes] = []
    reader = threading.Thread(
        target=lambda: seen.extend(line.data for line in container.logs(LogOptions(follow=True)))
    )
    reader.start()
    until(lambda: seen)
    container.run("touch", "/tmp/go")
    reader.join(60)
    assert not reader.is_alive()
    assert seen == [b"first", b"last"]


def test_a_restart_continues_the_log(runtime):
    container = runtime.run("bb:1", "echo", "again", network="none")
    container.wait()
    container.start()
    container.wait()
    assert lines(container) == ["again", "again"]
