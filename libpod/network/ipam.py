"""Which address a container gets: pure arithmetic over what is taken.

The address book is the engine's state: a claim ``<network>/<address>`` owned by the container. The order is

1. read the claims of the networks concerned, `choose` addresses, claim them – all in one transaction, or with
   a compare-and-set that is repeated when another process was faster;
2. set the network up with exactly these addresses;
3. when set-up fails or the container is cleaned up, tear down first and release the claims last.

So a kill leaves an address claimed for nobody's use, never used by two: the clean-up of that container frees it.

`choose` goes on after the last address handed out, so that a freed address rests as long as possible and the
neighbour caches of others forget it.

Covers: container-libs common/libnetwork/netavark/ipam.go
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable

from libpod.define.errors import InvalidArgumentError, NetworkError
from libpod.network.definitions import NetworkDefinition, Subnet

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def address_key(network: str, address: str) -> str:
    """The text by which the state stores a claim of *address* on *network*."""
    return f"{network}/{ipaddress.ip_address(address)}"


def split_address_key(key: str) -> tuple[str, str]:
    """(network, address) of an `address_key`."""
    network, _, address = key.rpartition("/")
    return network, address


def choose(
    definition: NetworkDefinition,
    taken: Collection[str],
    *,
    static: Iterable[str] = (),
    last: str | None = None,
) -> tuple[str, ...]:
    """One address per subnet of *definition*, in the order of its subnets.

    *taken* are the claimed addresses of that network, *static* the wishes of the user (at most one per subnet is
    usual, more are given as they are), *last* the address that was handed out last, after which the search
    begins. Raises InvalidArgumentError for a wish that no subnet contains or that is the gateway, NetworkError
    for a wish that is taken and for a subnet without a free address.
    """
    if definition.ipam_driver == "none":
        return ()
    busy = {ipaddress.ip_address(address) for address in taken}
    wishes = [ipaddress.ip_address(address) for address in static]
    for wish in wishes:
        _check_wish(definition, wish, busy)
    found: list[str] = []
    for subnet in definition.subnets:
        network = ipaddress.ip_network(subnet.subnet)
        mine = [wish for wish in wishes if wish in network]
        if mine:
            found += [str(wish) for wish in mine]
        else:
            address = next_free(subnet, busy, last=last)
            if address is None:
                raise NetworkError(
                    f"network {definition.name} has no free address left in {subnet.subnet}",
                    resolution="remove containers from it or make a network with a larger subnet",
                )
            found.append(address)
    return tuple(found)


def next_free(subnet: Subnet, busy: Collection[Address], *, last: str | None = None) -> str | None:
    """The first free address of *subnet* after *last*, going round; None when all are taken."""
    first, end = lease_range(subnet)
    gateway = ipaddress.ip_address(subnet.gateway) if subnet.gateway else None
    make = ipaddress.IPv4Address if first.version == 4 else ipaddress.IPv6Address
    start = int(first)
    if last is not None:
        previous = ipaddress.ip_address(last)
        if previous.version == first.version and int(first) <= int(previous) < int(end):
            start = int(previous) + 1
    # At most len(busy) + 1 (the gateway) candidates can be refused, whatever the size of the subnet.
    for number in _round(start, int(first), int(end), len(busy) + 2):
        candidate = make(number)
        if candidate not in busy and candidate != gateway:
            return str(candidate)
    return None


def _round(start: int, first: int, end: int, count: int) -> Iterable[int]:
    size = end - first + 1
    return (first + (start - first + step) % size for step in range(min(size, count)))


def lease_range(subnet: Subnet) -> tuple[Address, Address]:
    """The first and the last address that may be handed out, the gateway among them perhaps."""
    network = ipaddress.ip_network(subnet.subnet)
    first, last = usable(network)
    if subnet.lease_range is not None:
        if subnet.lease_range.start_ip:
            first = ipaddress.ip_address(subnet.lease_range.start_ip)
        if subnet.lease_range.end_ip:
            last = ipaddress.ip_address(subnet.lease_range.end_ip)
    return first, last


def usable(network: Network) -> tuple[Address, Address]:
    """The first and the last address of *network* that a host may have."""
    if network.num_addresses <= 2:
        return network[0], network[-1]
    return network[1], network[-2] if network.version == 4 else network[-1]


def _check_wish(definition: NetworkDefinition, wish: Address, busy: Collection[Address]) -> None:
    subnet = next((item for item in definition.subnets if wish in ipaddress.ip_network(item.subnet)), None)
    if subnet is None:
        known = ", ".join(item.subnet for item in definition.subnets) or "none"
        raise InvalidArgumentError(
            f"address {wish} is in no subnet of network {definition.name} (it has {known})",
            resolution="choose an address of the network or another network",
        )
    network = ipaddress.ip_network(subnet.subnet)
    first, last = usable(network)
    if not first <= wish <= last:  # type: ignore[operator]
        raise InvalidArgumentError(f"address {wish} is the network or broadcast address of {subnet.subnet}")
    if subnet.gateway and wish == ipaddress.ip_address(subnet.gateway):
        raise InvalidArgumentError(f"address {wish} is the gateway of network {definition.name}")
    if wish in busy:
        raise NetworkError(
            f"address {wish} of network {definition.name} is taken by another container",
            resolution="choose another address or stop that container",
        )
