"""Containers, their exits and exec sessions as rows. The functions take open transactions and do not commit.

*durable* and *volatile* are transactions of the two environments. A function that takes both is given the durable one
first, opened first; see keys for the rows.
"""

from __future__ import annotations

from collections.abc import Collection

from libpod.define.errors import (
    ContainerInUseError,
    ExecSessionExistsError,
    NoSuchContainerError,
    NoSuchExecSessionError,
    NoSuchExitCodeError,
    NoSuchPodError,
    NoSuchVolumeError,
    StateStoreError,
)
from libpod.model import codec
from libpod.model.container_config import ContainerConfig
from libpod.model.container_state import ContainerState, ExecSession, ExitRecord
from libpod.model.container_summary import summary_of
from libpod.model.times import to_nanoseconds
from libpod.state import keys, lookup, refusals, survival
from libpod.state.base import Claim
from libpod.state.lmdb_environment import Transaction
from libpod.state.lmdb_rows import delete_under, exists, named, required, rows, tails, under


def require(durable: Transaction, ctr_id: str) -> bytes:
    """The kept state of a container that must exist: small, and there exactly when the container is."""
    return required(durable, keys.CTR_KEPT, ctr_id, NoSuchContainerError)


def config(durable: Transaction, ctr_id: str) -> ContainerConfig:
    """The configuration of a container that must exist."""
    return codec.CONTAINER_CONFIG.decode(required(durable, keys.CTR, ctr_id, NoSuchContainerError))


# ---- create, rewrite, remove ------------------------------------------------------------------------------------


def owner_of_name(durable: Transaction, name: str) -> tuple[str, str] | None:
    """Kind and id of the object with that name."""
    row = named(durable, keys.NAME, name)
    if row is None:
        return None
    kind, _, object_id = row.decode("utf-8", "surrogatepass").partition("/")
    return (lookup.CONTAINER if kind == "ctr" else lookup.POD, object_id)


def check_free(durable: Transaction, kind: str, object_id: str, name: str) -> None:
    """Raise unless the id and the name are free among containers and pods."""
    for other, prefix in ((lookup.CONTAINER, keys.CTR_KEPT), (lookup.POD, keys.POD_KEPT)):
        if exists(durable, keys.key(prefix, object_id)):
            raise refusals.taken(kind, object_id, (other, object_id))
    owner = owner_of_name(durable, name)
    if owner is not None:
        raise refusals.taken(kind, name, owner)


def add(durable: Transaction, wanted: ContainerConfig, state: ContainerState) -> None:
    """Write the durable half of a new container with everything that hangs on it."""
    if wanted.pod and not exists(durable, keys.key(keys.POD_KEPT, wanted.pod)):
        raise NoSuchPodError(wanted.pod)
    check_free(durable, lookup.CONTAINER, wanted.id, wanted.name)
    _check_references(durable, wanted)
    own = keys.component(wanted.id)
    durable.delete(keys.EXIT + own)
    durable.delete(keys.EXIT_GONE + own)
    _link(durable, wanted)
    durable.put(keys.CTR_KEPT + own, codec.CONTAINER_STATE.encode(survival.kept_container(state)))
    durable.put(keys.CTR + own, codec.CONTAINER_CONFIG.encode(wanted))


def place(volatile: Transaction, ctr_id: str, state: ContainerState) -> None:
    """Write the volatile half of a new container; what an earlier one of that id may have left goes."""
    sweep(volatile, ctr_id)
    volatile.put(keys.key(keys.CTR, ctr_id), codec.CONTAINER_STATE.encode(state))


def rewrite(durable: Transaction, wanted: ContainerConfig) -> None:
    """Replace the configuration of a container."""
    present = config(durable, wanted.id)
    if present.pod != wanted.pod:
        raise refusals.pod_changed(wanted)
    if present.name != wanted.name:
        owner = owner_of_name(durable, wanted.name)
        if owner is not None:
            raise refusals.taken(lookup.CONTAINER, wanted.name, owner)
    _check_references(durable, wanted)
    _unlink(durable, present)
    _link(durable, wanted)
    durable.put(keys.key(keys.CTR, wanted.id), codec.CONTAINER_CONFIG.encode(wanted))


def remove(durable: Transaction, ctr_id: str) -> None:
    """Remove the durable half of a container that nobody depends on, even if its configuration is damaged."""
    require(durable, ctr_id)
    users = dependents(durable, ctr_id)
    try:
        present = config(durable, ctr_id)
    except StateStoreError:
        if users:
            raise
        for row in naming(durable, ctr_id):
            durable.delete(row)
        return
    if users:
        raise ContainerInUseError(present.name, users)
    drop(durable, present)


def drop(durable: Transaction, present: ContainerConfig) -> None:
    """Remove the durable half, whoever depends on it."""
    own = keys.component(present.id)
    durable.delete(keys.CTR + own)
    durable.delete(keys.CTR_KEPT + own)
    _unlink(durable, present)
    delete_under(durable, keys.edges(keys.CTR_DEPENDENT, present.id))
    if exists(durable, keys.EXIT + own):
        durable.put(keys.EXIT_GONE + own, b"")


def sweep(volatile: Transaction, ctr_id: str) -> None:
    """Remove the volatile half of a container."""
    volatile.delete(keys.key(keys.CTR, ctr_id))
    for session in tails(volatile, keys.edges(keys.EXEC_CTR, ctr_id)):
        remove_session(volatile, ctr_id, session)
    release_claims(volatile, ctr_id)


def release_claims(volatile: Transaction, owner: str, only: Collection[Claim] | None = None) -> None:
    """Give back everything that *owner* holds, or *only* these."""
    edge = keys.edges(keys.CLAIM_OWNER, owner)
    wanted = None if only is None else {keys.claim(item.kind, item.key) for item in only}
    for row in list(under(volatile, edge)):
        claim = keys.CLAIM + row[len(edge) :]
        if wanted is None or claim in wanted:
            volatile.delete(claim)
            volatile.delete(row)


def _check_references(durable: Transaction, wanted: ContainerConfig) -> None:
    for dependency in wanted.all_dependencies:
        data = named(durable, keys.CTR_SUMMARY, dependency)
        if data is None or dependency == wanted.id:
            raise NoSuchContainerError(dependency)
        pod = codec.CONTAINER_SUMMARY.decode(data).pod
        if pod != wanted.pod:
            raise refusals.foreign_dependency(wanted, dependency, pod)
    for volume in wanted.volume_names:
        if named(durable, keys.VOL_KEPT, volume) is None:
            raise NoSuchVolumeError(volume)


def _link(durable: Transaction, wanted: ContainerConfig) -> None:
    """Write the rows that are derived from a configuration."""
    for row, value in derived(wanted):
        durable.put(row, value)


def _unlink(durable: Transaction, present: ContainerConfig) -> None:
    for row, _ in derived(present):
        durable.delete(row)


def derived(wanted: ContainerConfig) -> list[tuple[bytes, bytes]]:
    """Every row that follows from a configuration: what `repair` compares with what there is."""
    own = keys.key(keys.CTR, wanted.id)
    found = [
        (keys.key(keys.CTR_SUMMARY, wanted.id), codec.CONTAINER_SUMMARY.encode(summary_of(wanted))),
        (keys.key(keys.NAME, wanted.name), own),
        (keys.lock_row(wanted.lock_id, own), b""),
        *((keys.edge(keys.CTR_DEPENDENT, item, wanted.id), b"") for item in wanted.all_dependencies),
        *((keys.edge(keys.VOL_CTR, volume, wanted.id), b"") for volume in wanted.volume_names),
    ]
    if wanted.pod:
        found.append((keys.edge(keys.POD_CTR, wanted.pod, wanted.id), b""))
    return found


def naming(durable: Transaction, ctr_id: str) -> list[bytes]:
    """Every row of one container, found by looking at all: for those whose configuration cannot tell."""
    own = keys.key(keys.CTR, ctr_id)
    direct = [own, keys.key(keys.CTR_SUMMARY, ctr_id), keys.key(keys.CTR_KEPT, ctr_id)]
    ends = b"/" + keys.component(ctr_id)
    edges = [
        row
        for kind in (keys.CTR_DEPENDENT, keys.POD_CTR, keys.VOL_CTR, keys.LOCK)
        for row in under(durable, kind)
        if row.endswith(ends)
    ]
    return [*direct, *edges, *(row for row, value in rows(durable, keys.NAME) if value == own)]


def dependents(durable: Transaction, ctr_id: str) -> list[str]:
    """Ids of the containers that depend on this one."""
    return tails(durable, keys.edges(keys.CTR_DEPENDENT, ctr_id))


# ---- exits ------------------------------------------------------------------------------------------------------


def record_exit(durable: Transaction, ctr_id: str, record: ExitRecord) -> None:
    """Remember how a container ended."""
    own = keys.component(ctr_id)
    durable.put(keys.EXIT + own, codec.EXIT_RECORD.encode(record))
    kept = durable.get(keys.CTR_KEPT + own)
    if kept is None:
        durable.put(keys.EXIT_GONE + own, b"")
        return
    ended = survival.with_exit(codec.CONTAINER_STATE.decode(kept), record)
    durable.put(keys.CTR_KEPT + own, codec.CONTAINER_STATE.encode(ended))


def exit_record(durable: Transaction, ctr_id: str) -> ExitRecord:
    """How it ended last."""
    return codec.EXIT_RECORD.decode(required(durable, keys.EXIT, ctr_id, NoSuchExitCodeError))


def prune_exits(durable: Transaction, before: str) -> int:
    """Forget the old exits of containers that are gone."""
    limit = to_nanoseconds(before)
    pruned = 0
    for own in tails(durable, keys.EXIT_GONE):
        data = durable.get(keys.key(keys.EXIT, own))
        if data is None or to_nanoseconds(codec.EXIT_RECORD.decode(data).finished) < limit:
            durable.delete(keys.key(keys.EXIT, own))
            durable.delete(keys.key(keys.EXIT_GONE, own))
            pruned += 1
    return pruned


# ---- exec sessions ----------------------------------------------------------------------------------------------


def add_session(volatile: Transaction, session: ExecSession) -> None:
    """Add a session."""
    row = keys.key(keys.EXEC, session.id)
    if exists(volatile, row):
        raise ExecSessionExistsError(session.id)
    volatile.put(row, codec.EXEC_SESSION.encode(session))
    volatile.put(keys.edge(keys.EXEC_CTR, session.container_id, session.id), b"")


def session_of(volatile: Transaction, session_id: str) -> ExecSession:
    """A session that must exist."""
    return codec.EXEC_SESSION.decode(required(volatile, keys.EXEC, session_id, NoSuchExecSessionError))


def save_session(volatile: Transaction, session: ExecSession) -> None:
    """Replace a session, which stays with its container."""
    if session_of(volatile, session.id).container_id != session.container_id:
        raise NoSuchExecSessionError(session.id)
    volatile.put(keys.key(keys.EXEC, session.id), codec.EXEC_SESSION.encode(session))


def sessions_of(volatile: Transaction, ctr_id: str) -> list[ExecSession]:
    """The sessions of one container, by id."""
    return [session_of(volatile, item) for item in tails(volatile, keys.edges(keys.EXEC_CTR, ctr_id))]


def remove_session(volatile: Transaction, ctr_id: str, session_id: str) -> None:
    """Remove a session."""
    volatile.delete(keys.key(keys.EXEC, session_id))
    volatile.delete(keys.edge(keys.EXEC_CTR, ctr_id, session_id))


def states(volatile: Transaction) -> dict[bytes, bytes]:
    """The stored states of all containers, by encoded id."""
    start = len(keys.CTR)
    return {row[start:]: value for row, value in rows(volatile, keys.CTR)}
