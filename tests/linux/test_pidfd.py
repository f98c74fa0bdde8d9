"""Processes by identity."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator

import pytest

from libpod.linux import pidfd
from libpod.linux.pidfd import ProcessIdentity

pytestmark = pytest.mark.processes


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "1000"]) as child:
        yield child
        with contextlib.suppress(ProcessLookupError):
            child.kill()


def test_a_process_is_alive_until_it_ends_and_a_zombie_is_dead(sleeper: subprocess.Popen[bytes]) -> None:
    identity = ProcessIdentity.of(sleeper.pid)
    assert identity.alive()
    assert not pidfd.wait_end(identity, 0.01)
    os.kill(sleeper.pid, signal.SIGKILL)
    assert pidfd.wait_end(identity, 30)
    assert pidfd.process_state(sleeper.pid) == "Z"
    assert not identity.alive()
    assert not pidfd.send_signal(identity, signal.SIGTERM)
    sleeper.wait()
    assert not identity.alive()
    assert pidfd.open_pidfd(identity) is None


def test_a_pid_with_another_start_time_is_a_stranger(sleeper: subprocess.Popen[bytes]) -> None:
    identity = ProcessIdentity.of(sleeper.pid)
    stranger = ProcessIdentity(identity.pid, identity.start_time - 1)
    assert not stranger.alive()
    assert not pidfd.send_signal(stranger, signal.SIGKILL)
    assert pidfd.wait_end(stranger, 0)
    assert identity.alive()


def test_nobody_is_never_alive() -> None:
    for nobody in (ProcessIdentity(0, 0), ProcessIdentity(-1, 5), ProcessIdentity(os.getpid(), 0)):
        assert not nobody.alive()
        assert not pidfd.send_signal(nobody, 0)
    assert ProcessIdentity.of(1 << 22).start_time == 0


def test_the_id_of_a_thread_is_no_process() -> None:
    ready, over = threading.Event(), threading.Event()
    ids: list[int] = []

    def run() -> None:
        ids.append(threading.get_native_id())
        ready.set()
        over.wait()

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait()
    try:
        assert not ProcessIdentity.of(ids[0]).alive()
    finally:
        over.set()
        thread.join()


def test_a_name_with_parentheses_and_spaces_hides_nothing(tmp_path: os.PathLike[str]) -> None:
    name = os.path.join(tmp_path, ") 1 (x) S")
    os.symlink("/bin/sleep", name)
    with subprocess.Popen([name, "1000"]) as child:
        try:
            # The kernel closes what tells Popen of the exec before it sets the new name.
            deadline = time.monotonic() + 30
            while pidfd.process_name(child.pid) != ") 1 (x) S" and time.monotonic() < deadline:
                time.sleep(0.01)
            assert pidfd.process_name(child.pid) == ") 1 (x) S"
            assert ProcessIdentity.of(child.pid).alive()
            with open("/proc/uptime") as uptime:
                now = float(uptime.read().split()[0]) * os.sysconf("SC_CLK_TCK")
            assert abs((pidfd.start_time(child.pid) or 0) - now) < 100 * os.sysconf("SC_CLK_TCK")
        finally:
            child.kill()


def test_signal_zero_asks_and_signals_arrive(sleeper: subprocess.Popen[bytes]) -> None:
    identity = ProcessIdentity.of(sleeper.pid)
    assert pidfd.send_signal(identity, 0)
    assert pidfd.send_signal(identity, 40)
    assert sleeper.wait(30) == -40


def test_a_stopped_process_stands(sleeper: subprocess.Popen[bytes]) -> None:
    identity = ProcessIdentity.of(sleeper.pid)
    assert pidfd.stop_process(identity, 30)
    assert pidfd.process_state(sleeper.pid) == "T"
    assert not pidfd.stop_process(ProcessIdentity(0, 0))


def test_children_are_found(sleeper: subprocess.Popen[bytes]) -> None:
    children = pidfd.children(ProcessIdentity.of(os.getpid()))
    assert ProcessIdentity.of(sleeper.pid) in children
    assert ProcessIdentity.of(sleeper.pid) in pidfd.all_processes()


def test_waiting_ends_at_its_timeout_and_not_before() -> None:
    reading, writing = os.pipe()
    try:
        began = time.monotonic()
        assert pidfd.wait_readable([reading], 0.05) == []
        assert time.monotonic() - began >= 0.05
        os.write(writing, b"x")
        assert pidfd.wait_readable([reading], None) == [reading]
    finally:
        os.close(reading)
        os.close(writing)


def test_the_boot_has_a_name() -> None:
    assert len(pidfd.boot_id()) == 36
    assert pidfd.boot_id() == pidfd.boot_id()
