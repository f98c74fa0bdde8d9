"""The State interface: a small transactional database of records.

Vocabulary. A *row set* belongs to one container, pod or volume. *Durable* rows survive a reboot (configurations,
names, edges, membership, how a container last ended, that a checkpoint of it exists); *volatile* rows do not (the
running state, exec sessions, allocations of locks, addresses and ports).

Contract for every method: one transaction, all or nothing; a reader sees what its own process wrote before; records go
in and out, never live objects; after `close` everything raises RuntimeClosedError. Container and pod ids and names
share one name space; volumes have their own.

Order of writes across the two halves: on create volatile first, the durable configuration last; on remove the durable
configuration first. So an object exists exactly when its configuration does, and a volatile row without one is
rubbish that `repair` sweeps.

Look-up: exact full id, exact name, unique id prefix. An ambiguous prefix is an AmbiguousNameError; a hit of the other
kind says so in the NotFoundError.

Covers: libpod/state.go
"""

from __future__ import annotations

import abc
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import msgspec

from libpod.model.container_config import ContainerConfig
from libpod.model.container_state import ContainerState, ExecSession, ExitRecord
from libpod.model.container_summary import ContainerSummary
from libpod.model.pod import PodConfig, PodState
from libpod.model.volume import VolumeConfig, VolumeState


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """Something of which there is only one: an address on a network, a host port."""

    kind: str
    """"address", "mac" or "port"."""
    key: str
    """For example "podman/10.89.0.5" or "tcp/0.0.0.0/8080"."""
    owner: str
    """Id of the container that holds it."""


class State(abc.ABC):
    """See the module for the contract that all methods share."""

    # -- containers ---------------------------------------------------------------------------------------------

    @abc.abstractmethod
    def add_container(self, config: ContainerConfig, state: ContainerState) -> None:
        """Add a container, its pod membership, dependency edges and volume uses.

        Raises ContainerExistsError (id or name taken by a container or pod), NoSuchPodError, NoSuchContainerError (a
        dependency), NoSuchVolumeError, InvalidArgumentError (a dependency is in another pod).
        """

    @abc.abstractmethod
    def remove_container(self, ctr_id: str) -> None:
        """Remove it with its edges, exec sessions and claims; raises ContainerInUseError while others depend on it."""

    @abc.abstractmethod
    def container_config(self, ctr_id: str) -> ContainerConfig:
        """By full id; raises NoSuchContainerError."""

    @abc.abstractmethod
    def rewrite_container_config(self, config: ContainerConfig) -> None:
        """Replace a configuration; the id must exist. A new name must be free and moves the name key."""

    @abc.abstractmethod
    def container_state(self, ctr_id: str) -> ContainerState:
        """The present state; raises NoSuchContainerError."""

    @abc.abstractmethod
    def save_container_state(self, ctr_id: str, state: ContainerState) -> None:
        """Replace the state; raises NoSuchContainerError.

        The caller holds the container's lock. Flushed to disk when it changes what a reboot would leave (see
        survival), else a matter of microseconds.
        """

    @abc.abstractmethod
    def lookup_container(self, name_or_id: str) -> str:
        """The full id a user means."""

    @abc.abstractmethod
    def has_container(self, ctr_id: str) -> bool:
        """By full id."""

    @abc.abstractmethod
    def containers(self) -> list[tuple[ContainerConfig, ContainerState]]:
        """All of them, oldest first, in one consistent reading."""

    @abc.abstractmethod
    def container_summaries(self) -> list[tuple[ContainerSummary, ContainerState]]:
        """What a listing shows of all of them, oldest first, in one consistent reading; cheaper than `containers`."""

    @abc.abstractmethod
    def container_ids(self) -> list[str]:
        """All ids, in no particular order."""

    @abc.abstractmethod
    def dependents(self, ctr_id: str) -> list[str]:
        """Ids of the containers that depend on this one."""

    # -- exits --------------------------------------------------------------------------------------------------

    @abc.abstractmethod
    def record_exit(self, ctr_id: str, record: ExitRecord) -> None:
        """Remember, durably, how a container ended; it may be removed already. Call it before saving the state."""

    @abc.abstractmethod
    def exit_record(self, ctr_id: str) -> ExitRecord:
        """How it last ended, also some time after its removal; raises NoSuchExitCodeError."""

    @abc.abstractmethod
    def prune_exit_records(self, before: str) -> int:
        """Forget the exits of removed containers that finished before *before*; says how many."""

    # -- exec sessions ------------------------------------------------------------------------------------------

    @abc.abstractmethod
    def add_exec_session(self, session: ExecSession) -> None:
        """Raises NoSuchContainerError, ExecSessionExistsError."""

    @abc.abstractmethod
    def save_exec_session(self, session: ExecSession) -> None:
        """Raises NoSuchExecSessionError."""

    @abc.abstractmethod
    def exec_session(self, session_id: str) -> ExecSession:
        """By full id; raises NoSuchExecSessionError."""

    @abc.abstractmethod
    def exec_sessions(self, ctr_id: str) -> list[ExecSession]:
        """Those of one container."""

    @abc.abstractmethod
    def remove_exec_session(self, session_id: str) -> None:
        """Raises NoSuchExecSessionError."""

    # -- pods ---------------------------------------------------------------------------------------------------

    @abc.abstractmethod
    def add_pod(self, config: PodConfig, state: PodState) -> None:
        """Raises PodExistsError (id or name taken by a pod or container)."""

    @abc.abstractmethod
    def remove_pod(self, pod_id: str) -> None:
        """Raises InUseError while it has containers."""

    @abc.abstractmethod
    def remove_pod_containers(self, pod_id: str) -> None:
        """Remove all members at once; ContainerInUseError when a stranger depends on one of them."""

    @abc.abstractmethod
    def pod_config(self, pod_id: str) -> PodConfig: ...

    @abc.abstractmethod
    def rewrite_pod_config(self, config: PodConfig) -> None: ...

    @abc.abstractmethod
    def pod_state(self, pod_id: str) -> PodState: ...

    @abc.abstractmethod
    def save_pod_state(self, pod_id: str, state: PodState) -> None: ...

    @abc.abstractmethod
    def lookup_pod(self, name_or_id: str) -> str: ...

    @abc.abstractmethod
    def pods(self) -> list[tuple[PodConfig, PodState]]: ...

    @abc.abstractmethod
    def pod_containers(self, pod_id: str) -> list[str]:
        """Ids of the members; raises NoSuchPodError."""

    # -- volumes ------------------------------------------------------------------------------------------------

    @abc.abstractmethod
    def add_volume(self, config: VolumeConfig, state: VolumeState) -> None:
        """Raises VolumeExistsError."""

    @abc.abstractmethod
    def remove_volume(self, name: str) -> None:
        """Raises VolumeInUseError, NoSuchVolumeError."""

    @abc.abstractmethod
    def volume_config(self, name: str) -> VolumeConfig: ...

    @abc.abstractmethod
    def rewrite_volume_config(self, config: VolumeConfig) -> None: ...

    @abc.abstractmethod
    def volume_state(self, name: str) -> VolumeState: ...

    @abc.abstractmethod
    def save_volume_state(self, name: str, state: VolumeState) -> None: ...

    @abc.abstractmethod
    def lookup_volume(self, name_or_prefix: str) -> str:
        """Exact name first, then a unique prefix, as podman does for volumes."""

    @abc.abstractmethod
    def has_volume(self, name: str) -> bool: ...

    @abc.abstractmethod
    def volumes(self) -> list[tuple[VolumeConfig, VolumeState]]: ...

    @abc.abstractmethod
    def volume_users(self, name: str) -> list[str]:
        """Ids of the containers that use it."""

    # -- claims and locks ---------------------------------------------------------------------------------------

    @abc.abstractmethod
    def claim(self, wanted: Sequence[Claim]) -> None:
        """Take all or none; InUseError names the present owner. A claim the same owner holds already is fine."""

    @abc.abstractmethod
    def claims(self, *, owner: str | None = None, kind: str | None = None) -> list[Claim]:
        """Those that are held."""

    @abc.abstractmethod
    def release_claims(self, owner: str, only: Collection[Claim] | None = None) -> None:
        """Give back all that one container holds, or *only* these of them; those that it does not hold are fine."""

    @abc.abstractmethod
    def allocate_lock(self) -> int:
        """A lock number that no object holds; never handed out twice while held."""

    @abc.abstractmethod
    def free_lock(self, lock_id: int) -> None: ...

    @abc.abstractmethod
    def locks_in_use(self) -> Mapping[int, Sequence[str]]:
        """Lock number → the objects whose configuration names it ("container <id>", "pod <id>", "volume <name>")."""

    # -- the whole ----------------------------------------------------------------------------------------------

    @abc.abstractmethod
    def check_paths(self, paths: Mapping[str, str]) -> None:
        """Record the engine's directories on first use; later raise ConfigError naming the one that differs."""

    @abc.abstractmethod
    def recorded_paths(self) -> Mapping[str, str]:
        """The directories that are recorded."""

    @abc.abstractmethod
    def rewrite_paths(self, paths: Mapping[str, str]) -> None:
        """Accept new directories (migrate)."""

    @abc.abstractmethod
    def needs_refresh(self) -> bool:
        """Whether the volatile half is of another boot, or gone."""

    @abc.abstractmethod
    def refresh(self) -> None:
        """Begin a new boot: volatile rows are dropped, states become what podman's users see after a reboot.

        A container that had run becomes EXITED with its exit record, any other CONFIGURED; one marked REMOVING stays
        so; lock numbers are re-assigned from the configurations. In a boot that has begun already this does nothing,
        so that two processes which both found `needs_refresh` cannot undo each other. What reads a state before
        `refresh` has run in this boot gets the same state as afterwards (see survival).
        """

    @abc.abstractmethod
    def repair(self, *, thorough: bool = False, pretend: bool = False) -> list[str]:
        """Sweep rows that a killed process left half-written; one sentence each. Cheap: reads keys, not records.

        What a kill can leave, by the step at which it came:

        1. creating, between the two commits (or the disk was full at the second): a volatile state, claims and exec
           sessions without a container;
        2. removing, between the two commits: the same;
        3. saving a state, between the two commits: the durable half is one state ahead of the volatile one (a reboot
           now would show the newer); the next save of that container agrees again, nothing to sweep;
        4. between `claim` or `allocate_lock` and `add_container`: a claim or lock number of a dead process.

        With *thorough* every record is decoded, and names, edges, summaries and lock rows are compared with the
        configurations and corrected: no kill can make them differ, a damaged disk or a defect of ours can. With
        *pretend* nothing is changed; the sentences say what would be.
        """

    def change_files(self) -> tuple[Path, ...]:
        """Files that are written to whenever a volatile row changes, to be watched; none for a store in memory."""
        return ()

    @abc.abstractmethod
    def close(self) -> None:
        """Idempotent."""
