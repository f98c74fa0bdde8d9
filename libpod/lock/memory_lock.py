"""Locks between the threads of one process, with the rules of the real ones: for tests and for embedding.

Covers: libpod/lock/in_memory_locks.go
"""

from __future__ import annotations

import os
import threading

from libpod.define.errors import LockError
from libpod.lock.base import Lock, LockHolder, LockKind, LockManager
from libpod.lock.held import HeldLocks, Holding


class MemoryLock(Lock):
    """See the module."""

    def __init__(self, manager: MemoryLockManager, lock_id: int, kind: LockKind) -> None:
        self.lock_id = lock_id
        self.kind = kind
        self._manager = manager
        self._holding: Holding | None = None

    def __repr__(self) -> str:
        return f"<{self.kind.name.lower()} lock {self.lock_id}>"

    def acquire(self, timeout: float | None = None) -> None:
        manager = self._manager
        manager.require_open()
        manager.held.check(self.kind, self.lock_id)
        if not manager.mutex(self.lock_id).acquire(timeout=-1 if timeout is None else max(0.0, timeout)):
            owner = next(
                (held.thread_name for held in manager.held.all() if held.lock_id == self.lock_id), "another"
            )
            raise LockError(
                f"{self.kind.name.lower()} lock {self.lock_id} is held by thread {owner} for more than "
                f"{timeout:g} seconds",
                resolution="wait for that operation",
            )
        self._holding = manager.held.add(self.kind, self.lock_id)

    def release(self) -> None:
        self._manager.held.remove(self._holding, self.kind, self.lock_id)
        self._holding = None
        self._manager.mutex(self.lock_id).release()


class MemoryLockManager(LockManager):
    """See the module."""

    def __init__(self) -> None:
        self.held = HeldLocks()
        self._mutexes: dict[int, threading.Lock] = {}
        self._closed = False

    def lock(self, lock_id: int, kind: LockKind) -> MemoryLock:
        if lock_id < 0:
            raise LockError(f"{lock_id} is not the number of a lock", resolution="run system renumber")
        return MemoryLock(self, lock_id, kind)

    def holders(self) -> list[LockHolder]:
        self.require_open()
        pid = os.getpid()
        return [
            LockHolder(lock_id=item.lock_id, pid=pid, description=item.thread_name)
            for item in self.held.all()
        ]

    def close(self) -> None:
        self._closed = True

    # -- for MemoryLock ---------------------------------------------------------------------------------------------

    def require_open(self) -> None:
        """Raise LockError after `close`."""
        if self._closed:
            raise LockError("the lock manager was closed", resolution="open a new Runtime")

    def mutex(self, lock_id: int) -> threading.Lock:
        """The mutex of a number; setdefault is atomic."""
        return self._mutexes.setdefault(lock_id, threading.Lock())
