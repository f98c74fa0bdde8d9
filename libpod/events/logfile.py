"""Events in a file, one JSON object a line, as podman writes them.

    <directory>/events.log            the lines
    <directory>/events.log.lock       held while a line is appended or the file is rotated
    <directory>/.events.log.rotating  the next file, while it is being made; what a kill leaves is written over

A line is appended with one write under the lock, so lines of different processes never mix and none is lost. Should a
write have been cut short (disk full), the next one begins on a line of its own, and readers skip the stump.

Rotation happens under the same lock, when the next line would take the file past its limit: the younger half of the
lines is copied between two events `system log-rotation` whose attribute io.podman.event.rotate says "begin" and
"end", and the copy takes the name of the file. Older lines are forgotten; that is what the limit is for.

A follower reads on in the file it has open, which is complete: nobody writes to it after the rotation. Then it goes to
the new file and leaves out of the framed lines those it has delivered. So it sees every line once, unless it falls
behind by more than a whole file. It sleeps in inotify meanwhile.

Covers: libpod/events/logfile.go
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from libpod.define.errors import LibpodError, StateStoreError
from libpod.events.base import EventBackend, EventQuery
from libpod.linux import ofd_locks
from libpod.linux.files import write_all
from libpod.linux.pidfd import wait_readable
from libpod.model import codec, times
from libpod.model.event import Event, EventStatus, EventType

logger = logging.getLogger(__name__)

DEFAULT_MAX_SIZE = 1_000_000
ROTATE_ATTRIBUTE = "io.podman.event.rotate"
_BLOCK = 1 << 18
_FALLBACK_PAUSE = 0.25
"""How often a follower looks when the user has no inotify instances left."""


class LogFileEvents(EventBackend):
    """See the module. Any number of objects, threads and processes may use one file."""

    name = "file"

    def __init__(self, path: Path, *, max_size: int = DEFAULT_MAX_SIZE) -> None:
        """*max_size* is in bytes; 0 means that the file is never rotated. Missing directories are made."""
        self.path = path
        self._lock_path = path.with_name(path.name + ".lock")
        self._next_path = path.with_name(f".{path.name}.rotating")
        self._max_size = max_size
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)

    # -- writing ----------------------------------------------------------------------------------------------------

    def write(self, event: Event) -> None:
        try:
            self._append(_line(event))
        except OSError as error:
            logger.warning(
                "event %s of %s was not written to %s: %s", event.status, event.name, self.path, error
            )

    def _append(self, line: bytes) -> None:
        with self._locked():
            descriptor = self._open_for_append()
            try:
                size = os.fstat(descriptor).st_size
                if self._max_size and size and size + len(line) >= self._max_size:
                    self._rotate(descriptor, size)
                    os.close(descriptor)
                    descriptor = self._open_for_append()
                    size = os.fstat(descriptor).st_size
                if size and os.pread(descriptor, 1, size - 1) != b"\n":
                    line = b"\n" + line
                write_all(descriptor, line)
            finally:
                os.close(descriptor)

    def _open_for_append(self) -> int:
        return os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        descriptor = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            ofd_locks.lock(descriptor, 0, wait=True)
            try:
                yield
            finally:
                ofd_locks.unlock(descriptor, 0)
        finally:
            os.close(descriptor)

    def _rotate(self, descriptor: int, size: int) -> None:
        """Put a file with the younger half of the lines in the place of the present one."""
        start = size - min(size, self._max_size) // 2
        kept = os.pread(descriptor, size - start, start)
        # Begin with a whole line. (A half without a line's end is one line too long to keep.)
        kept = kept[kept.find(b"\n") + 1 :] if b"\n" in kept else b""
        if kept and not kept.endswith(b"\n"):
            kept += b"\n"
        data = _line(_marker("begin")) + kept + _line(_marker("end"))
        target = os.open(self._next_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            write_all(target, data)
        finally:
            os.close(target)
        os.rename(self._next_path, self.path)

    # -- reading ----------------------------------------------------------------------------------------------------

    def read(self, query: EventQuery) -> Iterator[Event]:
        from libpod.events import filters

        selection = filters.select(query, now=time.time_ns())
        lines = self._follow(query, selection.before) if query.follow else self._lines()
        return (event for event in map(_parsed, lines) if event is not None and selection.matches(event))

    def _lines(self) -> Iterator[bytes]:
        with _opened(self.path) as descriptor:
            if descriptor is not None:
                yield from _Tail(descriptor).lines()

    def _follow(self, query: EventQuery, until: int | None) -> Iterator[bytes]:
        last = b""
        """The line that was delivered, or passed over, last."""
        rotated = False
        from_end = query.since is None
        with _Bell(self.path.parent) as bell:
            in_time = True
            while in_time:
                with _opened(self.path) as descriptor:
                    if descriptor is None:
                        in_time = bell.wait(until)
                        from_end = False
                        continue
                    tail = _Tail(descriptor)
                    if from_end:
                        last = tail.skip_to_end()
                        from_end = False
                    lines = tail.unseen(last) if rotated else tail.lines()
                    while True:
                        # Asked before reading: what was written to a file before it was replaced is read below.
                        current = _is_current(descriptor, self.path)
                        for line in lines:
                            last = line
                            yield line
                        if not current or not in_time:
                            break
                        in_time = bell.wait(until)
                        lines = tail.lines()
                    rotated = True


class _Tail:
    """Complete lines of an open file, from where the last call ended."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._offset = 0

    def lines(self) -> Iterator[bytes]:
        """Those that are there now, without their end; a last line without an end is left for later."""
        while True:
            data = os.pread(self._descriptor, _BLOCK, self._offset)
            end = data.rfind(b"\n") + 1
            if not end:
                if len(data) < _BLOCK:
                    return
                data, end = self._long_line()
                if not end:
                    return
            for line in data[:end].split(b"\n")[:-1]:
                self._offset += len(line) + 1
                if line:
                    yield line

    def _long_line(self) -> tuple[bytes, int]:
        data = b""
        while block := os.pread(self._descriptor, _BLOCK, self._offset + len(data)):
            data += block
            if b"\n" in block:
                return data, data.rfind(b"\n") + 1
        return data, 0

    def skip_to_end(self) -> bytes:
        """Go behind the last complete line, and say what it was."""
        size = os.fstat(self._descriptor).st_size
        start = max(0, size - _BLOCK)
        data = os.pread(self._descriptor, size - start, start)
        end = data.rfind(b"\n") + 1
        self._offset = start + end
        return data[:end].rstrip(b"\n").rpartition(b"\n")[2]

    def unseen(self, last: bytes) -> Iterator[bytes]:
        """The lines of a rotated file that come after *last*; all that were kept when it is not among them."""
        lines = list(self.lines())
        if last in lines:
            at = len(lines) - lines[::-1].index(last)
            yield from (line for line in lines[at:] if not _is_marker(line))
        else:
            yield from (line for line in lines if not _is_marker(line))


class _Bell:
    """Rings when something happens in a directory."""

    def __init__(self, directory: Path) -> None:
        from libpod.linux import inotify

        self._inotify: inotify.Inotify | None = None
        try:
            self._inotify = inotify.Inotify()
            self._inotify.watch(directory, inotify.IN_MODIFY | inotify.IN_CREATE | inotify.IN_MOVED_TO)
        except OSError as error:
            self.close()
            if error.errno not in (errno.EMFILE, errno.ENOSPC):
                raise StateStoreError(f"{directory} cannot be watched: {error.strerror}") from error
            logger.warning("%s is polled, since this user has no inotify instances left", directory)

    def __enter__(self) -> _Bell:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the inotify instance back."""
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None

    def wait(self, until: int | None) -> bool:
        """Wait for a ring; False when the moment *until* (nanoseconds) has come."""
        left = None if until is None else (until - time.time_ns()) / 1e9
        if left is not None and left <= 0:
            return False
        if self._inotify is None:
            time.sleep(_FALLBACK_PAUSE if left is None else min(left, _FALLBACK_PAUSE))
        else:
            wait_readable([self._inotify.fileno()], left)
            self._inotify.read()
        return True


# ---- lines ------------------------------------------------------------------------------------------------------


def _line(event: Event) -> bytes:
    """The line of an event: Go sorts the keys of maps, writes local time, and escapes what HTML would mind."""
    attributes = None if event.attributes is None else dict(sorted(event.attributes.items()))
    local = msgspec.structs.replace(event, time=times.in_local_zone(event.time), attributes=attributes)
    data = codec.EVENT.encode(local)
    return data.replace(b"<", b"\\u003c").replace(b">", b"\\u003e").replace(b"&", b"\\u0026") + b"\n"


def _parsed(line: bytes) -> Event | None:
    try:
        return codec.EVENT.decode(line)
    except LibpodError as error:
        logger.debug("skipped a line of the event log: %s", error)
        return None


def _marker(which: str) -> Event:
    return Event(
        status=EventStatus.ROTATE,
        type=EventType.SYSTEM,
        time=times.now(),
        attributes={ROTATE_ATTRIBUTE: which},
    )


def _is_marker(line: bytes) -> bool:
    return ROTATE_ATTRIBUTE.encode() in line and b'"log-rotation"' in line


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int | None]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _is_current(descriptor: int, path: Path) -> bool:
    try:
        named = os.stat(path)
    except FileNotFoundError:
        return False
    mine = os.fstat(descriptor)
    return (named.st_dev, named.st_ino) == (mine.st_dev, mine.st_ino)
