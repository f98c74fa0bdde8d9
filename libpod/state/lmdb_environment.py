"""One LMDB environment, opened once a process.

LMDB's rules, which this module keeps so that nobody else has to know them:

* A process opens an environment once: LMDB's own locks belong to process and file, so that closing a second handle
  would drop the first one's. `opened` therefore shares one object per directory and counts its users.
* The map has a fixed size. When a writer finds it full, the transaction is given up, the map is enlarged and the
  operation is run again; when another process has enlarged it, this one follows. Neither may happen while a
  transaction of this process is open, hence the gate: `entered` counts operations in, and growing waits until they
  are out and keeps new ones before the door. Whoever waits at the gate of the volatile environment may hold a
  transaction of the durable one, never the reverse, so that two gates cannot wait for each other.
* A reader that was killed keeps its slot, and the pages it saw cannot be reused: dead readers are cleared when an
  environment is opened, and when the table of readers is full. A writer that was killed leaves the write lock to the
  next one, and nothing of its transaction is ever seen.
* A forked child must not use, nor even close, a handle that it inherits: what it shares with its parent are places in
  the table of readers. So os.fork waits until no transaction of this process is open and closes the environment;
  parent and child open it again at first use, which takes some 0.1 ms. (Starting a program goes another way and costs
  nothing.) A child made behind Python's back is refused with a sentence.
* An environment whose directory was deleted under us (a reboot's clean-up, `rm -rf /run/…`) would live on as a ghost
  that no other process sees. `entered` notices that the file behind the name is another one and opens that.

Every lmdb.Error becomes a StateStoreError here.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import lmdb

from libpod.define.errors import RuntimeClosedError, StateStoreError

logger = logging.getLogger(__name__)

Transaction: TypeAlias = "lmdb.Transaction[bytes]"

INITIAL_MAP = 32 << 20
MAX_READERS = 2048
_MAP_LIMIT = 1 << 42
"""4 TiB: beyond, something writes without end."""


class MapFull(Exception):
    """The map of *environment* is too small: leave every transaction, call `environment.grow`, try again."""

    def __init__(self, environment: LmdbEnvironment, *, followed: bool) -> None:
        super().__init__(str(environment.path))
        self.environment = environment
        self.followed = followed
        """Whether another process has grown the map already."""


class LmdbEnvironment:
    """See the module. Made by `opened` only."""

    def __init__(self, path: Path, *, durable: bool, initial_map: int) -> None:
        self.path = path
        self.durable = durable
        self.users = 1
        self._initial_map = initial_map
        self._state = threading.Condition(threading.Lock())
        self._inside: dict[int, int] = {}
        self._closed_to: int | None = None
        self._pid = os.getpid()
        self._environment: lmdb.Environment | None = None
        self._file: tuple[int, int] = (0, 0)
        self._data = path / "data.mdb"

    # -- operations -----------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def transaction(self, *, write: bool) -> Iterator[Transaction]:
        """A transaction that is committed when the block ends well. Raises MapFull; see there."""
        environment = self._enter()
        try:
            try:
                try:
                    transaction = environment.begin(write=write)
                except lmdb.ReadersFullError:
                    environment.reader_check()
                    transaction = environment.begin(write=write)
                with transaction:
                    yield transaction
            except lmdb.MapFullError as error:
                raise MapFull(self, followed=False) from error
            except lmdb.MapResizedError as error:
                raise MapFull(self, followed=True) from error
            except lmdb.Error as error:
                raise self._translated(error) from error
        finally:
            self._leave()

    def grow(self, request: MapFull) -> None:
        """Enlarge the map, or follow another process that did."""
        with self._alone():
            environment = self._opened()
            try:
                if environment.reader_check() and not request.followed:
                    # Readers that were killed kept old pages from being used again: there may be room now.
                    return
                before = environment.info()["map_size"]
                # 0 takes over the size that the file says.
                environment.set_mapsize(0)
                now = environment.info()["map_size"]
                if now > before or request.followed:
                    return
                # What the file says may be less than what this process has grown to and not yet filled.
                wanted = max(before, now) * 2
                if wanted > _MAP_LIMIT:
                    raise StateStoreError(f"the database {self.path} has reached {before >> 40} TiB")
                environment.set_mapsize(wanted)
                logger.debug("grew the map of %s to %d MiB", self.path, wanted >> 20)
            except lmdb.Error as error:
                raise self._translated(error) from error

    def map_size(self) -> int:
        """How large the map is at present."""
        self._enter()
        try:
            return int(self._opened().info()["map_size"])
        finally:
            self._leave()

    def last_transaction(self) -> int:
        """The number of the last transaction that wrote something."""
        self._enter()
        try:
            return int(self._opened().info()["last_txnid"])
        finally:
            self._leave()

    def reader_count(self) -> int:
        """How many transactions of all processes read at this moment."""
        environment = self._enter()
        try:
            # "pid thread transaction" a line; "-" stands for a place that is kept without reading.
            return sum(
                not line.endswith("-") for line in environment.readers().split("\n")[1:] if line.strip()
            )
        finally:
            self._leave()

    # -- the gate -------------------------------------------------------------------------------------------------

    def _enter(self) -> lmdb.Environment:
        me = threading.get_ident()
        while True:
            with self._state:
                # Whoever is inside already may go further in: the one who waits to be alone waits for its end.
                while self._closed_to is not None and self._closed_to != me and me not in self._inside:
                    self._state.wait()
                if self._environment is not None:
                    self._check_process()
                if self._environment is not None and self._is_current():
                    self._inside[me] = self._inside.get(me, 0) + 1
                    return self._environment
            with self._alone():
                if self._environment is None or not self._is_current():
                    self._reopen()

    def _leave(self) -> None:
        me = threading.get_ident()
        with self._state:
            left = self._inside[me] - 1
            if left:
                self._inside[me] = left
            else:
                del self._inside[me]
            if self._closed_to is not None:
                self._state.notify_all()

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody else of this process is inside for the duration of the block."""
        me = threading.get_ident()
        with self._state:
            if me in self._inside:
                raise StateStoreError(f"the database {self.path} cannot be resized inside a transaction")
            while self._closed_to is not None:
                self._state.wait()
            self._closed_to = me
        # From here on, whatever interrupts the wait or the block, the gate opens again.
        try:
            with self._state:
                while self._inside:
                    self._state.wait()
            yield
        finally:
            with self._state:
                self._closed_to = None
                self._state.notify_all()

    # -- opening and closing --------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the handle; called by `opened` when the last user has gone."""
        with self._alone():
            self._close()
            self._initial_map = -1

    def _close(self) -> None:
        environment, self._environment = self._environment, None
        if environment is not None:
            environment.close()

    def _opened(self) -> lmdb.Environment:
        if self._environment is None:
            self._reopen()
        assert self._environment is not None
        return self._environment

    def _reopen(self) -> None:
        if self._initial_map < 0:
            raise RuntimeClosedError(f"the database {self.path} was closed")
        self._close()
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                environment = self._open(self._initial_map)
            except lmdb.MapResizedError:
                # Another process wrote more than that while we opened: LMDB looks at the size first, and then reads.
                environment = self._open(INITIAL_MAP + 2 * self._data.stat().st_size)
        except lmdb.Error as error:
            raise self._translated(error) from error
        except OSError as error:
            raise StateStoreError(
                f"the database {self.path} cannot be opened: {error.strerror}",
                resolution="check the directory's owner and mode",
            ) from error
        dead = environment.reader_check()
        if dead:
            logger.debug("cleared %d dead readers of %s", dead, self.path)
        self._environment = environment
        self._pid = os.getpid()
        self._file = self._identity()

    def _open(self, map_size: int) -> lmdb.Environment:
        return lmdb.open(
            str(self.path),
            map_size=map_size,
            mode=0o600,
            max_readers=MAX_READERS,
            sync=self.durable,
            metasync=self.durable,
            readahead=False,
        )

    def _identity(self) -> tuple[int, int]:
        try:
            status = os.stat(self._data)
        except FileNotFoundError:
            return (-1, -1)
        return (status.st_dev, status.st_ino)

    def _is_current(self) -> bool:
        # The durable directory is not anybody's to clean; the runroot is.
        return self.durable or self._identity() == self._file

    def _check_process(self) -> None:
        if self._pid != os.getpid():
            raise StateStoreError(
                f"the database {self.path} was opened by process {self._pid} and is used in a child of it",
                resolution="open a Runtime in the child, or fork with os.fork",
            )

    def _translated(self, error: lmdb.Error) -> StateStoreError:
        what = str(error).removesuffix(".")
        if isinstance(error, lmdb.DiskError) or "No space left" in what:
            return StateStoreError(
                f"the database {self.path} cannot be written: {what}", resolution="free disk space"
            )
        if isinstance(
            error, (lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.InvalidError, lmdb.PanicError)
        ):
            return StateStoreError(
                f"the database {self.path} is damaged: {what}", resolution="restore it from a copy, or reset"
            )
        if isinstance(error, lmdb.VersionMismatchError):
            return StateStoreError(
                f"the database {self.path} was written by another version of LMDB: {what}",
                resolution="use the version of the lmdb package that wrote it",
            )
        return StateStoreError(f"the database {self.path} refused: {what}")

    # -- forking --------------------------------------------------------------------------------------------------

    def before_fork(self) -> None:
        """Wait until no other thread has a transaction open, keep new ones out, and close."""
        me = threading.get_ident()
        self._state.acquire()
        while self._closed_to is not None:
            self._state.wait()
        self._closed_to = me
        while any(thread != me for thread in self._inside):
            self._state.wait()
        # A transaction of the forking thread, were there one, keeps it open: then the child is refused by its pid.
        if not self._inside:
            self._close()

    def after_fork(self) -> None:
        """Open the gate again, in the parent and in the child."""
        self._closed_to = None
        self._state.notify_all()
        self._state.release()


# ---- one environment a directory --------------------------------------------------------------------------------

_registry: dict[str, LmdbEnvironment] = {}
_registry_lock = threading.Lock()


def opened(path: Path, *, durable: bool, initial_map: int = INITIAL_MAP) -> LmdbEnvironment:
    """The environment in directory *path*; every call is answered by one call of `closed`."""
    name = os.path.realpath(path)
    with _registry_lock:
        environment = _registry.get(name)
        if environment is not None:
            environment.users += 1
            return environment
        environment = _registry[name] = LmdbEnvironment(Path(name), durable=durable, initial_map=initial_map)
        return environment


def closed(environment: LmdbEnvironment) -> None:
    """Give back what `opened` returned; the last user closes it."""
    with _registry_lock:
        environment.users -= 1
        if environment.users:
            return
        # Under the registry's lock: nobody may open the directory again before it is closed.
        del _registry[str(environment.path)]
        environment.close()


def _before_fork() -> None:
    _registry_lock.acquire()
    for environment in _registry.values():
        environment.before_fork()


def _after_fork() -> None:
    for environment in _registry.values():
        environment.after_fork()
    _registry_lock.release()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
