"""UNIX sockets that keep packets apart, and paths longer than the kernel likes.

conmon speaks over SOCK_SEQPACKET sockets: every message arrives as one packet, so that two start bytes sent early
stay two messages. A socket address holds 107 bytes of path; a longer path is reached through an O_PATH descriptor and
``/proc/self/fd``.

Covers: libpod/oci_conmon_common.go (newPipe), libpod/oci_conmon_attach_common.go (openUnixSocket), pkg/systemd
"""

from __future__ import annotations

import os
import socket
from pathlib import Path


def packet_pair() -> tuple[socket.socket, socket.socket]:
    """Two connected SEQPACKET sockets, closed on exec."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def connect_packets(path: Path) -> socket.socket:
    """Connect to the SEQPACKET socket *path*, however long the path is.

    Raises FileNotFoundError when there is no such socket and ConnectionRefusedError when nobody listens.
    """
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            connection.connect(f"/proc/self/fd/{descriptor}")
        except OSError as error:
            connection.close()
            if error.filename is None:
                error.filename = str(path)
            raise
        return connection
    finally:
        os.close(descriptor)
