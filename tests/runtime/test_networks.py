"""Containers on networks, through the whole engine, on a host made of a network namespace."""

from __future__ import annotations

import pytest

import libpod
from libpod.container_internal import bridging
from libpod.network.creation import NetworkCreateOptions, new_definition
from tests.engines import lines, until
from tests.network.conftest import Machine

pytestmark = [pytest.mark.root, pytest.mark.network]

SERVE = "while true; do echo served by $(hostname) | nc -l -p 80; done"


def address_of(container: libpod.Container) -> str:
    status = container.state().network_status
    return str(status["podman"]["interfaces"]["eth0"]["subnets"][0]["ipnet"]).partition("/")[0]


def answer_of(machine: Machine, port: int) -> bytes:
    """What a server says, b"" while it does not: one nc serves one connection, and then the next one starts."""
    try:
        return machine.ask("127.0.0.1", port, b"")
    except OSError:
        return b""


def test_a_container_has_an_address_a_route_and_its_name(runtime, host):
    script = "ip addr show eth0; ip route; cat /etc/hosts"
    container = host.do(lambda: runtime.run("bb:1", "sh", "-c", script, name="net1", hostname="box"))
    assert container.wait() == 0
    text = "\n".join(lines(container))
    assert "inet 10.77.0." in text
    assert "default via 10.77.0.1 dev eth0" in text
    assert "\tbox net1" in text
    assert "10.77.0.1\thost.containers.internal" in text
    host.do(lambda: container.remove(force=True))


def test_published_ports_answer_and_everything_goes_with_the_container(runtime, host):
    container = host.do(lambda: runtime.run("bb:1", "sh", "-c", SERVE, hostname="web", publish=["8080:80"]))
    answer = until(lambda: answer_of(host, 8080))
    assert answer == b"served by web\n"
    host.do(lambda: container.remove(force=True, timeout=0))
    assert host.links() == {"lo"}
    assert host.ruleset() == ""


def test_containers_do_not_get_the_same_address_and_ports_are_refused_with_the_owner(runtime, host):
    first = host.do(lambda: runtime.run("bb:1", "sleep", "1000", name="first", publish=["8080:80"]))
    second = host.do(lambda: runtime.run("bb:1", "sleep", "1000"))
    assert address_of(first) != address_of(second)
    third = host.do(lambda: runtime.create("bb:1", "true", publish=["127.0.0.1:8080:81"]))
    with pytest.raises(libpod.NetworkError, match="8080/tcp is in use by container first"):
        host.do(third.start)
    for container in (first, second, third):
        host.do(lambda container=container: container.remove(force=True, timeout=0))
    assert host.links() == {"lo"}


def test_a_free_host_port_is_chosen_once_and_kept(runtime, host):
    container = host.do(lambda: runtime.run("bb:1", "sleep", "1000", publish=["80"]))
    (port,) = container.config.port_mappings
    assert port.host_port >= 10000
    host.do(lambda: container.restart(timeout=0))
    assert container.config.port_mappings == (port,)
    host.do(lambda: container.remove(force=True, timeout=0))


def test_containers_of_one_network_know_each_other_by_hosts_files(runtime, host, monkeypatch):
    """Where no DNS server is installed."""
    monkeypatch.setattr(bridging, "find_aardvark", lambda: None)
    definitions = bridging.definitions_of(runtime._services)
    definitions.add(lambda others: new_definition(NetworkCreateOptions(name="front"), others))
    try:
        first = host.do(lambda: runtime.run("bb:1", "sleep", "1000", name="first", network="front"))
        second = host.do(
            lambda: runtime.run("bb:1", "sleep", "1000", name="second", network="front:alias=db")
        )

        def hosts(container):
            return (runtime._services.run_directory(container.id) / "hosts").read_text()

        assert f"\tfirst {first.id[:12]}\n" in hosts(second)
        assert f"\tsecond db {second.id[:12]}\n" in hosts(first)
        host.do(lambda: second.remove(force=True, timeout=0))
        assert "second" not in hosts(first)
        host.do(lambda: first.remove(force=True, timeout=0))
    finally:
        definitions.remove("front")
