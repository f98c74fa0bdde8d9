"""The streams of a running container.

conmon's attach socket keeps packets apart. From conmon: one byte (2 stdout, 3 stderr) and up to 8192 bytes of output;
the end of the connection is the end of the container, or of conmon. To conmon: raw input, at most 32768 bytes a
packet, the rest of a longer one is lost; an empty packet would end the input.

There is no history: a client sees what is produced after conmon took it. Between create and start nothing was produced;
clients are taken in their order, so that the first one misses nothing of what a start brings.

**A client that does not read stops the container**: conmon blocks, its log stands still, the container blocks on a
full pipe. So by default a thread of ours reads at once and keeps up to `buffer` bytes; a consumer that falls further
behind is disconnected and told so. With ``buffer=None`` there is no thread, and the container waits for the consumer:
for a person at a terminal, or a pipeline that wants back-pressure.

Covers: oci_conmon_attach_common.go, oci_conmon_attach_linux.go
"""

from __future__ import annotations

import collections
import enum
import errno
import select
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from libpod.define.errors import InvalidStateError, OciRuntimeError
from libpod.linux import sockets
from libpod.oci.base import DEFAULT_BUFFER

MAX_INPUT = 32768
"""The longest packet conmon reads whole."""

_PACKET = 8192 + 1


class Stream(enum.IntEnum):
    """Where output came from. A terminal has STDOUT only."""

    STDOUT = 2
    STDERR = 3


Packet = tuple[Stream, bytes]


class AttachStream:
    """One connection to a container's streams. A context manager; iterating gives (stream, bytes) until the end.

    Sending and iterating may happen in two threads. Leaving the block disconnects, which for a container with open
    stdin ends its input (conmon closes it with the first client that leaves).
    """

    def __init__(
        self, connection: socket.socket, subject: str, *, buffer: int | None = DEFAULT_BUFFER
    ) -> None:
        self._connection, self._subject = connection, subject
        self._closed = False
        self._reader = None if buffer is None else _Reader(connection, subject, buffer)

    @classmethod
    def connect(cls, path: Path, subject: str, *, buffer: int | None = DEFAULT_BUFFER) -> AttachStream:
        """Attach through the socket *path*; *subject* names the container in errors."""
        try:
            connection = sockets.connect_packets(path)
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise InvalidStateError(
                f"cannot attach to {subject}: nobody serves its streams",
                resolution="it has ended, lost its conmon, or was made with the log driver passthrough",
            ) from error
        return cls(connection, subject, buffer=buffer)

    def __enter__(self) -> AttachStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Packet]:
        while (packet := self.receive()) is not None:
            yield packet

    def fileno(self) -> int:
        """The socket; readable when `receive` would not block, but only with ``buffer=None``."""
        return self._connection.fileno()

    def receive(self) -> Packet | None:
        """The next piece of output; None at the end."""
        return _receive(self._connection) if self._reader is None else self._reader.next()

    def send(self, data: bytes | memoryview, *, unless: int | None = None) -> bool:
        """Send input; False when nobody takes it any more. Blocks while the container does not read, but gives up
        (False) when the descriptor *unless* becomes readable.

        A container made without open stdin and without terminal ignores input.
        """
        view = memoryview(data).cast("B")
        poller = select.poll()
        poller.register(self._connection, select.POLLOUT)
        if unless is not None:
            poller.register(unless, select.POLLIN)
        try:
            while view:
                try:
                    sent = self._connection.send(view[:MAX_INPUT], socket.MSG_NOSIGNAL | socket.MSG_DONTWAIT)
                    view = view[sent:]
                except BlockingIOError:
                    if any(descriptor == unless for descriptor, _ in poller.poll()):
                        return False
        except (BrokenPipeError, ConnectionResetError):
            return False
        except OSError as error:
            if error.errno in (errno.ENOTCONN, errno.EBADF):
                return False
            raise
        return True

    def end_input(self) -> None:
        """Tell the container that no more input comes. With several clients this ends the input of all."""
        self._shut(socket.SHUT_WR)

    def end_output(self) -> None:
        """Stop receiving: an iteration that waits in another thread ends."""
        self._shut(socket.SHUT_RD)

    def close(self) -> None:
        """Disconnect; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        # A thread that waits in recv() wakes up at the shutdown, not at the close.
        self._shut(socket.SHUT_RDWR)
        if self._reader is not None:
            self._reader.join()
        self._connection.close()

    def _shut(self, how: int) -> None:
        try:
            self._connection.shutdown(how)
        except OSError as error:
            if error.errno not in (errno.ENOTCONN, errno.EBADF):
                raise


class _Reader:
    """Takes packets off the socket as they come, and keeps them for a consumer with a pace of its own."""

    def __init__(self, connection: socket.socket, subject: str, limit: int) -> None:
        self._connection, self._subject, self._limit = connection, subject, limit
        self._packets: collections.deque[Packet] = collections.deque()
        self._size = 0
        self._ended = False
        self._overflowed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, name="libpod-attach", daemon=True)
        self._thread.start()

    def next(self) -> Packet | None:
        with self._changed:
            self._changed.wait_for(lambda: self._packets or self._ended)
            if self._packets:
                packet = self._packets.popleft()
                self._size -= len(packet[1])
                return packet
        if self._overflowed:
            raise OciRuntimeError(
                f"disconnected from {self._subject}: its output was not read and {self._limit} bytes were waiting",
                resolution="read faster, attach with a larger buffer, or read the log",
            )
        return None

    def join(self) -> None:
        self._thread.join()

    def _read(self) -> None:
        while (packet := _receive(self._connection)) is not None:
            with self._changed:
                if self._size + len(packet[1]) > self._limit:
                    self._overflowed = True
                    break
                self._packets.append(packet)
                self._size += len(packet[1])
                self._changed.notify()
        if self._overflowed:
            # Let go of the container now, not when the consumer comes back.
            try:
                self._connection.shutdown(socket.SHUT_RD)
            except OSError:
                pass
        with self._changed:
            self._ended = True
            self._changed.notify_all()


def _receive(connection: socket.socket) -> Packet | None:
    """The next packet with output; None at the end."""
    while True:
        try:
            packet = connection.recv(_PACKET)
        except ConnectionResetError:
            return None
        except OSError as error:
            if error.errno in (errno.EBADF, errno.ENOTCONN):
                return None
            raise
        if not packet:
            return None
        if packet[0] in (Stream.STDOUT, Stream.STDERR):
            return Stream(packet[0]), packet[1:]
