"""The channels to conmon, and what it reports over the sync and attach sockets.

One JSON object in one packet: ``{"data": number}`` or ``{"data": -1, "message": "text"}``. The text was cut at 8191
bytes and holds raw bytes; control bytes may be unescaped. A negative number is a failure whatever it is.

Covers: oci_conmon_common.go (readConmonPipeData)
"""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Sequence

import msgspec

from libpod.linux import sockets
from libpod.oci.preserving import out_of_the_way

CREATE_TIMEOUT = 240.0
"""Seconds that a runtime may take to create, restore or exec."""


def channel(preserve_fds: Sequence[int], stack: contextlib.ExitStack) -> tuple[socket.socket, socket.socket]:
    """A channel to conmon: (our end, its end), both closed with *stack*."""
    ours, theirs = sockets.packet_pair()
    stack.enter_context(ours)
    return ours, stack.enter_context(out_of_the_way(theirs, preserve_fds))


def push(gate: socket.socket) -> None:
    """One start byte, a packet of its own. A conmon that is gone already tells why elsewhere."""
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        gate.send(b"\0", socket.MSG_NOSIGNAL)


class Report(msgspec.Struct, frozen=True):
    """One message of conmon."""

    data: int
    message: str = ""

    @property
    def failed(self) -> bool:
        return self.data < 0


def parse_report(packet: bytes) -> Report:
    """The message in a packet; text that is no report counts as a failure with that text."""
    text = packet.decode("utf-8", "surrogateescape")
    try:
        document = json.loads(text, strict=False)
        return Report(int(document["data"]), str(document.get("message", "")))
    except (ValueError, KeyError, TypeError, AttributeError):
        return Report(-1, text)


def receive_report(channel: socket.socket, timeout: float | None) -> Report | None:
    """The next message; None when conmon has gone. TimeoutError when nothing comes in *timeout* seconds."""
    channel.settimeout(timeout)
    try:
        packet = channel.recv(65536)
    except ConnectionResetError:
        return None
    return parse_report(packet) if packet else None
