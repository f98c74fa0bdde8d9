"""Networks by the command line, on a host made of a network namespace; documents as the installed podman has them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest

from tests.cli.command import Command
from tests.network.conftest import Machine, directory, machines
from tests.network.conftest import host as machine

__all__ = ["directory", "machine", "machines"]

pytestmark = [pytest.mark.root, pytest.mark.network]

SLEEP = ("bb:1", "sleep", "1000")


class Placed:
    """The command, run on a machine of the test."""

    def __init__(self, cli: Command, place: Machine) -> None:
        self._cli, self._place = cli, place

    def __call__(self, *words: str, code: int = 0) -> str:
        return self._place.do(lambda: self._cli(*words, code=code))

    def fails(self, *words: str, code: int = 125) -> str:
        return self._place.do(lambda: self._cli.fails(*words, code=code))

    def json(self, *words: str):
        return json.loads(self(*words))


@pytest.fixture
def pod(cli: Command, machine: Machine) -> Iterator[Placed]:
    """libpod on the machine; its networks go with the test."""
    placed = Placed(cli, machine)
    yield placed
    placed("rm", "-f", "-a", "-t", "0")
    for name in placed("network", "ls", "-q").split():
        if name != "podman":
            placed("network", "rm", name)
    assert machine.links() == {"lo"}


def test_networks_are_made_listed_inspected_and_removed(pod):
    assert pod("network", "create", "front") == "front"
    pod(
        "network", "create", "--subnet", "10.71.1.0/24", "--gateway", "10.71.1.1", "--ip-range", "10.71.1.128/25",
        "--subnet", "fd00:71::/64", "--label", "a=b", "--label", "c=d", "-o", "mtu=1400", "--disable-dns",
        "--route", "10.9.0.0/16,10.71.1.9,50", "back",
    )  # fmt: skip
    assert pod("network", "ls", "-q").split() == ["back", "front", "podman"]
    heading, first, *_ = pod("network", "ls").splitlines()
    assert heading == "NETWORK ID    NAME        DRIVER"
    assert first.split()[1:] == ["back", "bridge"]
    assert len(pod("network", "ls", "--no-trunc", "--noheading").split()[0]) == 64
    (back,) = pod.json("network", "inspect", "back")
    assert back["subnets"] == [
        {
            "subnet": "10.71.1.0/24",
            "gateway": "10.71.1.1",
            "lease_range": {"start_ip": "10.71.1.128", "end_ip": "10.71.1.254"},
        },
        {"subnet": "fd00:71::/64", "gateway": "fd00:71::1"},
    ]
    assert (back["labels"], back["options"]) == ({"a": "b", "c": "d"}, {"mtu": "1400"})
    assert (back["dns_enabled"], back["ipv6_enabled"]) == (False, True)
    assert back["routes"] == [{"destination": "10.9.0.0/16", "gateway": "10.71.1.9", "metric": 50}]
    form = "{{.Name}} {{range .Subnets}}{{.Subnet}} {{end}}{{.Driver}} {{.DNSEnabled}}"
    assert (
        pod("network", "inspect", "back", "--format", form) == "back 10.71.1.0/24 fd00:71::/64 bridge false"
    )
    assert (
        pod("network", "ls", "--format", "{{.Name}}|{{.Labels}}|{{.Driver}}").splitlines()[0]
        == "back|a=b,c=d|bridge"
    )
    assert [item["name"] for item in pod.json("network", "ls", "--format", "json")] == [
        "back",
        "front",
        "podman",
    ]
    assert pod("network", "rm", "front", "back").split() == ["front", "back"]


def test_lists_are_filtered(pod):
    pod("network", "create", "--label", "a=b", "front")
    pod("network", "create", "back")
    pod("run", "-d", "--network", "back", *SLEEP)

    def listed(*words: str) -> list[str]:
        return pod("network", "ls", "-q", *(part for word in words for part in ("--filter", word))).split()

    assert listed("name=fr") == ["front"]
    assert listed("name=fr", "name=ck$") == ["back", "front"]
    assert listed("name=fr", "driver=macvlan") == []
    assert listed("label=a=b") == ["front"]
    assert listed("label!=a") == ["back", "podman"]
    assert listed("dangling=false") == ["back"]
    assert listed("dangling=true") == ["front", "podman"]
    assert listed("until=1h") == []
    assert "nonsense" in pod.fails("network", "ls", "--filter", "nonsense=b")


def test_exit_codes_and_sentences(pod):
    pod("network", "create", "front")
    pod("network", "exists", "front")
    pod("network", "exists", "nope", code=1)
    assert "nope" in pod.fails("network", "rm", "nope", code=1)
    assert "front" in pod.fails("network", "create", "front")
    assert pod("network", "create", "--ignore", "front") == "front"
    assert "podman" in pod.fails("network", "rm", "podman")
    assert "gateway" in pod.fails("network", "create", "--gateway", "10.1.1.1")
    assert "sky" in pod.fails("network", "create", "-d", "sky")
    container = pod("run", "-d", "--network", "front", *SLEEP)
    assert container[:12] in pod.fails("network", "rm", "front", code=2)
    pod("network", "rm", "-f", "-t", "0", "front")
    pod("container", "exists", container, code=1)


def test_containers_are_connected_and_disconnected(pod):
    pod("network", "create", "--subnet", "10.71.1.0/24", "front")
    pod("run", "-d", "--name", "walker", *SLEEP)
    pod(
        "network",
        "connect",
        "--ip",
        "10.71.1.9",
        "--alias",
        "w",
        "--mac-address",
        "02:00:00:00:00:09",
        "front",
        "walker",
    )
    settings = pod.json("inspect", "walker")[0]["NetworkSettings"]
    assert list(settings["Networks"]) == ["front", "podman"]
    front = settings["Networks"]["front"]
    assert (front["IPAddress"], front["MacAddress"]) == ("10.71.1.9", "02:00:00:00:00:09")
    assert front["Aliases"] == ["w", pod("inspect", "walker", "--format", "{{.Id}}")[:12]]
    assert settings["IPAddress"] == ""
    assert "already" in pod.fails("network", "connect", "front", "walker")
    pod("network", "disconnect", "podman", "walker")
    assert "walker" in pod.fails("network", "disconnect", "podman", "walker")
    assert pod("ps", "--format", "{{.Networks}}") == "front"
    pod("network", "disconnect", "-f", "front", "nobody")


def test_rules_are_loaded_again(pod, machine):
    container = pod("run", "-d", "-p", "8080:80", *SLEEP)
    before = machine.ruleset()
    machine.sh("nft", "flush", "ruleset")
    assert pod("network", "reload", "-a") == container
    assert machine.ruleset() == before


def test_unused_networks_are_pruned(pod):
    for name in ("one", "two"):
        pod("network", "create", name)
    pod("create", "--network", "two", *SLEEP)
    assert pod("network", "prune", "-f") == "one"


def test_ports_are_shown_by_ps_port_and_inspect(pod):
    web = pod(
        "run", "-d", "--name", "web", "-p", "8090-8092:8090-8092", "-p", "8093:8093", "-p", "127.0.0.1:9000:53/udp",
        "--expose", "77", *SLEEP,
    )  # fmt: skip
    guest = pod("run", "-d", "--name", "guest", "--network", "container:web", *SLEEP)
    pod("create", "--name", "idle", "-p", "8099:80", *SLEEP)
    shown = "0.0.0.0:8090-8093->8090-8093/tcp, 127.0.0.1:9000->53/udp"
    rows = pod("ps", "-a", "--format", "{{.Names}}|{{.Ports}}|{{.Networks}}").splitlines()
    assert rows == [f"web|{shown}|podman", f"guest|{shown}|", "idle|0.0.0.0:8099->80/tcp|podman"]
    expected = [
        "8090/tcp -> 0.0.0.0:8090", "8091/tcp -> 0.0.0.0:8091", "8092/tcp -> 0.0.0.0:8092",
        "8093/tcp -> 0.0.0.0:8093", "53/udp -> 127.0.0.1:9000",
    ]  # fmt: skip
    assert pod("port", "web").splitlines() == expected
    assert pod("port", "guest").splitlines() == expected
    assert pod("port", "web", "53/udp") == "127.0.0.1:9000"
    assert pod("port", "web", "8091") == "0.0.0.0:8091"
    assert "53" in pod.fails("port", "web", "53")
    assert pod("port", "idle") == ""
    ids = {line.partition("\t")[0] for line in pod("port", "-a").splitlines()}
    assert ids == {web[:12], guest[:12]}
    for name in ("web", "guest"):
        settings = pod.json("inspect", name)[0]["NetworkSettings"]
        assert list(settings["Ports"]) == ["53/udp", "77/tcp", "8090/tcp", "8091/tcp", "8092/tcp", "8093/tcp"]
        assert settings["Ports"]["53/udp"] == [{"HostIp": "127.0.0.1", "HostPort": "9000"}]
        assert settings["Ports"]["77/tcp"] is None
        assert settings["IPAddress"].startswith("10.77.")
    idle = pod.json("inspect", "idle")[0]["NetworkSettings"]
    assert (idle["Networks"]["podman"]["IPAddress"], idle["SandboxKey"]) == ("", "")
    received = pod.json("stats", "--no-stream", "--format", "json", "guest")[0]["net_io"]
    assert received != "0B / 0B"
    pod("rm", "-f", "-t", "0", "guest")


def test_run_asks_for_addresses_names_and_resolvers(pod):
    pod("network", "create", "--subnet", "10.71.1.0/24", "--subnet", "fd00:71::/64", "one")
    pod("network", "create", "--subnet", "10.71.2.0/24", "two")
    pod(
        "run", "-d", "--name", "a", "--network", "one:ip=10.71.1.7,mac=02:00:00:00:00:07,alias=first",
        "--network", "two:ip=10.71.2.7,interface_name=second0", *SLEEP,
    )  # fmt: skip
    networks = pod.json("inspect", "a")[0]["NetworkSettings"]["Networks"]
    assert (networks["one"]["IPAddress"], networks["two"]["IPAddress"]) == ("10.71.1.7", "10.71.2.7")
    assert networks["one"]["MacAddress"] == "02:00:00:00:00:07"
    assert networks["one"]["Aliases"][0] == "first"
    assert "second0" in pod("exec", "a", "ip", "addr")
    pod(
        "run", "-d", "--name", "b", "--network", "one", "--ip", "10.71.1.8", "--ip6", "fd00:71::8",
        "--mac-address", "02:00:00:00:00:08", "--network-alias", "bee", *SLEEP,
    )  # fmt: skip
    one = pod.json("inspect", "b")[0]["NetworkSettings"]["Networks"]["one"]
    assert (one["IPAddress"], one["GlobalIPv6Address"], one["GlobalIPv6PrefixLen"]) == (
        "10.71.1.8",
        "fd00:71::8",
        64,
    )
    assert one["IPv6Gateway"] == "fd00:71::1"
    pod("run", "-d", "--name", "c", "--network", "one,two", *SLEEP)
    assert list(pod.json("inspect", "c")[0]["NetworkSettings"]["Networks"]) == ["one", "two"]
    assert "several networks" in pod.fails("create", "--network", "one,two", "--ip", "10.71.1.9", *SLEEP)
    assert "10.71.1.8" in pod.fails("run", "-d", "--network", "one", "--ip", "10.71.1.8", *SLEEP)
    printed = pod(
        "run", "--rm", "--dns", "192.0.2.53", "--dns-search", "example.org", "--dns-option", "ndots:3",
        "--add-host", "far:192.0.2.9", "bb:1", "cat", "/etc/resolv.conf", "/etc/hosts",
    )  # fmt: skip
    assert "nameserver 192.0.2.53" in printed
    assert "search example.org" in printed
    assert "options ndots:3" in printed
    assert "192.0.2.9\tfar" in printed
    assert pod("run", "--rm", "--no-hosts", "bb:1", "sh", "-c", "cat /etc/hosts || echo none") == "none"
    pod("run", "-d", "--name", "p", "-P", "--expose", "80", *SLEEP)
    assert pod("port", "p", "80").startswith("0.0.0.0:")


@pytest.mark.podman
def test_documents_have_the_keys_of_the_installed_podman(pod, machine, short_tmp, busybox_rootfs):
    place = short_tmp / "podman-networks"
    archive = short_tmp / "podman-networks.tar"
    subprocess.run(["tar", "-C", str(busybox_rootfs), "-cf", str(archive), "."], check=True)
    options = (
        "--root", f"{place}/g", "--runroot", f"{place}/r", "--tmpdir", f"{place}/t", "--runtime", "runc",
        "--network-config-dir", f"{place}/n", "--events-backend", "file", "--network-backend", "netavark",
        "--cgroup-manager", "cgroupfs",
    )  # fmt: skip

    def podman(*words: str) -> str:
        return machine.sh("podman", *options, *words)

    podman("import", "-q", str(archive), "localhost/bb:1")
    limits = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096")
    create = (
        "--subnet",
        "10.71.1.0/24",
        "--subnet",
        "fd00:71::/64",
        "--label",
        "a=b",
        "-o",
        "mtu=1400",
        "front",
    )
    try:
        theirs, ours = [], []
        for engine, documents in ((podman, theirs), (pod, ours)):
            extra = limits if engine is podman else ()
            engine("network", "create", *create)
            documents.append(json.loads(engine("network", "inspect", "front", "podman")))
            engine(
                "run",
                "-d",
                "--name",
                "web",
                "--network",
                "front",
                "-p",
                "8080:80",
                "--expose",
                "77",
                *extra,
                *SLEEP,
            )
            engine("create", "--name", "idle", "-p", "8081:80", *extra, *SLEEP)
            for name in ("web", "idle"):
                documents.append(json.loads(engine("inspect", name))[0]["NetworkSettings"])
            documents.append(json.loads(engine("ps", "-a", "--format", "json")))
            engine("rm", "-f", "-a", "-t", "0")
    finally:
        podman("rm", "-f", "-a", "-t", "0")
        subprocess.run(["umount", "-l", f"{place}/g/overlay"], check=False, capture_output=True)
    assert [shape(item) for item in ours] == [shape(item) for item in theirs]


def shape(value: object) -> object:
    """Keys and kinds of values, in the order in which they stand."""
    if isinstance(value, dict):
        return [(key, shape(item)) for key, item in value.items()]
    if isinstance(value, list):
        return [shape(item) for item in value]
    return type(value).__name__
