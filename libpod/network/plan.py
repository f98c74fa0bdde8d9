"""From a request to names, addresses and routes: what set-up will do, decided before anything is touched.

Pure. Names in the kernel are hashes of the installation (`owner`), the container and the network, so that a
tear-down needs no record of what a set-up did, and two installations on one host never meet.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Collection, Sequence
from pathlib import Path

import msgspec

from libpod.define.errors import InvalidArgumentError, NotSupportedError, short
from libpod.linux.digest import sha256
from libpod.network.base import ContainerNetwork, NetworkAttachment
from libpod.network.definitions import BRIDGE, NetworkDefinition
from libpod.network.ports import merged
from libpod.network.status import NetAddress, NetInterface, NetworkStatus, StatusBlock

LINK_PREFIX = "lp"
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_INTERFACE = re.compile(r"[^\s/:]{1,15}")


class PlannedRoute(msgspec.Struct, frozen=True, kw_only=True):
    """A route inside the namespace; `destination` "default" or a network, `gateway` "" for none."""

    destination: str
    gateway: str
    metric: int
    version: int
    kind: str = "unicast"


class PlannedLink(msgspec.Struct, frozen=True, kw_only=True):
    """One interface: what is made on the host and what inside."""

    attachment: NetworkAttachment
    host_name: str
    """Name of the host's end of a veth; a macvlan has none."""
    mac: str
    addresses: tuple[NetAddress, ...]
    routes: tuple[PlannedRoute, ...]

    @property
    def definition(self) -> NetworkDefinition:
        return self.attachment.definition


def installation(run_directory: Path) -> str:
    """The number by which a runtime's things in the kernel are told from another's: 8 hex digits."""
    # Resolved, since /var/run and /run are one directory and must be one owner.
    return sha256(os.fsencode(os.path.realpath(run_directory))).hex()[:8]


def plan(owner: str, request: ContainerNetwork) -> tuple[PlannedLink, ...]:
    """The links of *request*, all of it validated; InvalidArgumentError or NotSupportedError otherwise."""
    who = request.container_name or short(request.container_id)
    names = [attachment.interface for attachment in request.attachments]
    networks = [attachment.network for attachment in request.attachments]
    for what, values in (("interface", names), ("network", networks)):
        double = next((value for value in values if values.count(value) > 1), None)
        if double is not None:
            raise InvalidArgumentError(f"container {who}: {what} {double} is given twice")
    merged(request.ports)
    return tuple(
        _link(owner, who, request.container_id, attachment, position)
        for position, attachment in enumerate(request.attachments)
    )


def host_link_name(owner: str, container_id: str, network: str) -> str:
    """The name of the host's end of a veth: 14 characters, the same for the same three."""
    return LINK_PREFIX + _digest(owner, container_id, network).hex()[:12]


def derived_mac(owner: str, container_id: str, network: str) -> str:
    """A locally administered unicast address, the same for the same three."""
    raw = bytearray(_digest("mac", owner, container_id, network)[:6])
    raw[0] = raw[0] & 0xFC | 0x02
    return raw.hex(":")


def status_of(
    links: Sequence[PlannedLink], *, dns_networks: Collection[str] = (), search: str = ""
) -> NetworkStatus:
    """What the container is told about its networks; a server answers on the gateways of *dns_networks*."""
    status: NetworkStatus = {}
    for link in links:
        served = link.attachment.network in dns_networks
        gateways = tuple(item.gateway for item in link.addresses if item.gateway)
        status[link.attachment.network] = StatusBlock(
            interfaces={
                link.attachment.interface: NetInterface(subnets=link.addresses, mac_address=link.mac)
            },
            dns_server_ips=gateways if served else (),
            dns_search_domains=(search,) if served and search else (),
        )
    return status


def normalized_mac(text: str) -> str:
    """*text* as lower-case pairs with colons; InvalidArgumentError when no interface can have it."""
    mac = text.lower().replace("-", ":")
    if _MAC.fullmatch(mac) is None or int(mac[:2], 16) & 1 or mac == "00:00:00:00:00:00":
        raise InvalidArgumentError(
            f'"{text}" cannot be the MAC address of an interface',
            resolution="give six pairs of hex digits, the first one even",
        )
    return mac


def _link(
    owner: str, who: str, container_id: str, attachment: NetworkAttachment, position: int
) -> PlannedLink:
    definition = attachment.definition
    if _INTERFACE.fullmatch(attachment.interface) is None or attachment.interface in (".", "..", "lo"):
        raise InvalidArgumentError(
            f'container {who}: "{attachment.interface}" cannot name an interface',
            resolution="use up to 15 characters without blanks, slashes and colons",
        )
    if definition.ipam_driver == "dhcp":
        raise NotSupportedError(
            f"container {who}: network {definition.name} gives addresses by DHCP, which is not supported here"
        )
    if definition.driver == BRIDGE and not definition.network_interface:
        raise InvalidArgumentError(f"network {definition.name} names no bridge")
    addresses = tuple(_address(who, definition, text) for text in attachment.addresses)
    return PlannedLink(
        attachment=attachment,
        host_name=host_link_name(owner, container_id, definition.name),
        mac=normalized_mac(attachment.mac or derived_mac(owner, container_id, definition.name)),
        addresses=addresses,
        routes=_routes(definition, addresses, position),
    )


def _address(who: str, definition: NetworkDefinition, text: str) -> NetAddress:
    try:
        address = ipaddress.ip_address(text)
    except ValueError as error:
        raise InvalidArgumentError(f'container {who}: "{text}" is not an IP address') from error
    for subnet in definition.subnets:
        network = ipaddress.ip_network(subnet.subnet)
        if address in network:
            if subnet.gateway and address == ipaddress.ip_address(subnet.gateway):
                raise InvalidArgumentError(
                    f"container {who}: {text} is the gateway of network {definition.name}"
                )
            return NetAddress(ipnet=f"{address}/{network.prefixlen}", gateway=subnet.gateway)
    raise InvalidArgumentError(
        f"container {who}: address {text} is in no subnet of network {definition.name}",
        resolution="choose an address of the network",
    )


def _routes(
    definition: NetworkDefinition, addresses: tuple[NetAddress, ...], position: int
) -> tuple[PlannedRoute, ...]:
    """Default routes per family and the definition's own; a later network's default route ranks lower."""
    found = []
    for version in (4, 6):
        gateways = [
            address.gateway
            for address in addresses
            if address.gateway and _version(address.gateway) == version
        ]
        if gateways and definition.has_default_route:
            found.append(
                PlannedRoute(
                    destination="default",
                    gateway=gateways[0],
                    metric=definition.metric + position,
                    version=version,
                )
            )
    families = {_version(address.address) for address in addresses}
    for route in definition.routes:
        version = ipaddress.ip_network(route.destination, strict=False).version
        if version in families:
            found.append(
                PlannedRoute(
                    destination=route.destination,
                    gateway=route.gateway,
                    metric=route.metric if route.metric is not None else definition.metric,
                    version=version,
                    kind=route.route_type or "unicast",
                )
            )
    return tuple(found)


def _version(address: str) -> int:
    return 6 if ":" in address else 4


def _digest(*words: str) -> bytes:
    return sha256("\0".join(words).encode())
