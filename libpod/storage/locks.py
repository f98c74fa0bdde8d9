"""The locks of the store: whole-file fcntl locks, taken in one order, and the token that tells readers of a change.

Order (a later one may never be held while an earlier one is asked for; the Go programs would deadlock with us):

    userns < storage < layers < layers of read-only stores < images < images of read-only stores < containers

`mountpoints.lock` is taken inside `layers.lock` only, and nothing is taken while it is held.

There is no way to take a single lock: each operation of the store has one context manager here, which takes what that
operation needs in order and yields `HeldLocks`, the proof that they are held. A thread that asks against the order, or
for a lock that it holds already, gets a LockError instead of a deadlock.

The locks are open-file-description locks on a fresh descriptor per acquisition. They conflict with the POSIX locks of
the Go programs, exclude threads of one process from each other as well, and are not lost when some other code opens and
closes the lock file. They are released explicitly before the descriptor is closed, because a child that was forked
meanwhile shares the description. A holder that is killed releases them. Lock files are never removed.

The token is 64 bytes at the start of a lock file, replaced by whoever changes what the lock guards; readers only
compare it.

Covers: storage/pkg/lockfile, the locking in storage/store.go
"""

from __future__ import annotations

import contextlib
import enum
import errno
import fcntl
import itertools
import os
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from libpod.define.errors import LockError, StorageError
from libpod.storage.layout import StorePaths, make_private_directory

TOKEN_SIZE = 64

_WHOLE_FILE = struct.Struct("hhqqi4x")
_counter = itertools.count(1)
_thread = threading.local()


class LockRank(enum.IntEnum):
    """The global order. Locks of one rank are those of several stores, taken in the order of the configuration."""

    USERNS = 0
    STORAGE = 1
    LAYERS = 2
    READ_ONLY_LAYERS = 3
    IMAGES = 4
    READ_ONLY_IMAGES = 5
    CONTAINERS = 6
    MOUNTPOINTS = 7
    """Not part of the order: only inside LAYERS, and innermost."""


class HeldLock:
    """A lock file that is held now."""

    __slots__ = ("_descriptor", "path", "writable")

    def __init__(self, descriptor: int, path: Path, writable: bool) -> None:
        self._descriptor = descriptor
        self.path = path
        self.writable = writable

    def token(self) -> bytes:
        """Who changed the guarded data last; empty when nobody has yet."""
        return os.pread(self._descriptor, TOKEN_SIZE, 0)

    def write_token(self) -> bytes:
        """Tell every reader that the guarded data changes, and return the token that says so.

        To be called *before* the data is replaced: a process killed between the two causes a needless reload, the
        other way round it would leave readers with old data for ever.
        """
        if not self.writable:
            raise LockError(f"{self.path} is locked for reading only, its data must not be changed")
        token = struct.pack("<QQI", time.time_ns(), next(_counter), os.getpid()) + os.urandom(44)
        try:
            os.pwrite(self._descriptor, token, 0)
        except OSError as error:
            raise StorageError(f"cannot write to {self.path} ({error.strerror})") from error
        return token


class HeldLocks:
    """The locks that one operation holds. Asking for one that the operation does not take is an error."""

    def __init__(self) -> None:
        self._locks: dict[LockRank, list[HeldLock]] = {}

    def _one(self, rank: LockRank) -> HeldLock:
        held = self._locks.get(rank)
        if not held:
            raise LockError(f"this operation does not hold the {rank.name.lower()} lock of the store")
        return held[0]

    @property
    def storage(self) -> HeldLock:
        return self._one(LockRank.STORAGE)

    @property
    def layers(self) -> HeldLock:
        return self._one(LockRank.LAYERS)

    @property
    def images(self) -> HeldLock:
        return self._one(LockRank.IMAGES)

    @property
    def containers(self) -> HeldLock:
        return self._one(LockRank.CONTAINERS)

    @property
    def mountpoints(self) -> HeldLock:
        return self._one(LockRank.MOUNTPOINTS)

    @property
    def read_only_layers(self) -> Sequence[HeldLock]:
        return self._locks.get(LockRank.READ_ONLY_LAYERS, [])

    @property
    def read_only_images(self) -> Sequence[HeldLock]:
        return self._locks.get(LockRank.READ_ONLY_IMAGES, [])

    def _add(self, rank: LockRank, lock: HeldLock) -> None:
        self._locks.setdefault(rank, []).append(lock)

    def _drop(self, rank: LockRank) -> None:
        self._locks.pop(rank, None)


class StoreLocks:
    """The lock files of one store, and of the read-only stores behind it."""

    def __init__(self, paths: StorePaths, read_only: Sequence[StorePaths] = ()) -> None:
        self._key = str(paths.graph_root)
        self._files = {
            LockRank.USERNS: (paths.graph_root / "userns.lock",),
            LockRank.STORAGE: (paths.graph_root / "storage.lock",),
            LockRank.LAYERS: (paths.layers / "layers.lock",),
            LockRank.READ_ONLY_LAYERS: tuple(store.layers / "layers.lock" for store in read_only),
            LockRank.IMAGES: (paths.images / "images.lock",),
            LockRank.READ_ONLY_IMAGES: tuple(store.images / "images.lock" for store in read_only),
            LockRank.CONTAINERS: (paths.containers / "containers.lock",),
            LockRank.MOUNTPOINTS: (paths.run_layers / "mountpoints.lock",),
        }

    # One method per kind of operation: what is taken for writing, what for reading.

    def opening(self) -> contextlib.AbstractContextManager[HeldLocks]:
        """First use: the directories and the driver's home."""
        return self._taking(write=[LockRank.STORAGE])

    def reading_layers(self) -> contextlib.AbstractContextManager[HeldLocks]:
        return self._taking(read=[LockRank.LAYERS, LockRank.READ_ONLY_LAYERS])

    def reading_images(self) -> contextlib.AbstractContextManager[HeldLocks]:
        return self._taking(read=[LockRank.IMAGES, LockRank.READ_ONLY_IMAGES])

    def reading_containers(self) -> contextlib.AbstractContextManager[HeldLocks]:
        return self._taking(read=[LockRank.CONTAINERS])

    def reading_mounts(self) -> contextlib.AbstractContextManager[HeldLocks]:
        return self._taking(read=[LockRank.LAYERS, LockRank.MOUNTPOINTS])

    def reading_everything(self) -> contextlib.AbstractContextManager[HeldLocks]:
        return self._taking(
            read=[
                LockRank.LAYERS,
                LockRank.READ_ONLY_LAYERS,
                LockRank.IMAGES,
                LockRank.READ_ONLY_IMAGES,
                LockRank.CONTAINERS,
            ]
        )

    def creating_container(self) -> contextlib.AbstractContextManager[HeldLocks]:
        """Held from before the layer is recorded until the container is: in between anybody would collect it."""
        return self._taking(
            write=[LockRank.LAYERS, LockRank.IMAGES, LockRank.CONTAINERS],
            read=[LockRank.READ_ONLY_LAYERS, LockRank.READ_ONLY_IMAGES],
        )

    def changing_container(self) -> contextlib.AbstractContextManager[HeldLocks]:
        """Names, metadata and big data of a container."""
        return self._taking(write=[LockRank.CONTAINERS])

    def changing_image(self) -> contextlib.AbstractContextManager[HeldLocks]:
        """Names of an image."""
        return self._taking(write=[LockRank.IMAGES], read=[LockRank.READ_ONLY_IMAGES])

    def mounting(self) -> contextlib.AbstractContextManager[HeldLocks]:
        """Held until the mount is recorded: every podman that ends meanwhile unmounts the home when nothing is."""
        return self._taking(
            write=[LockRank.STORAGE, LockRank.LAYERS, LockRank.MOUNTPOINTS], read=[LockRank.READ_ONLY_LAYERS]
        )

    def unmounting(self) -> contextlib.AbstractContextManager[HeldLocks]:
        return self._taking(write=[LockRank.LAYERS, LockRank.MOUNTPOINTS])

    def deleting(self) -> contextlib.AbstractContextManager[HeldLocks]:
        """Containers, images and layers, and recovery of what is left of them."""
        return self._taking(
            write=[LockRank.LAYERS, LockRank.IMAGES, LockRank.CONTAINERS],
            read=[LockRank.READ_ONLY_LAYERS, LockRank.READ_ONLY_IMAGES],
        )

    @contextlib.contextmanager
    def mountpoints_within(self, held: HeldLocks) -> Iterator[HeldLocks]:
        """The mount table, for an operation that holds the layers; given back before the operation goes on."""
        if not held.layers.writable:
            raise LockError(
                "the mount table is changed only while the layers of the store are locked for writing"
            )
        with self._acquired(LockRank.MOUNTPOINTS, write=True, held=held):
            try:
                yield held
            finally:
                held._drop(LockRank.MOUNTPOINTS)

    # ---- taking -----------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _taking(
        self, *, write: Sequence[LockRank] = (), read: Sequence[LockRank] = ()
    ) -> Iterator[HeldLocks]:
        held = HeldLocks()
        with contextlib.ExitStack() as stack:
            for rank in _in_order({*write, *read}):
                stack.enter_context(self._acquired(rank, write=rank in write, held=held))
            yield held

    @contextlib.contextmanager
    def _acquired(self, rank: LockRank, *, write: bool, held: HeldLocks) -> Iterator[None]:
        read_only = rank in (LockRank.READ_ONLY_LAYERS, LockRank.READ_ONLY_IMAGES)
        ranks = self._ranks_of_this_thread()
        _check_order(rank, ranks, self._key)
        with contextlib.ExitStack() as stack:
            for path in self._files[rank]:
                descriptor = stack.enter_context(_locked(path, write=write, read_only=read_only))
                held._add(rank, HeldLock(descriptor, path, write))
            ranks.append(rank)
            try:
                yield
            finally:
                ranks.remove(rank)

    def _ranks_of_this_thread(self) -> list[LockRank]:
        stores: dict[str, list[LockRank]] | None = getattr(_thread, "stores", None)
        if stores is None:
            stores = _thread.stores = {}
        return stores.setdefault(self._key, [])


def _in_order(ranks: set[LockRank]) -> list[LockRank]:
    """The order of taking: the mount table is the only lock that goes inside the layers."""
    ordered = sorted(ranks)
    if LockRank.MOUNTPOINTS in ranks and LockRank.CONTAINERS in ranks:
        raise LockError(
            "no operation of the store holds the mount table and the containers from beginning to end"
        )
    return ordered


def _check_order(rank: LockRank, held: Sequence[LockRank], store: str) -> None:
    if rank is LockRank.MOUNTPOINTS:
        wrong = LockRank.LAYERS not in held or LockRank.MOUNTPOINTS in held
    else:
        wrong = any(other >= rank for other in held)
    if wrong:
        names = ", ".join(other.name.lower() for other in held) or "no lock"
        raise LockError(
            f"the {rank.name.lower()} lock of the store {store} was asked for in the wrong order (held: {names})",
            resolution="this is a fault of the library; please report it with the traceback",
        )


@contextlib.contextmanager
def _locked(path: Path, *, write: bool, read_only: bool) -> Iterator[int]:
    """A descriptor of the lock file that holds the lock."""
    descriptor = _open(path, read_only=read_only)
    try:
        try:
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLKW, _flock(fcntl.F_WRLCK if write else fcntl.F_RDLCK))
        except OSError as error:
            raise LockError(f"cannot lock {path} ({error.strerror})") from error
        try:
            yield descriptor
        finally:
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _flock(fcntl.F_UNLCK))
    finally:
        os.close(descriptor)


def _flock(kind: int) -> bytes:
    return _WHOLE_FILE.pack(kind, os.SEEK_SET, 0, 0, 0)


def _open(path: Path, *, read_only: bool) -> int:
    """Open a lock file, making it and its directory when they are missing (in a read-only store: if possible)."""
    flags = os.O_RDONLY if read_only else os.O_RDWR | os.O_CREAT
    for attempt in ("first", "after making the directory"):
        try:
            return os.open(path, flags | os.O_CLOEXEC, 0o644)
        except FileNotFoundError as error:
            if read_only:
                with contextlib.suppress(OSError):
                    make_private_directory(path.parent)
                    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644))
            elif attempt == "first":
                make_private_directory(path.parent)
            if attempt != "first":
                raise StorageError(f"the store has no lock file {path} and none can be made") from error
        except OSError as error:
            hint = (
                "run as the user who owns the store" if error.errno in (errno.EACCES, errno.EROFS) else None
            )
            raise StorageError(
                f"cannot open the lock file {path} ({error.strerror})", resolution=hint
            ) from error
    raise AssertionError("unreachable")
