"""Reading and writing rows by key: what the tables are made of.

Ranges are walked with one cursor from the first key of a prefix to the last; nothing here reads more rows than it
returns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

from libpod.define.errors import LibpodError
from libpod.state import keys
from libpod.state.lmdb_environment import Transaction


def exists(transaction: Transaction, key: bytes) -> bool:
    """Whether there is a row."""
    return transaction.get(key) is not None


def named(transaction: Transaction, kind: bytes, name: str) -> bytes | None:
    """The row of one kind that is called *name*, whatever a caller gives as a name."""
    return transaction.get(kind + keys.encoded(name)) if keys.fits(name) else None


def required(
    transaction: Transaction, kind: bytes, name: str, missing: Callable[[str], LibpodError]
) -> bytes:
    """The row of one kind that must exist; raises *missing* of its name."""
    data = named(transaction, kind, name)
    if data is None:
        raise missing(name)
    return data


def delete(transaction: Transaction, key: bytes) -> None:
    """Delete a row; one that is not there is fine."""
    transaction.delete(key)


def under(transaction: Transaction, prefix: bytes) -> Iterator[bytes]:
    """The keys that begin with *prefix*, in order."""
    with transaction.cursor() as cursor:
        if not cursor.set_range(prefix):
            return
        for key in cursor.iternext(keys=True, values=False):
            if not key.startswith(prefix):
                return
            yield key


def rows(transaction: Transaction, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The rows whose keys begin with *prefix*, in order."""
    with transaction.cursor() as cursor:
        if not cursor.set_range(prefix):
            return
        for key, value in cursor.iternext():
            if not key.startswith(prefix):
                return
            yield key, value


def tails(transaction: Transaction, prefix: bytes) -> list[str]:
    """What follows *prefix* in the keys that begin with it."""
    return [keys.tail(key, prefix) for key in under(transaction, prefix)]


def some_tails(transaction: Transaction, kind: bytes, start: str, count: int) -> list[str]:
    """The first *count* names or ids of one kind that begin with *start*."""
    wanted = kind + keys.encoded(start)
    return [keys.tail(key, kind) for key in islice(under(transaction, wanted), count)]


def delete_under(transaction: Transaction, prefix: bytes) -> int:
    """Delete the rows that begin with *prefix*; says how many there were."""
    found = list(under(transaction, prefix))
    for key in found:
        transaction.delete(key)
    return len(found)
