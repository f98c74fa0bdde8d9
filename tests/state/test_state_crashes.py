"""Processes killed -9: every committed thing is there, nothing is there by half."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from libpod.define.errors import LibpodError
from libpod.define.status import ContainerStatus
from libpod.model import codec
from libpod.model.container_state import ContainerState, ExecSession, ExitRecord
from libpod.model.pod import PodState
from libpod.model.volume import VolumeState
from libpod.state import keys
from libpod.state.base import Claim, State
from libpod.state.lmdb_environment import Transaction
from libpod.state.lmdb_state import LmdbState
from libpod.state.memory_state import MemoryState
from tests.state.children import Child
from tests.state.samples import a_container, a_pod, a_session, a_volume, an_id, running

KILLS = 60
NAMES = [f"n{number}" for number in range(12)]
Step = Callable[[State], Any]


def a_step(dice: random.Random) -> Step:
    """A random operation of a mixed workload. Every value is drawn now, so that it can be done twice."""
    name, other = dice.choice(NAMES), dice.choice(NAMES)
    ctr, number = an_id(name), dice.randrange(1000)
    dependencies = (an_id(other),) if dice.random() < 0.2 else ()
    volumes = [f"v{number % 3}"] if dice.random() < 0.5 else []
    pod = an_id("p0") if dice.random() < 0.2 else ""
    moment = f"2026-01-01T00:{number % 60:02}:00Z"
    steps: list[Step] = [
        lambda s: s.add_container(
            a_container(name, dependencies=dependencies, volumes=volumes, pod=pod, lock_id=number),
            ContainerState(),
        ),
        lambda s: s.add_container(a_container(name, volumes=volumes), running(pid=number)),
        lambda s: s.remove_container(ctr),
        lambda s: s.save_container_state(ctr, running(pid=number, started_time=moment)),
        lambda s: s.save_container_state(ctr, ContainerState(status=ContainerStatus.REMOVING)),
        lambda s: s.save_container_state(
            ctr, running(status=ContainerStatus.EXITED, checkpointed=True, checkpoint_path="/c")
        ),
        lambda s: s.record_exit(ctr, ExitRecord(code=number % 256, finished=moment)),
        lambda s: s.add_exec_session(ExecSession(id=f"s{number}", container_id=ctr)),
        lambda s: (
            s.claim([Claim(kind="port", key=f"tcp/{number % 20}", owner=ctr)])
            if s.has_container(ctr)
            else None
        ),
        lambda s: s.release_claims(ctr),
        lambda s: s.rewrite_container_config(a_container(name, name=other, lock_id=number)),
        lambda s: s.add_pod(a_pod("p0"), PodState()),
        lambda s: s.remove_pod_containers(an_id("p0")),
        lambda s: s.remove_pod(an_id("p0")),
        lambda s: s.add_volume(a_volume(f"v{number % 3}"), VolumeState()),
        lambda s: s.remove_volume(f"v{number % 3}"),
    ]
    return dice.choice(steps)


def done(step: Step, store: State) -> None:
    """Do a step; that it may be refused is part of the workload."""
    try:
        step(store)
    except LibpodError:
        pass


def seen(store: State) -> Any:
    """All that a store tells."""
    ids = sorted(store.container_ids())
    return (
        store.containers(),
        store.container_summaries(),
        store.pods(),
        store.volumes(),
        {lock: list(users) for lock, users in store.locks_in_use().items()},
        store.claims(),
        [(ctr, store.dependents(ctr), store.exec_sessions(ctr), store.lookup_container(ctr)) for ctr in ids],
        [_exit_of(store, an_id(name)) for name in NAMES],
    )


def _exit_of(store: State, ctr: str) -> ExitRecord | None:
    try:
        return store.exit_record(ctr)
    except LibpodError:
        return None


def oracle(steps: list[Step]) -> MemoryState:
    """What should be there after *steps*."""
    store = MemoryState()
    store.refresh()
    for step in steps:
        done(step, store)
    return store


@pytest.mark.slow
def test_after_a_kill_everything_committed_is_there_and_nothing_by_half(tmp_path: Path) -> None:
    survive(tmp_path, kills=KILLS, seed=4)


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(10))
def test_soak_kills(tmp_path: Path, seed: int) -> None:
    survive(tmp_path, kills=100, seed=seed)


def survive(root: Path, *, kills: int, seed: int) -> None:
    """Kill a writer again and again, and compare what it left with what it had done."""

    def opened() -> LmdbState:
        # A small map: processes die while it grows, too.
        return LmdbState(root / "d", root / "v", initial_map=1 << 16)

    dice = random.Random(seed)
    past: list[Step] = []
    for kill in range(kills):
        life = dice.random()

        def work(say: Callable[[str], None], life: float = life) -> None:
            own = random.Random(life)
            store = opened()
            store.refresh()
            say("ready")
            while True:
                done(a_step(own), store)
                say("done")

        child = Child(work)
        child.wait_for("ready")
        time.sleep(dice.random() * 0.03)
        count = child.kill().count("done")

        own = random.Random(life)
        steps = [a_step(own) for _ in range(count + 1)]
        store = opened()
        store.repair()
        assert store.repair(thorough=True) == [], f"kill {kill}"
        found = seen(store)
        store.close()
        # The step that was under way has happened or has not.
        past += steps[:count]
        if found != seen(oracle(past)):
            past.append(steps[count])
            assert found == seen(oracle(past)), f"kill {kill} after {count} steps"
    assert past


def test_a_store_can_be_written_after_its_writer_was_killed_holding_the_lock(tmp_path: Path) -> None:
    def work(say: Callable[[str], None]) -> None:
        store = LmdbState(tmp_path / "d", tmp_path / "v")

        def hang(durable: Transaction) -> None:
            durable.put(keys.key(keys.CTR, "half"), b"{}")
            say("inside")
            time.sleep(1000)

        store._write(hang)

    child = Child(work)
    child.wait_for("inside")
    child.kill()
    store = LmdbState(tmp_path / "d", tmp_path / "v")
    store.add_container(a_container("web"), ContainerState())
    assert store.container_ids() == [an_id("web")]
    store.close()


def test_readers_that_were_killed_give_their_places_back(tmp_path: Path) -> None:
    def work(say: Callable[[str], None]) -> None:
        store = LmdbState(tmp_path / "d", tmp_path / "v")

        def hang(durable: Transaction) -> None:
            say("inside")
            time.sleep(1000)

        store._read(hang)

    for _ in range(3):
        child = Child(work)
        child.wait_for("inside")
        child.kill()
    store = LmdbState(tmp_path / "d", tmp_path / "v")
    store.add_container(a_container("web"), ContainerState())
    assert store._durable.reader_count() == 0
    store.close()


# ---- the states that a kill leaves, one by one --------------------------------------------------------------------


def test_what_a_kill_left_between_the_commits_of_a_creation_is_not_seen_and_swept(
    lmdb_store: LmdbState,
) -> None:
    def half(volatile: Transaction) -> None:
        volatile.put(keys.key(keys.CTR, an_id("web")), codec.CONTAINER_STATE.encode(running()))
        volatile.put(keys.key(keys.POD, an_id("pod")), codec.POD_STATE.encode(PodState()))
        volatile.put(keys.key(keys.VOL, "data"), codec.VOLUME_STATE.encode(VolumeState()))

    lmdb_store._write_volatile(half)
    assert lmdb_store.containers() == []
    assert not lmdb_store.has_container(an_id("web"))
    assert lmdb_store.repair() == [
        f"removed the state of container {an_id('web')[:12]}, which does not exist",
        f"removed the state of pod {an_id('pod')[:12]}, which does not exist",
        "removed the state of volume data, which does not exist",
    ]
    assert lmdb_store.repair() == []


def test_what_a_kill_left_between_the_commits_of_a_removal_is_not_seen_and_swept(tmp_path: Path) -> None:
    def work(say: Callable[[str], None]) -> None:
        store = LmdbState(tmp_path / "d", tmp_path / "v")
        store.add_container(a_container("web", lock_id=store.allocate_lock()), running())
        store.add_exec_session(a_session(a_container("web"), "s"))
        store.claim([Claim(kind="port", key="tcp/80", owner=an_id("web"))])
        store._write(lambda durable: _remove_durable_half(durable, an_id("web")))

    Child(work).finish()
    store = LmdbState(tmp_path / "d", tmp_path / "v")
    assert store.container_summaries() == []
    assert len(store.repair()) == 4
    assert store.claims() == []
    assert store.allocate_lock() == 0
    assert store.repair() == []
    store.close()


def _remove_durable_half(durable: Transaction, ctr_id: str) -> None:
    from libpod.state import lmdb_containers

    lmdb_containers.remove(durable, ctr_id)


def test_claims_of_a_live_process_are_left_alone_while_it_creates(lmdb_store: LmdbState) -> None:
    claim = Claim(kind="address", key="podman/10.89.0.5", owner=an_id("to come"))
    lmdb_store.claim([claim])
    number = lmdb_store.allocate_lock()
    assert lmdb_store.repair() == []
    assert lmdb_store.claims() == [claim]
    assert lmdb_store.allocate_lock() == number + 1


def test_a_state_that_is_one_step_ahead_on_disk_is_caught_up_by_the_next_save(lmdb_store: LmdbState) -> None:
    lmdb_store.add_container(a_container("web"), ContainerState())
    kept = codec.CONTAINER_STATE.encode(ContainerState(status=ContainerStatus.EXITED))
    lmdb_store._write(lambda durable: _put(durable, keys.key(keys.CTR_KEPT, an_id("web")), kept))
    assert lmdb_store.container_state(an_id("web")).status is ContainerStatus.CONFIGURED
    assert lmdb_store.repair() == []
    lmdb_store.save_container_state(an_id("web"), ContainerState(pid=1))
    assert lmdb_store._read(lambda durable: _kept(durable, an_id("web"))).status is ContainerStatus.CONFIGURED


def _put(durable: Transaction, row: bytes, value: bytes) -> None:
    durable.put(row, value)


def _kept(durable: Transaction, ctr_id: str) -> ContainerState:
    data = durable.get(keys.key(keys.CTR_KEPT, ctr_id))
    assert data is not None
    return codec.CONTAINER_STATE.decode(data)


# ---- damage that no kill can do -----------------------------------------------------------------------------------


def test_damaged_derived_rows_are_found_and_written_again(lmdb_store: LmdbState) -> None:
    lmdb_store.add_container(a_container("base"), ContainerState())
    lmdb_store.add_container(a_container("web", dependencies=(an_id("base"),)), ContainerState())

    def damage(durable: Transaction) -> None:
        durable.delete(keys.key(keys.NAME, "web"))
        durable.delete(keys.key(keys.CTR_SUMMARY, an_id("web")))
        durable.delete(keys.edge(keys.CTR_DEPENDENT, an_id("base"), an_id("web")))
        durable.delete(keys.key(keys.CTR_KEPT, an_id("web")))
        durable.put(keys.key(keys.NAME, "ghost"), keys.key(keys.CTR, an_id("ghost")))

    lmdb_store._write(damage)
    assert lmdb_store.repair() == []
    assert len(lmdb_store.repair(thorough=True)) == 5
    assert lmdb_store.repair(thorough=True) == []
    assert lmdb_store.lookup_container("web") == an_id("web")
    assert lmdb_store.dependents(an_id("base")) == [an_id("web")]
    assert len(lmdb_store.container_summaries()) == 2


def test_an_unreadable_configuration_is_reported_and_does_not_hide_the_others(lmdb_store: LmdbState) -> None:
    for name in ("web", "db"):
        lmdb_store.add_container(a_container(name), ContainerState())
    lmdb_store._write(lambda durable: _put(durable, keys.key(keys.CTR, an_id("web")), b'{"id": 5'))
    with pytest.raises(LibpodError, match="cannot be read"):
        lmdb_store.container_config(an_id("web"))
    sentence, *others = lmdb_store.repair(thorough=True)
    assert others == []
    assert "is unreadable" in sentence
    assert [summary.name for summary, _ in lmdb_store.container_summaries()] == ["db", "web"]
    lmdb_store.remove_container(lmdb_store.lookup_container("web"))
    assert lmdb_store.repair(thorough=True) == []
    assert [config.name for config, _ in lmdb_store.containers()] == ["db"]
    lmdb_store.add_container(a_container("web"), ContainerState())
