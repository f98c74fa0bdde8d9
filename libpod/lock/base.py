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

    abandoned: bool = False
    """Set by `acquire`: the holder before died while it held it, so that what it protects may be half done.

    Whoever puts that in order sets it to False; else `release` leaves the lock abandoned for the next holder. Nothing
    that a volume's lock protects can be half done, so that those never are.
    """

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

    def forget_abandoned(self) -> None:  # noqa: B027 - where locks die with their holder, there is nothing to do
        """After a boot: who held what before it does not matter. Only while nobody holds a lock."""

    def abandoned(self) -> list[int]:
        """Locks whose holder was killed and that nobody has taken since. None where locks die with their holder."""
        return []

    @abc.abstractmethod
    def close(self) -> None:
        """Idempotent."""
