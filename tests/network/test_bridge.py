"""The bridge driver with real traffic, each test on a host made of a namespace."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from libpod.define.errors import NetworkError
from libpod.model.container_config import PortMapping
from libpod.network.bridge import BridgeBackend
from libpod.network.creation import (
    NetworkCreateOptions,
    Occupied,
    SubnetRequest,
    default_definition,
    new_definition,
)
from libpod.network.definitions import NetworkDefinition, Route
from tests.network.conftest import cable

pytestmark = [pytest.mark.root, pytest.mark.network]
ROOT = Path(__file__).parents[2]


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
    one.serve_tcp(80, family=socket.AF_INET6, answer=b"PEER ")
    assert two.ask("fd12:3456::2", 80) == b"fd12:3456::3 hello"
    assert far.ask("2001:db8::1", 8080) == b"2001:db8::2 hello"
    assert host.ask("127.0.0.1", 8080).endswith(b" hello")
    far.serve_tcp(81, family=socket.AF_INET6, answer=b"PEER ")
    assert one.ask("2001:db8::2", 81) == b"2001:db8::1 hello"


def network(name: str, subnet: str, **more) -> NetworkDefinition:
    options = NetworkCreateOptions(
        name=name, interface_name=f"br-{name}", subnets=(SubnetRequest(subnet=subnet),), **more
    )
    return new_definition(options, [], Occupied())


def test_what_the_host_serves_on_loopback_stays_closed_to_containers(host, backend, default, containers):
    one = containers("one")
    port = PortMapping(container_port=80, host_port=8080)
    host.do(lambda: backend.setup(one.request((default, ("10.77.0.2",)), ports=(port,))))
    host.serve_tcp(90)
    one.sh("ip", "addr", "del", "127.0.0.1/8", "dev", "lo")
    one.sh("ip", "route", "add", "127.0.0.1/32", "via", "10.77.0.1", "dev", "eth0", "src", "10.77.0.2")
    assert one.ask("10.77.0.1", 90) == b"hello"
    assert not one.reaches("127.0.0.1", 90)


def test_isolated_networks_do_not_reach_each_other_but_others_reach_them(host, backend, containers):
    isolated = [network(name, f"10.5.{n}.0/24", options={"isolate": "true"}) for n, name in enumerate("ab")]
    strict = network("c", "10.5.2.0/24", options={"isolate": "strict"})
    plain = network("d", "10.5.3.0/24")
    made = {}
    for n, definition in enumerate([*isolated, strict, plain]):
        made[definition.name] = container = containers(definition.name)
        request = container.request((definition, (f"10.5.{n}.2",)))
        host.do(lambda request=request: backend.setup(request))
        container.serve_tcp(80)
    assert made["d"].ask("10.5.0.2", 80) == b"hello"
    assert not made["a"].reaches("10.5.1.2", 80, timeout=0.5)
    assert not made["d"].reaches("10.5.2.2", 80, timeout=0.5)
    assert not made["c"].reaches("10.5.3.2", 80, timeout=0.5)
    assert host.ask("10.5.2.2", 80) == b"hello"


def test_an_internal_network_is_reached_by_nobody_else(host, machines, backend, containers):
    far = machines("far")
    cable(host, far, left_address="192.0.2.1/24", right_address="192.0.2.2/24")
    far.sh("ip", "route", "add", "10.5.0.0/16", "via", "192.0.2.1")
    inner, outer = containers("inner"), containers("outer")
    host.do(
        lambda: backend.setup(inner.request((network("in", "10.5.0.0/24", internal=True), ("10.5.0.2",))))
    )
    host.do(lambda: backend.setup(outer.request((network("out", "10.5.1.0/24"), ("10.5.1.2",)))))
    inner.sh("ip", "route", "add", "default", "via", "10.5.0.1")
    far.serve_tcp(80)
    outer.serve_tcp(80)
    assert outer.ask("192.0.2.2", 80) == b"hello"
    assert not inner.reaches("192.0.2.2", 80, timeout=0.5)
    assert not inner.reaches("10.5.1.2", 80, timeout=0.5)


def test_a_port_that_another_container_publishes_is_refused_with_its_owner(
    host, backend, default, containers
):
    one, two = containers("one"), containers("two")
    ports = (PortMapping(container_port=80, host_port=8080),)
    host.do(lambda: backend.setup(one.request((default, ("10.77.0.2",)), ports=ports)))
    clash = two.request(
        (default, ("10.77.0.3",)), ports=(PortMapping(container_port=1, host_port=8080, host_ip="127.0.0.1"),)
    )
    with pytest.raises(NetworkError, match=f"8080/tcp is in use by container {one.id[:12]}"):
        host.do(lambda: backend.setup(clash))
    assert two.links() == {"lo"}
    one.serve_tcp(80)
    assert host.ask("127.0.0.1", 8080) == b"hello"


def test_published_ports_move_to_another_network_when_theirs_is_disconnected(host, backend, containers):
    one = containers("one")
    front, back = network("front", "10.5.0.0/24"), network("back", "10.6.0.0/24")
    both = one.request(
        (front, ("10.5.0.2",)), (back, ("10.6.0.2",)), ports=(PortMapping(container_port=80, host_port=8080),)
    )
    host.do(lambda: backend.setup(both))
    one.serve_tcp(80)
    assert host.ask("127.0.0.1", 8080) == b"hello"
    host.do(lambda: backend.disconnect(both, ["front"]))
    assert host.ask("127.0.0.1", 8080) == b"hello"
    assert "br-front" not in host.links()


def test_a_restart_has_the_same_mac_and_another_container_another(host, backend, default, containers):
    one, two = containers("one"), containers("two")

    def mac(container, address):
        request = container.request((default, (address,)))
        status = host.do(lambda: backend.setup(request))
        host.do(lambda: backend.teardown(request))
        return status["podman"].interfaces["eth0"].mac_address

    assert mac(one, "10.77.0.2") == mac(one, "10.77.0.2") != mac(two, "10.77.0.2")


def test_the_mtu_of_a_network_reaches_its_containers(host, backend, containers):
    one = containers("one")
    host.do(
        lambda: backend.setup(
            one.request((network("n", "10.5.0.0/24", options={"mtu": "1380"}), ("10.5.0.2",)))
        )
    )
    assert "mtu 1380" in one.sh("ip", "link", "show", "eth0")
    assert "mtu 1380" in host.sh("ip", "link", "show", "br-n")


def test_static_routes_are_set(host, backend, containers):
    one = containers("one")
    net = network(
        "n", "10.5.0.0/24", routes=(Route(destination="10.99.0.0/16", gateway="10.5.0.9", metric=7),)
    )
    host.do(lambda: backend.setup(one.request((net, ("10.5.0.2",)))))
    assert "10.99.0.0/16 via 10.5.0.9 dev eth0 proto static metric 7" in one.sh("ip", "route")


def test_an_unmanaged_bridge_is_used_as_it_is_and_stays(host, backend, containers):
    host.sh("ip", "link", "add", "mine", "type", "bridge")
    host.sh("ip", "addr", "add", "10.5.0.1/24", "dev", "mine")
    host.sh("ip", "link", "set", "mine", "up")
    options = NetworkCreateOptions(
        name="un",
        interface_name="mine",
        subnets=(SubnetRequest(subnet="10.5.0.0/24"),),
        options={"mode": "unmanaged"},
    )
    unmanaged = new_definition(options, [], Occupied())
    one = containers("one")
    request = one.request((unmanaged, ("10.5.0.2",)))
    host.do(lambda: backend.setup(request))
    one.serve_tcp(80)
    assert host.ask("10.5.0.2", 80) == b"hello"
    assert host.ruleset() == ""
    host.do(lambda: backend.teardown(request))
    assert host.links() == {"lo", "mine"}


def test_somebody_elses_interface_is_not_taken_for_the_bridge(host, backend, default, containers):
    host.sh("ip", "link", "add", default.network_interface, "type", "bridge")
    with pytest.raises(NetworkError, match="exists and is not its bridge"):
        host.do(lambda: backend.setup(containers().request((default, ("10.77.0.2",)))))
    assert default.network_interface in host.links()
    assert host.ruleset() == ""


def test_a_macvlan_shares_its_parent_and_goes_with_the_namespace(host, machines, backend, containers):
    far = machines("far")
    cable(host, far, left_address="192.0.2.1/24", right_address="192.0.2.2/24")
    options = NetworkCreateOptions(
        name="lan",
        driver="macvlan",
        subnets=(SubnetRequest(subnet="192.0.2.0/24", gateway="192.0.2.2"),),
        options={"parent": "up0"},
    )
    lan = new_definition(options, [], Occupied())
    one = containers("one")
    request = one.request((lan, ("192.0.2.77",)), mac="02:42:00:00:00:77")
    host.do(lambda: backend.setup(request))
    one.serve_tcp(80, answer=b"PEER ")
    assert far.ask("192.0.2.77", 80) == b"192.0.2.2 hello"
    assert "02:42:00:00:00:77" in one.sh("ip", "link", "show", "eth0")
    host.do(lambda: backend.teardown(request))
    assert one.links() == {"lo"}
    assert host.ruleset() == ""


def test_other_tools_rules_stay_as_they_are(host, backend, default, containers):
    chain = "type filter hook input priority filter; policy accept;"
    foreign = f"table inet podman_like {{\n\tchain input {{\n\t\t{chain}\n\t}}\n}}\n"
    host.do(lambda: subprocess.run(["nft", "-f", "-"], input=foreign, text=True, check=True))
    one = containers("one")
    request = one.request((default, ("10.77.0.2",)), ports=(PortMapping(container_port=80, host_port=8080),))
    host.do(lambda: backend.setup(request))
    host.do(lambda: backend.teardown(request))
    assert host.ruleset() == foreign


def test_it_works_beside_a_running_event_loop(host, backend, default, containers):
    one = containers("one")
    request = one.request((default, ("10.77.0.2",)))

    async def embedded() -> None:
        backend.setup(request)
        backend.teardown(request)

    host.do(lambda: asyncio.run(embedded()))
    assert host.links() == {"lo"}


def test_no_module_of_networks_imports_pyroute2_before_it_is_needed():
    code = (
        "import sys, pkgutil, importlib, libpod.network as n\n"
        "for m in pkgutil.iter_modules(n.__path__): importlib.import_module(f'libpod.network.{m.name}')\n"
        "sys.exit(any(name.startswith('pyroute2') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_a_container_more_on_a_bridge_is_set_up_and_taken_down_quickly(host, backend, default, containers):
    """Far from the benchmark's figure: only a change of kind (a process per step, a wait) should fail here."""
    keeper, one = containers("keeper"), containers("one")
    host.do(lambda: backend.setup(keeper.request((default, ("10.77.0.9",)))))
    request = one.request((default, ("10.77.0.2",)))
    took = []
    for _ in range(3):
        start = time.monotonic()
        host.do(lambda: backend.setup(request))
        host.do(lambda: backend.teardown(request))
        took.append(time.monotonic() - start)
    assert min(took) < 15.0
