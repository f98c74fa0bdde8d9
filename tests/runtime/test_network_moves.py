"""Freezing and waking containers that hang on networks: addresses, ports and living connections."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

import libpod
from tests.engines import Engine, until
from tests.network.conftest import Machine, cable
from tests.runtime.test_networks import address_of

pytestmark = [pytest.mark.root, pytest.mark.network, pytest.mark.criu]

ECHO = ("nc", "-l", "-p", "80", "-e", "cat")


def mac_of(container: libpod.Container) -> str:
    return str(container.state().network_status["podman"]["interfaces"]["eth0"]["mac_address"])


@pytest.fixture
def web(runtime, host) -> Iterator[libpod.Container]:
    """A container that echoes one connection, on the host of the test."""
    container = host.do(lambda: runtime.run("bb:1", *ECHO, name="web", publish=["8080:80"]))
    yield container
    with contextlib.suppress(libpod.NoSuchContainerError):
        host.do(lambda: container.remove(force=True, timeout=0))


def connected(machine: Machine, address: str, port: int):
    """A connection to the echo, which takes one only: no trying beforehand."""

    def attempt():
        with contextlib.suppress(OSError):
            return machine.connect(address, port, timeout=30)
        return None

    return until(attempt)


def echoes(client, word: bytes) -> bool:
    client.sendall(word)
    received = b""
    while len(received) < len(word):
        data = client.recv(len(word) - len(received))
        if not data:
            return False
        received += data
    return received == word


def test_address_and_mac_come_back_in_place(runtime, host, web):
    before = address_of(web), mac_of(web)
    other = host.do(lambda: runtime.run("bb:1", "sleep", "1000"))
    host.do(lambda: runtime.checkpoint("web"))
    assert web.state().network_status == {}
    host.do(lambda: runtime.restore("web"))
    assert (address_of(web), mac_of(web)) == before
    with connected(host, "127.0.0.1", 8080) as client:
        assert echoes(client, b"after")
    host.do(lambda: other.remove(force=True, timeout=0))


def test_address_and_mac_are_dropped_on_demand_and_under_a_new_name(runtime, host, web, tmp_path):
    address, mac = address_of(web), mac_of(web)
    host.do(lambda: runtime.checkpoint("web", export=tmp_path / "c.tar", leave_running=True))
    copy = host.do(lambda: runtime.restore(import_=tmp_path / "c.tar", name="copy", publish=["8081:80"]))
    assert address_of(copy) != address
    assert mac_of(copy) != mac
    with connected(host, "127.0.0.1", 8081) as client:
        assert echoes(client, b"copy")
    host.do(lambda: copy.remove(force=True, timeout=0))


def test_a_living_connection_outlives_a_freeze_in_place(runtime, host, web):
    with connected(host, "127.0.0.1", 8080) as client:
        assert echoes(client, b"before")
        host.do(lambda: runtime.checkpoint("web", tcp_established=True))
        client.sendall(b"meanwhile")
        host.do(lambda: runtime.restore("web", tcp_established=True))
        client.settimeout(60)
        assert client.recv(9) == b"meanwhile"
        assert echoes(client, b"after")
    assert "hold" not in host.ruleset()


def test_a_living_connection_moves_to_another_host(
    runtime,
    host,
    machines,
    web,
    other_engine: Engine,
    tmp_path,
):
    """The client speaks to the container's address; its route follows the container."""
    there, client_machine = machines("there"), machines("client")
    cable(client_machine, host, left_address="192.0.2.2/24", right_address="192.0.2.1/24", name="a")
    cable(client_machine, there, left_address="198.51.100.2/24", right_address="198.51.100.1/24", name="b")
    client_machine.sh("ip", "addr", "add", "203.0.113.5/32", "dev", "lo")
    for machine, back in ((host, "192.0.2.2"), (there, "198.51.100.2")):
        machine.sh("ip", "route", "add", "203.0.113.5/32", "via", back)
    route = ("10.77.0.0/16", "src", "203.0.113.5")
    client_machine.sh("ip", "route", "add", route[0], "via", "192.0.2.1", *route[1:])
    archive = tmp_path / "web.tar"
    with connected(client_machine, address_of(web), 80) as client, other_engine.runtime() as other:
        assert client.getsockname()[0] == "203.0.113.5"
        assert echoes(client, b"before")
        host.do(lambda: runtime.checkpoint("web", export=archive, tcp_established=True))
        client.sendall(b"meanwhile")
        client_machine.sh("ip", "route", "replace", route[0], "via", "198.51.100.1", *route[1:])
        moved = there.do(lambda: other.restore(import_=archive, tcp_established=True))
        client.settimeout(60)
        assert client.recv(9) == b"meanwhile"
        assert echoes(client, b"after")
        there.do(lambda: moved.remove(force=True, timeout=0))
    assert there.links() == {"lo", "b"}
    assert there.ruleset() == ""


def test_connections_are_closed_on_demand(runtime, host, web, tmp_path):
    """runc has no flag for it: CRIU hears of it through its configuration file, for this restore only."""
    with connected(host, "127.0.0.1", 8080) as client:
        assert echoes(client, b"before")
        host.do(lambda: runtime.checkpoint("web", export=tmp_path / "c.tar", tcp_established=True))
    host.do(web.remove)
    twin = host.do(lambda: runtime.restore(import_=tmp_path / "c.tar", tcp_close=True))
    assert until(lambda: twin.status() is libpod.ContainerStatus.EXITED), (
        "cat reads the end of its connection"
    )
    directory = runtime.root / "overlay-containers" / twin.id / "userdata"
    assert not (directory / "criu.conf").exists()
    assert "org.criu.config" not in (directory / "config.json").read_text()
    host.do(lambda: twin.remove(force=True, timeout=0))
