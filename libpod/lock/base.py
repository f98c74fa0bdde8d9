"""The lock manager: numbered locks between threads and processes.

Order, which the in-memory manager asserts: pod → container → volume → state transaction; among locks of one kind by
ascending number. A lock is not re-entrant. It is released when its holder dies, however it dies.

Covers: libpod/lock/lock.go
"""

from __future__ import annotations

import abc
import enum

import msgspec


class LockKind(enum.IntEnum):
    """What a lock protects; smaller is taken first."""

    POD = 0
    CONTAINER = 1
    VOLUME = 2


class LockHolder(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds a lock now; pid is 0 when the kernel does not say."""

    lock_id: int
    pid: int
    description: str = ""


class Lock(abc.ABC):
    """One lock; a context manager."""

    @abc.abstractmethod
    def acquire(self, timeout: float | None = None) -> None:
        """Wait for it, at most *timeout* seconds; LockError names the lock and its holder when the time is over."""

    @abc.abstractmethod
    def release(self) -> None:
        """Give it back; only by who acquired it."""

    def __enter__(self) -> Lock:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class LockManager(abc.ABC):
    """Hands out locks by number. There is no limit to the numbers."""

    @abc.abstractmethod
    def lock(self, lock_id: int, kind: LockKind) -> Lock:
        """The lock of that number; two calls give two handles of the same lock."""

    @abc.abstractmethod
    def holders(self) -> list[LockHolder]:
        """Which locks are held at the moment, for `system locks`."""

    @abc.abstractmethod
    def close(self) -> None:
        """Idempotent."""
