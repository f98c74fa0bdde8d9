"""Events in the systemd journal.

Writing speaks the journal's own protocol: one datagram to /run/systemd/journal/socket with a field a line
(`KEY=value`, or for values with line breaks `KEY`, a little-endian length, the value). What does not fit into a
datagram is passed as a sealed memory file. Nothing is started, no library is loaded.

Reading runs `journalctl --output=json`, which knows the journal's files, their rotation and the permissions; with
`follow` it also does the waiting, so nobody polls.

    SYSLOG_IDENTIFIER=libpod      the matches of our own reader; podman's are "podman", so neither shows the other's
    PODMAN_EVENT, PODMAN_TYPE, PODMAN_TIME, PODMAN_NAME, PODMAN_ID, PODMAN_IMAGE, PODMAN_EXIT_CODE,
    PODMAN_LABELS (a JSON object), PODMAN_POD_ID, PODMAN_NETWORK_NAME, PODMAN_HEALTH_STATUS, ERROR

Covers: libpod/events/journal_linux.go
"""

from __future__ import annotations

import array
import contextlib
import errno
import fcntl
import logging
import os
import socket
import struct
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from libpod.define.errors import CommandError, ProgramMissingError
from libpod.events import filters
from libpod.events.base import EventBackend, EventQuery
from libpod.linux.pidfd import wait_readable
from libpod.linux.process import find_program, spawned
from libpod.model import times
from libpod.model.event import Event, EventStatus, EventType

logger = logging.getLogger(__name__)

SOCKET = Path("/run/systemd/journal/socket")
IDENTIFIER = "libpod"
_PRIORITY_INFO = "6"
_ALL_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_JSON = msgspec.json.Decoder(dict[str, Any])
_LABELS = msgspec.json.Encoder(order="sorted")
_STRINGS = msgspec.json.Decoder(dict[str, str])


class JournaldEvents(EventBackend):
    """See the module. *socket_path* and *directory* stand for another journal than the system's."""

    name = "journald"

    def __init__(self, *, socket_path: Path = SOCKET, directory: Path | None = None) -> None:
        self._socket_path = socket_path
        self._directory = directory
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)

    @staticmethod
    def available(socket_path: Path = SOCKET) -> bool:
        """Whether a journald listens there."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as probe:
            try:
                probe.connect(str(socket_path))
            except OSError:
                return False
        return True

    def close(self) -> None:
        self._socket.close()

    # -- writing ----------------------------------------------------------------------------------------------------

    def write(self, event: Event) -> None:
        data = datagram(fields(event))
        try:
            self._send(data)
        except OSError as error:
            logger.warning(
                "event %s of %s was not written to the journal: %s", event.status, event.name, error
            )

    def _send(self, data: bytes) -> None:
        try:
            self._socket.sendto(data, str(self._socket_path))
        except OSError as error:
            if error.errno not in (errno.EMSGSIZE, errno.ENOBUFS):
                raise
            descriptor = os.memfd_create("libpod-event", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            try:
                os.write(descriptor, data)
                fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _ALL_SEALS)
                rights = array.array("i", [descriptor])
                self._socket.sendmsg(
                    [], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)], 0, str(self._socket_path)
                )
            finally:
                os.close(descriptor)

    # -- reading ----------------------------------------------------------------------------------------------------

    def read(self, query: EventQuery) -> Iterator[Event]:
        selection = filters.select(query, now=time.time_ns())
        return self._selected(self._arguments(query, selection), selection, follow=query.follow)

    def _arguments(self, query: EventQuery, selection: filters.Selection) -> list[str]:
        program = find_program("journalctl")
        if program is None:
            raise ProgramMissingError(
                "journalctl", purpose="read events from the journal", resolution="install systemd"
            )
        argv = [program, "--output=json", "--all", "--quiet", "--no-pager"]
        if self._directory is not None:
            argv.append(f"--directory={self._directory}")
        if query.follow:
            argv += ["--follow", "--lines=0" if query.since is None else "--no-tail"]
        if selection.after is not None:
            # The journal's own times are those of arrival, a little later than the events': this only narrows.
            argv.append(f"--since=@{selection.after // 1_000_000_000 - 1}")
        if not query.follow and selection.before is not None:
            argv.append(f"--until=@{selection.before // 1_000_000_000 + 2}")
        return [*argv, f"SYSLOG_IDENTIFIER={IDENTIFIER}", f"_UID={os.getuid()}"]

    def _selected(self, argv: list[str], selection: filters.Selection, *, follow: bool) -> Iterator[Event]:
        with _journalctl(argv, selection.before if follow else None) as lines:
            for line in lines:
                event = parsed(line)
                if event is not None and selection.matches(event):
                    yield event


# ---- fields ---------------------------------------------------------------------------------------------------------


def fields(event: Event) -> dict[str, str]:
    """The journal's fields of an event."""
    found = {
        "SYSLOG_IDENTIFIER": IDENTIFIER,
        "PRIORITY": _PRIORITY_INFO,
        "MESSAGE": _message(event),
        "PODMAN_EVENT": event.status.value,
        "PODMAN_TYPE": event.type.value,
        "PODMAN_TIME": times.in_local_zone(event.time),
        "PODMAN_NAME": event.name,
        "PODMAN_ID": event.id,
        "PODMAN_IMAGE": event.image,
        "PODMAN_NETWORK_NAME": event.network,
        "PODMAN_HEALTH_STATUS": event.health_status,
        "PODMAN_POD_ID": event.pod_id,
        "ERROR": event.error,
    }
    if event.exit_code is not None:
        found["PODMAN_EXIT_CODE"] = str(event.exit_code)
    if event.attributes is not None:
        found["PODMAN_LABELS"] = _LABELS.encode(event.attributes).decode()
    return {key: value for key, value in found.items() if value}


def datagram(values: Mapping[str, str]) -> bytes:
    """Fields as journald takes them."""
    parts = []
    for key, value in values.items():
        data = value.encode("utf-8", "replace")
        if b"\n" in data:
            parts.append(key.encode() + b"\n" + struct.pack("<Q", len(data)) + data + b"\n")
        else:
            parts.append(key.encode() + b"=" + data + b"\n")
    return b"".join(parts)


def parsed(line: bytes) -> Event | None:
    """The event in one entry of `journalctl --output=json`; None when it is none."""
    try:
        entry = {key: _text(value) for key, value in _JSON.decode(line).items()}
        labels = entry.get("PODMAN_LABELS")
        code = entry.get("PODMAN_EXIT_CODE")
        return Event(
            status=EventStatus(entry["PODMAN_EVENT"]),
            type=EventType(entry["PODMAN_TYPE"]),
            time=entry["PODMAN_TIME"],
            name=entry.get("PODMAN_NAME", ""),
            id=entry.get("PODMAN_ID", ""),
            image=entry.get("PODMAN_IMAGE", ""),
            network=entry.get("PODMAN_NETWORK_NAME", ""),
            health_status=entry.get("PODMAN_HEALTH_STATUS", ""),
            pod_id=entry.get("PODMAN_POD_ID", ""),
            error=entry.get("ERROR", ""),
            exit_code=int(code) if code is not None else None,
            attributes=_STRINGS.decode(labels) if labels is not None else None,
        )
    except (KeyError, ValueError, msgspec.MsgspecError) as error:
        logger.debug("skipped an entry of the journal: %s", error)
        return None


def _text(value: Any) -> str:
    """journalctl gives fields that are not plain text as lists of bytes, and repeated ones as lists of texts."""
    if isinstance(value, list):
        if value and all(isinstance(item, int) for item in value):
            return bytes(value).decode("utf-8", "replace")
        return _text(value[0]) if value else ""
    return value if isinstance(value, str) else ""


def _message(event: Event) -> str:
    """The form for people, which `journalctl` shows."""
    words = [event.type.value, event.status.value, event.id or event.name]
    if event.id:
        words.append(f"(image={event.image}, name={event.name})")
    return " ".join(word for word in words if word)


# ---- journalctl -----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _journalctl(argv: list[str], until: int | None) -> Iterator[Iterator[bytes]]:
    """The lines that a journalctl prints; it is ended with the block, or when the moment *until* has come."""
    with contextlib.ExitStack() as undo:
        errors = os.memfd_create("journalctl-errors", os.MFD_CLOEXEC)
        undo.callback(os.close, errors)
        source, sink = os.pipe2(os.O_CLOEXEC)
        undo.callback(os.close, source)
        try:
            child = undo.enter_context(spawned(argv, stdout=sink, stderr=errors))
        finally:
            os.close(sink)
        # However the block ends: a journalctl that follows never ends by itself.
        undo.callback(child.kill)
        yield _lines(source, until)
        if until is None and child.wait() > 0:
            text = os.pread(errors, 65536, 0).decode(errors="replace")
            raise CommandError(argv=argv, returncode=child.returncode, stderr=text)


def _lines(source: int, until: int | None) -> Iterator[bytes]:
    rest = b""
    while True:
        left = None if until is None else (until - time.time_ns()) / 1e9
        if left is not None and (left <= 0 or not wait_readable([source], left)):
            return
        data = os.read(source, 1 << 16)
        if not data:
            return
        *complete, rest = (rest + data).split(b"\n")
        yield from (line for line in complete if line)
