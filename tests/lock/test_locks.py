"""The contract of the lock managers: every test runs with file locks and with memory locks."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from libpod.define.errors import LockError
from libpod.lock.base import LockKind, LockManager
from libpod.lock.file_lock import FileLockManager
from libpod.lock.memory_lock import MemoryLockManager

PATIENCE = 60.0


@pytest.fixture(params=["memory", "file"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LockManager]:
    found: LockManager = (
        MemoryLockManager() if request.param == "memory" else FileLockManager(tmp_path / "locks")
    )
    yield found
    found.close()


class Holder:
    """A thread that holds a lock until it is told to let go."""

    def __init__(self, manager: LockManager, lock_id: int, kind: LockKind = LockKind.CONTAINER) -> None:
        self._lock = manager.lock(lock_id, kind)
        self._taken, self._enough = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._hold, name="the holder")
        self._thread.start()
        assert self._taken.wait(PATIENCE)

    def _hold(self) -> None:
        with self._lock:
            self._taken.set()
            self._enough.wait(PATIENCE)

    def let_go(self) -> None:
        self._enough.set()
        self._thread.join(PATIENCE)


def test_threads_exclude_each_other(manager: LockManager) -> None:
    count = 0

    def work() -> None:
        nonlocal count
        for _ in range(100):
            with manager.lock(1, LockKind.CONTAINER):
                seen = count
                time.sleep(0)
                count = seen + 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert count == 800


def test_different_numbers_do_not_exclude_each_other(manager: LockManager) -> None:
    holder = Holder(manager, 1)
    with manager.lock(2, LockKind.CONTAINER):
        pass
    holder.let_go()


def test_a_bounded_wait_ends_with_a_sentence_that_names_the_holder(manager: LockManager) -> None:
    holder = Holder(manager, 7)
    began = time.monotonic()
    with pytest.raises(LockError, match=r"container lock 7 is held by (process \d+|thread the holder)"):
        manager.lock(7, LockKind.CONTAINER).acquire(timeout=0.1)
    assert 0.1 <= time.monotonic() - began < PATIENCE
    holder.let_go()


def test_a_wait_of_no_time_tries_once(manager: LockManager) -> None:
    holder = Holder(manager, 7)
    with pytest.raises(LockError):
        manager.lock(7, LockKind.CONTAINER).acquire(timeout=0)
    holder.let_go()
    lock = manager.lock(7, LockKind.CONTAINER)
    lock.acquire(timeout=0)
    lock.release()


def test_a_bounded_wait_gets_the_lock_that_is_given_back_in_time(manager: LockManager) -> None:
    holder = Holder(manager, 7)
    timer = threading.Timer(0.05, holder.let_go)
    timer.start()
    lock = manager.lock(7, LockKind.CONTAINER)
    lock.acquire(timeout=PATIENCE)
    lock.release()
    timer.join()


def test_an_unbounded_wait_ends_when_the_lock_is_given_back(manager: LockManager) -> None:
    holder = Holder(manager, 7)
    timer = threading.Timer(0.05, holder.let_go)
    timer.start()
    with manager.lock(7, LockKind.CONTAINER):
        assert [held.lock_id for held in manager.holders()] == [7]
    timer.join()


def test_asking_twice_in_one_thread_is_an_error_and_no_deadlock(manager: LockManager) -> None:
    with manager.lock(3, LockKind.CONTAINER):
        with pytest.raises(LockError, match="already held by this thread"):
            manager.lock(3, LockKind.CONTAINER).acquire()
        with pytest.raises(LockError, match="already held by this thread"):
            manager.lock(3, LockKind.VOLUME).acquire()
    assert manager.holders() == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((LockKind.CONTAINER, 1), (LockKind.POD, 2)),
        ((LockKind.VOLUME, 1), (LockKind.CONTAINER, 2)),
        ((LockKind.VOLUME, 1), (LockKind.POD, 2)),
        ((LockKind.CONTAINER, 2), (LockKind.CONTAINER, 1)),
        ((LockKind.POD, 2), (LockKind.POD, 1)),
    ],
)
def test_the_wrong_order_is_an_error_at_once(
    manager: LockManager, first: tuple[LockKind, int], second: tuple[LockKind, int]
) -> None:
    with manager.lock(first[1], first[0]):
        with pytest.raises(LockError, match="by a thread that holds"):
            manager.lock(second[1], second[0]).acquire()
    # Nothing of the refusal remains: the right order is free.
    with manager.lock(second[1], second[0]), manager.lock(first[1], first[0]):
        pass


def test_the_right_order_nests(manager: LockManager) -> None:
    with (
        manager.lock(9, LockKind.POD),
        manager.lock(1, LockKind.CONTAINER),
        manager.lock(5, LockKind.CONTAINER),
    ):
        with manager.lock(0, LockKind.VOLUME):
            assert [held.lock_id for held in manager.holders()] == [0, 1, 5, 9]
    assert manager.holders() == []


def test_the_order_of_one_thread_is_not_that_of_another(manager: LockManager) -> None:
    holder = Holder(manager, 9, LockKind.VOLUME)
    with manager.lock(1, LockKind.POD):
        pass
    holder.let_go()


def test_only_who_took_a_lock_gives_it_back(manager: LockManager) -> None:
    lock = manager.lock(1, LockKind.CONTAINER)
    with pytest.raises(LockError, match="does not hold it"):
        lock.release()
    lock.acquire()
    caught: list[BaseException] = []

    def steal() -> None:
        try:
            lock.release()
        except LockError as error:
            caught.append(error)

    thief = threading.Thread(target=steal)
    thief.start()
    thief.join(PATIENCE)
    assert len(caught) == 1
    assert [held.lock_id for held in manager.holders()] == [1]
    lock.release()
    with pytest.raises(LockError, match="does not hold it"):
        lock.release()


def test_an_exception_in_the_block_gives_the_lock_back(manager: LockManager) -> None:
    with pytest.raises(KeyError), manager.lock(1, LockKind.CONTAINER):
        raise KeyError("x")
    assert manager.holders() == []


def test_a_handle_can_be_used_again(manager: LockManager) -> None:
    lock = manager.lock(1, LockKind.CONTAINER)
    for _ in range(3):
        with lock:
            pass


def test_numbers_have_no_practical_limit(manager: LockManager) -> None:
    for number in (0, 2048, 2**31, 2**38):
        with manager.lock(number, LockKind.CONTAINER):
            assert [held.lock_id for held in manager.holders()] == [number]
    with pytest.raises(LockError, match="not the number of a lock"):
        manager.lock(-1, LockKind.CONTAINER)


def test_after_closing_everything_says_so(manager: LockManager) -> None:
    lock = manager.lock(1, LockKind.CONTAINER)
    manager.close()
    manager.close()
    for ask in (lock.acquire, manager.holders):
        with pytest.raises(LockError, match="was closed"):
            ask()
