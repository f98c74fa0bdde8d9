"""Claims and reservations of host ports."""

from __future__ import annotations

import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libpod.define.errors import InvalidArgumentError, NetworkError
from libpod.model.container_config import PortMapping
from libpod.network.listeners import owner_of, reserved, with_host_ports
from libpod.network.ports import (
    PortClaim,
    claims_of,
    expand,
    first_conflict,
    merged,
    parse_port_mappings,
)
from tests.network.conftest import shut


def test_a_range_claims_every_port_of_it():
    mapping = PortMapping(container_port=80, host_port=8080, range=3, host_ip="127.0.0.1")
    assert claims_of([mapping]) == {PortClaim("tcp", port, "127.0.0.1") for port in (8080, 8081, 8082)}
    assert list(expand(mapping)) == [(8080, 80), (8081, 81), (8082, 82)]


@given(
    st.sampled_from(["tcp", "udp", "sctp"]),
    st.integers(1, 65535),
    st.sampled_from(["", "1.2.3.4", "fd00::1"]),
)
def test_a_claims_key_leads_back_to_it(protocol, port, address):
    claim = PortClaim(protocol, port, address)
    assert PortClaim.from_key(claim.key) == claim


def test_every_address_collides_with_a_single_one_and_two_single_ones_do_not():
    single, other, every = (
        PortClaim("tcp", 80, "10.0.0.1"),
        PortClaim("tcp", 80, "10.0.0.2"),
        PortClaim("tcp", 80),
    )
    assert first_conflict([every], {single: "a"}) == (every, "a")
    assert first_conflict([single], {every: "a"}) == (single, "a")
    assert first_conflict([single], {other: "a"}) is None
    assert first_conflict([PortClaim("udp", 80)], {every: "a"}) is None


def test_the_same_mapping_twice_is_one():
    assert len(parse_port_mappings(["8080:80", "8080:80/tcp"])) == 1


def test_a_host_port_for_two_container_ports_is_refused():
    with pytest.raises(InvalidArgumentError, match="two container ports"):
        parse_port_mappings(["8080:80", "8080:81"])


def test_a_range_beyond_the_last_port_is_refused():
    with pytest.raises(InvalidArgumentError, match="65535"):
        merged([PortMapping(container_port=65000, host_port=65000, range=1000)])


def test_missing_host_ports_are_chosen_free_and_apart():
    mappings = [PortMapping(container_port=80, host_port=0, range=20) for _ in range(5)]
    complete = with_host_ports([*mappings, PortMapping(container_port=1, host_port=0, protocol="udp")])
    claims = [claim for mapping in complete for claim in claims_of([mapping])]
    assert len(claims) == len(set(claims)) == 101
    assert all(mapping.host_port >= 10000 for mapping in complete)


def test_a_port_that_a_program_of_the_host_has_is_refused_with_its_name():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(
            NetworkError, match=rf"host port {port}/tcp is in use by .*process {os.getpid()}\)"
        ):
            with reserved([PortMapping(container_port=80, host_port=port)]):
                pass
        assert f"process {os.getpid()}" in owner_of("tcp", port)


def test_a_reservation_keeps_others_away_and_ends_with_the_block():
    mapping = with_host_ports([PortMapping(container_port=80, host_port=0)])[0]
    with reserved([mapping]), socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError, match="in use"):
            other.bind(("0.0.0.0", mapping.host_port))
    with reserved([mapping]):
        pass


def test_an_address_that_the_host_does_not_have_is_refused():
    with pytest.raises(NetworkError, match=r"no address 203\.0\.113\.9"):
        with reserved([PortMapping(container_port=80, host_port=8080, host_ip="203.0.113.9")]):
            pass


def test_a_reserved_port_refuses_connections_and_shares_with_nobody(host):
    """Whatever the others ask for; and one who allows it is no exception."""

    def attempt() -> None:
        mapping = PortMapping(container_port=80, host_port=8080)
        with reserved([mapping]):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", 8080), timeout=10)
            for address in ("0.0.0.0", "127.0.0.1"):
                with socket.socket() as other:
                    other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    with pytest.raises(OSError, match="in use"):
                        other.bind((address, 8080))
            with pytest.raises(NetworkError, match="8080/tcp is in use by a program"), reserved([mapping]):
                pass

    host.do(attempt)


def test_connections_that_ended_a_moment_ago_do_not_keep_a_port(host):
    listener = host.serve_tcp(8080)
    assert host.ask("127.0.0.1", 8080, b"hello") == b"hello"
    shut(listener)
    listener.close()

    def reserve() -> int:
        with reserved([PortMapping(container_port=80, host_port=8080)]) as sockets:
            return len(sockets)

    assert host.do(reserve) == 1
