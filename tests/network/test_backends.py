"""What every driver promises: one suite for all of them."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from libpod.define.errors import InvalidArgumentError, NetworkError
from libpod.linux.namespaces import delete_network_namespace
from libpod.model.container_config import PortMapping
from libpod.network.base import NetworkBackend
from libpod.network.bridge import BridgeBackend
from libpod.network.creation import NetworkCreateOptions, Occupied, SubnetRequest, new_definition
from libpod.network.netavark import NetavarkBackend, find_netavark
from tests.network.conftest import wait_until
from tests.network.netavark_killed import connect_as_podman, rules_of

pytestmark = [pytest.mark.root, pytest.mark.network]


@attrs.frozen(kw_only=True)
class Driver:
    open: Callable[[Path], NetworkBackend]
    needs: str | None = ""
    leaves_nothing: bool = True
    """Whether the host's rules are as before when the last container went."""


DRIVERS = {
    "bridge": Driver(open=BridgeBackend),
    "netavark": Driver(
        open=lambda run: NetavarkBackend(run, program=find_netavark() or ""),
        needs=find_netavark(),
        leaves_nothing=False,
    ),
}


@pytest.fixture(params=DRIVERS)
def driver(request) -> Driver:
    found = DRIVERS[request.param]
    if found.needs is None:
        pytest.skip(f"{request.param} is not installed")
    return found


@pytest.fixture
def backend(driver, directory):
    return driver.open(directory / "run")


def network(name: str = "front", subnet: str = "10.5.0.0/24", *, short: str = "", **more):
    options = NetworkCreateOptions(
        name=name,
        interface_name=f"br-{short or name}",
        subnets=(SubnetRequest(subnet=subnet),),
        dns=False,
        **more,
    )
    return new_definition(options, [], Occupied())


def test_a_set_up_gives_addresses_a_mac_and_traffic(host, backend, containers):
    one, two = containers("one"), containers("two")
    net = network()
    status = host.do(lambda: backend.setup(one.request((net, ("10.5.0.2",)), mac="02:42:00:00:00:02")))
    host.do(lambda: backend.setup(two.request((net, ("10.5.0.3",)))))
    interface = status["front"].interfaces["eth0"]
    assert interface.mac_address == "02:42:00:00:00:02"
    assert [(item.ipnet, item.gateway) for item in interface.subnets] == [("10.5.0.2/24", "10.5.0.1")]
    one.serve_tcp(80, answer=b"PEER ")
    assert two.ask("10.5.0.2", 80) == b"10.5.0.3 hello"


def test_a_published_port_is_reached_from_the_host_and_withdrawn(host, backend, containers):
    one = containers("one")
    ports = (
        PortMapping(container_port=80, host_port=8080),
        PortMapping(container_port=90, host_port=9000, range=2),
    )
    request = one.request((network(), ("10.5.0.2",)), ports=ports)
    host.do(lambda: backend.setup(request))
    one.serve_tcp(80, answer=b"80 ")
    one.serve_tcp(91, answer=b"91 ")
    assert host.ask("127.0.0.1", 8080) == b"80 hello"
    assert host.ask("127.0.0.1", 9001) == b"91 hello"
    host.do(lambda: backend.teardown(request))
    assert not host.reaches("127.0.0.1", 8080)


def test_udp_is_published_and_ipv6_passes_between_containers(host, backend, containers):
    one, two = containers("one"), containers("two")
    options = NetworkCreateOptions(
        name="both",
        interface_name="br-both",
        subnets=(SubnetRequest(subnet="10.5.0.0/24"), SubnetRequest(subnet="fd05::/64")),
        dns=False,
    )
    net = new_definition(options, [], Occupied())
    port = PortMapping(container_port=53, host_port=5353, protocol="udp")
    request = one.request((net, ("10.5.0.2", "fd05::2")), ports=(port,))
    status = host.do(lambda: backend.setup(request))
    host.do(lambda: backend.setup(two.request((net, ("10.5.0.3", "fd05::3")))))
    given = status["both"].interfaces["eth0"].subnets
    assert {(item.ipnet, item.gateway) for item in given} == {
        ("10.5.0.2/24", "10.5.0.1"),
        ("fd05::2/64", "fd05::1"),
    }
    one.serve_udp(53, answer=b"udp ")
    assert host.ask_udp("127.0.0.1", 5353) == b"udp hello"
    one.serve_tcp(80, family=socket.AF_INET6)
    wait_until(lambda: two.reaches("fd05::2", 80), "the address is not tentative any more")
    assert two.ask("fd05::2", 80) == b"hello"


def test_several_networks_give_several_interfaces(host, backend, containers):
    one, two = containers("one"), containers("two")
    front, back = network(), network("back", "10.6.0.0/24")
    both = one.request((front, ("10.5.0.2",)), (back, ("10.6.0.2",)))
    status = host.do(lambda: backend.setup(both))
    assert {name: list(block.interfaces) for name, block in status.items()} == {
        "front": ["eth0"],
        "back": ["eth1"],
    }
    host.do(lambda: backend.setup(two.request((back, ("10.6.0.3",)))))
    one.serve_tcp(80)
    assert two.ask("10.6.0.2", 80) == b"hello"


def test_a_network_can_be_connected_and_disconnected_while_running(host, backend, containers):
    one, two = containers("one"), containers("two")
    front, back = network(), network("back", "10.6.0.0/24")
    host.do(lambda: backend.setup(one.request((front, ("10.5.0.2",)))))
    host.do(lambda: backend.setup(two.request((back, ("10.6.0.3",)))))
    one.serve_tcp(80)
    both = one.request((front, ("10.5.0.2",)), (back, ("10.6.0.2",)))
    assert list(host.do(lambda: backend.connect(both, ["back"]))) == ["back"]
    assert two.ask("10.6.0.2", 80) == b"hello"
    assert host.ask("10.5.0.2", 80) == b"hello"
    host.do(lambda: backend.disconnect(both, ["back"]))
    assert one.links() == {"lo", "eth0"}
    assert host.ask("10.5.0.2", 80) == b"hello"


def test_a_tear_down_may_be_repeated_and_needs_no_namespace(host, driver, backend, containers):
    one = containers("one")
    request = one.request((network(), ("10.5.0.2",)), ports=(PortMapping(container_port=80, host_port=8080),))
    host.do(lambda: backend.setup(request))
    host.do(lambda: backend.teardown(request))
    host.do(lambda: backend.teardown(request))
    assert host.links() == {"lo"}
    host.do(lambda: backend.setup(request))
    delete_network_namespace(one.path)
    host.do(lambda: backend.teardown(request))
    assert host.links() == {"lo"}
    assert "8080" not in host.ruleset()
    if driver.leaves_nothing:
        assert host.ruleset() == ""


def test_a_set_up_may_be_repeated(host, backend, containers):
    one = containers("one")
    request = one.request((network(), ("10.5.0.2",)), ports=(PortMapping(container_port=80, host_port=8080),))
    first = host.do(lambda: backend.setup(request))
    assert host.do(lambda: backend.setup(request)) == first
    one.serve_tcp(80)
    assert host.ask("127.0.0.1", 8080) == b"hello"


def test_an_internal_network_has_no_way_out(host, machines, backend, containers):
    one = containers("one")
    host.do(lambda: backend.setup(one.request((network(internal=True), ("10.5.0.2",)))))
    assert "default" not in one.sh("ip", "route")


@pytest.mark.parametrize(
    ("addresses", "message"),
    [(("10.5.1.2",), "no subnet"), (("10.5.0.1",), "gateway"), (("nonsense",), "not an IP address")],
)
def test_a_request_that_cannot_work_changes_nothing(host, backend, containers, addresses, message):
    with pytest.raises(InvalidArgumentError, match=message):
        host.do(lambda: backend.setup(containers().request((network(), addresses))))
    assert host.links() == {"lo"}


def test_a_missing_namespace_is_said(host, backend, containers):
    one = containers("one")
    delete_network_namespace(one.path)
    with pytest.raises(NetworkError, match="namespace of container"):
        host.do(lambda: backend.setup(one.request((network(), ("10.5.0.2",)))))
    assert host.links() == {"lo"}


def test_the_rules_come_back_after_a_flush(host, backend, containers):
    one = containers("one")
    request = one.request((network(), ("10.5.0.2",)), ports=(PortMapping(container_port=80, host_port=8080),))
    host.do(lambda: backend.setup(request))
    host.sh("nft", "flush", "ruleset")
    assert not host.reaches("127.0.0.1", 8080)
    host.do(lambda: backend.reload(request))
    one.serve_tcp(80)
    assert host.ask("127.0.0.1", 8080) == b"hello"


@pytest.mark.skipif(find_netavark() is None, reason="netavark is not installed")
def test_a_container_of_podmans_beside_ours_is_left_alone(host, directory, driver, backend, containers):
    """Its network has the name of ours, and netavark calls its chains after the name."""
    theirs, ours = containers("theirs"), containers("ours")
    host.do(
        lambda: connect_as_podman(directory, theirs.path, network("front", "10.88.0.0/16", short="theirs"))
    )
    theirs.serve_tcp(80, answer=b"PEER ")
    before = host.do(lambda: rules_of("iptables-save"))
    request = ours.request(
        (network(short="ours"), ("10.5.0.2",)), ports=(PortMapping(container_port=80, host_port=8080),)
    )
    host.do(lambda: backend.setup(request))
    ours.serve_tcp(80)
    assert host.ask("127.0.0.1", 8080) == b"hello"
    assert host.ask("127.0.0.1", 9090).endswith(b" hello")
    assert ours.ask("10.88.0.5", 80).endswith(b" hello")
    if driver.leaves_nothing:
        assert host.do(lambda: rules_of("iptables-save")) == before
    host.do(lambda: backend.teardown(request))
    assert host.do(lambda: rules_of("iptables-save")) == before
    assert host.ask("127.0.0.1", 9090).endswith(b" hello")
    legacy = Path("/proc/thread-self/net/ip_tables_names")
    assert host.do(lambda: legacy.read_text() if legacy.exists() else "") == ""
