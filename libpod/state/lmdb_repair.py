"""Finding and removing what does not belong: see `State.repair` for the states that a kill leaves.

`swept` runs inside a durable write transaction, because whoever creates an object holds one from before the volatile
rows appear until the configuration does: what has no configuration then will never get one. It reads keys only.

`corrected` decodes everything durable and writes derived rows again where they differ.
"""

from __future__ import annotations

from libpod.define.errors import StateStoreError, short
from libpod.model import codec
from libpod.model.container_state import ContainerState
from libpod.model.pod import PodState
from libpod.model.volume import VolumeState
from libpod.state import keys, lmdb_allocations, lmdb_containers, lmdb_objects, survival
from libpod.state.lmdb_environment import Transaction
from libpod.state.lmdb_rows import rows, tails, under


def swept(durable: Transaction, volatile: Transaction) -> list[str]:
    """Remove volatile rows without an object; one sentence each."""
    containers = set(tails(durable, keys.CTR))
    done = []
    for word, kind, living in (
        ("container", keys.CTR, containers),
        ("pod", keys.POD, set(tails(durable, keys.POD))),
        ("volume", keys.VOL, set(tails(durable, keys.VOL))),
    ):
        for own in tails(volatile, kind):
            if own not in living:
                volatile.delete(keys.key(kind, own))
                done.append(f"removed the state of {word} {short(own)}, which does not exist")
    done += _sweep_sessions(volatile, containers)
    done += _sweep_claims(volatile, containers)
    return done + _sweep_locks(durable, volatile)


def _sweep_sessions(volatile: Transaction, containers: set[str]) -> list[str]:
    done = []
    for row in list(under(volatile, keys.EXEC_CTR)):
        owner, _, session = keys.tail(row, keys.EXEC_CTR).partition("/")
        if owner not in containers:
            lmdb_containers.remove_session(volatile, owner, session)
            done.append(
                f"removed exec session {short(session)} of container {short(owner)}, which does not exist"
            )
    return done


def _sweep_claims(volatile: Transaction, containers: set[str]) -> list[str]:
    done = []
    for claim in lmdb_allocations.claims(volatile, None, None):
        row = keys.claim(claim.kind, claim.key)
        value = volatile.get(row)
        if claim.owner not in containers and value is not None and not lmdb_allocations.taker_lives(value):
            volatile.delete(row)
            volatile.delete(keys.owned_claim(claim.owner, claim.kind, claim.key))
            done.append(
                f"gave back {claim.kind} {claim.key} of container {short(claim.owner)}, which does not exist"
            )
    return done


def _sweep_locks(durable: Transaction, volatile: Transaction) -> list[str]:
    named = {int(row[len(keys.LOCK) :].split(b"/", 1)[0]) for row in under(durable, keys.LOCK)}
    done = []
    for row, value in list(rows(volatile, keys.LOCK_HELD)):
        number = int(row[len(keys.LOCK_HELD) :])
        if number not in named and not lmdb_allocations.taker_lives(value):
            lmdb_allocations.free_lock(volatile, number)
            done.append(f"gave back lock number {number}, whose process died")
    return done


def corrected(durable: Transaction) -> list[str]:
    """Compare what is derived with what it is derived from, and write it again; one sentence each."""
    wanted: dict[bytes, bytes] = {}
    done = []
    for row, data in rows(durable, keys.CTR):
        try:
            config = codec.CONTAINER_CONFIG.decode(data)
        except StateStoreError as error:
            own = keys.tail(row, keys.CTR)
            done.append(
                f"the configuration of container {short(own)} is unreadable, remove it: {error.message}"
            )
            # What belongs to it stays, so that it can still be found and removed.
            wanted.update({item: durable.get(item) or b"" for item in lmdb_containers.naming(durable, own)})
            continue
        wanted.update(lmdb_containers.derived(config))
        wanted.setdefault(keys.key(keys.CTR_KEPT, config.id), b"")
    for _, data in rows(durable, keys.POD):
        pod = codec.POD_CONFIG.decode(data)
        wanted.update(lmdb_objects.derived_pod(pod))
        wanted.setdefault(keys.key(keys.POD_KEPT, pod.id), b"")
    for row, data in rows(durable, keys.VOL):
        volume = codec.VOLUME_CONFIG.decode(data)
        wanted[keys.lock_row(volume.lock_id, row)] = b""
        wanted.setdefault(keys.key(keys.VOL_KEPT, volume.name), b"")
    return done + _replaced(durable, wanted)


_DERIVED = (
    keys.CTR_SUMMARY,
    keys.CTR_KEPT,
    keys.CTR_DEPENDENT,
    keys.POD_KEPT,
    keys.POD_CTR,
    keys.VOL_KEPT,
    keys.VOL_CTR,
    keys.NAME,
    keys.LOCK,
)
_KEPT = {
    keys.CTR_KEPT: codec.CONTAINER_STATE.encode(survival.kept_container(ContainerState())),
    keys.POD_KEPT: codec.POD_STATE.encode(PodState()),
    keys.VOL_KEPT: codec.VOLUME_STATE.encode(VolumeState()),
}


def _replaced(durable: Transaction, wanted: dict[bytes, bytes]) -> list[str]:
    done = []
    for kind in _DERIVED:
        present = dict(rows(durable, kind))
        kept = kind in _KEPT
        for row in present.keys() - wanted.keys():
            durable.delete(row)
            done.append(f"removed row {_shown(row)}, which belongs to nothing")
        for row, value in wanted.items():
            if not row.startswith(kind):
                continue
            # A kept state is not derived from anything: it only has to be there.
            if row not in present or (not kept and present[row] != value):
                durable.put(row, _KEPT[kind] if kept else value)
                done.append(f"wrote row {_shown(row)} again")
    return done


def _shown(row: bytes) -> str:
    return row.decode("utf-8", "replace")
