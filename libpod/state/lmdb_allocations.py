"""Claims and lock numbers as rows. The functions take open transactions and do not commit.

A claim is taken by looking and writing in one write transaction, so that two starts cannot get the same address. Both
kinds of row remember the process that made them: one whose object never came to be is swept once that process is dead.

The next free lock number is found without a scan: numbers that were given back come first, then a counter, which
steps over numbers that configurations name (after a reboot it begins at 0 again).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from libpod.define.errors import InUseError
from libpod.linux.pidfd import ProcessIdentity, own_identity
from libpod.state import keys
from libpod.state.base import Claim
from libpod.state.lmdb_environment import Transaction
from libpod.state.lmdb_rows import exists, rows, under


class _Taken(msgspec.Struct, frozen=True, array_like=True):
    owner: str
    pid: int
    start: int


_ENCODER = msgspec.json.Encoder()
_TAKEN = msgspec.json.Decoder(_Taken)


def _taken_by_us(owner: str) -> bytes:
    own = own_identity()
    return _ENCODER.encode(_Taken(owner, own.pid, own.start_time))


def taker_lives(value: bytes) -> bool:
    """Whether the process that wrote a claim or allocation still runs."""
    taken = _TAKEN.decode(value)
    return ProcessIdentity(taken.pid, taken.start).alive()


# ---- claims -----------------------------------------------------------------------------------------------------


def claim(volatile: Transaction, wanted: Sequence[Claim]) -> None:
    """Take all of *wanted*, or raise and let the transaction be given up."""
    for item in wanted:
        row = keys.claim(item.kind, item.key)
        present = volatile.get(row)
        if present is not None:
            owner = _TAKEN.decode(present).owner
            if owner != item.owner:
                raise InUseError(item.kind, item.key, [owner], resolution="choose another or stop its owner")
            continue
        volatile.put(row, _taken_by_us(item.owner))
        volatile.put(keys.owned_claim(item.owner, item.kind, item.key), b"")


def claims(volatile: Transaction, owner: str | None, kind: str | None) -> list[Claim]:
    """The claims that are held, by kind and key."""
    if owner is not None:
        prefix = keys.edges(keys.CLAIM_OWNER, owner) + (
            keys.component(kind) + b"/" if kind is not None else b""
        )
        base = len(keys.edges(keys.CLAIM_OWNER, owner))
        return [_claim_at(row[base:], owner) for row in under(volatile, prefix)]
    prefix = keys.CLAIM if kind is None else keys.edges(keys.CLAIM, kind)
    return [
        _claim_at(row[len(keys.CLAIM) :], _TAKEN.decode(value).owner) for row, value in rows(volatile, prefix)
    ]


def _claim_at(row: bytes, owner: str) -> Claim:
    kind, _, name = row.decode("utf-8", "surrogatepass").partition("/")
    return Claim(kind=kind, key=name, owner=owner)


# ---- lock numbers -----------------------------------------------------------------------------------------------


def allocate_lock(durable: Transaction, volatile: Transaction) -> int:
    """A number that no configuration names and that was not handed out."""
    while (row := next(under(volatile, keys.LOCK_FREE), None)) is not None:
        volatile.delete(row)
        number = int(row[len(keys.LOCK_FREE) :])
        if not _is_named(durable, number):
            volatile.put(keys.number(keys.LOCK_HELD, number), _taken_by_us(""))
            return number
    number = int(volatile.get(keys.LOCK_NEXT) or b"0")
    while _is_named(durable, number) or exists(volatile, keys.number(keys.LOCK_HELD, number)):
        number += 1
    volatile.put(keys.LOCK_NEXT, b"%d" % (number + 1))
    volatile.put(keys.number(keys.LOCK_HELD, number), _taken_by_us(""))
    return number


def free_lock(volatile: Transaction, number: int) -> None:
    """Give a number back; one that is not held is left alone."""
    if volatile.delete(keys.number(keys.LOCK_HELD, number)) and number < int(
        volatile.get(keys.LOCK_NEXT) or b"0"
    ):
        volatile.put(keys.number(keys.LOCK_FREE, number), b"")


def hold_lock(volatile: Transaction, number: int) -> None:
    """Mark the number of an existing object as handed out (a new boot)."""
    volatile.put(keys.number(keys.LOCK_HELD, number), _taken_by_us(""))


def _is_named(durable: Transaction, number: int) -> bool:
    return next(under(durable, keys.number(keys.LOCK, number) + b"/"), None) is not None


def locks_named(durable: Transaction) -> dict[int, list[str]]:
    """Lock number → the objects whose configurations name it."""
    words = {"ctr": "container", "pod": "pod", "vol": "volume"}
    found: dict[int, list[str]] = {}
    for row in under(durable, keys.LOCK):
        number, kind, name = row[len(keys.LOCK) :].decode("utf-8", "surrogatepass").split("/", 2)
        found.setdefault(int(number), []).append(f"{words[kind]} {name}")
    return found
