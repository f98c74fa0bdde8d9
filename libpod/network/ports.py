"""Published ports: the words on a command line, the record, and who may have which.

    [[address:][host port]:]container port[/protocol]      ports may be ranges: 8000-8010:80-90/udp

The record is `libpod.model.container_config.PortMapping`: `range` ports of the container, from
`container_port` upwards, at as many of the host from `host_port`; `host_ip` "" is every address. A mapping
without a host port (0) gets a free one when the container is created (`libpod.network.listeners`); from
then on the record is complete. A *claim* is one host port of one protocol on one address ("" for every
address): what a container occupies as long as it runs. Claims are stored by the engine's state, this module
judges them.

Covers: pkg/specgen/generate/ports.go, pkg/specgenutil/ports.go, libnetwork/types.PortMapping
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping

import attrs
import msgspec

from libpod.define.errors import InvalidArgumentError
from libpod.model.container_config import PortMapping

PROTOCOLS = ("tcp", "udp", "sctp")
_LAST = 65535


@attrs.frozen(order=True)
class PortClaim:
    """One occupied host port; `address` is "" for every address of the host."""

    protocol: str
    port: int
    address: str = ""

    @property
    def key(self) -> str:
        """The text by which the state stores the claim: ``tcp/127.0.0.1/8080``, ``tcp/*/8080``."""
        return f"{self.protocol}/{self.address or '*'}/{self.port}"

    @classmethod
    def from_key(cls, key: str) -> PortClaim:
        """The inverse of `key`."""
        protocol, address, port = key.split("/")
        return cls(protocol, int(port), "" if address == "*" else address)


def parse_publish(text: str) -> PortMapping:
    """A ``--publish`` argument; raises InvalidArgumentError naming what is wrong with it."""
    ports, _, protocol = text.partition("/")
    protocol = protocol.lower() or "tcp"
    if protocol not in PROTOCOLS:
        raise _invalid(text, f'the protocol "{protocol}" is not one of {", ".join(PROTOCOLS)}')
    host_ip, host, container = _split(text, ports)
    first, count = _range(text, container, "container port")
    host_first = 0
    if host:
        host_first, host_count = _range(text, host, "host port")
        if host_count != count and not (count == 1 and host_count > 1):
            raise _invalid(text, f"{host_count} host ports cannot serve {count} container ports")
        if host_count != count:
            raise _invalid(text, "a range of host ports needs an equal range of container ports")
    if host_ip:
        try:
            host_ip = str(ipaddress.ip_address(host_ip))
        except ValueError as error:
            raise _invalid(text, f'"{host_ip}" is not an IP address') from error
        if ipaddress.ip_address(host_ip).is_unspecified and ":" not in host_ip:
            host_ip = "0.0.0.0"
    return PortMapping(
        host_ip=host_ip, container_port=first, host_port=host_first, range=count, protocol=protocol
    )


def _split(text: str, ports: str) -> tuple[str, str, str]:
    """(address, host ports, container ports) of the part before the protocol."""
    if ports.startswith("["):
        address, closed, rest = ports[1:].partition("]:")
        if not closed:
            raise _invalid(text, "the address in brackets does not end")
        words = ["", *rest.split(":")]
        words[0] = address
    else:
        words = ports.split(":")
    if len(words) == 1:
        return "", "", words[0]
    if len(words) == 2:
        # With an address in brackets alone, the port is the container's.
        return (words[0], "", words[1]) if ports.startswith("[") else ("", words[0], words[1])
    if len(words) == 3:
        return words[0], words[1], words[2]
    raise _invalid(text, "it has too many colons")


def _range(text: str, ports: str, what: str) -> tuple[int, int]:
    first, dash, last = ports.partition("-")
    if not first.isdecimal() or (dash and not last.isdecimal()):
        raise _invalid(text, f'the {what} "{ports}" is not a number')
    start, end = int(first), int(last) if dash else int(first)
    if not 1 <= start <= end <= _LAST:
        raise _invalid(text, f"the {what} {ports} is not within 1 and {_LAST} in rising order")
    return start, end - start + 1


def _invalid(text: str, cause: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f'cannot publish "{text}": {cause}', resolution="write [address:][hostPort:]containerPort[/protocol]"
    )


def check_mapping(mapping: PortMapping) -> None:
    """Raise InvalidArgumentError unless *mapping* can be carried out."""
    if mapping.protocol not in PROTOCOLS:
        raise InvalidArgumentError(f'cannot publish a port: unknown protocol "{mapping.protocol}"')
    if mapping.range < 1:
        raise InvalidArgumentError(f"cannot publish {mapping.range} ports from {mapping.container_port} on")
    for name, first in (("container", mapping.container_port), ("host", mapping.host_port)):
        if first < (0 if name == "host" else 1) or first + mapping.range - 1 > _LAST:
            raise InvalidArgumentError(
                f"cannot publish the {name} ports from {first} on: port numbers are 1 to {_LAST}"
            )


def expand(mapping: PortMapping) -> Iterator[tuple[int, int]]:
    """(host port, container port) of every port of *mapping*."""
    return ((mapping.host_port + step, mapping.container_port + step) for step in range(mapping.range))


def merged(mappings: Iterable[PortMapping]) -> tuple[PortMapping, ...]:
    """*mappings* checked, doubles removed, comma lists of protocols split; contradictions are refused.

    Two mappings contradict each other when they want the same host port for different container ports.
    """
    result: dict[PortMapping, None] = {}
    for mapping in mappings:
        for protocol in (mapping.protocol or "tcp").split(","):
            one = msgspec.structs.replace(mapping, protocol=protocol.strip(), range=max(mapping.range, 1))
            check_mapping(one)
            result.setdefault(one)
    seen: dict[PortClaim, int] = {}
    for mapping in result:
        if mapping.host_port == 0:
            continue
        address = _claimed_address(mapping.host_ip)
        for host_port, container_port in expand(mapping):
            claim = PortClaim(mapping.protocol, host_port, address)
            if seen.setdefault(claim, container_port) != container_port:
                raise InvalidArgumentError(
                    f"host port {host_port}/{mapping.protocol} is published for two container ports "
                    f"({seen[claim]} and {container_port})"
                )
    return tuple(result)


def claims_of(mappings: Iterable[PortMapping]) -> frozenset[PortClaim]:
    """The host ports that *mappings* occupy."""
    return frozenset(
        PortClaim(mapping.protocol, host_port, _claimed_address(mapping.host_ip))
        for mapping in mappings
        if mapping.host_port
        for host_port, _ in expand(mapping)
    )


def first_conflict(
    wanted: Iterable[PortClaim], taken: Mapping[PortClaim, str]
) -> tuple[PortClaim, str] | None:
    """The first of *wanted* that somebody has, with that owner; *taken* maps claims to owners.

    A claim on every address collides with one on a single address.
    """
    everywhere: dict[tuple[str, int], str] = {}
    for claim, owner in taken.items():
        everywhere.setdefault((claim.protocol, claim.port), owner)
    for claim in sorted(wanted):
        if claim.address == "":
            owner_here = everywhere.get((claim.protocol, claim.port))
        else:
            owner_here = taken.get(claim) or taken.get(attrs.evolve(claim, address=""))
        if owner_here is not None:
            return claim, owner_here
    return None


def _claimed_address(host_ip: str) -> str:
    # 0.0.0.0 and :: are one wildcard each; a claim treats both as every address, which errs on the safe side.
    return "" if host_ip in ("", "0.0.0.0", "::") else host_ip
