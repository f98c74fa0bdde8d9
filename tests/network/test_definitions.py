"""Definitions: podman's files, free subnets, refused nonsense."""

from __future__ import annotations

import ipaddress
import json
import subprocess

import pytest

from libpod.define.errors import (
    InvalidArgumentError,
    NetworkError,
    NetworkExistsError,
    NetworkInUseError,
    NoSuchNetworkError,
    NotSupportedError,
)
from libpod.network import occupied
from libpod.network.creation import (
    NetworkCreateOptions,
    Occupied,
    SubnetRequest,
    default_definition,
    new_definition,
)
from libpod.network.definitions import NetworkDefinitions, Route, decode_definition, encode_definition
from libpod.network.status import addresses, decode_status, encode_status
from tests.network.conftest import cable


@pytest.fixture
def definitions(tmp_path):
    return NetworkDefinitions(tmp_path / "networks")


def create(definitions, name="front", **options):
    request = NetworkCreateOptions(name=name, **options)
    return definitions.add(lambda others: new_definition(request, others, Occupied()))


def test_the_default_network_is_made_once_and_stays_the_same(definitions):
    assert definitions.list() == []
    first = definitions.get_or_default("podman")
    assert definitions.get_or_default("podman") == first == definitions.get("podman")
    assert [item.name for item in definitions.list()] == ["podman"]
    with pytest.raises(NetworkError, match="cannot be removed"):
        definitions.remove("podman")


def test_the_default_network_meets_neither_podmans_nor_a_route_of_the_host():
    busy = Occupied(
        networks=(ipaddress.ip_network("10.77.4.0/24"), occupied.PODMAN_DEFAULT), links=frozenset(["libpod0"])
    )
    definition = default_definition("podman", [], busy)
    assert definition.subnets[0].subnet == "10.76.0.0/16"
    assert definition.network_interface == "libpod1"


def test_a_network_is_found_by_name_id_and_prefix(definitions):
    made = create(definitions)
    assert definitions.get("front") == definitions.get(made.id) == definitions.get(made.id[:12]) == made
    assert definitions.exists("front")
    assert not definitions.exists("fro")
    for name in ("back", "", "../front", "zzz"):
        with pytest.raises(NoSuchNetworkError):
            definitions.get(name)


def test_a_name_is_given_once_and_a_used_network_stays(definitions):
    create(definitions)
    with pytest.raises(NetworkExistsError):
        create(definitions)
    with pytest.raises(NetworkInUseError, match="in use by aaaaaaaaaaaa"):
        definitions.remove("front", users=["a" * 64])
    definitions.remove("front")
    assert definitions.list() == []


def test_new_networks_do_not_overlap(definitions):
    made = [create(definitions, f"n{number}", ipv6=True) for number in range(6)]
    nets = [ipaddress.ip_network(subnet.subnet) for item in made for subnet in item.subnets]
    assert len(nets) == 12
    assert not any(a.version == b.version and a.overlaps(b) for a in nets for b in nets if a is not b)
    assert len({item.network_interface for item in made}) == 6


def test_the_file_is_what_podman_writes(definitions):
    made = create(
        definitions,
        subnets=(SubnetRequest(subnet="10.9.0.0/24", gateway="10.9.0.254", lease_range="10.9.0.128/25"),),
        internal=True,
        labels={"a": "b"},
        options={"mtu": "1400", "isolate": "true"},
        routes=(Route(destination="10.11.0.0/24", gateway="10.9.0.7"),),
    )
    plain = json.loads((definitions.directory / "front.json").read_bytes())
    assert plain.pop("created") == made.created
    assert plain == {
        "name": "front",
        "id": made.id,
        "driver": "bridge",
        "network_interface": "libpod0",
        "subnets": [
            {
                "subnet": "10.9.0.0/24",
                "gateway": "10.9.0.254",
                "lease_range": {"start_ip": "10.9.0.128", "end_ip": "10.9.0.254"},
            }
        ],
        "routes": [{"destination": "10.11.0.0/24", "gateway": "10.9.0.7"}],
        "ipv6_enabled": False,
        "internal": True,
        "dns_enabled": True,
        "labels": {"a": "b"},
        "options": {"mtu": "1400", "isolate": "true"},
        "ipam_options": {"driver": "host-local"},
    }


def test_a_definition_survives_its_file():
    made = default_definition("podman", [], Occupied())
    assert decode_definition(encode_definition(made), "x") == made
    with pytest.raises(NetworkError, match=r"some\.json is not the definition of a network"):
        decode_definition(b'{"name": 5}', "some.json")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"driver": "host"}, InvalidArgumentError, "driver"),
        ({"subnets": (SubnetRequest(subnet="nonsense"),)}, InvalidArgumentError, "not a subnet"),
        (
            {"subnets": (SubnetRequest(subnet="10.0.0.0/24", gateway="10.1.0.1"),)},
            InvalidArgumentError,
            "gateway",
        ),
        ({"subnets": (SubnetRequest(subnet="10.0.0.0/24"),) * 2}, NetworkError, "uses it"),
        ({"options": {"colour": "blue"}}, InvalidArgumentError, "colour"),
        ({"options": {"mtu": "large"}}, InvalidArgumentError, "mtu"),
        ({"options": {"vlan": "5000"}}, InvalidArgumentError, "4094"),
        ({"options": {"isolate": "perhaps"}}, InvalidArgumentError, "isolate"),
        ({"ipam_driver": "dhcp"}, NotSupportedError, "DHCP"),
        ({"interface_name": "far-too-long-a-name"}, InvalidArgumentError, "cannot name an interface"),
        ({"routes": (Route(destination="10.0.0.0/8"),)}, InvalidArgumentError, "needs a gateway"),
    ],
)
def test_nonsense_is_refused_before_anything_is_written(definitions, options, error, message):
    with pytest.raises(error, match=message):
        create(definitions, **options)
    assert definitions.list() == []


@pytest.mark.root
@pytest.mark.network
def test_the_routes_of_the_host_are_seen(host, machines):
    cable(host, machines("far"), left_address="10.77.1.1/24", right_address="10.77.1.2/24")
    host.sh("ip", "-6", "addr", "add", "2001:db8::1/64", "dev", "up0", "nodad")
    found = host.do(occupied.host_networks)
    assert ipaddress.ip_network("10.77.1.0/24") in found
    assert ipaddress.ip_network("2001:db8::/64") in found
    assert host.do(occupied.host_link_names) == {"lo", "up0"}
    assert host.do(lambda: default_definition("podman", [])).subnets[0].subnet == "10.76.0.0/16"


@pytest.mark.podman
def test_podman_reads_our_definitions(directory):
    definitions = NetworkDefinitions(directory / "networks")
    made = create(definitions, subnets=(SubnetRequest(subnet="10.9.0.0/24"),))
    roots = [f"--{name}={directory / name}" for name in ("root", "runroot", "tmpdir")]
    argv = ["podman", *roots, f"--network-config-dir={definitions.directory}", "network", "inspect", "front"]
    (found,) = json.loads(subprocess.run(argv, check=True, capture_output=True).stdout)
    assert (found["id"], found["subnets"]) == (made.id, [{"subnet": "10.9.0.0/24", "gateway": "10.9.0.1"}])


def test_a_status_is_podmans_and_nulls_are_absences():
    text = (
        b'{"podman": {"interfaces": {"eth0": {"subnets": [{"ipnet": "10.88.0.5/16", "gateway": "10.88.0.1"}],'
        b' "mac_address": "ca:98:00:00:00:01"}}, "dns_server_ips": null}}'
    )
    status = decode_status(text)
    assert [item.address for item in addresses(status)] == ["10.88.0.5"]
    assert decode_status(encode_status(status)) == status
    assert decode_status(b"null") == {}
