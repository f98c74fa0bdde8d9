"""Containers on networks, through the whole engine, on a host made of a network namespace."""

from __future__ import annotations

import contextlib

import pytest

import libpod
from libpod import runtime_networks
from libpod.container_internal import bridging
from libpod.define.ids import new_id
from libpod.linux.namespaces import create_network_namespace
from libpod.model.container_config import PortMapping
from libpod.model.times import now
from libpod.network.base import ContainerNetwork, NetworkAttachment
from libpod.network.creation import NetworkCreateOptions, new_definition
from libpod.network.netavark import find_netavark
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


@pytest.fixture
def networks(runtime):
    """Makes networks, which end with the test."""
    made = []

    def make(name: str, **options) -> libpod.Network:
        made.append(runtime.create_network(name, **options))
        return made[-1]

    yield make
    for network in made:
        with contextlib.suppress(libpod.NoSuchNetworkError):
            network.remove(force=True, timeout=0)


def test_a_network_is_made_listed_used_and_removed(runtime, host, networks):
    made = networks("front", dns=False, labels={"a": "b"})
    assert [item.name for item in runtime.networks()] == ["front", "podman"]
    assert runtime.network(made.id[:10]) == made
    assert made.labels == {"a": "b"}
    assert made.inspect()["driver"] == "bridge"
    container = runtime.create("bb:1", "true", network="front")
    assert made.users() == [container.id]
    with pytest.raises(libpod.NetworkInUseError, match=container.id[:12]):
        runtime.remove_network("front")
    assert runtime.prune_networks() == []
    container.remove()
    assert runtime.prune_networks() == ["front"]
    assert not runtime.has_network("front")
    assert runtime.has_network("podman")


def test_a_name_is_given_once_unless_that_is_fine(runtime, host, networks):
    made = networks("front")
    with pytest.raises(libpod.NetworkExistsError, match="front"):
        runtime.create_network("front")
    assert runtime.create_network("front", ignore_existing=True) == made
    with pytest.raises(libpod.NetworkExistsError, match="podman"):
        runtime.create_network("podman")
    with pytest.raises(libpod.NetworkError, match="default network podman"):
        runtime.remove_network("podman")


def test_removal_by_force_takes_containers_and_what_depends_on_them(runtime, host, networks):
    front = networks("front", dns=False)
    first = host.do(lambda: runtime.run("bb:1", "sleep", "1000", name="one", network="front"))
    second = host.do(lambda: runtime.run("bb:1", "sleep", "1000", network="container:one"))
    pod = host.do(lambda: runtime.create_pod(name="herd", infra_options={"network": "front"}))
    host.do(pod.start)
    host.do(lambda: front.remove(force=True, timeout=0))
    assert not any(runtime.has_container(item.id) for item in (first, second))
    assert not runtime.has_pod("herd")
    assert host.links() == {"lo"}


def test_events_tell_what_became_of_a_network(runtime, host, networks):
    began = now()
    front = networks("front", dns=False)
    container = runtime.create("bb:1", "true")
    front.connect(container)
    front.disconnect(container.name)
    front.remove()
    wanted = libpod.EventQuery(filters={"type": ["network"]}, since=began)
    found = [(event.status.value, event.network) for event in runtime.events(wanted)]
    assert found == [("create", "front"), ("connect", "front"), ("disconnect", "front"), ("remove", "front")]
    container.remove()


def test_a_running_container_joins_and_leaves_a_network(runtime, host, networks):
    front_network = networks("front", dns=False)
    container = host.do(lambda: runtime.run("bb:1", "sleep", "1000", name="walker"))
    host.do(lambda: runtime.connect_network("front", "walker"))
    status = container.state().network_status
    assert list(status) == ["podman", "front"]
    assert list(status["front"]["interfaces"]) == ["eth1"]
    front = status["front"]["interfaces"]["eth1"]["subnets"][0]["ipnet"].partition("/")[0]
    hosts = runtime._services.run_directory(container.id) / "hosts"
    assert front in hosts.read_text()
    with pytest.raises(libpod.InvalidStateError, match="already"):
        host.do(lambda: front_network.connect(container))
    host.do(lambda: runtime.disconnect_network("podman", container))
    assert list(container.state().network_status) == ["front"]
    default = runtime.network("podman").inspect()["network_interface"]
    assert default not in host.links()
    host.do(lambda: container.restart(timeout=0))
    assert list(container.state().network_status) == ["front"]
    host.do(lambda: front_network.disconnect(container))
    assert container.state().network_status == {}
    host.do(lambda: container.remove(force=True, timeout=0))
    assert host.links() == {"lo"}


def test_a_container_joins_with_the_address_and_names_that_are_wanted(runtime, host, networks):
    networks("front", subnets=["10.71.3.0/24", "fd00:71::/64"])
    container = host.do(lambda: runtime.run("bb:1", "sleep", "1000"))
    host.do(
        lambda: runtime.connect_network(
            "front",
            container,
            addresses=["10.71.3.7", "fd00:71::7"],
            mac="02:00:00:00:00:07",
            interface="front0",
        )
    )
    (interface,) = container.state().network_status["front"]["interfaces"].items()
    assert interface[0] == "front0"
    assert interface[1]["mac_address"] == "02:00:00:00:00:07"
    assert [item["ipnet"] for item in interface[1]["subnets"]] == ["10.71.3.7/24", "fd00:71::7/64"]
    other = host.do(lambda: runtime.run("bb:1", "sleep", "1000"))
    with pytest.raises(libpod.NetworkError, match=r"10\.71\.3\.7"):
        host.do(lambda: runtime.connect_network("front", other, addresses=["10.71.3.7"]))
    assert list(other.config.networks) == ["podman"]
    for item in (container, other):
        host.do(lambda item=item: item.remove(force=True, timeout=0))


def test_a_flushed_firewall_is_loaded_again(runtime, host):
    container = host.do(lambda: runtime.run("bb:1", "sh", "-c", SERVE, hostname="web", publish=["8080:80"]))
    until(lambda: answer_of(host, 8080))
    host.sh("nft", "flush", "ruleset")
    assert answer_of(host, 8080) == b""
    host.do(lambda: runtime.reload_networks())
    assert until(lambda: answer_of(host, 8080)) == b"served by web\n"
    host.do(lambda: container.remove(force=True, timeout=0))


def test_remains_of_a_container_that_is_forgotten_are_swept(runtime, host):
    services = runtime._services
    keeper = host.do(lambda: runtime.run("bb:1", "sleep", "1000"))
    definition = runtime.network("podman").definition
    forgotten = new_id()
    namespace = services.paths.netns(forgotten)
    create_network_namespace(namespace)
    lost = ContainerNetwork(
        container_id=forgotten,
        container_name="lost",
        namespace=namespace,
        attachments=(NetworkAttachment(definition=definition, interface="eth0", addresses=("10.77.9.9",)),),
    )
    host.do(lambda: bridging.backend_of(services).setup(lost))
    found = host.do(lambda: runtime_networks.remove_strays(services))
    assert {(stray.kind, stray.container_id) for stray in found} == {
        ("link", forgotten),
        ("namespace", forgotten),
    }
    assert host.do(lambda: runtime_networks.remove_strays(services)) == []
    host.do(lambda: keeper.remove(force=True, timeout=0))
    assert host.links() == {"lo"}


def test_what_netavark_made_for_a_container_that_is_forgotten_is_found_and_repaired(engine, host):
    if find_netavark() is None:
        pytest.skip("netavark is not installed")
    with engine.runtime(network_backend="netavark") as runtime:
        services = runtime._services
        keeper = host.do(lambda: runtime.run("bb:1", "sh", "-c", SERVE, hostname="web", publish=["8080:80"]))
        forgotten = new_id()
        create_network_namespace(services.paths.netns(forgotten))
        lost = ContainerNetwork(
            container_id=forgotten,
            container_name="lost",
            namespace=services.paths.netns(forgotten),
            attachments=(
                NetworkAttachment(
                    definition=runtime.network("podman").definition,
                    interface="eth0",
                    addresses=("10.77.9.9",),
                ),
            ),
            ports=(PortMapping(container_port=80, host_port=8081),),
        )
        host.do(lambda: bridging.backend_of(services).setup(lost))
        assert "dport 8081" in host.ruleset()
        found = host.do(runtime.check).findings
        assert {(finding.kind, finding.repaired) for finding in found} == {
            ("network", False),
            ("network namespace", False),
        }
        report = host.do(lambda: runtime.check(repair=True))
        assert report.is_clean, [str(finding) for finding in report.findings]
        assert host.do(runtime.check).findings == ()
        assert "dport 8081" not in host.ruleset()
        assert "10.77.9.9" not in host.ruleset()
        assert until(lambda: answer_of(host, 8080)) == b"served by web\n"
        host.do(lambda: keeper.remove(force=True, timeout=0))
    assert host.links() == {"lo"}
