"""The State in two LMDB environments: what survives a reboot, and what does not.

Durable rows live in the directory given for them and are flushed at every commit. Volatile rows live under the
runroot in a directory named after the kernel's boot id, and are never flushed: after a power cut the directory of the
last boot is not opened at all, so that it does not matter what is in it. `refresh` deletes it.

A method is one transaction, or two in a fixed order:

    create        durable begun, checked and written · volatile written and committed · durable committed
    save          durable written and committed, if a reboot would show the difference · volatile committed
    remove        durable committed · volatile committed

so an object exists exactly when its configuration does, and what a kill leaves between two commits is a volatile row
without an object (`repair` sweeps it; readers never see it, because they look at the durable half first), or a durable
state that is one step ahead.

Covers: libpod/sqlite_state.go, libpod/boltdb_state.go
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from libpod.define.errors import NoSuchContainerError
from libpod.linux.pidfd import boot_id as kernel_boot_id
from libpod.model import codec
from libpod.model.container_config import ContainerConfig
from libpod.model.container_state import ContainerState, ExecSession, ExitRecord
from libpod.model.container_summary import ContainerSummary
from libpod.model.pod import PodConfig, PodState
from libpod.model.times import age
from libpod.model.volume import VolumeConfig, VolumeState
from libpod.state import (
    keys,
    lmdb_allocations,
    lmdb_containers,
    lmdb_environment,
    lmdb_objects,
    lmdb_repair,
    lmdb_whole,
    lookup,
    refusals,
    survival,
)
from libpod.state.base import Claim, State
from libpod.state.lmdb_environment import MapFull, Transaction
from libpod.state.lmdb_rows import delete, exists, rows, tails

T = TypeVar("T")
R = TypeVar("R", ContainerConfig, ContainerSummary)


class LmdbState(State):
    """See the module. Safe between threads and processes; usable in a child made by os.fork."""

    def __init__(
        self,
        durable: Path,
        volatile: Path,
        *,
        boot_id: str | None = None,
        initial_map: int = lmdb_environment.INITIAL_MAP,
    ) -> None:
        """Open the store, making it when it is not there.

        *durable* and *volatile* are directories of its own. *boot_id* stands for another boot than the present one.
        Raises StateStoreError.
        """
        self._volatile_home = volatile
        boot = lmdb_whole.boot_directory(boot_id or kernel_boot_id())
        self._closed = False
        self._durable = lmdb_environment.opened(durable, durable=True, initial_map=initial_map)
        self._volatile = lmdb_environment.opened(volatile / boot, durable=False, initial_map=initial_map)
        try:
            self._check_schema()
        except BaseException:
            self.close()
            raise

    # -- how operations meet transactions ---------------------------------------------------------------------------

    def _run(self, attempt: Callable[[], T]) -> T:
        """Run *attempt* until the maps are large enough for it."""
        while True:
            if self._closed:
                raise refusals.closed()
            try:
                return attempt()
            except MapFull as full:
                full.environment.grow(full)

    def _read(self, operation: Callable[[Transaction], T]) -> T:
        def attempt() -> T:
            with self._durable.transaction(write=False) as durable:
                return operation(durable)

        return self._run(attempt)

    def _read_both(self, operation: Callable[[Transaction, Transaction], T]) -> T:
        def attempt() -> T:
            with self._durable.transaction(write=False) as durable:
                with self._volatile.transaction(write=False) as volatile:
                    return operation(durable, volatile)

        return self._run(attempt)

    def _write(self, operation: Callable[[Transaction], T]) -> T:
        def attempt() -> T:
            with self._durable.transaction(write=True) as durable:
                return operation(durable)

        return self._run(attempt)

    def _read_volatile(self, operation: Callable[[Transaction], T]) -> T:
        def attempt() -> T:
            with self._volatile.transaction(write=False) as volatile:
                return operation(volatile)

        return self._run(attempt)

    def _write_volatile(self, operation: Callable[[Transaction], T]) -> T:
        def attempt() -> T:
            with self._volatile.transaction(write=True) as volatile:
                return operation(volatile)

        return self._run(attempt)

    def _write_volatile_reading(self, operation: Callable[[Transaction, Transaction], T]) -> T:
        def attempt() -> T:
            with self._durable.transaction(write=False) as durable:
                with self._volatile.transaction(write=True) as volatile:
                    return operation(durable, volatile)

        return self._run(attempt)

    def _create(
        self, durably: Callable[[Transaction], object], volatilely: Callable[[Transaction], object]
    ) -> None:
        """Write both halves: the volatile one is committed first, the durable one last.

        The durable half is written before the volatile transaction begins: a map that is full inside nested blocks
        would be taken for the inner one's.
        """

        def attempt() -> None:
            with self._durable.transaction(write=True) as durable:
                durably(durable)
                with self._volatile.transaction(write=True) as volatile:
                    volatilely(volatile)

        self._run(attempt)

    def _check_schema(self) -> None:
        path = str(self._durable.path)
        if self._read(lambda durable: lmdb_whole.schema_is_current(durable, path)):
            return
        self._write(lambda durable: lmdb_whole.bring_up_to_date(durable, path))

    # -- containers -------------------------------------------------------------------------------------------------

    def add_container(self, config: ContainerConfig, state: ContainerState) -> None:
        self._create(
            lambda durable: lmdb_containers.add(durable, config, state),
            lambda volatile: lmdb_containers.place(volatile, config.id, state),
        )

    def remove_container(self, ctr_id: str) -> None:
        self._write(lambda durable: lmdb_containers.remove(durable, ctr_id))
        self._write_volatile(lambda volatile: lmdb_containers.sweep(volatile, ctr_id))

    def container_config(self, ctr_id: str) -> ContainerConfig:
        return self._read(lambda durable: lmdb_containers.config(durable, ctr_id))

    def rewrite_container_config(self, config: ContainerConfig) -> None:
        self._write(lambda durable: lmdb_containers.rewrite(durable, config))

    def container_state(self, ctr_id: str) -> ContainerState:
        def read(durable: Transaction, volatile: Transaction) -> ContainerState | None:
            lmdb_containers.require(durable, ctr_id)
            data = volatile.get(keys.key(keys.CTR, ctr_id))
            return codec.CONTAINER_STATE.decode(data) if data is not None else None

        return self._read_both(read) or self._initial_state(ctr_id)

    def _initial_state(self, ctr_id: str) -> ContainerState:
        """The state of a container that has none in this boot; it may be just being removed."""
        return codec.CONTAINER_STATE.decode(
            self._read(lambda durable: lmdb_containers.require(durable, ctr_id))
        )

    def save_container_state(self, ctr_id: str, state: ContainerState) -> None:
        kept = codec.CONTAINER_STATE.encode(survival.kept_container(state))
        row = keys.key(keys.CTR, ctr_id)
        data = codec.CONTAINER_STATE.encode(state)

        def save_volatile(durable: Transaction, volatile: Transaction) -> bool:
            if lmdb_containers.require(durable, ctr_id) != kept:
                return False
            volatile.put(row, data)
            return True

        def save_durable(durable: Transaction) -> None:
            lmdb_containers.require(durable, ctr_id)
            durable.put(keys.key(keys.CTR_KEPT, ctr_id), kept)

        def save_after(durable: Transaction, volatile: Transaction) -> None:
            lmdb_containers.require(durable, ctr_id)
            volatile.put(row, data)

        if not self._write_volatile_reading(save_volatile):
            self._write(save_durable)
            self._write_volatile_reading(save_after)

    def lookup_container(self, name_or_id: str) -> str:
        return self._read(
            lambda durable: lookup.resolve(lmdb_objects.DurableIndex(durable), lookup.CONTAINER, name_or_id)
        )

    def has_container(self, ctr_id: str) -> bool:
        return self._read(
            lambda durable: keys.fits(ctr_id) and exists(durable, keys.CTR_KEPT + keys.encoded(ctr_id))
        )

    def containers(self) -> list[tuple[ContainerConfig, ContainerState]]:
        found = self._listed(keys.CTR, codec.CONTAINER_CONFIG)
        return sorted(found, key=lambda pair: (age(pair[0].created_time), pair[0].id))

    def container_summaries(self) -> list[tuple[ContainerSummary, ContainerState]]:
        found = self._listed(keys.CTR_SUMMARY, codec.CONTAINER_SUMMARY)
        return sorted(found, key=lambda pair: (pair[0].created, pair[0].id))

    def _listed(self, kind: bytes, records: codec.Codec[R]) -> list[tuple[R, ContainerState]]:
        """Every container's row of *kind* with its state. Decoded after the transaction, which is kept short."""

        def read(durable: Transaction, volatile: Transaction) -> list[tuple[bytes, bytes, bytes | None]]:
            states = lmdb_containers.states(volatile)
            start = len(kind)
            return [(row[start:], data, states.get(row[start:])) for row, data in rows(durable, kind)]

        found = []
        for own, data, state in self._read_both(read):
            if state is not None:
                found.append((records.decode(data), codec.CONTAINER_STATE.decode(state)))
                continue
            try:
                found.append(
                    (records.decode(data), self._initial_state(own.decode("utf-8", "surrogatepass")))
                )
            except NoSuchContainerError:
                # Removed while we were reading: its volatile half went after our view of the durable one.
                continue
        return found

    def container_ids(self) -> list[str]:
        return self._read(lambda durable: tails(durable, keys.CTR_KEPT))

    def dependents(self, ctr_id: str) -> list[str]:
        def read(durable: Transaction) -> list[str]:
            lmdb_containers.require(durable, ctr_id)
            return lmdb_containers.dependents(durable, ctr_id)

        return self._read(read)

    # -- exits ------------------------------------------------------------------------------------------------------

    def record_exit(self, ctr_id: str, record: ExitRecord) -> None:
        self._write(lambda durable: lmdb_containers.record_exit(durable, ctr_id, record))

    def exit_record(self, ctr_id: str) -> ExitRecord:
        return self._read(lambda durable: lmdb_containers.exit_record(durable, ctr_id))

    def prune_exit_records(self, before: str) -> int:
        return self._write(lambda durable: lmdb_containers.prune_exits(durable, before))

    # -- exec sessions ----------------------------------------------------------------------------------------------

    def add_exec_session(self, session: ExecSession) -> None:
        def add(durable: Transaction, volatile: Transaction) -> None:
            lmdb_containers.require(durable, session.container_id)
            lmdb_containers.add_session(volatile, session)

        self._write_volatile_reading(add)

    def save_exec_session(self, session: ExecSession) -> None:
        self._write_volatile(lambda volatile: lmdb_containers.save_session(volatile, session))

    def exec_session(self, session_id: str) -> ExecSession:
        return self._read_volatile(lambda volatile: lmdb_containers.session_of(volatile, session_id))

    def exec_sessions(self, ctr_id: str) -> list[ExecSession]:
        def read(durable: Transaction, volatile: Transaction) -> list[ExecSession]:
            lmdb_containers.require(durable, ctr_id)
            return lmdb_containers.sessions_of(volatile, ctr_id)

        return self._read_both(read)

    def remove_exec_session(self, session_id: str) -> None:
        def remove(volatile: Transaction) -> None:
            session = lmdb_containers.session_of(volatile, session_id)
            lmdb_containers.remove_session(volatile, session.container_id, session_id)

        self._write_volatile(remove)

    # -- pods -------------------------------------------------------------------------------------------------------

    def add_pod(self, config: PodConfig, state: PodState) -> None:
        self._create(
            lambda durable: lmdb_objects.add_pod(durable, config, state),
            lambda volatile: volatile.put(keys.key(keys.POD, config.id), codec.POD_STATE.encode(state)),
        )

    def remove_pod(self, pod_id: str) -> None:
        self._write(lambda durable: lmdb_objects.remove_pod(durable, pod_id))
        self._write_volatile(lambda volatile: delete(volatile, keys.key(keys.POD, pod_id)))

    def remove_pod_containers(self, pod_id: str) -> None:
        members = self._write(lambda durable: lmdb_objects.remove_pod_members(durable, pod_id))

        def sweep(volatile: Transaction) -> None:
            for member in members:
                lmdb_containers.sweep(volatile, member)

        self._write_volatile(sweep)

    def pod_config(self, pod_id: str) -> PodConfig:
        return self._read(lambda durable: lmdb_objects.pod_config(durable, pod_id))

    def rewrite_pod_config(self, config: PodConfig) -> None:
        self._write(lambda durable: lmdb_objects.rewrite_pod(durable, config))

    def pod_state(self, pod_id: str) -> PodState:
        def read(durable: Transaction, volatile: Transaction) -> PodState:
            kept = lmdb_objects.pod_kept(durable, pod_id)
            return codec.POD_STATE.decode(volatile.get(keys.key(keys.POD, pod_id)) or kept)

        return self._read_both(read)

    def save_pod_state(self, pod_id: str, state: PodState) -> None:
        kept = codec.POD_STATE.encode(survival.kept_pod(state))
        if self._read(lambda durable: lmdb_objects.pod_kept(durable, pod_id)) != kept:

            def save_durable(durable: Transaction) -> None:
                lmdb_objects.pod_kept(durable, pod_id)
                durable.put(keys.key(keys.POD_KEPT, pod_id), kept)

            self._write(save_durable)

        def save(durable: Transaction, volatile: Transaction) -> None:
            lmdb_objects.pod_kept(durable, pod_id)
            volatile.put(keys.key(keys.POD, pod_id), codec.POD_STATE.encode(state))

        self._write_volatile_reading(save)

    def lookup_pod(self, name_or_id: str) -> str:
        return self._read(
            lambda durable: lookup.resolve(lmdb_objects.DurableIndex(durable), lookup.POD, name_or_id)
        )

    def pods(self) -> list[tuple[PodConfig, PodState]]:
        def read(durable: Transaction, volatile: Transaction) -> list[tuple[bytes, bytes]]:
            states = dict(rows(volatile, keys.POD))
            kept = {
                keys.POD + row[len(keys.POD_KEPT) :]: value for row, value in rows(durable, keys.POD_KEPT)
            }
            return [(data, states.get(row) or kept[row]) for row, data in rows(durable, keys.POD)]

        found = [
            (codec.POD_CONFIG.decode(config), codec.POD_STATE.decode(state))
            for config, state in self._read_both(read)
        ]
        return sorted(found, key=lambda pair: (age(pair[0].created_time), pair[0].id))

    def pod_containers(self, pod_id: str) -> list[str]:
        return self._read(lambda durable: lmdb_objects.pod_members(durable, pod_id))

    # -- volumes ----------------------------------------------------------------------------------------------------

    def add_volume(self, config: VolumeConfig, state: VolumeState) -> None:
        self._create(
            lambda durable: lmdb_objects.add_volume(durable, config, state),
            lambda volatile: volatile.put(keys.key(keys.VOL, config.name), codec.VOLUME_STATE.encode(state)),
        )

    def remove_volume(self, name: str) -> None:
        self._write(lambda durable: lmdb_objects.remove_volume(durable, name))
        self._write_volatile(lambda volatile: delete(volatile, keys.key(keys.VOL, name)))

    def volume_config(self, name: str) -> VolumeConfig:
        return self._read(lambda durable: lmdb_objects.volume_config(durable, name))

    def rewrite_volume_config(self, config: VolumeConfig) -> None:
        self._write(lambda durable: lmdb_objects.rewrite_volume(durable, config))

    def volume_state(self, name: str) -> VolumeState:
        def read(durable: Transaction, volatile: Transaction) -> VolumeState:
            kept = lmdb_objects.volume_kept(durable, name)
            return codec.VOLUME_STATE.decode(volatile.get(keys.key(keys.VOL, name)) or kept)

        return self._read_both(read)

    def save_volume_state(self, name: str, state: VolumeState) -> None:
        kept = codec.VOLUME_STATE.encode(survival.kept_volume(state))
        if self._read(lambda durable: lmdb_objects.volume_kept(durable, name)) != kept:

            def save_durable(durable: Transaction) -> None:
                lmdb_objects.volume_kept(durable, name)
                durable.put(keys.key(keys.VOL_KEPT, name), kept)

            self._write(save_durable)

        def save(durable: Transaction, volatile: Transaction) -> None:
            lmdb_objects.volume_kept(durable, name)
            volatile.put(keys.key(keys.VOL, name), codec.VOLUME_STATE.encode(state))

        self._write_volatile_reading(save)

    def lookup_volume(self, name_or_prefix: str) -> str:
        return self._read(lambda durable: lmdb_objects.lookup_volume(durable, name_or_prefix))

    def has_volume(self, name: str) -> bool:
        return self._read(
            lambda durable: keys.fits(name) and exists(durable, keys.VOL_KEPT + keys.encoded(name))
        )

    def volumes(self) -> list[tuple[VolumeConfig, VolumeState]]:
        def read(durable: Transaction, volatile: Transaction) -> list[tuple[bytes, bytes]]:
            states = dict(rows(volatile, keys.VOL))
            kept = {
                keys.VOL + row[len(keys.VOL_KEPT) :]: value for row, value in rows(durable, keys.VOL_KEPT)
            }
            return [(data, states.get(row) or kept[row]) for row, data in rows(durable, keys.VOL)]

        return [
            (codec.VOLUME_CONFIG.decode(config), codec.VOLUME_STATE.decode(state))
            for config, state in self._read_both(read)
        ]

    def volume_users(self, name: str) -> list[str]:
        return self._read(lambda durable: lmdb_objects.volume_users(durable, name))

    # -- claims and locks -------------------------------------------------------------------------------------------

    def claim(self, wanted: Sequence[Claim]) -> None:
        self._write_volatile(lambda volatile: lmdb_allocations.claim(volatile, wanted))

    def claims(self, *, owner: str | None = None, kind: str | None = None) -> list[Claim]:
        return self._read_volatile(lambda volatile: lmdb_allocations.claims(volatile, owner, kind))

    def release_claims(self, owner: str, only: Collection[Claim] | None = None) -> None:
        self._write_volatile(lambda volatile: lmdb_containers.release_claims(volatile, owner, only))

    def allocate_lock(self) -> int:
        return self._write_volatile_reading(lmdb_allocations.allocate_lock)

    def free_lock(self, lock_id: int) -> None:
        self._write_volatile(lambda volatile: lmdb_allocations.free_lock(volatile, lock_id))

    def locks_in_use(self) -> Mapping[int, Sequence[str]]:
        return self._read(lmdb_allocations.locks_named)

    # -- the whole --------------------------------------------------------------------------------------------------

    def check_paths(self, paths: Mapping[str, str]) -> None:
        if not self._read(lambda durable: lmdb_whole.paths_agree(durable, paths)):
            self._write(lambda durable: lmdb_whole.complete_paths(durable, paths))

    def recorded_paths(self) -> Mapping[str, str]:
        return self._read(lmdb_whole.paths)

    def rewrite_paths(self, paths: Mapping[str, str]) -> None:
        self._write(lambda durable: lmdb_whole.write_paths(durable, paths))

    def needs_refresh(self) -> bool:
        path = str(self._volatile.path)
        return not self._read_volatile(lambda volatile: lmdb_whole.is_refreshed(volatile, path))

    def refresh(self) -> None:
        self._write_volatile_reading(lmdb_whole.refresh)
        lmdb_whole.delete_other_boots(self._volatile_home, keep=self._volatile.path.name)

    def repair(self, *, thorough: bool = False, pretend: bool = False) -> list[str]:
        def sweep() -> list[str]:
            # A durable transaction for writing that writes nothing: it keeps out whoever is creating.
            with self._durable.transaction(write=True) as durable:
                with self._volatile.transaction(write=True) as volatile:
                    found = lmdb_repair.swept(durable, volatile)
                    if pretend:
                        volatile.abort()
                    return found

        def correct(durable: Transaction) -> list[str]:
            found = lmdb_repair.corrected(durable)
            if pretend:
                durable.abort()
            return found

        found = self._run(sweep)
        return found + self._write(correct) if thorough else found

    def change_files(self) -> tuple[Path, ...]:
        return (self._volatile.path / "data.mdb",)

    def durable_commits(self) -> int:
        """How many transactions were ever flushed to disk: what the cost of an operation is counted in."""
        return self._durable.last_transaction()

    def map_sizes(self) -> tuple[int, int]:
        """How many bytes the durable and the volatile half can hold before they grow."""
        return self._durable.map_size(), self._volatile.map_size()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            lmdb_environment.closed(self._durable)
            lmdb_environment.closed(self._volatile)
