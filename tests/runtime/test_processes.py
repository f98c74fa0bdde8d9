"""What kinds of processes survive a round trip to another host."""

from __future__ import annotations

from pathlib import Path

import pytest

import libpod
from libpod.linux.host import read_host_facts
from libpod.linux.namespaces import run_in_netns
from tests.engines import Engine, counts_on, lines, until


@pytest.fixture
def moved(runtime, other_engine: Engine, tmp_path):
    """A function: run a container, wait for output, move it to the other host; gives both containers."""
    opened = []

    def move(*command: str, **options):
        options = {"network": "none", **options}
        container = runtime.run("bb:1", *command, **options)
        until(lambda: len(lines(container)) >= 2)
        runtime.checkpoint(container, export=tmp_path / "moved.tar")
        other = other_engine.runtime()
        opened.append(other)
        return container, other.restore(import_=tmp_path / "moved.tar")

    yield move
    for other in opened:
        other.close()


def test_a_process_with_a_listening_socket_accepts_again(moved):
    script = "while true; do echo answer | nc -l -p 8080; done & echo a; echo b; wait"
    _, twin = moved("sh", "-c", script)
    namespace = Path(twin.state().netns)

    def ask() -> bytes:
        import socket

        with socket.create_connection(("127.0.0.1", 8080), timeout=20) as connection:
            return connection.recv(100)

    assert run_in_netns(namespace, ask) == b"answer\n"


def test_a_process_with_threads_goes_on(moved, programs):
    container, twin = moved("/mnt/threads", volumes=[f"{programs}:/mnt:ro"])
    stood = int(lines(container)[-1])
    reached = until(lambda: int(lines(twin)[-1]), lambda number: number > stood + 5)
    assert reached > stood + 5
    threads = twin.run("sh", "-c", "ls /proc/1/task | wc -l").stdout
    assert int(threads) == 4


def test_two_processes_with_a_pipe_between_them_go_on(moved):
    script = "(i=0; while true; do i=$((i+1)); echo $i; sleep 0.1; done) | while read n; do echo got $n; done"
    container, twin = moved("sh", "-c", script)
    stood = len(lines(container))
    seen = until(lambda: lines(twin), lambda found: len(found) > stood + 3)
    assert seen == [f"got {number}" for number in range(1, len(seen) + 1)]


def test_a_deleted_file_that_is_open_stays_readable(moved):
    script = (
        "echo secret > /tmp/ghost; exec 3</tmp/ghost; rm /tmp/ghost; echo a; echo b;"
        "while [ ! -e /tmp/go ]; do sleep 0.1; done; cat <&3; sleep 1000"
    )
    _, twin = moved("sh", "-c", script)
    twin.run("touch", "/tmp/go")
    assert until(lambda: lines(twin)[-1], lambda line: line == "secret") == "secret"


def test_a_file_lock_is_held_on_the_other_side(runtime, other_engine: Engine, tmp_path, programs):
    container = runtime.run("bb:1", "/mnt/locker", network="none", volumes=[f"{programs}:/mnt:ro"])
    at = counts_on(container, 1)
    runtime.checkpoint(container, export=tmp_path / "locked.tar", file_locks=True)
    with other_engine.runtime() as other:
        twin = other.restore(import_=tmp_path / "locked.tar", file_locks=True)
        counts_on(twin, at)
        assert twin.run("/mnt/locker", "try").stdout == b"taken\n"


def test_a_process_of_another_user_stays_that_user_or_the_missing_right_is_named(moved):
    if "CAP_SYS_RESOURCE" not in read_host_facts().effective:
        with pytest.raises(libpod.CheckpointError, match="CAP_SYS_RESOURCE"):
            moved("sh", "-c", "while true; do id -u; sleep 0.1; done", user="someone")
        return
    _, twin = moved("sh", "-c", "while true; do id -u; sleep 0.1; done", user="someone")
    before = len(lines(twin))
    until(lambda: len(lines(twin)) > before)
    assert set(lines(twin)) == {"1000"}
