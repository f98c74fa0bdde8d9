"""Addresses: always free, in range, and going round."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libpod.define.errors import InvalidArgumentError, NetworkError
from libpod.network.definitions import LeaseRange, NetworkDefinition, Subnet
from libpod.network.ipam import address_key, choose, split_address_key


def network(*subnets: Subnet) -> NetworkDefinition:
    return NetworkDefinition(name="net", id="0" * 64, subnets=subnets, ipam_options={"driver": "host-local"})


V4 = Subnet(subnet="10.5.0.0/29", gateway="10.5.0.1")
V6 = Subnet(subnet="fd00::/64", gateway="fd00::1")


def test_every_subnet_gives_one_address_and_the_gateway_is_none():
    assert choose(network(V4, V6), ()) == ("10.5.0.2", "fd00::2")


def test_a_subnet_is_used_up_to_its_last_address_and_then_refuses():
    taken: list[str] = []
    for _ in range(5):
        taken += choose(network(V4), taken)
    assert taken == [f"10.5.0.{last}" for last in range(2, 7)]
    with pytest.raises(NetworkError, match="no free address"):
        choose(network(V4), taken)


def test_the_search_goes_on_after_the_last_one_and_comes_round():
    assert choose(network(V4), ["10.5.0.2"], last="10.5.0.4") == ("10.5.0.5",)
    assert choose(network(V4), ["10.5.0.2"], last="10.5.0.6") == ("10.5.0.3",)


def test_a_lease_range_is_kept():
    limited = Subnet(
        subnet="10.5.0.0/24",
        gateway="10.5.0.1",
        lease_range=LeaseRange(start_ip="10.5.0.9", end_ip="10.5.0.10"),
    )
    assert choose(network(limited), ()) == ("10.5.0.9",)
    assert choose(network(limited), ["10.5.0.9"]) == ("10.5.0.10",)
    assert choose(network(limited), (), static=["10.5.0.200"]) == ("10.5.0.200",)


@pytest.mark.parametrize(
    ("wish", "error", "message"),
    [
        ("10.6.0.2", InvalidArgumentError, "no subnet"),
        ("10.5.0.1", InvalidArgumentError, "gateway"),
        ("10.5.0.7", InvalidArgumentError, "broadcast"),
        ("10.5.0.3", NetworkError, "taken"),
    ],
)
def test_wishes_are_judged(wish, error, message):
    with pytest.raises(error, match=message):
        choose(network(V4), ["10.5.0.3"], static=[wish])


def test_a_wish_for_one_subnet_leaves_the_other_to_us():
    assert choose(network(V4, V6), (), static=["fd00::abcd"]) == ("10.5.0.2", "fd00::abcd")


@settings(deadline=None)
@given(
    st.integers(16, 30),
    st.sets(st.integers(0, 200), max_size=60),
    st.one_of(st.none(), st.integers(0, 300)),
)
def test_what_is_chosen_is_free_and_inside(prefix, taken, last):
    net = ipaddress.ip_network(f"10.8.0.0/{prefix}")
    subnet = Subnet(subnet=str(net), gateway=str(net[1]))
    base = int(net[0])
    busy = [str(ipaddress.ip_address(base + offset)) for offset in taken]
    previous = None if last is None else str(ipaddress.ip_address(base + last))
    try:
        (address,) = choose(network(subnet), busy, last=previous)
    except NetworkError:
        assert net.num_addresses - 2 <= len({*busy, subnet.gateway})
        return
    assert net[1] <= ipaddress.ip_address(address) <= net[-2]
    assert address not in busy
    assert address != subnet.gateway


@given(st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,10}", fullmatch=True), st.ip_addresses())
def test_a_key_leads_back_to_network_and_address(name, address):
    assert split_address_key(address_key(name, str(address))) == (name, str(address))
