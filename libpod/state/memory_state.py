"""The State in memory: what the tests hold the real one against, and a store for embedding.

Written as plainly as possible, with dictionaries and scans, and on purpose not with the other one's tables: two
implementations that agree over random histories are worth more than one that is used twice. What they share is the
wording of refusals, the rule of look-ups and the rule of what survives a reboot.

`reboot` gives the store of the next boot: the durable half is kept, the volatile one is new.

Covers: libpod/in_memory_state.go
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping, Sequence

import attrs

from libpod.define.errors import (
    AmbiguousNameError,
    ContainerInUseError,
    ExecSessionExistsError,
    InUseError,
    InvalidArgumentError,
    NoSuchContainerError,
    NoSuchExecSessionError,
    NoSuchExitCodeError,
    NoSuchPodError,
    NoSuchVolumeError,
    VolumeExistsError,
    VolumeInUseError,
)
from libpod.model.container_config import ContainerConfig
from libpod.model.container_state import ContainerState, ExecSession, ExitRecord
from libpod.model.container_summary import ContainerSummary, summary_of
from libpod.model.pod import PodConfig, PodState
from libpod.model.times import age, to_nanoseconds
from libpod.model.volume import VolumeConfig, VolumeState
from libpod.state import keys, lookup, refusals, survival
from libpod.state.base import Claim, State


@attrs.define
class _Durable:
    containers: dict[str, ContainerConfig] = attrs.field(factory=dict)
    kept: dict[str, ContainerState] = attrs.field(factory=dict)
    exits: dict[str, ExitRecord] = attrs.field(factory=dict)
    pods: dict[str, PodConfig] = attrs.field(factory=dict)
    kept_pods: dict[str, PodState] = attrs.field(factory=dict)
    volumes: dict[str, VolumeConfig] = attrs.field(factory=dict)
    kept_volumes: dict[str, VolumeState] = attrs.field(factory=dict)
    paths: dict[str, str] = attrs.field(factory=dict)


@attrs.define
class _Volatile:
    refreshed: bool = False
    containers: dict[str, ContainerState] = attrs.field(factory=dict)
    pods: dict[str, PodState] = attrs.field(factory=dict)
    volumes: dict[str, VolumeState] = attrs.field(factory=dict)
    sessions: dict[str, ExecSession] = attrs.field(factory=dict)
    claims: dict[tuple[str, str], str] = attrs.field(factory=dict)
    held_locks: set[int] = attrs.field(factory=set)
    free_locks: set[int] = attrs.field(factory=set)
    next_lock: int = 0


def _first(found: Iterable[str]) -> list[str]:
    return sorted(found, key=keys.encoded)[: lookup.SHOWN]


class MemoryState(State):
    """See the module. Safe between threads."""

    def __init__(self) -> None:
        self._durable = _Durable()
        self._volatile = _Volatile()
        self._mutex = threading.RLock()
        self._closed = False

    def reboot(self) -> MemoryState:
        """The store as it is found after the next boot; this one is closed."""
        self.close()
        following = MemoryState()
        following._durable = self._durable
        return following

    def _open(self) -> None:
        if self._closed:
            raise refusals.closed()

    # -- containers -------------------------------------------------------------------------------------------------

    def add_container(self, config: ContainerConfig, state: ContainerState) -> None:
        with self._mutex:
            self._open()
            if config.pod:
                self._pod(config.pod)
            self._check_free(lookup.CONTAINER, config.id, config.name)
            self._check_references(config)
            self._forget_volatile(config.id)
            self._durable.exits.pop(config.id, None)
            self._durable.containers[config.id] = config
            self._durable.kept[config.id] = survival.kept_container(state)
            self._volatile.containers[config.id] = state

    def remove_container(self, ctr_id: str) -> None:
        with self._mutex:
            config = self.container_config(ctr_id)
            users = self.dependents(ctr_id)
            if users:
                raise ContainerInUseError(config.name, users)
            self._drop(ctr_id)

    def container_config(self, ctr_id: str) -> ContainerConfig:
        with self._mutex:
            self._open()
            if ctr_id not in self._durable.containers:
                raise NoSuchContainerError(ctr_id)
            return self._durable.containers[ctr_id]

    def rewrite_container_config(self, config: ContainerConfig) -> None:
        with self._mutex:
            present = self.container_config(config.id)
            if present.pod != config.pod:
                raise refusals.pod_changed(config)
            if present.name != config.name:
                self._check_name(lookup.CONTAINER, config.name)
            self._check_references(config)
            self._durable.containers[config.id] = config

    def container_state(self, ctr_id: str) -> ContainerState:
        with self._mutex:
            self.container_config(ctr_id)
            return self._volatile.containers.get(ctr_id) or self._after_boot(ctr_id)

    def save_container_state(self, ctr_id: str, state: ContainerState) -> None:
        with self._mutex:
            self.container_config(ctr_id)
            self._durable.kept[ctr_id] = survival.kept_container(state)
            self._volatile.containers[ctr_id] = state

    def lookup_container(self, name_or_id: str) -> str:
        with self._mutex:
            self._open()
            return lookup.resolve(self, lookup.CONTAINER, name_or_id)

    def has_container(self, ctr_id: str) -> bool:
        with self._mutex:
            self._open()
            return ctr_id in self._durable.containers

    def containers(self) -> list[tuple[ContainerConfig, ContainerState]]:
        with self._mutex:
            self._open()
            found = [
                (config, self.container_state(config.id)) for config in self._durable.containers.values()
            ]
            return sorted(found, key=lambda pair: (age(pair[0].created_time), pair[0].id))

    def container_summaries(self) -> list[tuple[ContainerSummary, ContainerState]]:
        return [(summary_of(config), state) for config, state in self.containers()]

    def container_ids(self) -> list[str]:
        with self._mutex:
            self._open()
            return list(self._durable.containers)

    def dependents(self, ctr_id: str) -> list[str]:
        with self._mutex:
            self.container_config(ctr_id)
            return sorted(
                config.id for config in self._durable.containers.values() if ctr_id in config.all_dependencies
            )

    # -- what look-ups ask --------------------------------------------------------------------------------------------

    def has_id(self, kind: str, word: str) -> bool:
        """Whether there is an object of that kind and id."""
        return word in self._ids(kind)

    def named(self, word: str) -> tuple[str, str] | None:
        """The object of that name."""
        for config in self._durable.containers.values():
            if config.name == word:
                return (lookup.CONTAINER, config.id)
        for pod in self._durable.pods.values():
            if pod.name == word:
                return (lookup.POD, pod.id)
        return None

    def with_prefix(self, kind: str, word: str) -> list[str]:
        """Some ids that begin with the word."""
        return _first(item for item in self._ids(kind) if item.startswith(word))

    def _ids(self, kind: str) -> Iterable[str]:
        return self._durable.containers.keys() if kind == lookup.CONTAINER else self._durable.pods.keys()

    # -- steps --------------------------------------------------------------------------------------------------------

    def _check_free(self, kind: str, object_id: str, name: str) -> None:
        keys.component(object_id)
        keys.component(name)
        for other in (lookup.CONTAINER, lookup.POD):
            if object_id in self._ids(other):
                raise refusals.taken(kind, object_id, (other, object_id))
        self._check_name(kind, name)

    def _check_name(self, kind: str, name: str) -> None:
        owner = self.named(name)
        if owner is not None:
            raise refusals.taken(kind, name, owner)

    def _check_references(self, config: ContainerConfig) -> None:
        for dependency in config.all_dependencies:
            other = self._durable.containers.get(dependency)
            if other is None or dependency == config.id:
                raise NoSuchContainerError(dependency)
            if other.pod != config.pod:
                raise refusals.foreign_dependency(config, dependency, other.pod)
        for volume in config.volume_names:
            self._volume(volume)

    def _drop(self, ctr_id: str) -> None:
        del self._durable.containers[ctr_id]
        del self._durable.kept[ctr_id]
        self._forget_volatile(ctr_id)

    def _forget_volatile(self, ctr_id: str) -> None:
        volatile = self._volatile
        volatile.containers.pop(ctr_id, None)
        volatile.sessions = {item: s for item, s in volatile.sessions.items() if s.container_id != ctr_id}
        volatile.claims = {item: owner for item, owner in volatile.claims.items() if owner != ctr_id}

    def _after_boot(self, ctr_id: str) -> ContainerState:
        return self._durable.kept[ctr_id]

    # -- exits ------------------------------------------------------------------------------------------------------

    def record_exit(self, ctr_id: str, record: ExitRecord) -> None:
        with self._mutex:
            self._open()
            keys.component(ctr_id)
            self._durable.exits[ctr_id] = record
            if ctr_id in self._durable.kept:
                self._durable.kept[ctr_id] = survival.with_exit(self._durable.kept[ctr_id], record)

    def exit_record(self, ctr_id: str) -> ExitRecord:
        with self._mutex:
            self._open()
            if ctr_id not in self._durable.exits:
                raise NoSuchExitCodeError(ctr_id)
            return self._durable.exits[ctr_id]

    def prune_exit_records(self, before: str) -> int:
        with self._mutex:
            self._open()
            limit = to_nanoseconds(before)
            old = [
                ctr_id
                for ctr_id, record in self._durable.exits.items()
                if ctr_id not in self._durable.containers and to_nanoseconds(record.finished) < limit
            ]
            for ctr_id in old:
                del self._durable.exits[ctr_id]
            return len(old)

    # -- exec sessions ----------------------------------------------------------------------------------------------

    def add_exec_session(self, session: ExecSession) -> None:
        with self._mutex:
            self.container_config(session.container_id)
            keys.component(session.id)
            if session.id in self._volatile.sessions:
                raise ExecSessionExistsError(session.id)
            self._volatile.sessions[session.id] = session

    def save_exec_session(self, session: ExecSession) -> None:
        with self._mutex:
            if self.exec_session(session.id).container_id != session.container_id:
                raise NoSuchExecSessionError(session.id)
            self._volatile.sessions[session.id] = session

    def exec_session(self, session_id: str) -> ExecSession:
        with self._mutex:
            self._open()
            if session_id not in self._volatile.sessions:
                raise NoSuchExecSessionError(session_id)
            return self._volatile.sessions[session_id]

    def exec_sessions(self, ctr_id: str) -> list[ExecSession]:
        with self._mutex:
            self.container_config(ctr_id)
            found = [
                session for session in self._volatile.sessions.values() if session.container_id == ctr_id
            ]
            return sorted(found, key=lambda session: session.id)

    def remove_exec_session(self, session_id: str) -> None:
        with self._mutex:
            self.exec_session(session_id)
            del self._volatile.sessions[session_id]

    # -- pods -------------------------------------------------------------------------------------------------------

    def _pod(self, pod_id: str) -> PodConfig:
        self._open()
        if pod_id not in self._durable.pods:
            raise NoSuchPodError(pod_id)
        return self._durable.pods[pod_id]

    def add_pod(self, config: PodConfig, state: PodState) -> None:
        with self._mutex:
            self._open()
            self._check_free(lookup.POD, config.id, config.name)
            self._durable.pods[config.id] = config
            self._durable.kept_pods[config.id] = survival.kept_pod(state)
            self._volatile.pods[config.id] = state

    def remove_pod(self, pod_id: str) -> None:
        with self._mutex:
            members = self.pod_containers(pod_id)
            if members:
                name = self._durable.pods[pod_id].name
                raise InUseError("pod", name, members, resolution="remove its containers first")
            del self._durable.pods[pod_id]
            del self._durable.kept_pods[pod_id]
            self._volatile.pods.pop(pod_id, None)

    def remove_pod_containers(self, pod_id: str) -> None:
        with self._mutex:
            members = self.pod_containers(pod_id)
            for member in members:
                strangers = [user for user in self.dependents(member) if user not in members]
                if strangers:
                    raise ContainerInUseError(self._durable.containers[member].name, strangers)
            for member in members:
                self._drop(member)

    def pod_config(self, pod_id: str) -> PodConfig:
        with self._mutex:
            return self._pod(pod_id)

    def rewrite_pod_config(self, config: PodConfig) -> None:
        with self._mutex:
            if self._pod(config.id).name != config.name:
                self._check_name(lookup.POD, config.name)
            self._durable.pods[config.id] = config

    def pod_state(self, pod_id: str) -> PodState:
        with self._mutex:
            self._pod(pod_id)
            return self._volatile.pods.get(pod_id) or self._durable.kept_pods[pod_id]

    def save_pod_state(self, pod_id: str, state: PodState) -> None:
        with self._mutex:
            self._pod(pod_id)
            self._durable.kept_pods[pod_id] = survival.kept_pod(state)
            self._volatile.pods[pod_id] = state

    def lookup_pod(self, name_or_id: str) -> str:
        with self._mutex:
            self._open()
            return lookup.resolve(self, lookup.POD, name_or_id)

    def pods(self) -> list[tuple[PodConfig, PodState]]:
        with self._mutex:
            self._open()
            found = [(config, self.pod_state(config.id)) for config in self._durable.pods.values()]
            return sorted(found, key=lambda pair: (age(pair[0].created_time), pair[0].id))

    def pod_containers(self, pod_id: str) -> list[str]:
        with self._mutex:
            self._pod(pod_id)
            return sorted(config.id for config in self._durable.containers.values() if config.pod == pod_id)

    # -- volumes ----------------------------------------------------------------------------------------------------

    def _volume(self, name: str) -> VolumeConfig:
        self._open()
        if name not in self._durable.volumes:
            raise NoSuchVolumeError(name)
        return self._durable.volumes[name]

    def add_volume(self, config: VolumeConfig, state: VolumeState) -> None:
        with self._mutex:
            self._open()
            keys.component(config.name)
            if config.name in self._durable.volumes:
                raise VolumeExistsError(config.name)
            self._durable.volumes[config.name] = config
            self._durable.kept_volumes[config.name] = survival.kept_volume(state)
            self._volatile.volumes[config.name] = state

    def remove_volume(self, name: str) -> None:
        with self._mutex:
            users = self.volume_users(name)
            if users:
                raise VolumeInUseError(name, users)
            del self._durable.volumes[name]
            del self._durable.kept_volumes[name]
            self._volatile.volumes.pop(name, None)

    def volume_config(self, name: str) -> VolumeConfig:
        with self._mutex:
            return self._volume(name)

    def rewrite_volume_config(self, config: VolumeConfig) -> None:
        with self._mutex:
            self._volume(config.name)
            self._durable.volumes[config.name] = config

    def volume_state(self, name: str) -> VolumeState:
        with self._mutex:
            self._volume(name)
            return self._volatile.volumes.get(name) or self._durable.kept_volumes[name]

    def save_volume_state(self, name: str, state: VolumeState) -> None:
        with self._mutex:
            self._volume(name)
            self._durable.kept_volumes[name] = survival.kept_volume(state)
            self._volatile.volumes[name] = state

    def lookup_volume(self, name_or_prefix: str) -> str:
        with self._mutex:
            self._open()
            if not name_or_prefix:
                raise InvalidArgumentError(
                    "the name of a volume is empty", resolution="give at least one character"
                )
            if name_or_prefix in self._durable.volumes:
                return name_or_prefix
            matches = _first(name for name in self._durable.volumes if name.startswith(name_or_prefix))
            if len(matches) > 1:
                raise AmbiguousNameError("volume", name_or_prefix, matches)
            if not matches:
                raise NoSuchVolumeError(name_or_prefix)
            return matches[0]

    def has_volume(self, name: str) -> bool:
        with self._mutex:
            self._open()
            return name in self._durable.volumes

    def volumes(self) -> list[tuple[VolumeConfig, VolumeState]]:
        with self._mutex:
            self._open()
            names = sorted(self._durable.volumes, key=keys.encoded)
            return [(self._durable.volumes[name], self.volume_state(name)) for name in names]

    def volume_users(self, name: str) -> list[str]:
        with self._mutex:
            self._volume(name)
            return sorted(
                config.id for config in self._durable.containers.values() if name in config.volume_names
            )

    # -- claims and locks -------------------------------------------------------------------------------------------

    def claim(self, wanted: Sequence[Claim]) -> None:
        with self._mutex:
            self._open()
            claims = dict(self._volatile.claims)
            for item in wanted:
                keys.claim(item.kind, item.key)
                owner = claims.setdefault((item.kind, item.key), item.owner)
                if owner != item.owner:
                    raise InUseError(
                        item.kind, item.key, [owner], resolution="choose another or stop its owner"
                    )
            self._volatile.claims = claims

    def claims(self, *, owner: str | None = None, kind: str | None = None) -> list[Claim]:
        with self._mutex:
            self._open()
            return [
                Claim(kind=found[0], key=found[1], owner=holder)
                for found, holder in sorted(self._volatile.claims.items())
                if owner in (None, holder) and kind in (None, found[0])
            ]

    def release_claims(self, owner: str, only: Collection[Claim] | None = None) -> None:
        with self._mutex:
            self._open()
            wanted = None if only is None else {(item.kind, item.key) for item in only}
            self._volatile.claims = {
                item: held
                for item, held in self._volatile.claims.items()
                if held != owner or (wanted is not None and item not in wanted)
            }

    def allocate_lock(self) -> int:
        with self._mutex:
            self._open()
            volatile = self._volatile
            named = self.locks_in_use()
            free = sorted(volatile.free_locks - named.keys())
            if free:
                volatile.free_locks = {item for item in volatile.free_locks if item > free[0]}
                number = free[0]
            else:
                volatile.free_locks = set()
                number = volatile.next_lock
                while number in named or number in volatile.held_locks:
                    number += 1
                volatile.next_lock = number + 1
            volatile.held_locks.add(number)
            return number

    def free_lock(self, lock_id: int) -> None:
        with self._mutex:
            self._open()
            if lock_id in self._volatile.held_locks:
                self._volatile.held_locks.remove(lock_id)
                if lock_id < self._volatile.next_lock:
                    self._volatile.free_locks.add(lock_id)

    def locks_in_use(self) -> Mapping[int, Sequence[str]]:
        with self._mutex:
            self._open()
            found: dict[int, list[str]] = {}
            for ctr_id, config in sorted(self._durable.containers.items()):
                found.setdefault(config.lock_id, []).append(f"container {ctr_id}")
            for pod_id, pod in sorted(self._durable.pods.items()):
                found.setdefault(pod.lock_id, []).append(f"pod {pod_id}")
            for name, volume in sorted(self._durable.volumes.items()):
                found.setdefault(volume.lock_id, []).append(f"volume {name}")
            return found

    # -- the whole --------------------------------------------------------------------------------------------------

    def check_paths(self, paths: Mapping[str, str]) -> None:
        with self._mutex:
            self._open()
            stored = self._durable.paths
            for name, path in sorted(paths.items()):
                if stored.get(name, path) != path:
                    raise refusals.paths_differ(name, stored[name], path)
            self._durable.paths = dict(paths) | stored

    def recorded_paths(self) -> Mapping[str, str]:
        with self._mutex:
            self._open()
            return dict(self._durable.paths)

    def rewrite_paths(self, paths: Mapping[str, str]) -> None:
        with self._mutex:
            self._open()
            self._durable.paths = self._durable.paths | dict(paths)

    def needs_refresh(self) -> bool:
        with self._mutex:
            self._open()
            return not self._volatile.refreshed

    def refresh(self) -> None:
        with self._mutex:
            self._open()
            if not self._volatile.refreshed:
                for ctr_id in self._durable.containers:
                    self._volatile.containers.setdefault(ctr_id, self._after_boot(ctr_id))
                for pod_id, pod in self._durable.kept_pods.items():
                    self._volatile.pods.setdefault(pod_id, pod)
                for name, volume in self._durable.kept_volumes.items():
                    self._volatile.volumes.setdefault(name, volume)
                self._volatile.held_locks |= self.locks_in_use().keys()
                self._volatile.refreshed = True

    def repair(self, *, thorough: bool = False, pretend: bool = False) -> list[str]:
        with self._mutex:
            self._open()
            # Nothing can be half-written here: a process that is killed takes all of it along.
            return []

    def close(self) -> None:
        self._closed = True
