"""Networks and ports as the command line writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libpod.define.errors import InvalidArgumentError
from libpod.model.container_config import NetworkOptions, PortMapping
from libpod.model.namespace_mode import NamespaceKind, NamespaceMode, parse_namespace
from libpod.model.network_request import (
    NetworkRequest,
    parse_expose,
    parse_mac,
    parse_networks,
    parse_publish,
)


@pytest.mark.parametrize(
    ("text", "mapping"),
    [
        ("80", PortMapping(container_port=80, host_port=0)),
        ("8080:80", PortMapping(container_port=80, host_port=8080)),
        (":80", PortMapping(container_port=80, host_port=0)),
        ("8080:80/udp", PortMapping(container_port=80, host_port=8080, protocol="udp")),
        ("127.0.0.1:8080:80", PortMapping(host_ip="127.0.0.1", container_port=80, host_port=8080)),
        ("127.0.0.1::80", PortMapping(host_ip="127.0.0.1", container_port=80, host_port=0)),
        ("[::1]:8080:80", PortMapping(host_ip="::1", container_port=80, host_port=8080)),
        ("[::1]::80/SCTP", PortMapping(host_ip="::1", container_port=80, host_port=0, protocol="sctp")),
        ("8000-8002:80-82", PortMapping(container_port=80, host_port=8000, range=3)),
        ("80-82", PortMapping(container_port=80, host_port=0, range=3)),
        ("0:80", PortMapping(container_port=80, host_port=0)),
    ],
)
def test_publishing_has_an_address_a_port_of_the_host_and_one_of_the_container(
    text: str, mapping: PortMapping
) -> None:
    assert parse_publish(text) == mapping


@pytest.mark.parametrize(
    "text",
    ["", ":", "0", "65536", "80/icmp", "a:80", "80-70", "1-2:80-82", "8000-8001:80", "1.2.3:80:80", "[]:80:80",
     "1.2.3.4.5:1:2", "[::1]80:80", "80:80:80:80", "-1", "1-:2", "[zz]:1:2"],
)  # fmt: skip
def test_what_publishes_nothing_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError):
        parse_publish(text)


@given(
    st.integers(1, 60000), st.integers(1, 60000), st.integers(1, 100), st.sampled_from(["tcp", "udp", "sctp"]),
    st.sampled_from(["", "10.0.0.1", "fe80::1"]),
)  # fmt: skip
def test_every_mapping_can_be_written_and_read(
    host: int, ctr: int, count: int, protocol: str, address: str
) -> None:
    shown = f"[{address}]:" if ":" in address else f"{address}:" if address else ""
    text = f"{shown}{host}-{host + count - 1}:{ctr}-{ctr + count - 1}/{protocol}"
    assert parse_publish(text) == PortMapping(
        host_ip=address, host_port=host, container_port=ctr, range=count, protocol=protocol
    )


@given(st.text(alphabet="0123456789:.[]-/abtcpudx ", max_size=30))
def test_no_text_publishes_by_accident(text: str) -> None:
    try:
        found = parse_publish(text)
    except InvalidArgumentError:
        return
    assert 1 <= found.container_port <= 65535
    assert 0 <= found.host_port <= 65535


def test_exposing_names_ports_of_the_container() -> None:
    assert parse_expose("80") == (80, 1, "tcp")
    assert parse_expose("80-90/udp") == (80, 11, "udp")
    with pytest.raises(InvalidArgumentError, match="not a port"):
        parse_expose("x")


@pytest.mark.parametrize(
    ("values", "request_"),
    [
        ([], NetworkRequest()),
        ("", NetworkRequest()),
        ("host", NetworkRequest(mode=NamespaceMode(NamespaceKind.HOST))),
        ("none", NetworkRequest(mode=NamespaceMode(NamespaceKind.NONE))),
        ("private", NetworkRequest(mode=NamespaceMode(NamespaceKind.BRIDGE))),
        ("container:web", NetworkRequest(mode=NamespaceMode(NamespaceKind.CONTAINER, "web"))),
        ("ns:/run/netns/x", NetworkRequest(mode=NamespaceMode(NamespaceKind.PATH, "/run/netns/x"))),
        (
            ["one", "two:ip=10.1.1.1,ip6=fd00::0:1,mac=02-00-00-00-00-0A,alias=a,alias=b,interface_name=x0"],
            NetworkRequest(
                mode=NamespaceMode(NamespaceKind.BRIDGE),
                networks={
                    "one": NetworkOptions(),
                    "two": NetworkOptions(
                        static_ips=("10.1.1.1", "fd00::1"),
                        static_mac="02:00:00:00:00:0a",
                        aliases=("a", "b"),
                        interface_name="x0",
                    ),
                },
            ),
        ),
        (
            "one,two",
            NetworkRequest(
                mode=NamespaceMode(NamespaceKind.BRIDGE),
                networks={"one": NetworkOptions(), "two": NetworkOptions()},
            ),
        ),
        (
            "bridge:ip=10.1.1.1",
            NetworkRequest(
                mode=NamespaceMode(NamespaceKind.BRIDGE),
                networks={"bridge": NetworkOptions(static_ips=("10.1.1.1",))},
            ),
        ),
    ],
)
def test_a_network_is_a_mode_or_names(values: str | list[str], request_: NetworkRequest) -> None:
    assert parse_networks(values) == request_


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (["host", "one"], "cannot be combined"),
        (["one", "one"], "given twice"),
        (["container:"], "not a mode"),
        (["ns:relative"], "not an absolute path"),
        (["slirp4netns"], "without root rights"),
        (["one:speed=1"], "is not an option of a network"),
        (["one:ip=1.2.3"], "is not an IP address"),
        (["-x"], "cannot name a network"),
    ],
)
def test_a_network_that_makes_no_sense_is_refused(values: list[str], reason: str) -> None:
    with pytest.raises(InvalidArgumentError, match=reason):
        parse_networks(values)


def test_a_hardware_address_has_six_bytes() -> None:
    assert parse_mac("AA:bb:CC:dd:EE:ff") == "aa:bb:cc:dd:ee:ff"
    for text in ("", "aa:bb", "aa:bb:cc:dd:ee:gg", "aa:bb:cc:dd:ee:ff:00"):
        with pytest.raises(InvalidArgumentError, match="MAC"):
            parse_mac(text)


@pytest.mark.parametrize(
    ("text", "namespace"),
    [
        ("none", "pid"),
        ("shareable", "uts"),
        ("bridge", "ipc"),
        ("odd", "pid"),
        ("host:x", "pid"),
        ("container", "ipc"),
    ],
)
def test_a_mode_must_fit_its_namespace(text: str, namespace: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"not a mode of the {namespace} namespace"):
        parse_namespace(text, namespace)


def test_a_mode_prints_as_it_was_written() -> None:
    for text in ("", "host", "private", "container:web", "ns:/proc/1/ns/pid"):
        assert str(parse_namespace(text, "pid")) == text
