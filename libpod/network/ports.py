"""Published ports: who may have which.

A mapping (`libpod.model.container_config.PortMapping`) stands for `range` ports of the container, from
`container_port` upwards, at as many of the host from `host_port`; `host_ip` "" is every address. A mapping
without a host port (0) gets a free one when the container is created (`libpod.network.listeners`). A
*claim* is one host port of one protocol on one address ("" for every address): what a container occupies as
long as it runs. Claims are stored by the engine's state, this module judges them. Pure.

Covers: pkg/specgen/generate/ports.go, libnetwork/types.PortMapping
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from libpod.define.errors import InvalidArgumentError
from libpod.model.container_config import PortMapping
from libpod.model.network_request import PROTOCOLS, parse_publish

_LAST = 65535


class PortClaim(msgspec.Struct, frozen=True, order=True):
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


def parse_port_mappings(texts: Iterable[str]) -> tuple[PortMapping, ...]:
    """Several ``--publish`` arguments, checked against each other."""
    return merged(parse_publish(text) for text in texts)


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
            owner_here = taken.get(claim) or taken.get(msgspec.structs.replace(claim, address=""))
        if owner_here is not None:
            return claim, owner_here
    return None


def _claimed_address(host_ip: str) -> str:
    # 0.0.0.0 and :: are one wildcard each; a claim treats both as every address, which errs on the safe side.
    return "" if host_ip in ("", "0.0.0.0", "::") else host_ip
