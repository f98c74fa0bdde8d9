"""File locks between processes: deaths, forks, contention, and who holds what."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from libpod.define.errors import LockError
from libpod.linux import ofd_locks
from libpod.lock.base import LockKind
from libpod.lock.file_lock import FileLockManager
from tests.state.children import PATIENCE, Child

CTR = LockKind.CONTAINER


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "locks"


@pytest.fixture
def manager(directory: Path) -> Iterator[FileLockManager]:
    found = FileLockManager(directory)
    yield found
    found.close()


def holding(directory: Path, *numbers: int) -> Child:
    """A process that holds these locks until it is killed."""

    def work(say: Callable[[str], None]) -> None:
        manager = FileLockManager(directory)
        for number in numbers:
            manager.lock(number, CTR).acquire()
        say("holding")
        time.sleep(1000)

    child = Child(work)
    child.wait_for("holding")
    return child


def test_processes_exclude_each_other_under_contention(directory: Path, tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")

    def work(say: Callable[[str], None]) -> None:
        manager = FileLockManager(directory)
        for number in range(50):
            lock = manager.lock(3, CTR)
            # Both ways of waiting, side by side.
            lock.acquire(None if number % 2 else PATIENCE)
            counter.write_text(str(int(counter.read_text()) + 1))
            lock.release()

    children = [Child(work) for _ in range(8)]
    for child in children:
        child.finish()
    assert counter.read_text() == "400"


def test_a_killed_holder_frees_its_locks(directory: Path, manager: FileLockManager) -> None:
    child = holding(directory, 1, 5)
    assert [(held.lock_id, held.pid) for held in manager.holders()] == [(1, child.pid), (5, child.pid)]
    child.kill()
    assert manager.holders() == []
    manager.lock(5, CTR).acquire(timeout=PATIENCE)


def test_a_waiter_goes_on_when_the_holder_is_killed(directory: Path, manager: FileLockManager) -> None:
    child = holding(directory, 1)
    got = threading.Event()

    def wait() -> None:
        with manager.lock(1, CTR):
            got.set()

    thread = threading.Thread(target=wait)
    thread.start()
    child.kill()
    assert got.wait(PATIENCE)
    thread.join()


def test_a_killed_waiter_leaves_nothing(directory: Path, manager: FileLockManager) -> None:
    lock = manager.lock(1, CTR)
    lock.acquire()

    def work(say: Callable[[str], None]) -> None:
        say("waiting")
        FileLockManager(directory).lock(1, CTR).acquire()

    child = Child(work)
    child.wait_for("waiting")
    child.kill()
    lock.release()
    lock.acquire(timeout=PATIENCE)
    lock.release()


def test_holders_are_named_with_their_command(directory: Path, manager: FileLockManager) -> None:
    child = holding(directory, 4)
    (held,) = manager.holders()
    assert held.pid == child.pid
    assert "python" in held.description or "pytest" in held.description
    with pytest.raises(LockError, match=f"held by process {child.pid}"):
        manager.lock(4, CTR).acquire(timeout=0.01)
    child.kill()


def test_a_signature_of_a_dead_process_is_not_believed(directory: Path, manager: FileLockManager) -> None:
    holding(directory, 4).kill()
    # Another program takes the byte without signing.
    descriptor = os.open(directory / "locks", os.O_RDWR)
    assert ofd_locks.lock(descriptor, 4, wait=False)
    (held,) = manager.holders()
    assert (held.lock_id, held.pid) == (4, 0)
    os.close(descriptor)


def test_a_forked_child_holds_nothing_and_does_not_keep_the_parents_lock_alive(
    directory: Path, manager: FileLockManager
) -> None:
    lock = manager.lock(1, CTR)
    lock.acquire()

    def work(say: Callable[[str], None]) -> None:
        with pytest.raises(LockError, match="does not hold it"):
            lock.release()
        say("living on")
        time.sleep(1000)

    child = Child(work)
    child.wait_for("living on")
    assert [held.pid for held in manager.holders()] == [os.getpid()]
    lock.release()
    assert manager.holders() == []
    child.kill()


def test_a_lock_is_freed_with_its_process_though_a_forked_child_lives_on(
    directory: Path, manager: FileLockManager
) -> None:
    """The holder forks and is killed; its child must not keep the lock."""
    script = (
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "from libpod.lock.base import LockKind\n"
        "from libpod.lock.file_lock import FileLockManager\n"
        "FileLockManager(Path(sys.argv[1])).lock(2, LockKind.CONTAINER).acquire()\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    os.write(1, b'ready %d\\n' % os.getpid())\n"
        "time.sleep(1000)\n"
    )
    holder = subprocess.Popen([sys.executable, "-c", script, str(directory)], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    survivor = int(holder.stdout.readline().split()[1])
    try:
        assert [held.lock_id for held in manager.holders()] == [2]
        holder.kill()
        holder.wait()
        manager.lock(2, CTR).acquire(timeout=PATIENCE)
    finally:
        os.kill(survivor, signal.SIGKILL)
        holder.stdout.close()


def test_a_program_that_is_started_does_not_inherit_locks(directory: Path, manager: FileLockManager) -> None:
    lock = manager.lock(1, CTR)
    lock.acquire()
    # close_fds=False: what is inheritable would be inherited.
    with subprocess.Popen(["sleep", "1000"], close_fds=False) as child:
        lock.release()
        other = manager.lock(1, CTR)
        other.acquire(timeout=PATIENCE)
        other.release()
        targets = [os.readlink(entry) for entry in Path(f"/proc/{child.pid}/fd").iterdir()]
        assert not any("locks" in target for target in targets)
        child.kill()


def test_two_managers_of_one_directory_share_the_locks_and_the_rules(
    directory: Path, manager: FileLockManager
) -> None:
    second = FileLockManager(directory)
    with manager.lock(1, CTR):
        with pytest.raises(LockError, match="already held by this thread"):
            second.lock(1, CTR).acquire()
    second.close()


def test_a_deleted_file_is_noticed_by_who_waited_on_it(directory: Path, manager: FileLockManager) -> None:
    first = manager.lock(1, CTR)
    first.acquire()
    got = threading.Event()
    enough = threading.Event()

    def wait() -> None:
        with manager.lock(1, CTR):
            got.set()
            enough.wait(PATIENCE)

    thread = threading.Thread(target=wait)
    thread.start()
    (directory / "locks").unlink()
    first.release()
    assert got.wait(PATIENCE)
    # The waiter went to the new file, where others meet it.
    with pytest.raises(LockError):
        FileLockManager(directory).lock(1, CTR).acquire(timeout=0.01)
    enough.set()
    thread.join()


def test_a_signal_interrupts_an_unbounded_wait(directory: Path) -> None:
    child = holding(directory, 1)

    def work(say: Callable[[str], None]) -> None:
        class StopIt(Exception):
            pass

        def stop(*_: object) -> None:
            raise StopIt

        signal.signal(signal.SIGUSR1, stop)
        manager = FileLockManager(directory)
        say("waiting")
        with pytest.raises(StopIt):
            manager.lock(1, CTR).acquire()
        # Nothing of the wait remains.
        with manager.lock(2, CTR):
            pass
        say("stopped")

    waiter = Child(work)
    waiter.wait_for("waiting")
    deadline = time.monotonic() + PATIENCE
    while _state_of(waiter.pid) != "S" and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(waiter.pid, signal.SIGUSR1)
    assert "stopped" in waiter.finish()
    child.kill()


def _state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_descriptors_are_not_leaked_by_refusals_and_late_waits(
    directory: Path, manager: FileLockManager
) -> None:
    child = holding(directory, 1)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        with pytest.raises(LockError):
            manager.lock(1, CTR).acquire(timeout=0)
        manager.holders()
        with manager.lock(2, CTR):
            pass
    assert len(os.listdir("/proc/self/fd")) == before
    child.kill()


def test_ranges_that_others_hold_are_found_in_order(tmp_path: Path) -> None:
    path = tmp_path / "file"
    holder, asker = (os.open(path, os.O_RDWR | os.O_CREAT) for _ in range(2))
    for byte in (0, 1, 2, 10, 1 << 40):
        assert ofd_locks.lock(holder, byte, wait=False)
    assert ofd_locks.locked_ranges(asker, 0, 1 << 50) == [(0, 3), (10, 1), (1 << 40, 1)]
    assert ofd_locks.locked_ranges(asker, 3, 1 << 30) == [(10, 1)]
    assert not ofd_locks.lock(asker, 10, wait=False)
    ofd_locks.unlock(holder, 10)
    assert ofd_locks.lock(asker, 10, wait=False)
    os.close(holder)
    os.close(asker)
