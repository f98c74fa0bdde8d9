"""Names of containers: by a server where there is one, else by hosts files."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
from pathlib import Path

import msgspec
import pytest

from libpod.linux.pidfd import process_state
from libpod.network.aardvark import find_aardvark
from libpod.network.base import NetworkBackend
from libpod.network.bridge import BridgeBackend
from libpod.network.creation import NetworkCreateOptions, Occupied, new_definition
from libpod.network.names import Neighbour, neighbour_entries
from libpod.network.netavark import NetavarkBackend, find_netavark
from libpod.network.status import NetAddress, NetInterface, StatusBlock
from libpod.network.texts import HostEntry
from tests.killing import killed_at
from tests.network.conftest import DEADLINE, wait_until


def block(*addresses: str) -> StatusBlock:
    subnets = tuple(NetAddress(ipnet=address) for address in addresses)
    return StatusBlock(interfaces={"eth0": NetInterface(subnets=subnets)})


def test_neighbours_are_known_on_shared_networks_only():
    others = [
        Neighbour(container_id="a" * 64, name="me", status={"front": block("10.0.0.2/24")}),
        Neighbour(
            container_id="b" * 64,
            name="db",
            status={"front": block("10.0.0.3/24", "fd00::3/64"), "back": block("10.0.1.3/24")},
            aliases={"front": ("database",)},
        ),
        Neighbour(container_id="c" * 64, name="far", status={"back": block("10.0.1.4/24")}),
    ]
    names = ("db", "database", "b" * 12)
    assert neighbour_entries("a" * 64, {"front"}, others) == (
        HostEntry("10.0.0.3", names),
        HostEntry("fd00::3", names),
    )


def lookup(machine, server: str, name: str) -> str:
    """The IPv4 address of *name* by a DNS query, "" when there is none."""
    question = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"
    query = struct.pack(">HHHHHH", 77, 0x0100, 1, 0, 0, 0) + question + struct.pack(">HH", 1, 1)
    with machine.do(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as client:
        client.settimeout(1)
        for _ in range(int(DEADLINE)):
            with contextlib.suppress(TimeoutError, ConnectionRefusedError):
                client.sendto(query, (server, 53))
                answer = client.recv(1024)
                count = struct.unpack(">H", answer[6:8])[0]
                return socket.inet_ntoa(answer[-4:]) if count else ""
    return ""


@pytest.mark.root
@pytest.mark.network
@pytest.mark.skipif(find_aardvark() is None, reason="aardvark-dns is not installed")
@pytest.mark.parametrize("driver", ["bridge", "netavark"])
def test_a_server_answers_for_names_aliases_and_short_ids(host, directory, containers, driver):
    run = directory / "run"
    backend: NetworkBackend = BridgeBackend(run, aardvark=find_aardvark())
    pid_file = run / "aardvark-dns/aardvark.pid"
    if driver == "netavark":
        if find_netavark() is None:
            pytest.skip("netavark is not installed")
        backend = NetavarkBackend(run, program=find_netavark() or "", aardvark=find_aardvark())
        pid_file = run / "netavark/aardvark-dns/aardvark.pid"
    net = new_definition(NetworkCreateOptions(name="front"), [], Occupied())
    one, two = containers("one"), containers("two")
    requests = [one.request((net, ("10.72.0.2",))), two.request((net, ("10.72.0.3",)))]
    try:
        status = [host.do(lambda request=request: backend.setup(request)) for request in requests]
        assert status[0]["front"].dns_server_ips == ("10.72.0.1",)
        assert status[0]["front"].dns_search_domains == ("dns.podman",)
        wait_until(
            lambda: lookup(one, "10.72.0.1", "two.dns.podman") == "10.72.0.3", "the server reads again"
        )
        assert lookup(two, "10.72.0.1", one.id[:12]) == "10.72.0.2"
        requests[1] = msgspec.structs.replace(requests[1], container_name="twain")
        host.do(lambda: backend.rename(requests[1]))
        wait_until(lambda: lookup(one, "10.72.0.1", "twain") == "10.72.0.3", "the new name is known")
        assert lookup(one, "10.72.0.1", "two.dns.podman") == ""
        pid = int(pid_file.read_text())
        host.do(lambda: backend.teardown(requests[1]))
        # Asked by the host: netavark's bridge may get another MAC now, and the container would not notice for a while.
        wait_until(lambda: lookup(host, "10.72.0.1", "twain.dns.podman") == "", "the name is forgotten")
        assert lookup(host, "10.72.0.1", "one.dns.podman") == "10.72.0.2"
        host.do(lambda: backend.teardown(requests[0]))
        wait_until(lambda: not Path(f"/proc/{pid}").exists(), "the server ends")
    finally:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, ValueError):
            os.kill(int(pid_file.read_text()), signal.SIGKILL)


@pytest.mark.root
@pytest.mark.network
@pytest.mark.skipif(find_aardvark() is None, reason="aardvark-dns is not installed")
@pytest.mark.parametrize("repair", ["clean-up", "strays"])
def test_a_server_that_was_not_told_of_the_last_name_ends_with_the_repair(
    host, directory, containers, repair
):
    """The driver is killed after it has removed the file, and before it says so."""
    backend = BridgeBackend(directory / "run", aardvark=find_aardvark())
    pid_file = directory / "run/aardvark-dns/aardvark.pid"
    net = new_definition(NetworkCreateOptions(name="front"), [], Occupied())
    one = containers("one")
    request = one.request((net, ("10.72.0.2",)))
    host.do(lambda: backend.setup(request))
    wait_until(pid_file.exists, "the server is up")
    pid = int(pid_file.read_text())
    try:
        killed = host.do(
            lambda: killed_at(1, lambda: backend.teardown(request), lambda code: code.co_name == "_notify")
        )
        assert killed
        assert process_state(pid) not in ("", "Z")
        if repair == "clean-up":
            host.do(lambda: backend.teardown(request))
        else:
            one.close()
            wait_until(lambda: len(host.links()) == 2, "the kernel takes the pair away")
            found = host.do(lambda: backend.strays([], [net]))
            assert {stray.kind for stray in found} == {"bridge", "server"}
            host.do(lambda: backend.remove_strays(found))
            assert host.do(lambda: backend.strays([], [net])) == []
        wait_until(lambda: process_state(pid) in ("", "Z"), "the server ends")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
