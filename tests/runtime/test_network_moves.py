"""Freezing and waking containers that hang on networks: addresses, ports and living connections."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import libpod
from libpod.checkpoint.criu import find_criu
from libpod.container_internal import checkpointing, restoring
from libpod.linux.namespaces import run_in_netns
from libpod.linux.nft import run_nft
from libpod.network.netavark import find_netavark
from tests.engines import Engine, until
from tests.network.conftest import Machine, cable
from tests.runtime.moves import kill_at
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


@pytest.mark.parametrize("client_is", ["local", "remote"])
@pytest.mark.parametrize("first", ["client", "container"])
def test_whoever_speaks_first_after_a_freeze_is_heard(runtime, host, machines, first, client_is):
    """Through a published port; the bridge goes while its only container is frozen."""
    address, machine = "127.0.0.1", host
    if client_is == "remote":
        address, machine = "192.0.2.1", machines("client")
        cable(host, machine, left_address="192.0.2.1/24", right_address="192.0.2.2/24")
    counting = "i=0; while sleep 0.1; do i=$((i+1)); echo $i; done"
    command = ECHO if first == "client" else ("nc", "-l", "-p", "80", "-e", "sh", "-c", counting)
    web = host.do(lambda: runtime.run("bb:1", *command, name="web", publish=["8080:80"]))
    with connected(machine, address, 8080) as client:
        client.settimeout(60)
        if first == "client":
            assert echoes(client, b"before")
        else:
            stream = client.makefile()
            assert [next(stream) for _ in range(2)] == ["1\n", "2\n"]
        host.do(lambda: runtime.checkpoint("web", tcp_established=True))
        assert not any(name.startswith("libpod") for name in host.links()), "the bridge is gone"
        if first == "client":
            client.sendall(b"meanwhile")
        time.sleep(1)
        host.do(lambda: runtime.restore("web", tcp_established=True))
        if first == "client":
            assert client.recv(9) == b"meanwhile"
            assert echoes(client, b"after")
        else:
            assert [next(stream) for _ in range(10)] == [f"{number}\n" for number in range(3, 13)]
    host.do(lambda: web.remove(force=True, timeout=0))


@pytest.mark.skipif(find_netavark() is None, reason="netavark is not installed")
def test_a_living_connection_its_address_and_port_come_back_over_netavark_too(engine, host):
    """To the container's address; one through a published port is reset, as docs/networking.md says."""
    with engine.runtime(network_backend="netavark") as runtime:
        web = host.do(lambda: runtime.run("bb:1", *ECHO, name="web", publish=["8080:80"]))
        before = address_of(web), mac_of(web)
        with connected(host, address_of(web), 80) as client:
            assert echoes(client, b"before")
            host.do(lambda: runtime.checkpoint("web", tcp_established=True))
            assert host.links() == {"lo"}
            client.sendall(b"meanwhile")
            host.do(lambda: runtime.restore("web", tcp_established=True))
            assert (address_of(web), mac_of(web)) == before
            client.settimeout(60)
            assert client.recv(9) == b"meanwhile"
            assert echoes(client, b"after")
        assert "dport 8080" in host.ruleset()
        host.do(lambda: web.remove(force=True, timeout=0))
    assert host.links() == {"lo"}
    assert "dport 8080" not in host.ruleset()


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


# ---- what is kept of address and MAC: podman's issue 16666 ----------------------------------------------------------

STATIC = {"ip": "10.77.5.5", "mac_address": "02:00:00:00:05:05"}
IP, MAC = "ignore_static_ip", "ignore_static_mac"


@pytest.mark.parametrize(
    ("made_with", "restored_with", "keeps"),
    [
        ({}, {}, {"ip", "mac"}),
        ({}, {IP: True}, {"mac"}),
        ({}, {MAC: True}, {"ip"}),
        ({}, {"name": "copy"}, set()),
        (STATIC, {}, {"ip", "mac"}),
        (STATIC, {IP: True, MAC: True}, set()),
        (STATIC, {"name": "copy"}, {"ip", "mac"}),
        (STATIC, {"name": "copy", IP: True}, {"mac"}),
        (STATIC, {"name": "copy", MAC: True}, {"ip"}),
    ],
    ids=lambda value: "-".join(sorted(value)) or "none",
)
def test_an_import_keeps_what_it_should(runtime, host, tmp_path, made_with, restored_with, keeps):
    web = host.do(lambda: runtime.run("bb:1", "sleep", "1000", name="web", **made_with))
    # Takes the next address, so that one that is chosen anew is another than before.
    other = host.do(lambda: runtime.run("bb:1", "sleep", "1000"))
    before = {"ip": address_of(web), "mac": mac_of(web)}
    host.do(lambda: runtime.checkpoint("web", export=tmp_path / "c.tar"))
    host.do(web.remove)
    found = host.do(lambda: runtime.restore(import_=tmp_path / "c.tar", **restored_with))
    after = {"ip": address_of(found), "mac": mac_of(found)}
    assert {key for key in before if before[key] == after[key]} == keeps
    assert after["ip"] in found.run("ip", "addr").stdout.decode()
    assert after["mac"] in found.run("ip", "link").stdout.decode()
    host.do(lambda: found.restart(timeout=0))
    if made_with:
        assert {"ip": address_of(found), "mac": mac_of(found)} == before, "the record was not changed"
    for container in (found, other):
        host.do(lambda container=container: container.remove(force=True, timeout=0))
    assert host.links() == {"lo"}


def test_what_a_copy_cannot_have_is_refused_with_the_owner_and_leaves_nothing(runtime, host, tmp_path):
    web = host.do(lambda: runtime.run("bb:1", *ECHO, name="web", publish=["8080:80"], ip="10.77.5.5"))
    host.do(lambda: runtime.checkpoint("web", export=tmp_path / "c.tar", leave_running=True))
    with pytest.raises(libpod.RestoreError, match="8080/tcp is in use by container web"):
        host.do(lambda: runtime.restore(import_=tmp_path / "c.tar", name="copy", ignore_static_ip=True))
    with pytest.raises(libpod.RestoreError, match=r"10\.77\.5\.5"):
        host.do(lambda: runtime.restore(import_=tmp_path / "c.tar", name="copy", publish=["8081:80"]))
    assert [item.name for item in runtime.containers()] == ["web"]
    assert {claim.owner for claim in runtime._services.state.claims()} == {web.id}
    with connected(host, "127.0.0.1", 8080) as client:
        assert echoes(client, b"undisturbed")
    host.do(lambda: web.remove(force=True, timeout=0))
    assert host.links() == {"lo"}


def test_ports_come_with_an_import_or_are_changed_by_it(runtime, host, web, tmp_path):
    host.do(lambda: runtime.checkpoint("web", export=tmp_path / "c.tar"))
    host.do(web.remove)
    same = host.do(lambda: runtime.restore(import_=tmp_path / "c.tar"))
    with connected(host, "127.0.0.1", 8080) as client:
        assert echoes(client, b"same")
    host.do(lambda: same.remove(force=True, timeout=0))
    other = host.do(lambda: runtime.restore(import_=tmp_path / "c.tar", publish=["127.0.0.1:8085:80"]))
    with connected(host, "127.0.0.1", 8085) as client:
        assert echoes(client, b"other")
    assert not host.reaches("127.0.0.1", 8080)
    assert [item.ports[0].host_port for item in runtime.containers()] == [8085]
    host.do(lambda: other.remove(force=True, timeout=0))


# ---- never left blocked ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "phase", "delay"),
    [
        ("checkpoint", checkpointing.FREEZING, None),
        ("checkpoint", checkpointing.FREEZING, 0.05),
        ("checkpoint", checkpointing.RELEASING, None),
        ("restore", restoring.PREPARING, None),
        ("restore", restoring.WAKING, None),
        ("restore", restoring.WAKING, 0.05),
    ],
    ids=lambda value: str(value).split()[0],
)
def test_a_connection_outlives_a_kill_in_the_middle(engine, host, verb, phase, delay):
    with engine.runtime() as runtime:
        host.do(lambda: runtime.run("bb:1", *ECHO, name="web", publish=["8080:80"]))
        client = connected(host, "127.0.0.1", 8080)
        assert echoes(client, b"before")
        if verb == "restore":
            host.do(lambda: runtime.checkpoint("web", tcp_established=True))
    with client:
        host.do(lambda: kill_at(engine, verb, phase, delay=delay, container="web", tcp_established=True))
        client.sendall(b"meanwhile")
        runtime = host.do(engine.runtime)
        web = runtime.container("web")
        if web.status() is not libpod.ContainerStatus.RUNNING:
            host.do(lambda: runtime.restore("web", tcp_established=True))
        client.settimeout(60)
        assert client.recv(9) == b"meanwhile"
        assert echoes(client, b"after")
        assert "hold" not in host.ruleset()
        assert "hold" not in run_in_netns(Path(web.state().netns), lambda: run_nft("list ruleset\n"))
        host.do(lambda: web.remove(force=True, timeout=0))
        runtime.close()
    assert host.links() == {"lo"}
    assert host.ruleset() == ""


def test_a_connection_outlives_a_criu_that_is_killed(engine, host, tmp_path):
    """Where it was killed decides whether the container lives; nobody is kept from it in either case."""
    real = find_criu()
    wrapper = tmp_path / "criu"
    wrapper.write_text(
        f"""#!/bin/sh
case "$*" in *swrk*) ;; *) exec {real} "$@" ;; esac
{real} "$@" & dump=$!
( while kill -0 $dump 2> /dev/null; do
    if ls {engine.root}/overlay-containers/*/userdata/checkpoint/core-* > /dev/null 2>&1; then kill -9 $dump; fi
  done ) &
wait $dump
"""
    )
    wrapper.chmod(0o755)
    with engine.runtime(criu_path=str(wrapper)) as runtime:
        web = host.do(lambda: runtime.run("bb:1", *ECHO, name="web", publish=["8080:80"]))
        with connected(host, "127.0.0.1", 8080) as client:
            assert echoes(client, b"before")
            with pytest.raises(libpod.CheckpointError):
                host.do(lambda: runtime.checkpoint("web", tcp_established=True))
            if web.status() is libpod.ContainerStatus.RUNNING:
                client.settimeout(60)
                assert echoes(client, b"after")
            else:
                host.do(web.start)
        host.do(lambda: web.restart(timeout=0))
        with connected(host, "127.0.0.1", 8080) as client:
            assert echoes(client, b"again")
        assert "hold" not in host.ruleset()
        host.do(lambda: web.remove(force=True, timeout=0))
