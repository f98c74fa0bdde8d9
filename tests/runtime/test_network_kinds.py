"""Kinds of networks and modes, with real containers and traffic: IPv6, internal, isolated, routes, pods, shared."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator

import pytest

import libpod
from libpod.linux.links import links
from libpod.linux.namespaces import create_network_namespace, delete_network_namespace, run_in_netns
from tests.engines import until
from tests.network.conftest import Machine, cable
from tests.runtime.test_networks import SERVE, answer_of

pytestmark = [pytest.mark.root, pytest.mark.network]

Make = Callable[..., libpod.Network]
Run = Callable[..., libpod.Container]


@pytest.fixture
def network(runtime, host) -> Iterator[Make]:
    """Makes networks; they and their containers go with the test."""
    made: list[libpod.Network] = []

    def make(name: str, **options) -> libpod.Network:
        made.append(runtime.create_network(name, **options))
        return made[-1]

    yield make
    for item in made:
        host.do(lambda item=item: item.remove(force=True, timeout=0))
    host.do(
        lambda: [runtime.container(item.id).remove(force=True, timeout=0) for item in runtime.containers()]
    )
    assert host.links() - {"up0"} == {"lo"}
    assert host.ruleset() == ""


@pytest.fixture
def run(runtime, host) -> Run:
    """Starts a container that sleeps."""
    return lambda network, **options: host.do(
        lambda: runtime.run("bb:1", "sleep", "1000", network=network, **options)
    )


def addresses(container: libpod.Container, network: str) -> list[str]:
    (interface,) = container.state().network_status[network]["interfaces"].values()
    return [str(item["ipnet"]).partition("/")[0] for item in interface["subnets"]]


def refused_by(container: libpod.Container, address: str) -> bool:
    """Whether somebody is at that address: nobody listens there, but a refusal comes back."""
    return b"refused" in container.run("nc", "-w", "2", address, "99").stderr


def test_a_network_with_several_subnets_of_both_families(network, run, host):
    network("wide", subnets=["10.71.1.0/24", "10.71.2.0/24", "fd00:71::/64"])
    first, second = run("wide"), run("wide")
    assert len(addresses(second, "wide")) == 3
    for address in addresses(second, "wide"):
        assert until(lambda address=address: refused_by(first, address)), address
    routes = first.run("ip", "route").stdout.decode()
    assert "default via 10.71.1.1 dev eth0  metric 100" in routes
    assert "default via fd00:71::1 dev eth0" in first.run("ip", "-6", "route").stdout.decode()


def test_ipv6_reaches_another_machine_and_its_port_is_reached(network, host, machines, runtime):
    world = machines("world")
    cable(host, world, left_address="2001:db8::1/64", right_address="2001:db8::2/64")
    world.serve_tcp(7, family=10, answer=b"PEER\n")
    network("six", subnets=["fd00:71::/64"])
    container = host.do(
        lambda: runtime.run("bb:1", "sh", "-c", SERVE, network="six", hostname="six", publish=["8080:80"])
    )
    asked = until(lambda: container.run("nc", "-w", "5", "2001:db8::2", "7").stdout)
    assert asked == b"2001:db8::1\n", "it goes out under the host's address"
    assert until(lambda: ask(world, "2001:db8::1", 8080)) == b"served by six\n"
    host.do(lambda: container.remove(force=True, timeout=0))


def ask(machine: Machine, address: str, port: int) -> bytes:
    try:
        return machine.ask(address, port, b"")
    except OSError:
        return b""


def test_an_internal_network_has_no_way_out_and_isolated_ones_none_to_each_other(
    network, run, host, machines
):
    world = machines("world")
    cable(host, world, left_address="192.0.2.1/24", right_address="192.0.2.2/24")
    network("inner", internal=True, subnets=["10.71.1.0/24"])
    network("one", subnets=["10.71.2.0/24"], options={"isolate": "true"})
    network("two", subnets=["10.71.3.0/24"], options={"isolate": "true"})
    network("open", subnets=["10.71.4.0/24"])
    inner, neighbour, one, two, out = run("inner"), run("inner"), run("one"), run("two"), run("open")
    assert refused_by(inner, addresses(neighbour, "inner")[0])
    assert not refused_by(inner, "192.0.2.2")
    assert "default" not in inner.run("ip", "route").stdout.decode()
    assert refused_by(one, "192.0.2.2")
    assert not refused_by(one, addresses(two, "two")[0])
    assert refused_by(out, addresses(one, "one")[0])


def test_static_routes_metrics_sizes_and_switches(network, run, host):
    network(
        "ways",
        subnets=["10.71.1.0/24"],
        routes=["10.9.0.0/16,10.71.1.9,50", "10.10.0.0/16,unreachable"],
        options={"metric": "70", "mtu": "1400"},
    )
    container = run("ways", sysctl=["net.ipv4.ip_default_ttl=33", "net.core.somaxconn=99"])
    routes = container.run("ip", "route").stdout.decode()
    assert "default via 10.71.1.1 dev eth0  metric 70" in routes
    assert "10.9.0.0/16 via 10.71.1.9 dev eth0  metric 50" in routes
    assert "unreachable 10.10.0.0/16" in routes
    assert "mtu 1400" in container.run("ip", "link", "show", "eth0").stdout.decode()
    assert container.run("cat", "/proc/sys/net/ipv4/ip_default_ttl").stdout == b"33\n"
    assert container.run("cat", "/proc/sys/net/core/somaxconn").stdout == b"99\n"
    host.do(lambda: container.restart(timeout=0))
    assert container.run("cat", "/proc/sys/net/ipv4/ip_default_ttl").stdout == b"33\n"


def test_resolvers_of_network_user_and_host(network, runtime, host):
    network("plain", dns=False)

    def resolver(**options) -> list[str]:
        container = host.do(
            lambda: runtime.run("bb:1", "cat", "/etc/resolv.conf", network="plain", **options)
        )
        container.wait()
        return [line.data.decode().strip() for line in container.logs()]

    wanted = {"dns": ["192.0.2.53"], "dns_search": ["example.org"], "dns_option": ["ndots:3"]}
    assert resolver(**wanted) == ["search example.org", "nameserver 192.0.2.53", "options ndots:3"]
    assert not any(line.startswith("search") for line in resolver(dns_search=["."]))


@pytest.mark.parametrize("driver", ["macvlan", "ipvlan"])
def test_a_network_on_a_parent_interface(driver, network, runtime, host, machines):
    world = machines("world")
    cable(host, world, left_address="192.0.2.1/24", right_address="192.0.2.2/24")
    network("near", driver=driver, interface_name="up0", subnets=["192.0.2.0/24"])
    container = runtime.create("bb:1", "sleep", "1000", network="near:ip=192.0.2.9")
    if not knows(host, driver):
        with pytest.raises(libpod.NotSupportedError, match=f"this kernel has no {driver} interfaces"):
            host.do(container.start)
        assert runtime._services.state.claims() == []
        return
    host.do(container.start)
    assert until(lambda: refused_by(container, "192.0.2.2"))
    host.do(lambda: container.remove(force=True, timeout=0))


def knows(machine: Machine, kind: str, *options: str) -> bool:
    """Whether the kernel has such links."""
    parent = ("link", "lo") if kind != "bridge" else ()
    made = ["ip", "link", "add", "probe0", *parent, "type", kind, *options]
    if kind != "bridge":
        machine.sh("ip", "link", "add", "probe1", "type", "bridge")
        made[5] = "probe1"
    done = machine.do(lambda: subprocess.run(made, capture_output=True, check=False)).returncode == 0
    for name in ("probe0", "probe1"):
        machine.do(
            lambda name=name: subprocess.run(["ip", "link", "del", name], capture_output=True, check=False)
        )
    return done


def test_a_vlan_or_a_sentence(network, runtime, host):
    network("tagged", subnets=["10.71.1.0/24"], options={"vlan": "7"})
    container = runtime.create("bb:1", "sleep", "1000", network="tagged")
    if knows(host, "bridge", "vlan_filtering", "1"):
        host.do(container.start)
        assert addresses(container, "tagged")
        return
    with pytest.raises(libpod.NotSupportedError, match="this kernel's bridges do not filter them"):
        host.do(container.start)


def test_an_sctp_port_is_published_whether_or_not_the_kernel_speaks_it(network, runtime, host):
    network("plain", dns=False)
    container = host.do(
        lambda: runtime.run("bb:1", "sleep", "1000", network="plain", publish=["9000:9000/sctp"])
    )
    assert "sctp . 9000" in host.ruleset()
    host.do(lambda: container.stop(timeout=0))
    assert until(lambda: "sctp" not in host.ruleset())


# ---- modes ----------------------------------------------------------------------------------------------------------


def test_a_pods_ports_lead_to_its_members_which_meet_at_localhost(network, runtime, host):
    network("plain", dns=False)
    pod = host.do(
        lambda: runtime.create_pod(
            name="crew", hostname="crew", infra_options={"network": "plain", "publish": ["8080:80"]}
        )
    )
    host.do(lambda: runtime.run("bb:1", "sh", "-c", SERVE, pod="crew", name="server"))
    asker = host.do(lambda: runtime.run("bb:1", "sleep", "1000", pod="crew", name="asker"))
    assert until(lambda: answer_of(host, 8080)) == b"served by crew\n"
    assert until(lambda: asker.run("nc", "-w", "5", "127.0.0.1", "80").stdout) == b"served by crew\n"
    assert until(lambda: asker.run("nc", "-w", "5", "server", "80").stdout) == b"served by crew\n"
    with pytest.raises(libpod.InvalidStateError, match="asker"):
        host.do(lambda: runtime.network("plain").disconnect("asker"))
    host.do(lambda: pod.restart(timeout=0))
    assert until(lambda: answer_of(host, 8080)) == b"served by crew\n"
    shown = {item.name: item.ports for item in runtime.containers()}
    assert len(set(shown.values())) == 1, "every member shows the ports of the pod"
    host.do(lambda: pod.stop(timeout=0))
    assert answer_of(host, 8080) == b""
    host.do(lambda: pod.remove(force=True, timeout=0))


def test_a_pod_on_the_hosts_network(runtime, host):
    pod = host.do(lambda: runtime.create_pod(name="crew", infra_options={"network": "host"}))
    member = host.do(lambda: runtime.run("bb:1", "sleep", "1000", pod="crew"))
    assert seen_inside(member) == host.links()
    host.do(lambda: pod.remove(force=True, timeout=0))


def test_host_none_container_and_ns(network, runtime, host, directory):
    network("plain", dns=False)
    place = directory / "elsewhere"
    create_network_namespace(place)
    try:
        on_host = host.do(lambda: runtime.run("bb:1", "sleep", "1000", network="host"))
        alone = host.do(lambda: runtime.run("bb:1", "sleep", "1000", network="none"))
        elsewhere = host.do(lambda: runtime.run("bb:1", "sleep", "1000", network=f"ns:{place}"))
        owner = host.do(lambda: runtime.run("bb:1", "sleep", "1000", network="plain", name="owner"))
        guest = host.do(lambda: runtime.run("bb:1", "sleep", "1000", network="container:owner"))
        assert host.do(lambda: seen_inside(on_host)) == host.links()
        assert seen_inside(alone) == {"lo"}
        assert seen_inside(elsewhere) == {link.name for link in run_in_netns(place, links)}
        assert seen_inside(guest) == seen_inside(owner) == {"lo", "eth0"}
        for container in (on_host, alone, elsewhere, guest):
            with pytest.raises(libpod.InvalidStateError, match="network mode"):
                host.do(lambda container=container: runtime.connect_network("plain", container))
        host.do(lambda: elsewhere.restart(timeout=0))
        host.do(lambda: guest.restart(timeout=0))
        assert seen_inside(guest) == {"lo", "eth0"}
        host.do(lambda: elsewhere.remove(force=True, timeout=0))
        assert place.exists()
    finally:
        delete_network_namespace(place)


def seen_inside(container: libpod.Container) -> set[str]:
    rows = container.run("cat", "/proc/net/dev").stdout.decode().splitlines()[2:]
    return {row.partition(":")[0].strip() for row in rows}
