"""Random histories: whatever happens, the store on disk and the store in memory answer the same."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from libpod.define.errors import LibpodError
from libpod.define.status import ContainerStatus
from libpod.model.container_state import ContainerState, ExecSession, ExitRecord
from libpod.model.pod import PodState
from libpod.model.volume import VolumeState
from libpod.state.base import Claim, State
from libpod.state.lmdb_state import LmdbState
from libpod.state.memory_state import MemoryState
from tests.state.samples import a_container, a_pod, a_volume

# Few ids with common prefixes and few names, so that histories collide; a word no one has is among each.
ID_SEEDS = ["aa1", "aa2", "ab1", "b11", "b12"]
IDS = [seed.ljust(64, "0") for seed in ID_SEEDS]
NAMES = ["web", "db", "aa", "b"]
VOLUMES = ["data", "data2", "logs"]
TIMES = [f"2026-01-0{day}T00:00:00Z" for day in range(1, 6)]

ids = st.sampled_from(IDS)
names = st.sampled_from(NAMES)
volumes = st.sampled_from(VOLUMES)
words = st.sampled_from([*IDS, *NAMES, *VOLUMES, "a", "aa1", "b1", "d", "", "x/y", "é"])
some_ids = st.lists(ids, max_size=2, unique=True).map(tuple)
lock_numbers = st.integers(min_value=0, max_value=3)
states = st.builds(
    ContainerState,
    status=st.sampled_from([status for status in ContainerStatus if status is not ContainerStatus.UNKNOWN]),
    pid=st.sampled_from([0, 7]),
    started_time=st.sampled_from(TIMES),
    finished_time=st.sampled_from(TIMES),
    exited=st.booleans(),
    exit_code=st.sampled_from([0, 1, -1]),
    stopped_by_user=st.booleans(),
    checkpointed=st.booleans(),
    restart_count=st.sampled_from([0, 2]),
)
pod_states = st.builds(
    PodState, cgroup_path=st.sampled_from(["", "/x"]), infra_container_id=st.sampled_from(["", "i"])
)
volume_states = st.builds(VolumeState, mount_count=st.sampled_from([0, 1]), needs_copy_up=st.booleans())
records = st.builds(ExitRecord, code=st.sampled_from([0, 137]), finished=st.sampled_from(TIMES))
claims = st.builds(
    Claim,
    kind=st.sampled_from(["port", "address"]),
    key=st.sampled_from(["1", "n/2"]),
    owner=st.sampled_from(IDS),
)


def outcome(ask: Callable[[State], Any], store: State) -> Any:
    """What a store answers, or how it refuses."""
    try:
        return ask(store)
    except LibpodError as error:
        return type(error), str(error)


class Histories(RuleBasedStateMachine):
    """Every rule asks both and compares."""

    @initialize()
    def begin(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="libpod-state-"))
        self.boot = 0
        self.memory: MemoryState = MemoryState()
        self.lmdb = self.opened()

    def opened(self) -> LmdbState:
        # A small map, so that growing it is part of the histories.
        return LmdbState(self.root / "d", self.root / "v", boot_id=str(self.boot), initial_map=1 << 16)

    def teardown(self) -> None:
        if hasattr(self, "lmdb"):
            self.lmdb.close()
            shutil.rmtree(self.root)

    def both(self, ask: Callable[[State], Any]) -> None:
        assert outcome(ask, self.lmdb) == outcome(ask, self.memory)

    # -- what happens -----------------------------------------------------------------------------------------------

    @rule(
        ctr=ids,
        name=names,
        pod=st.sampled_from(["", "", *IDS]),
        dependencies=some_ids,
        netns=st.sampled_from(["", "", *IDS]),
        used=st.lists(volumes, max_size=2),
        lock=lock_numbers,
        created=st.sampled_from(TIMES),
        state=states,
    )
    def add_container(
        self,
        ctr: str,
        name: str,
        pod: str,
        dependencies: tuple[str, ...],
        netns: str,
        used: list[str],
        lock: int,
        created: str,
        state: ContainerState,
    ) -> None:
        config = a_container(
            name,
            id=ctr,
            pod=pod,
            dependencies=dependencies,
            net_ns_ctr=netns,
            volumes=used,
            lock_id=lock,
            created_time=created,
            # Larger than a page, as real configurations are.
            create_command=("x" * 3000,),
        )
        self.both(lambda store: store.add_container(config, state))

    @rule(ctr=ids, name=names)
    def add_plain_container(self, ctr: str, name: str) -> None:
        self.both(lambda store: store.add_container(a_container(name, id=ctr), ContainerState()))

    @rule(ctr=ids, name=names, dependencies=some_ids, used=st.lists(volumes, max_size=2), lock=lock_numbers)
    def rewrite_container(
        self, ctr: str, name: str, dependencies: tuple[str, ...], used: list[str], lock: int
    ) -> None:
        def ask(store: State) -> None:
            pod = store.container_config(ctr).pod
            store.rewrite_container_config(
                a_container(name, id=ctr, pod=pod, dependencies=dependencies, volumes=used, lock_id=lock)
            )

        self.both(ask)

    @rule(ctr=ids)
    def remove_container(self, ctr: str) -> None:
        self.both(lambda store: store.remove_container(ctr))

    @rule(ctr=ids, state=states)
    def save_container(self, ctr: str, state: ContainerState) -> None:
        self.both(lambda store: store.save_container_state(ctr, state))

    @rule(ctr=ids, record=records)
    def record_exit(self, ctr: str, record: ExitRecord) -> None:
        self.both(lambda store: store.record_exit(ctr, record))

    @rule(before=st.sampled_from(TIMES))
    def prune_exits(self, before: str) -> None:
        self.both(lambda store: store.prune_exit_records(before))

    @rule(ctr=ids, session=st.sampled_from(["s1", "s2", "s3"]), pid=st.sampled_from([0, 5]))
    def add_session(self, ctr: str, session: str, pid: int) -> None:
        self.both(lambda store: store.add_exec_session(ExecSession(id=session, container_id=ctr, pid=pid)))

    @rule(ctr=ids, session=st.sampled_from(["s1", "s2", "s3"]), code=st.sampled_from([0, 5]))
    def save_session(self, ctr: str, session: str, code: int) -> None:
        self.both(
            lambda store: store.save_exec_session(ExecSession(id=session, container_id=ctr, exit_code=code))
        )

    @rule(session=st.sampled_from(["s1", "s2", "s3"]))
    def remove_session(self, session: str) -> None:
        self.both(lambda store: store.remove_exec_session(session))

    @rule(pod=ids, name=names, lock=lock_numbers, state=pod_states)
    def add_pod(self, pod: str, name: str, lock: int, state: PodState) -> None:
        self.both(lambda store: store.add_pod(a_pod(name, id=pod, lock_id=lock), state))

    @rule(pod=ids, name=names, lock=lock_numbers)
    def rewrite_pod(self, pod: str, name: str, lock: int) -> None:
        self.both(lambda store: store.rewrite_pod_config(a_pod(name, id=pod, lock_id=lock)))

    @rule(pod=ids, state=pod_states)
    def save_pod(self, pod: str, state: PodState) -> None:
        self.both(lambda store: store.save_pod_state(pod, state))

    @rule(pod=ids)
    def remove_pod(self, pod: str) -> None:
        self.both(lambda store: store.remove_pod(pod))

    @rule(pod=ids)
    def remove_pod_containers(self, pod: str) -> None:
        self.both(lambda store: store.remove_pod_containers(pod))

    @rule(name=volumes, lock=lock_numbers, state=volume_states)
    def add_volume(self, name: str, lock: int, state: VolumeState) -> None:
        self.both(lambda store: store.add_volume(a_volume(name, lock_id=lock), state))

    @rule(name=volumes, lock=lock_numbers)
    def rewrite_volume(self, name: str, lock: int) -> None:
        self.both(lambda store: store.rewrite_volume_config(a_volume(name, lock_id=lock)))

    @rule(name=volumes, state=volume_states)
    def save_volume(self, name: str, state: VolumeState) -> None:
        self.both(lambda store: store.save_volume_state(name, state))

    @rule(name=volumes)
    def remove_volume(self, name: str) -> None:
        self.both(lambda store: store.remove_volume(name))

    @rule(wanted=st.lists(claims, max_size=3))
    def claim(self, wanted: list[Claim]) -> None:
        self.both(lambda store: store.claim(wanted))

    @rule(owner=ids)
    def release(self, owner: str) -> None:
        self.both(lambda store: store.release_claims(owner))

    @rule(owner=ids, only=st.lists(claims, max_size=3))
    def release_some(self, owner: str, only: list[Claim]) -> None:
        self.both(lambda store: store.release_claims(owner, only))

    @rule()
    def allocate_lock(self) -> None:
        self.both(lambda store: store.allocate_lock())

    @rule(lock=lock_numbers)
    def free_lock(self, lock: int) -> None:
        self.both(lambda store: store.free_lock(lock))

    @rule(word=words)
    def look_up(self, word: str) -> None:
        self.both(lambda store: store.lookup_container(word))
        self.both(lambda store: store.lookup_pod(word))
        self.both(lambda store: store.lookup_volume(word))

    @rule(refresh=st.booleans())
    def reboot(self, refresh: bool) -> None:
        self.boot += 1
        self.memory = self.memory.reboot()
        self.lmdb.close()
        self.lmdb = self.opened()
        if refresh:
            self.both(lambda store: store.refresh())

    @rule()
    def open_again(self) -> None:
        self.lmdb.close()
        self.lmdb = self.opened()

    @rule()
    def refresh(self) -> None:
        self.both(lambda store: store.refresh())

    # -- what must hold ---------------------------------------------------------------------------------------------

    @invariant()
    def both_tell_the_same(self) -> None:
        if not hasattr(self, "lmdb"):
            return
        self.both(lambda store: store.containers())
        self.both(lambda store: store.container_summaries())
        self.both(lambda store: store.pods())
        self.both(lambda store: store.volumes())
        self.both(lambda store: store.claims())
        self.both(lambda store: {lock: list(users) for lock, users in store.locks_in_use().items()})
        self.both(lambda store: store.needs_refresh())
        for ctr in IDS:
            self.both(lambda store, ctr=ctr: store.container_state(ctr))  # type: ignore[misc]
            self.both(lambda store, ctr=ctr: store.dependents(ctr))  # type: ignore[misc]
            self.both(lambda store, ctr=ctr: store.exec_sessions(ctr))  # type: ignore[misc]
            self.both(lambda store, ctr=ctr: store.exit_record(ctr))  # type: ignore[misc]
            self.both(lambda store, ctr=ctr: store.pod_containers(ctr))  # type: ignore[misc]

    @invariant()
    def derived_rows_follow_from_the_configurations(self) -> None:
        if hasattr(self, "lmdb"):
            assert self.lmdb.repair(thorough=True) == []


TestHistories = Histories.TestCase
TestHistories.settings = settings(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
