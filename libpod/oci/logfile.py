"""Reading the log that conmon writes: tail, since, until, follow across rotation.

One record a line, in fixed columns::

    2026-11-22T21:14:44.346301179+00:00 stdout F hi
    0                                   36     43 45

``F``: the line of output ends here. ``P``: it goes on in the next record of the same stream. Messages are raw bytes; a
multi-byte character may be cut between two records, so join before decoding. A program that ends without a newline
leaves a last P.

When the file grows too long conmon puts a new one in its place; a reader that follows notices that its file has no
name any more, reads it to the end and goes on with the new one. It stops when conmon has ended or the exit file is
there: the log is complete by then. Nothing polls.

Covers: libpod/logs/log.go, libpod/logs/reversereader, libpod/container_log.go (the file driver)
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import functools
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from libpod.define.errors import HostError
from libpod.linux import inotify, pidfd
from libpod.linux.pidfd import ProcessIdentity

_CHUNK = 1 << 18
_LONGEST = 1 << 20
"""A record of conmon has at most 8 KiB; what is longer than this is none."""


class LogRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of output."""

    time: str
    """As conmon wrote it: RFC 3339 with nanoseconds and an offset."""
    stream: str
    """stdout or stderr."""
    data: bytes
    """Without the newline that ended it."""
    starts_line: bool = True
    ends_line: bool = True

    @property
    def moment_ns(self) -> int:
        """`time` as nanoseconds since 1970."""
        return parse_time(self.time)


class LogSelection(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of a log is wanted."""

    tail: int | None = None
    """Only so many of the last lines; None: all."""
    since_ns: int | None = None
    until_ns: int | None = None
    """Nanoseconds since 1970, both inclusive."""
    streams: frozenset[str] = frozenset({"stdout", "stderr"})


EVERYTHING = LogSelection()


class Writer(msgspec.Struct, frozen=True, kw_only=True):
    """Who writes a log: how its reader learns that no more comes."""

    conmon: ProcessIdentity
    exit_file: Path


def read_log(
    path: Path, selection: LogSelection = EVERYTHING, *, follow: Writer | None = None
) -> Iterator[LogRecord]:
    """The records of a log, the oldest first; with *follow* also those to come, until the writer has ended.

    A log that does not exist (yet) is empty. Damaged lines are skipped.
    """
    assembler = _Assembler(selection)
    with contextlib.ExitStack() as stack:
        watch = _Watch(path, follow, selection.until_ns, stack) if follow is not None else None
        stream = _open(path) if watch is None else watch.open()
        if stream is None:
            return
        if selection.tail is not None:
            stream.seek(tail_offset(stream, selection.tail))
        while stream is not None:
            renamed = False
            with stream:
                yield from assembler.records(stream)
                while watch is not None and not assembler.past_the_end:
                    # In this order, and both before reading: then nothing that was written before is missed.
                    over = watch.ended()
                    renamed = os.fstat(stream.fileno()).st_nlink == 0
                    yield from assembler.records(stream)
                    if renamed or over:
                        break
                    if not watch.wait():
                        assembler.past_the_end = True
            if watch is None or not renamed or assembler.past_the_end:
                return
            assembler.start_file()
            stream = watch.open()


def parse_line(line: bytes) -> tuple[str, str, bool, bytes] | None:
    """(time, stream, ends a line, message) of a record without its newline; None when it is none."""
    if line[35:36] == b" " and line[42:43] == b" " and line[44:45] == b" ":
        moment, stream, tag, message = line[:35], line[36:42], line[43:44], line[45:]
    else:
        words = line.split(b" ", 3)
        if len(words) < 3:
            return None
        moment, stream, tag = words[:3]
        message = words[3] if len(words) > 3 else b""
    if stream not in (b"stdout", b"stderr") or tag not in (b"F", b"P"):
        return None
    return moment.decode("ascii", "replace"), stream.decode(), tag == b"F", message


def parse_time(text: str) -> int:
    """Nanoseconds since 1970 of an RFC 3339 time with up to nine digits and an offset or Z."""
    fraction, place = 0, 19
    if text[19:20] == ".":
        place = 20
        while text[place : place + 1].isdigit():
            place += 1
        fraction = int(text[20:place][:9].ljust(9, "0"))
    return _seconds(text[:19], text[place:]) * 1_000_000_000 + fraction


@functools.lru_cache(maxsize=16)
def _seconds(moment: str, offset: str) -> int:
    return int(datetime.datetime.fromisoformat(moment + (offset or "+00:00")).timestamp())


def tail_offset(stream: BinaryIO, count: int) -> int:
    """Where the last *count* lines of output begin. A line is P* F; pieces without their end count as one line."""
    size = os.fstat(stream.fileno()).st_size
    if count <= 0:
        return size
    found, anything = 0, False
    for offset, line in _lines_backward(stream.fileno(), size):
        parsed = parse_line(line)
        if parsed is None:
            continue
        if parsed[2]:
            if found == count:
                return offset + len(line) + 1
            found += 1
        elif not anything:
            found += 1
        anything = True
    return 0


def _lines_backward(descriptor: int, size: int) -> Iterator[tuple[int, bytes]]:
    """(offset, line without newline) from the end; what follows the last newline is still being written."""
    start = max(0, size - _LONGEST)
    position = start + os.pread(descriptor, size - start, start).rfind(b"\n") + 1
    rest = b""  # the end, with its newline, of a line that begins before `position`
    while position > 0:
        start = max(0, position - _CHUNK)
        block = os.pread(descriptor, position - start, start) + rest
        position = start
        cut = block.index(b"\n") + 1 if start > 0 else 0
        rest, body = block[:cut], block[cut:]
        offset = start + cut + len(body)
        for line in reversed(body[:-1].split(b"\n") if body else []):
            offset -= len(line) + 1
            yield offset, line


class _Assembler:
    """Turns bytes into records, and remembers where a piece ended in the middle."""

    def __init__(self, selection: LogSelection) -> None:
        self._selection = selection
        self._cut = b""
        self._open_lines: set[str] = set()
        self.past_the_end = False
        """Whether a record after `until_ns` was seen, or that moment has passed."""

    def start_file(self) -> None:
        """Another file begins: half a record of the old one is never completed."""
        self._cut = b""

    def records(self, stream: BinaryIO) -> Iterator[LogRecord]:
        """What can be read now."""
        until = self._selection.until_ns
        while not self.past_the_end and (data := stream.read(_CHUNK)):
            lines = (self._cut + data).split(b"\n")
            self._cut = lines.pop()[:_LONGEST]
            for line in lines:
                record = self._record(line)
                if record is None:
                    continue
                if until is not None and record.moment_ns > until:
                    self.past_the_end = True
                    return
                yield record

    def _record(self, line: bytes) -> LogRecord | None:
        parsed = parse_line(line)
        if parsed is None:
            return None
        moment, stream, ends, message = parsed
        starts = stream not in self._open_lines
        if ends:
            self._open_lines.discard(stream)
        else:
            self._open_lines.add(stream)
        selection = self._selection
        if stream not in selection.streams:
            return None
        record = LogRecord(time=moment, stream=stream, data=message, starts_line=starts, ends_line=ends)
        if selection.since_ns is not None and record.moment_ns < selection.since_ns:
            return None
        return record


def _open(path: Path) -> BinaryIO | None:
    try:
        return open(path, "rb", buffering=0)
    except FileNotFoundError:
        return None


class _Watch:
    """Wakes a reader when there is more to read, and knows when there never will be."""

    def __init__(self, path: Path, writer: Writer, until_ns: int | None, stack: contextlib.ExitStack) -> None:
        self._path, self._writer, self._until_ns = path, writer, until_ns
        try:
            self._inotify = stack.enter_context(inotify.Inotify())
            self._inotify.watch(writer.exit_file.parent, inotify.IN_MOVED_TO)
            self._inotify.watch(path.parent, inotify.IN_MOVED_TO | inotify.IN_CREATE)
        except OSError as error:
            raise HostError(
                f"cannot follow the log {path}: {error.strerror}",
                resolution="raise fs.inotify.max_user_instances" if error.errno == errno.EMFILE else None,
            ) from error
        self._conmon = stack.enter_context(pidfd.opened(writer.conmon))

    def open(self) -> BinaryIO | None:
        """The file that has the name now, watched; waits for one. None when nobody writes any more."""
        while (stream := _open(self._path)) is None:
            if self.ended():
                return None
            self.wait()
        try:
            # Through the descriptor: the name may belong to another file already.
            self._inotify.watch(
                Path(f"/proc/self/fd/{stream.fileno()}"), inotify.IN_MODIFY | inotify.IN_ATTRIB
            )
        except BaseException:
            stream.close()
            raise
        return stream

    def ended(self) -> bool:
        return self._writer.exit_file.exists() or self._conmon is None or pidfd.ended(self._conmon)

    def wait(self) -> bool:
        """Wait until something has happened; False when the last moment asked for has passed."""
        left = None if self._until_ns is None else (self._until_ns - time.time_ns()) / 1e9
        if left is not None and left < 0:
            return False
        waiting = [self._inotify.fileno()] + ([self._conmon] if self._conmon is not None else [])
        pidfd.wait_readable(waiting, left)
        self._inotify.read()
        return True
