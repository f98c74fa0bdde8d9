"""The bridge driver with real traffic, each test on a host made of a namespace."""

from __future__ import annotations

import pytest

from libpod.model.container_config import PortMapping
from libpod.network.bridge import BridgeBackend
from libpod.network.creation import (
    NetworkCreateOptions,
    Occupied,
    SubnetRequest,
    default_definition,
    new_definition,
)
from libpod.network.definitions import NetworkDefinition
from tests.network.conftest import cable

pytestmark = [pytest.mark.root, pytest.mark.network]


@pytest.fixture
def backend(directory):
    return BridgeBackend(directory / "run")


@pytest.fixture
def default() -> NetworkDefinition:
    return default_definition("podman", [], Occupied())


def test_two_containers_on_the_default_network_reach_each_other_and_the_host(
    host, backend, default, containers
):
    one, two = containers("one"), containers("two")
    status = host.do(lambda: backend.setup(one.request((default, ("10.77.0.2",)))))
    host.do(lambda: backend.setup(two.request((default, ("10.77.0.3",)))))
    one.serve_tcp(80, answer=b"one ")
    host.serve_tcp(81, answer=b"PEER ")

    assert two.ask("10.77.0.2", 80) == b"one hello"
    assert host.ask("10.77.0.2", 80) == b"one hello"
    assert two.ask("10.77.0.1", 81) == b"10.77.0.3 hello"
    interface = status["podman"].interfaces["eth0"]
    assert interface.subnets[0].ipnet == "10.77.0.2/16"
    assert interface.mac_address in one.sh("ip", "link", "show", "eth0")


def test_nothing_is_left_when_the_last_container_went(host, backend, default, containers):
    one, two = containers("one"), containers("two")
    port = PortMapping(container_port=80, host_port=8080)
    requests = [
        one.request((default, ("10.77.0.2",)), ports=(port,)),
        two.request((default, ("10.77.0.3",))),
    ]
    for request in requests:
        host.do(lambda request=request: backend.setup(request))
    host.do(lambda: backend.teardown(requests[0]))
    assert default.network_interface in host.links()
    assert "8080" not in host.ruleset()
    host.do(lambda: backend.teardown(requests[1]))
    assert host.links() == {"lo"}
    assert host.ruleset() == ""
    host.do(lambda: backend.teardown(requests[1]))


def test_a_published_port_answers_on_loopback_on_the_hosts_address_and_to_another_machine(
    host, machines, backend, default, containers
):
    far = machines("far")
    cable(host, far, left_address="192.0.2.1/24", right_address="192.0.2.2/24")
    server, neighbour = containers("server"), containers("neighbour")
    port = PortMapping(container_port=80, host_port=8080)
    host.do(lambda: backend.setup(server.request((default, ("10.77.0.2",)), ports=(port,))))
    host.do(lambda: backend.setup(neighbour.request((default, ("10.77.0.3",)))))
    server.serve_tcp(80, answer=b"PEER ")

    assert host.ask("127.0.0.1", 8080) == b"10.77.0.1 hello"
    assert host.ask("192.0.2.1", 8080).endswith(b" hello")
    assert far.ask("192.0.2.1", 8080) == b"192.0.2.2 hello"
    assert neighbour.ask("192.0.2.1", 8080) == b"10.77.0.1 hello"
    # … and the server itself by way of the host
    assert server.ask("192.0.2.1", 8080) == b"10.77.0.1 hello"


def test_a_container_reaches_another_machine_under_the_hosts_address(
    host, machines, backend, default, containers
):
    far = machines("far")
    cable(host, far, left_address="192.0.2.1/24", right_address="192.0.2.2/24")
    one = containers("one")
    host.do(lambda: backend.setup(one.request((default, ("10.77.0.2",)))))
    far.serve_tcp(80, answer=b"PEER ")
    assert one.ask("192.0.2.2", 80) == b"192.0.2.1 hello"


def test_udp_and_ranges_and_a_host_address_are_published(host, backend, default, containers):
    one = containers("one")
    ports = (
        PortMapping(container_port=53, host_port=5353, protocol="udp"),
        PortMapping(container_port=90, host_port=9000, range=3),
        PortMapping(container_port=80, host_port=8000, host_ip="127.0.0.1"),
    )
    host.do(lambda: backend.setup(one.request((default, ("10.77.0.2",)), ports=ports)))
    one.serve_udp(53, answer=b"udp ")
    one.serve_tcp(92, answer=b"third ")
    one.serve_tcp(80, answer=b"local ")
    assert host.ask_udp("127.0.0.1", 5353) == b"udp hello"
    assert host.ask("127.0.0.1", 9002) == b"third hello"
    assert host.ask("127.0.0.1", 8000) == b"local hello"
    assert not host.reaches("10.77.0.1", 8000)


def test_ipv6_works_inside_and_through_published_ports(host, machines, backend, containers):
    far = machines("far")
    cable(host, far, left_address="2001:db8::1/64", right_address="2001:db8::2/64")
    options = NetworkCreateOptions(
        name="six", subnets=(SubnetRequest(subnet="fd12:3456::/64"), SubnetRequest(subnet="10.5.0.0/24"))
    )
    six = new_definition(options, [], Occupied())
    one, two = containers("one"), containers("two")
    port = PortMapping(container_port=80, host_port=8080)
    host.do(lambda: backend.setup(one.request((six, ("fd12:3456::2", "10.5.0.2")), ports=(port,))))
    host.do(lambda: backend.setup(two.request((six, ("fd12:3456::3", "10.5.0.3")))))
    import socket

    one.serve_tcp(80, family=socket.AF_INET6, answer=b"PEER ")
    assert two.ask("fd12:3456::2", 80) == b"fd12:3456::3 hello"
    assert far.ask("2001:db8::1", 8080) == b"2001:db8::2 hello"
    assert host.ask("127.0.0.1", 8080).endswith(b" hello")
    far.serve_tcp(81, family=socket.AF_INET6, answer=b"PEER ")
    assert one.ask("2001:db8::2", 81) == b"2001:db8::1 hello"
