"""Which locks a thread holds, and whether it may take another: the rules that both managers assert.

Cheap enough for every acquisition, and a sentence at once is worth more than a deadlock some day:

* a thread that asks for a lock it holds would wait for itself for ever;
* a thread that asks for a lock that comes earlier in the order than one it holds may meet another thread, or process,
  that does the same the other way round.
"""

from __future__ import annotations

import threading

import msgspec

from libpod.define.errors import LockError
from libpod.lock.base import LockKind


class Holding(msgspec.Struct, frozen=True):
    """One lock in the hands of one thread."""

    kind: LockKind
    lock_id: int
    thread: int
    thread_name: str

    @property
    def rank(self) -> tuple[int, int]:
        """The place in the order."""
        return (self.kind, self.lock_id)


class HeldLocks:
    """The locks held by the threads of this process."""

    def __init__(self) -> None:
        self._by_thread: dict[int, list[Holding]] = {}

    def check(self, kind: LockKind, lock_id: int) -> None:
        """Raise LockError unless the calling thread may take this lock now."""
        for held in self._by_thread.get(threading.get_ident(), ()):
            if held.lock_id == lock_id:
                raise LockError(
                    f"{kind.name.lower()} lock {lock_id} is already held by this thread, as a "
                    f"{held.kind.name.lower()} lock",
                    resolution="locks are not re-entrant: pass the locked object on; if two objects share the "
                    "number, run system renumber",
                )
            if held.rank > (kind, lock_id):
                raise LockError(
                    f"{kind.name.lower()} lock {lock_id} was asked for by a thread that holds "
                    f"{held.kind.name.lower()} lock {held.lock_id}",
                    resolution="take locks in the order pod, container, volume, and by ascending number among equals",
                )

    def add(self, kind: LockKind, lock_id: int) -> Holding:
        """The calling thread holds this lock now."""
        thread = threading.get_ident()
        holding = Holding(kind, lock_id, thread, threading.current_thread().name)
        self._by_thread.setdefault(thread, []).append(holding)
        return holding

    def remove(self, holding: Holding | None, kind: LockKind, lock_id: int) -> None:
        """It does not any more; raises LockError when it did not."""
        thread = threading.get_ident()
        if holding is None or holding.thread != thread or holding not in self._by_thread.get(thread, ()):
            raise LockError(
                f"{kind.name.lower()} lock {lock_id} is given back by a thread that does not hold it",
                resolution="release a lock in the thread that took it, and not in a child process",
            )
        mine = self._by_thread[thread]
        mine.remove(holding)
        if not mine:
            del self._by_thread[thread]

    def all(self) -> list[Holding]:
        """Every lock that a thread of this process holds, by number."""
        return sorted(
            (item for held in list(self._by_thread.values()) for item in list(held)), key=lambda h: h.lock_id
        )

    def forget(self) -> None:
        """In a forked child: none of them is ours."""
        self._by_thread.clear()
