"""Networks, published and exposed ports as the command line writes them.

    --network   bridge | host | none | container:ID | ns:PATH | pod | NAME[:key=value,…] …
    --publish   [[ADDRESS:][HOST]:]CONTAINER[/tcp|udp|sctp], with ranges a-b on either side; an IPv6 address in [ ]
    --expose    PORT[-PORT][/PROTOCOL]

Covers: pkg/specgenutil/ports.go, pkg/specgen/namespaces.go (networks), pkg/specgen/generate/ports.go
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping

import msgspec

from libpod.define.errors import InvalidArgumentError
from libpod.define.ids import check_name
from libpod.define.patterns import pattern
from libpod.model.container_config import NetworkOptions, PortMapping
from libpod.model.namespace_mode import NamespaceKind, NamespaceMode, parse_namespace

PROTOCOLS = ("tcp", "udp", "sctp")
_WORDS = ("", "bridge", "host", "none", "private", "pod")
_MAC = pattern(r"(?:[0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}")
_PUBLISH = pattern(r"(?:(?:\[(?P<six>[^\]]*)\]|(?P<four>[^:\[\]]*)):)?(?:(?P<host>[^:]*):)?(?P<ctr>[^:]+)")


class NetworkRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Where the network namespace comes from and, for a bridge, which networks it hangs on.

    No networks with mode bridge means the default one.
    """

    mode: NamespaceMode = msgspec.field(default_factory=NamespaceMode)
    networks: Mapping[str, NetworkOptions] = msgspec.field(default_factory=dict)


def parse_networks(values: str | NetworkRequest | Iterable[str]) -> NetworkRequest:
    """The request in the words of `--network`, which may be given several times; raises InvalidArgumentError."""
    if isinstance(values, NetworkRequest):
        return values
    words = (values,) if isinstance(values, str) else tuple(values)
    words = tuple(word for text in words for word in _split(text))
    if not words or words == ("",):
        return NetworkRequest()
    if len(words) == 1 and (words[0] in _WORDS or words[0].startswith(("container:", "ns:"))):
        mode = parse_namespace(words[0], "network")
        if mode.kind is NamespaceKind.PRIVATE:
            mode = NamespaceMode(NamespaceKind.BRIDGE)
        return NetworkRequest(mode=mode)
    networks: dict[str, NetworkOptions] = {}
    for word in words:
        name, _, options = word.partition(":")
        if name in ("slirp4netns", "pasta"):
            raise InvalidArgumentError(
                f"{name} serves users without root rights and is not supported",
                resolution="use bridge, host or none",
            )
        if name in ("host", "none", "container", "ns", "pod", "private"):
            raise InvalidArgumentError(f'"{name}" cannot be combined with other networks')
        if name != "bridge":
            check_name("network", name)
        if name in networks:
            raise InvalidArgumentError(f'network "{name}" is given twice')
        networks[name] = parse_network_options(options)
    return NetworkRequest(mode=NamespaceMode(NamespaceKind.BRIDGE), networks=networks)


def _split(text: str) -> list[str]:
    """`a,b` is two networks, `a:ip=1,mac=2` is one."""
    if ":" in text:
        return [text]
    return text.split(",") if text else []


def parse_network_options(text: str) -> NetworkOptions:
    """`ip=…,ip6=…,mac=…,alias=…,interface_name=…`; raises InvalidArgumentError."""
    addresses: list[str] = []
    aliases: list[str] = []
    mac = interface = ""
    for field in filter(None, text.split(",")):
        key, _, value = field.partition("=")
        if key in ("ip", "ip6"):
            addresses.append(parse_address(value))
        elif key == "mac":
            mac = parse_mac(value)
        elif key == "alias" and value:
            aliases.append(value)
        elif key == "interface_name" and value:
            interface = value
        else:
            raise InvalidArgumentError(
                f'"{field}" is not an option of a network',
                resolution="use ip, ip6, mac, alias or interface_name",
            )
    return NetworkOptions(
        static_ips=tuple(addresses), aliases=tuple(aliases), static_mac=mac, interface_name=interface
    )


def parse_address(text: str) -> str:
    """An IP address in its usual form; raises InvalidArgumentError."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise InvalidArgumentError(f'"{text}" is not an IP address') from None


def parse_mac(text: str) -> str:
    """A hardware address in its usual form; raises InvalidArgumentError."""
    if _MAC.fullmatch(text) is None:
        raise InvalidArgumentError(
            f'"{text}" is not a MAC address', resolution="write six bytes such as 02:00:00:00:00:01"
        )
    return text.replace("-", ":").lower()


# ---- ports ----------------------------------------------------------------------------------------------------


def parse_publish(text: str) -> PortMapping:
    """The mapping in the words of `--publish`; host port 0 asks for any free one. Raises InvalidArgumentError."""
    body, _, protocol = text.partition("/")
    protocol = _protocol(protocol, text)
    match = _PUBLISH.fullmatch(body)
    if match is None:
        raise InvalidArgumentError(
            f'"{text}" does not publish a port', resolution="write [[address:][host]:]container[/protocol]"
        )
    address, host = match["six"] if match["six"] is not None else match["four"], match["host"]
    if address is not None and host is None and match["six"] is None:
        # One colon only: what stands before it is the port of the host, not an address.
        address, host = None, address
    if address:
        address = parse_address(address)
    elif match["six"] is not None:
        raise InvalidArgumentError(f'"{text}" has an empty address')
    first, count = parse_port_range(match["ctr"])
    host_first, host_count = (0, count) if not host else parse_port_range(host, minimum=0)
    if host_count != count:
        raise InvalidArgumentError(
            f'"{text}" maps {host_count} ports of the host to {count} of the container'
        )
    return PortMapping(
        host_ip=address or "", container_port=first, host_port=host_first, range=count, protocol=protocol
    )


def parse_expose(text: str) -> tuple[int, int, str]:
    """First port, number of ports, protocol; raises InvalidArgumentError."""
    body, _, protocol = text.partition("/")
    first, count = parse_port_range(body)
    return first, count, _protocol(protocol, text)


def parse_port_range(text: str, *, minimum: int = 1) -> tuple[int, int]:
    """First port and number of ports in `80` or `8000-8010`; raises InvalidArgumentError."""
    first_text, dash, last_text = text.partition("-")
    if not first_text.isdecimal() or (dash and not last_text.isdecimal()):
        raise InvalidArgumentError(f'"{text}" is not a port or a range of ports')
    first, last = int(first_text), int(last_text or first_text)
    if not minimum <= first <= last <= 65535:
        raise InvalidArgumentError(
            f'"{text}" is not a port or a range of ports', resolution="ports go from 1 to 65535"
        )
    return first, last - first + 1


def _protocol(text: str, whole: str) -> str:
    word = text.lower() or "tcp"
    if word not in PROTOCOLS:
        raise InvalidArgumentError(
            f'"{whole}" names the protocol "{text}"', resolution=f"use one of {', '.join(PROTOCOLS)}"
        )
    return word
