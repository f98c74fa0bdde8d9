"""What a set-up gave a container, in the JSON that podman keeps and that travels in a checkpoint archive.

    {"podman": {"interfaces": {"eth0": {"subnets": [{"ipnet": "10.88.0.5/16", "gateway": "10.88.0.1"}],
                                        "mac_address": "ca:98:…"}},
                "dns_server_ips": ["10.88.0.1"], "dns_search_domains": ["dns.podman"]}}

Covers: container-libs common/libnetwork/types (StatusBlock, NetInterface, NetAddress)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec


class NetAddress(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An address of an interface with its prefix length, and the gateway of that subnet ("" for none)."""

    ipnet: str
    gateway: str = ""

    @property
    def address(self) -> str:
        return self.ipnet.partition("/")[0]

    @property
    def prefix_length(self) -> int:
        return int(self.ipnet.partition("/")[2] or 0)


class NetInterface(msgspec.Struct, frozen=True, kw_only=True):
    """One interface inside the namespace."""

    subnets: tuple[NetAddress, ...] = ()
    mac_address: str = ""


class StatusBlock(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one network gave the container."""

    interfaces: dict[str, NetInterface] = msgspec.field(default_factory=dict)
    dns_server_ips: tuple[str, ...] = ()
    dns_search_domains: tuple[str, ...] = ()


NetworkStatus = dict[str, StatusBlock]
"""Network name → what it gave."""

_ENCODER = msgspec.json.Encoder()
_NULLS = msgspec.json.Decoder()


def encode_status(status: Mapping[str, StatusBlock]) -> bytes:
    """The JSON text of a network status."""
    return _ENCODER.encode(status)


def decode_status(data: bytes) -> NetworkStatus:
    """A network status from its JSON; null (a container without a network) is none, also inside."""
    return status_from(_NULLS.decode(data) or {})


def status_from(plain: Mapping[str, Any]) -> NetworkStatus:
    """A network status from decoded JSON, that of an archive too; null is what is absent."""
    return msgspec.convert(_without_nulls(plain), dict[str, StatusBlock])


def _without_nulls(value: object) -> object:
    """Go writes empty slices and maps as null; here an absent key means the same."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def addresses(status: Mapping[str, StatusBlock]) -> Iterator[NetAddress]:
    """Every address of every interface, in order."""
    for block in status.values():
        for interface in block.interfaces.values():
            yield from interface.subnets
