"""Many processes and threads on one store; forks; maps that grow under each other."""

from __future__ import annotations

import contextlib
import gc
import os
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from libpod.define.errors import InUseError, StateStoreError
from libpod.define.ids import new_id
from libpod.model.container_state import ContainerState, ExecSession, ExitRecord
from libpod.state import lmdb_environment
from libpod.state.base import Claim
from libpod.state.lmdb_environment import INITIAL_MAP
from libpod.state.lmdb_state import LmdbState
from tests.state.children import PATIENCE, Child
from tests.state.samples import a_container, an_id, running

SECONDS = 3.0
PROCESSES = THREADS = 4
PORTS = 6


def opened(root: Path, *, initial_map: int = INITIAL_MAP) -> LmdbState:
    return LmdbState(root / "d", root / "v", initial_map=initial_map)


def lived(store: LmdbState, name: str, dice: random.Random) -> str | None:
    """One life of a container, each step read back at once; its id when it was left to live on."""
    ctr = new_id()
    lock = store.allocate_lock()
    assert lock not in store.locks_in_use(), "a lock number was handed out twice"
    store.add_container(a_container(name, id=ctr, lock_id=lock), ContainerState())
    assert store.lookup_container(name) == ctr
    assert list(store.locks_in_use()[lock]) == [f"container {ctr}"]
    claim = Claim(kind="port", key=f"tcp/{dice.randrange(PORTS)}", owner=ctr)
    try:
        store.claim([claim])
    except InUseError as error:
        if error.users[0] == ctr:
            raise
    else:
        assert store.claims(owner=ctr) == [claim]
    pid = dice.randrange(1, 99999)
    store.save_container_state(ctr, running(pid=pid))
    assert store.container_state(ctr).pid == pid
    session = ExecSession(id=new_id(), container_id=ctr)
    store.add_exec_session(session)
    assert store.exec_sessions(ctr) == [session]
    listed = [summary.id for summary, _ in store.container_summaries()]
    assert ctr in listed
    assert len(listed) == len(set(listed))
    store.remove_exec_session(session.id)
    store.record_exit(ctr, ExitRecord(code=pid % 256, finished="2026-02-01T11:00:00Z"))
    assert store.exit_record(ctr).code == pid % 256
    store.release_claims(ctr)
    if dice.random() < 0.1:
        return ctr
    store.remove_container(ctr)
    store.free_lock(lock)
    assert not store.has_container(ctr)
    return None


@pytest.mark.slow
def test_processes_and_threads_lose_nothing_and_read_their_own_writes(tmp_path: Path) -> None:
    live_together(tmp_path, processes=PROCESSES, seconds=SECONDS)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_soak_eight_processes_for_a_minute(tmp_path: Path) -> None:
    live_together(tmp_path, processes=8, seconds=60.0)


def live_together(root: Path, *, processes: int, seconds: float) -> None:
    """Processes of THREADS threads make and remove containers of one store for some time."""

    def work(say: Callable[[str], None]) -> None:
        store = opened(root, initial_map=1 << 16)
        end = time.monotonic() + seconds
        failures: list[BaseException] = []

        def live(thread: int) -> None:
            dice = random.Random(f"{os.getpid()}/{thread}")
            try:
                for number in range(100_000):
                    if time.monotonic() > end:
                        return
                    survivor = lived(store, f"{os.getpid()}.{thread}.{number}", dice)
                    if survivor is not None:
                        say(f"left {survivor}")
            except BaseException as error:  # noqa: BLE001 - shown by the main thread
                failures.append(error)

        threads = [threading.Thread(target=live, args=(number,)) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]
        store.close()

    opened(root, initial_map=1 << 16).refresh()
    children = [Child(work, patience=seconds + PATIENCE) for _ in range(processes)]
    left = {line.split()[1] for child in children for line in child.finish()}
    store = opened(root)
    assert set(store.container_ids()) == left
    assert left
    assert store.claims() == []
    assert store.repair(thorough=True) == []
    locks = [config.lock_id for config, _ in store.containers()]
    assert len(locks) == len(set(locks))
    store.close()


def test_one_claim_goes_to_one_of_many(tmp_path: Path) -> None:
    def work(say: Callable[[str], None]) -> None:
        store = opened(tmp_path)
        for number in range(50):
            try:
                store.claim([Claim(kind="address", key=f"net/{number}", owner=f"p{os.getpid()}")])
            except InUseError:
                continue
            say(f"mine {number}")

    opened(tmp_path).refresh()
    children = [Child(work) for _ in range(PROCESSES)]
    won = [line for child in children for line in child.finish()]
    assert sorted(won) == sorted(f"mine {number}" for number in range(50))


# ---- maps -------------------------------------------------------------------------------------------------------


def test_the_map_grows_by_itself(tmp_path: Path) -> None:
    store = opened(tmp_path, initial_map=1 << 16)
    before = store.map_sizes()
    for number in range(200):
        store.add_container(
            a_container(f"n{number}", create_command=("x" * 4000,)), running(bind_mounts={"/x": "y" * 4000})
        )
    assert all(now > then for now, then in zip(store.map_sizes(), before, strict=True))
    assert len(store.containers()) == 200
    store.close()


def test_a_map_that_another_process_has_grown_is_followed(tmp_path: Path) -> None:
    store = opened(tmp_path, initial_map=1 << 16)
    store.add_container(a_container("first"), running())

    def work(say: Callable[[str], None]) -> None:
        other = opened(tmp_path, initial_map=1 << 16)
        for number in range(100):
            other.add_container(
                a_container(f"n{number}", create_command=("x" * 4000,)),
                running(bind_mounts={"/x": "y" * 4000}),
            )

    Child(work).finish()
    assert len(store.containers()) == 101
    store.add_container(a_container("last"), running())
    assert store.container_state(an_id("n99")).bind_mounts == {"/x": "y" * 4000}
    store.close()


def test_a_database_can_be_opened_while_another_process_makes_it_grow(tmp_path: Path) -> None:
    def work(say: Callable[[str], None]) -> None:
        environment = lmdb_environment.opened(tmp_path / "x", durable=False, initial_map=1 << 16)
        number = 0
        while number < 2000:
            try:
                with environment.transaction(write=True) as transaction:
                    transaction.put(b"%d" % number, b"x" * 20000)
                number += 1
            except lmdb_environment.MapFull as full:
                environment.grow(full)
            if number == 1:
                say("begun")
        say("done")

    child = Child(work)
    child.wait_for("begun")
    last = None
    while last is None:
        environment = lmdb_environment.opened(tmp_path / "x", durable=False, initial_map=1 << 16)
        # What was not yet seen when it was opened, is followed as everywhere.
        with (
            contextlib.suppress(lmdb_environment.MapFull),
            environment.transaction(write=False) as transaction,
        ):
            assert transaction.get(b"0") is not None
            last = transaction.get(b"1999")
        lmdb_environment.closed(environment)
    assert child.finish()[-1] == "done"


def test_threads_can_read_while_the_map_grows(tmp_path: Path) -> None:
    store = opened(tmp_path, initial_map=1 << 16)
    store.add_container(a_container("first"), running())
    failures: list[BaseException] = []
    stop = threading.Event()

    def read() -> None:
        try:
            while not stop.is_set():
                assert any(config.name == "first" for config, _ in store.containers())
                assert store.lookup_container("first") == an_id("first")
        except BaseException as error:  # noqa: BLE001 - shown below
            failures.append(error)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for number in range(60):
        store.add_container(a_container(f"n{number}", create_command=("x" * 8000,)), running())
    stop.set()
    for reader in readers:
        reader.join()
    assert failures == []
    store.close()


# ---- one process, several stores ----------------------------------------------------------------------------------


def test_two_stores_in_one_process_share_what_lmdb_lets_be_opened_once(tmp_path: Path) -> None:
    first = opened(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path)
    second = opened(tmp_path / "link")
    first.add_container(a_container("web"), running())
    assert second.container_state(an_id("web")) == running()
    first.close()
    assert second.has_container(an_id("web"))
    second.close()
    third = opened(tmp_path)
    assert third.has_container(an_id("web"))
    third.close()


# ---- forks ------------------------------------------------------------------------------------------------------


def test_a_store_can_be_used_in_a_forked_child_and_after_it_in_the_parent(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.add_container(a_container("before"), running())

    def work(say: Callable[[str], None]) -> None:
        assert store.lookup_container("before") == an_id("before")
        store.add_container(a_container("child"), running())
        # What the child inherited is collected here and must not touch what the parent shares with others.
        gc.collect()

    Child(work).finish()
    assert store.has_container(an_id("child"))
    store.add_container(a_container("after"), running())
    assert len(store.containers()) == 3
    store.close()


def test_forking_waits_until_no_thread_is_inside_a_transaction(tmp_path: Path) -> None:
    store = opened(tmp_path)
    stop = threading.Event()
    failures: list[BaseException] = []

    def churn(number: int) -> None:
        name = f"t{number}"
        try:
            while not stop.is_set():
                store.add_container(a_container(name), running())
                store.container_summaries()
                store.remove_container(an_id(name))
        except BaseException as error:  # noqa: BLE001 - shown below
            failures.append(error)

    threads = [threading.Thread(target=churn, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    try:
        for number in range(15):

            def work(say: Callable[[str], None], number: int = number) -> None:
                store.add_container(a_container(f"c{number}"), running())
                assert store.container_state(an_id(f"c{number}")) == running()

            Child(work).finish()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert (
        len([name for name in (config.name for config, _ in store.containers()) if name.startswith("c")])
        == 15
    )
    assert store.repair(thorough=True) == []
    store.close()


def test_a_child_made_behind_pythons_back_is_refused_with_a_sentence(tmp_path: Path) -> None:
    import ctypes

    store = opened(tmp_path)
    store.add_container(a_container("web"), running())
    source, sink = os.pipe()
    # fork(2) by hand: the hooks of os.fork do not run. The child does as little as possible.
    pid = ctypes.PyDLL(None).fork()
    if pid == 0:
        try:
            store.containers()
            os.write(sink, b"worked")
        except StateStoreError as error:
            os.write(sink, str(error).encode())
        finally:
            os._exit(0)
    os.close(sink)
    os.waitpid(pid, 0)
    text = os.read(source, 4096).decode()
    os.close(source)
    assert "is used in a child of it" in text
    assert store.has_container(an_id("web"))
    store.close()
