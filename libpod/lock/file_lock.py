"""Locks between processes: lock n is byte n of one file.

The byte is taken with an open-file-description lock on a descriptor opened for this one acquisition, so that threads
exclude each other exactly as processes do, there is no number of locks to exhaust, and the kernel gives back what a
process held when it dies, however it dies. A wait without a limit sleeps in the kernel, in order of arrival. A wait
with a limit asks again in growing intervals (half a millisecond to 20 ms), because the kernel's wait can only be cut
short by a signal, and signals belong to the program that embeds us.

    <directory>/locks          the bytes; no content, never deleted while a process may use it
    <directory>/lock-holders   16 bytes a lock: pid, kind and start time of who took it last

The kernel does not tell who holds such a lock, so holders sign: after taking and before giving back. A signature counts
only while its byte is locked and that very process (pid and start time) lives; a holder that dies between taking and
signing is gone from `locks` at the same moment. A signature that is found by who takes the lock is that of a holder who
died: the lock is `abandoned`, and what it protects is to be put in order first.

A child made by os.fork holds nothing: the descriptors it inherits are closed there at once, which leaves the parent's
locks alone. Programs that are started do not get them (close-on-exec). Were a child made by other means to live on, it
would keep the description open: hence releasing unlocks before it closes.

Should the file be deleted all the same (a reset while somebody waits), who gets a lock on a nameless file notices and
goes to the new one.

Covers: libpod/lock/file_lock_manager.go, libpod/lock/file/file_lock.go, libpod/lock/shm_lock_manager_linux.go
"""

from __future__ import annotations

import logging
import os
import struct
import time
from pathlib import Path

from libpod.define.errors import LockError
from libpod.linux import ofd_locks
from libpod.linux.pidfd import ProcessIdentity, own_identity
from libpod.lock.base import Lock, LockHolder, LockKind, LockManager
from libpod.lock.held import HeldLocks, Holding

logger = logging.getLogger(__name__)

_SIGNATURE = struct.Struct("<iiQ")
UNSIGNED = bytes(_SIGNATURE.size)
_HIGHEST = 1 << 39
"""Signatures lie at sixteen times the number, and a file on ext4 ends before 16 TiB."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.0005, 0.02


class _Shared:
    """What all managers of one file in this process share."""

    def __init__(self) -> None:
        self.held = HeldLocks()
        self.descriptors: set[int] = set()


_shared: dict[str, _Shared] = {}


def _forget_in_child() -> None:
    for shared in _shared.values():
        shared.held.forget()
        for descriptor in shared.descriptors:
            os.close(descriptor)
        shared.descriptors = set()


os.register_at_fork(after_in_child=_forget_in_child)


class FileLock(Lock):
    """See the module."""

    def __init__(self, manager: FileLockManager, lock_id: int, kind: LockKind) -> None:
        self.lock_id = lock_id
        self.kind = kind
        self._manager = manager
        self._descriptor = -1
        self._holding: Holding | None = None
        self._before = UNSIGNED

    def __repr__(self) -> str:
        return f"<{self.kind.name.lower()} lock {self.lock_id}>"

    def acquire(self, timeout: float | None = None) -> None:
        manager = self._manager
        manager.require_open()
        manager.shared.held.check(self.kind, self.lock_id)
        if timeout is None:
            timeout = manager.timeout
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            descriptor = manager.open_file()
            taken = False
            try:
                if not self._wait(descriptor, deadline):
                    raise self._late(timeout or 0.0)
                if not ofd_locks.is_deleted(descriptor):
                    self._before = manager.signature(self.lock_id)
                    self.abandoned = self._before != UNSIGNED and self.kind is not LockKind.VOLUME
                    manager.sign(self.lock_id, self.kind)
                    self._descriptor = descriptor
                    self._holding = manager.shared.held.add(self.kind, self.lock_id)
                    taken = True
                    return
            finally:
                if not taken:
                    manager.close_file(descriptor)

    def _wait(self, descriptor: int, deadline: float | None) -> bool:
        if deadline is None:
            return ofd_locks.lock(descriptor, self.lock_id, wait=True)
        pause = _FIRST_PAUSE
        while not ofd_locks.lock(descriptor, self.lock_id, wait=False):
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(pause, left))
            pause = min(pause * 2, _LONGEST_PAUSE)
        return True

    def _late(self, timeout: float) -> LockError:
        holder = self._manager.holder(self.lock_id)
        who = f"process {holder.pid} ({holder.description})" if holder.pid else "another process"
        return LockError(
            f"{self.kind.name.lower()} lock {self.lock_id} is held by {who} for more than {timeout:g} seconds",
            resolution="wait for that operation, or end the process",
        )

    def release(self) -> None:
        manager = self._manager
        manager.shared.held.remove(self._holding, self.kind, self.lock_id)
        self._holding = None
        descriptor, self._descriptor = self._descriptor, -1
        try:
            if self.abandoned:
                manager.write_signature(self.lock_id, self._before)
            else:
                manager.sign(self.lock_id, None)
            ofd_locks.unlock(descriptor, self.lock_id)
        finally:
            manager.close_file(descriptor)


class FileLockManager(LockManager):
    """The locks in one directory, which is made when it is not there."""

    def __init__(self, directory: Path, *, timeout: float | None = None) -> None:
        """*timeout* bounds, in seconds, every wait that has no limit of its own; None: for ever."""
        self.timeout = timeout
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = directory / "locks"
        self._signatures_file = directory / "lock-holders"
        self.shared = _shared.setdefault(os.path.realpath(directory), _Shared())
        self._closed = False
        self._signatures = os.open(self._signatures_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def lock(self, lock_id: int, kind: LockKind) -> FileLock:
        if not 0 <= lock_id < _HIGHEST:
            raise LockError(f"{lock_id} is not the number of a lock", resolution="run system renumber")
        return FileLock(self, lock_id, kind)

    def holders(self) -> list[LockHolder]:
        self.require_open()
        descriptor = self.open_file()
        try:
            ranges = ofd_locks.locked_ranges(descriptor, 0, _HIGHEST)
        finally:
            self.close_file(descriptor)
        return [self.holder(lock_id) for start, length in ranges for lock_id in range(start, start + length)]

    def forget_abandoned(self) -> None:
        self.require_open()
        os.ftruncate(self._signatures, 0)

    def abandoned(self) -> list[int]:
        self.require_open()
        data = os.pread(self._signatures, os.fstat(self._signatures).st_size, 0)
        found = []
        position = 0
        while rest := data[position:].lstrip(b"\0"):
            lock_id = (len(data) - len(rest)) // _SIGNATURE.size
            position = (lock_id + 1) * _SIGNATURE.size
            pid, _, start = _SIGNATURE.unpack(
                data[position - _SIGNATURE.size : position].ljust(_SIGNATURE.size, b"\0")
            )
            if not ProcessIdentity(pid, start).alive():
                found.append(lock_id)
        return found

    def holder(self, lock_id: int) -> LockHolder:
        """Who signed for a lock that is held."""
        data = os.pread(self._signatures, _SIGNATURE.size, lock_id * _SIGNATURE.size)
        if len(data) == _SIGNATURE.size and data != UNSIGNED:
            pid, _, start = _SIGNATURE.unpack(data)
            if ProcessIdentity(pid, start).alive():
                return LockHolder(lock_id=lock_id, pid=pid, description=_command(pid))
        return LockHolder(lock_id=lock_id, pid=0)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            os.close(self._signatures)

    # -- for FileLock -----------------------------------------------------------------------------------------------

    def require_open(self) -> None:
        """Raise LockError after `close`."""
        if self._closed:
            raise LockError(f"the lock manager of {self._file} was closed", resolution="open a new Runtime")

    def open_file(self) -> int:
        """A new open file description of the file with the bytes."""
        try:
            descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise LockError(
                f"the lock file {self._file} cannot be opened: {error.strerror}",
                resolution="check the directory and the limit of open files",
            ) from error
        self.shared.descriptors.add(descriptor)
        return descriptor

    def close_file(self, descriptor: int) -> None:
        """Close such a description, which gives back what was locked through it."""
        self.shared.descriptors.discard(descriptor)
        os.close(descriptor)

    def sign(self, lock_id: int, kind: LockKind | None) -> None:
        """Write down that this process holds a lock, or that nobody does."""
        if kind is None:
            data = UNSIGNED
        else:
            own = own_identity()
            data = _SIGNATURE.pack(own.pid, kind, own.start_time)
        self.write_signature(lock_id, data)

    def signature(self, lock_id: int) -> bytes:
        """What is written down about a lock; of one that this process has just taken: by a holder that died."""
        data = os.pread(self._signatures, _SIGNATURE.size, lock_id * _SIGNATURE.size)
        return data if len(data) == _SIGNATURE.size else UNSIGNED

    def write_signature(self, lock_id: int, data: bytes) -> None:
        """Write down who holds a lock."""
        try:
            os.pwrite(self._signatures, data, lock_id * _SIGNATURE.size)
        except OSError as error:
            # A full file system must not keep anybody from locking: signatures are only for people.
            logger.warning("the holder of lock %d cannot be written down: %s", lock_id, error)


def _command(pid: int) -> str:
    """What a process was started as, for people."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return ""
    return b" ".join(words).decode(errors="replace").strip()[:200]
