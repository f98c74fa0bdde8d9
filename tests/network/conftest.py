"""Hosts made of network namespaces, and real traffic between them.

A `Machine` is a network namespace with some conveniences. The *host* of a test is one: drivers are called in a
thread that has joined it, so that nothing of the real host's network is touched. Containers are machines whose
namespaces the driver fills.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from libpod.define.ids import new_id
from libpod.linux.namespaces import (
    create_network_namespace,
    delete_network_namespace,
    run_in_netns,
)
from libpod.model.container_config import PortMapping
from libpod.network.base import ContainerNetwork, NetworkAttachment
from libpod.network.definitions import NetworkDefinition

T = TypeVar("T")
DEADLINE = 30.0


class Machine:
    """A network namespace of its own at *path*."""

    def __init__(self, path: Path) -> None:
        self.path = path
        create_network_namespace(path)
        self._undo = contextlib.ExitStack()

    def do(self, function: Callable[[], T]) -> T:
        return run_in_netns(self.path, function)

    def sh(self, *argv: str) -> str:
        """Run a program there and return what it printed."""
        return self.do(lambda: subprocess.run(argv, check=True, capture_output=True, text=True).stdout)

    def serve_tcp(self, port: int, *, family: int = socket.AF_INET, answer: bytes = b"") -> socket.socket:
        """Echo what comes (after *answer*) on a TCP port, until the machine ends."""
        listener = self.do(lambda: socket.socket(family, socket.SOCK_STREAM))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", port))
        listener.listen(16)
        self._undo.callback(listener.close)
        self._undo.callback(shut, listener)

        def serve() -> None:
            while True:
                try:
                    connection, peer = listener.accept()
                except OSError:
                    return
                threading.Thread(target=echo, args=(connection, peer, answer), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        return listener

    def serve_udp(self, port: int, *, answer: bytes = b"") -> None:
        server = self.do(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        server.bind(("0.0.0.0", port))
        self._undo.callback(server.close)
        self._undo.callback(shut, server)

        def serve() -> None:
            while True:
                try:
                    data, peer = server.recvfrom(2048)
                except OSError:
                    return
                if not data:
                    return
                server.sendto(answer + data, peer)

        threading.Thread(target=serve, daemon=True).start()

    def connect(self, address: str, port: int, *, timeout: float = 5.0) -> socket.socket:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        client = self.do(lambda: socket.socket(family, socket.SOCK_STREAM))
        client.settimeout(timeout)
        try:
            client.connect((address, port))
        except BaseException:
            client.close()
            raise
        return client

    def ask(self, address: str, port: int, word: bytes = b"hello", *, timeout: float = 5.0) -> bytes:
        """What a TCP server there answers to *word*."""
        with self.connect(address, port, timeout=timeout) as client:
            client.sendall(word)
            client.shutdown(socket.SHUT_WR)
            parts = []
            while data := client.recv(4096):
                parts.append(data)
            return b"".join(parts)

    def ask_udp(self, address: str, port: int, word: bytes = b"hello") -> bytes:
        with self.do(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as client:
            client.settimeout(1.0)
            for _ in range(int(DEADLINE)):
                client.sendto(word, (address, port))
                with contextlib.suppress(TimeoutError):
                    return client.recv(2048)
        raise TimeoutError(f"no answer from {address}:{port}/udp")

    def reaches(self, address: str, port: int, *, timeout: float = 1.5) -> bool:
        """Whether a TCP connection comes about."""
        try:
            self.connect(address, port, timeout=timeout).close()
        except OSError:
            return False
        return True

    def links(self) -> set[str]:
        from libpod.linux.links import links

        return {link.name for link in self.do(links)}

    def ruleset(self) -> str:
        return self.sh("nft", "list", "ruleset")

    def close(self) -> None:
        self._undo.close()
        delete_network_namespace(self.path)


class Container(Machine):
    """A machine that a driver connects: an id, a name, and what it asks for."""

    def __init__(self, directory: Path, name: str) -> None:
        self.id = new_id()
        self.name = name
        super().__init__(directory / self.id)

    def request(
        self,
        *attachments: tuple[NetworkDefinition, tuple[str, ...]],
        ports: tuple[PortMapping, ...] = (),
        mac: str = "",
    ) -> ContainerNetwork:
        return ContainerNetwork(
            container_id=self.id,
            container_name=self.name,
            namespace=self.path,
            attachments=tuple(
                NetworkAttachment(definition=definition, interface=f"eth{n}", addresses=addresses, mac=mac)
                for n, (definition, addresses) in enumerate(attachments)
            ),
            ports=ports,
        )


def shut(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def echo(connection: socket.socket, peer: tuple[str, int], answer: bytes) -> None:
    with connection, contextlib.suppress(OSError):
        connection.sendall(answer.replace(b"PEER", peer[0].encode()))
        while data := connection.recv(4096):
            connection.sendall(data)


def wait_until(condition: Callable[[], bool], what: str, *, seconds: float = DEADLINE) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > limit:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(0.02)


@pytest.fixture
def directory() -> Iterator[Path]:
    """A short private directory."""
    path = Path(tempfile.mkdtemp(prefix="lpn-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def machines(directory: Path) -> Iterator[Callable[[str], Machine]]:
    """Makes machines, which end with the test."""
    with contextlib.ExitStack() as undo:

        def make(name: str) -> Machine:
            machine = Machine(directory / "machines" / name)
            undo.callback(machine.close)
            return machine

        yield make


@pytest.fixture
def host(machines: Callable[[str], Machine]) -> Machine:
    """The host of the test."""
    return machines("host")


@pytest.fixture
def containers(directory: Path) -> Iterator[Callable[[str], Container]]:
    """Makes the namespaces of containers, which end with the test."""
    with contextlib.ExitStack() as undo:

        def make(name: str = "ctr") -> Container:
            container = Container(directory / "netns", name)
            undo.callback(container.close)
            return container

        yield make


def cable(left: Machine, right: Machine, *, left_address: str, right_address: str, name: str = "up0") -> None:
    """Join two machines by a cable; the addresses have a prefix length."""
    from libpod.linux.namespaces import opened_namespace
    from libpod.network import wiring
    from libpod.network.status import NetAddress

    def ready(there: wiring.Wiring, address: str) -> None:
        index = there.require(name, "the test")
        there.add_address(index, NetAddress(ipnet=address))
        there.bring_up(index)

    def plug(there: wiring.Wiring, far: int) -> None:
        there.add_veth(name, peer=name, peer_mac="02:00:00:00:00:09", namespace=far, mtu=0, group=0)

    with opened_namespace(right.path) as far:
        wiring.inside(left.path, lambda there: plug(there, far))
    wiring.inside(left.path, lambda there: ready(there, left_address))
    wiring.inside(right.path, lambda there: ready(there, right_address))
