"""A new network's definition: what the user left open is filled in, what cannot work is refused.

Pure but for one look at the host (`occupied`), whose result can be given. Our subnets are taken from a part of
10.0.0.0/8 that neither podman's default network (10.88.0.0/16) nor its pool (10.89.0.0 upwards) touches, and
never from what the host has a route for.

Covers: pkg/domain/infra/abi/network.go (create), container-libs common/libnetwork/netavark/config.go (create),
libnetwork/internal/util (bridge.go, create.go, validate.go)
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable, Mapping, Sequence

import attrs
import msgspec

from libpod.define.errors import InvalidArgumentError, NetworkError, NetworkExistsError, NotSupportedError
from libpod.define.ids import check_name
from libpod.model.times import now
from libpod.network import occupied
from libpod.network.definitions import (
    BRIDGE,
    DRIVERS,
    IPAM_DRIVERS,
    IPVLAN,
    LeaseRange,
    NetworkDefinition,
    Route,
    Subnet,
    network_id,
)
from libpod.network.ipam import Network

BRIDGE_PREFIX = "libpod"
# The later entries serve hosts that route all of 10.0.0.0/8 elsewhere.
DEFAULT_POOL = (*(f"10.{second}.0.0/16" for second in range(77, 72, -1)), "172.31.0.0/16", "172.30.0.0/16")
POOL = (*(f"10.{second}.0.0/16" for second in range(72, 63, -1)), "172.29.0.0/16", "192.168.128.0/17")
_NAME_LIMIT = 15
_KNOWN_OPTIONS = frozenset(
    (
        "mtu", "com.docker.network.driver.mtu", "vlan", "isolate", "metric", "no_default_route", "mode",
        "parent", "bclim", "vrf", "host_interface_name", "com.docker.network.bridge.name",
    )
)  # fmt: skip
_UNREACHABLE = ("blackhole", "unreachable", "prohibit")
_MACVLAN_MODES = ("", "bridge", "private", "vepa", "passthru")
_IPVLAN_MODES = ("", "l2", "l3", "l3s")


@attrs.frozen(kw_only=True)
class SubnetRequest:
    """A subnet the user asks for; `lease_range` is a smaller subnet or ``first-last``."""

    subnet: str
    gateway: str = ""
    lease_range: str = ""


def subnet_requests(
    subnets: Sequence[str], gateways: Sequence[str] = (), ranges: Sequence[str] = ()
) -> tuple[SubnetRequest, ...]:
    """The lists of a command line side by side: the first gateway and range belong to the first subnet, and so on."""
    for what, values in (("gateways", gateways), ("ranges", ranges)):
        if len(values) > len(subnets):
            raise InvalidArgumentError(
                f"there are {len(values)} {what} for {len(subnets)} subnets",
                resolution="name the subnet of each",
            )
    return tuple(
        SubnetRequest(
            subnet=subnet,
            gateway=gateways[number] if number < len(gateways) else "",
            lease_range=ranges[number] if number < len(ranges) else "",
        )
        for number, subnet in enumerate(subnets)
    )


def parse_route(text: str) -> Route:
    """A route in the words of ``--route``: ``destination,gateway[,metric]``, or ``destination,type[,metric]``."""
    words = text.split(",")
    if not 2 <= len(words) <= 3 or (len(words) == 3 and not words[2].isdecimal()):
        raise InvalidArgumentError(
            f'"{text}" is not a route', resolution="write DESTINATION,GATEWAY or DESTINATION,GATEWAY,METRIC"
        )
    metric = int(words[2]) if len(words) == 3 else None
    if words[1] in _UNREACHABLE:
        return Route(destination=words[0], route_type=words[1], metric=metric)
    return Route(destination=words[0], gateway=words[1], metric=metric)


def _subnets_of(values: Iterable[str | SubnetRequest]) -> tuple[SubnetRequest, ...]:
    return tuple(SubnetRequest(subnet=item) if isinstance(item, str) else item for item in values)


def _routes_of(values: Iterable[str | Route]) -> tuple[Route, ...]:
    return tuple(parse_route(item) if isinstance(item, str) else item for item in values)


@attrs.frozen(kw_only=True)
class NetworkCreateOptions:
    """What ``network create`` was told. Without subnets a free one is chosen (and one of IPv6 with `ipv6`).

    A subnet may be given as text alone, a route in the words of `parse_route`.
    """

    name: str = ""
    driver: str = BRIDGE
    subnets: tuple[SubnetRequest, ...] = attrs.field(default=(), converter=_subnets_of)
    routes: tuple[Route, ...] = attrs.field(default=(), converter=_routes_of)
    ipv6: bool = False
    internal: bool = False
    dns: bool = True
    dns_servers: tuple[str, ...] = attrs.field(default=(), converter=tuple)
    interface_name: str = ""
    ipam_driver: str = ""
    labels: Mapping[str, str] = attrs.field(factory=dict)
    options: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Occupied:
    """What must not be used again on this host."""

    networks: tuple[Network, ...] = ()
    links: frozenset[str] = frozenset()

    @classmethod
    def here(cls) -> Occupied:
        """As it is now, in the calling thread's network namespace."""
        return cls(
            networks=(*occupied.host_networks(), *occupied.foreign_networks()),
            links=frozenset(occupied.host_link_names()),
        )


def default_definition(
    name: str, others: Sequence[NetworkDefinition], used: Occupied | None = None, *, subnet: str = ""
) -> NetworkDefinition:
    """The default network: a bridge with one large IPv4 subnet and no DNS, as podman's is."""
    used = used or Occupied.here()
    if subnet:
        wish = NetworkCreateOptions(name=name, subnets=(subnet,))
        subnets = _subnets(name, wish, others, used)
    else:
        free = _free_subnet(DEFAULT_POOL, 16, others, used)
        subnets = (Subnet(subnet=str(free), gateway=str(free[1])),)
    return NetworkDefinition(
        name=name,
        id=network_id(name),
        network_interface=_free_bridge_name(others, used),
        created=now(),
        subnets=subnets,
        ipv6_enabled=any(":" in item.subnet for item in subnets),
        ipam_options={"driver": "host-local"},
    )


def new_definition(
    options: NetworkCreateOptions, others: Sequence[NetworkDefinition], used: Occupied | None = None
) -> NetworkDefinition:
    """The definition for *options*, complete; raises InvalidArgumentError, NetworkExistsError, NetworkError."""
    used = used or Occupied.here()
    name = check_name("network", options.name) if options.name else _free_name(others)
    if any(other.name == name for other in others):
        raise NetworkExistsError(name)
    if options.driver not in DRIVERS:
        raise InvalidArgumentError(
            f'network {name} cannot have the driver "{options.driver}"',
            resolution=f"choose one of {', '.join(DRIVERS)}",
        )
    _check_options(name, options)
    ipam = _ipam_driver(name, options)
    subnets = () if ipam == "none" else _subnets(name, options, others, used)
    return NetworkDefinition(
        name=name,
        id=network_id(name),
        driver=options.driver,
        network_interface=_interface(name, options, others, used),
        created=now(),
        subnets=subnets,
        routes=tuple(_checked_route(name, route) for route in options.routes),
        ipv6_enabled=options.ipv6 or any(":" in subnet.subnet for subnet in subnets),
        internal=options.internal,
        dns_enabled=options.dns and options.driver == BRIDGE and bool(subnets),
        network_dns_servers=tuple(_checked_server(name, server) for server in options.dns_servers),
        labels=dict(options.labels),
        options=dict(options.options),
        ipam_options={"driver": ipam},
    )


# ---- subnets --------------------------------------------------------------------------------------------------


def _subnets(
    name: str, options: NetworkCreateOptions, others: Sequence[NetworkDefinition], used: Occupied
) -> tuple[Subnet, ...]:
    taken = [ipaddress.ip_network(subnet.subnet) for other in others for subnet in other.subnets]
    if options.driver == BRIDGE and options.options.get("mode") != "unmanaged":
        taken += used.networks
    found: list[Subnet] = []
    for request in options.subnets:
        subnet = _requested_subnet(name, options, request)
        network = ipaddress.ip_network(subnet.subnet)
        if occupied.collides(network, taken):
            raise NetworkError(
                f"network {name} cannot have the subnet {network}: the host or another network uses it",
                resolution="choose another subnet",
            )
        taken.append(network)
        found.append(subnet)
    gateway = _wants_gateway(options)
    if not found:
        free = _free_subnet(POOL, 24, others, used)
        found.append(Subnet(subnet=str(free), gateway=str(free[1]) if gateway else ""))
    if options.ipv6 and not any(":" in subnet.subnet for subnet in found):
        local = _free_ipv6(taken)
        found.append(Subnet(subnet=str(local), gateway=str(local[1]) if gateway else ""))
    return tuple(found)


def _requested_subnet(name: str, options: NetworkCreateOptions, request: SubnetRequest) -> Subnet:
    try:
        network = ipaddress.ip_network(request.subnet, strict=False)
    except ValueError as error:
        raise InvalidArgumentError(f'network {name}: "{request.subnet}" is not a subnet') from error
    if network.num_addresses < 4 and not request.gateway:
        raise InvalidArgumentError(f"network {name}: subnet {network} has no room for containers")
    gateway = request.gateway
    if gateway:
        if _address(name, gateway) not in network:
            raise InvalidArgumentError(f"network {name}: gateway {gateway} is not in subnet {network}")
    elif _wants_gateway(options):
        gateway = str(network[1])
    lease = _lease_range(name, network, request.lease_range) if request.lease_range else None
    return Subnet(subnet=str(network), gateway=gateway, lease_range=lease)


def _lease_range(name: str, network: Network, text: str) -> LeaseRange:
    if "-" in text:
        first, _, last = text.partition("-")
        start, end = _address(name, first), _address(name, last)
    else:
        try:
            part = ipaddress.ip_network(text, strict=False)
        except ValueError as error:
            raise InvalidArgumentError(f'network {name}: "{text}" is not a range of addresses') from error
        start, end = part[0], part[-1]
    if start not in network or end not in network or int(end) < int(start):
        raise InvalidArgumentError(f"network {name}: range {text} is not within subnet {network}")
    start = max(start, network[1])
    if network.version == 4 and network.num_addresses > 2:
        end = min(end, network[-2])
    return LeaseRange(start_ip=str(start), end_ip=str(end))


def _wants_gateway(options: NetworkCreateOptions) -> bool:
    """An internal network needs an address on the host only for its DNS server."""
    return options.driver == BRIDGE and (not options.internal or options.dns)


def _free_subnet(
    pool: Iterable[str], prefix: int, others: Sequence[NetworkDefinition], used: Occupied
) -> ipaddress.IPv4Network:
    taken = [*used.networks]
    taken += [ipaddress.ip_network(subnet.subnet) for other in others for subnet in other.subnets]
    for large in pool:
        for candidate in ipaddress.IPv4Network(large).subnets(new_prefix=prefix):
            if not occupied.collides(candidate, taken):
                return candidate
    raise NetworkError("no free subnet is left for a network", resolution="name a subnet")


def _free_ipv6(taken: Iterable[Network]) -> ipaddress.IPv6Network:
    """A random unique local subnet (RFC 4193)."""
    taken = list(taken)
    while True:
        prefix = b"\xfd" + os.urandom(7) + bytes(8)
        candidate = ipaddress.IPv6Network((prefix, 64))
        if not occupied.collides(candidate, taken):
            return candidate


# ---- names, options -------------------------------------------------------------------------------------------


def _free_name(others: Sequence[NetworkDefinition]) -> str:
    names = {other.name for other in others}
    return next(name for name in (f"{BRIDGE_PREFIX}{n}" for n in range(1, 1 << 20)) if name not in names)


def _free_bridge_name(others: Sequence[NetworkDefinition], used: Occupied) -> str:
    names = used.links | {other.network_interface for other in others}
    return next(name for name in (f"{BRIDGE_PREFIX}{n}" for n in range(1 << 20)) if name not in names)


def _interface(
    name: str, options: NetworkCreateOptions, others: Sequence[NetworkDefinition], used: Occupied
) -> str:
    wanted = (
        options.interface_name
        or options.options.get("parent", "")
        or options.options.get("com.docker.network.bridge.name", "")
    )
    if options.driver != BRIDGE:
        return wanted
    if not wanted:
        return _free_bridge_name(others, used)
    if len(wanted) > _NAME_LIMIT or "/" in wanted or wanted.split() != [wanted]:
        raise InvalidArgumentError(f'network {name}: "{wanted}" cannot name an interface')
    owner = next((other for other in others if other.network_interface == wanted), None)
    if owner is not None:
        raise NetworkError(f"network {name}: the interface {wanted} is network {owner.name}'s")
    if options.options.get("mode") != "unmanaged" and wanted in used.links:
        raise NetworkError(
            f"network {name}: the host has an interface {wanted} already",
            resolution="choose another name, or use the bridge as it is with the option mode=unmanaged",
        )
    return wanted


def _ipam_driver(name: str, options: NetworkCreateOptions) -> str:
    driver = options.ipam_driver or ("host-local" if options.driver == BRIDGE or options.subnets else "none")
    if driver not in IPAM_DRIVERS:
        raise InvalidArgumentError(
            f'network {name}: unknown address driver "{driver}"',
            resolution=f"choose one of {', '.join(IPAM_DRIVERS)}",
        )
    if driver == "dhcp":
        raise NotSupportedError(
            f"network {name}: addresses by DHCP are not supported", resolution="name a subnet, or driver none"
        )
    if driver == "none" and options.subnets:
        raise InvalidArgumentError(f"network {name}: the address driver none goes with no subnet")
    return driver


def _check_options(name: str, options: NetworkCreateOptions) -> None:
    for key, value in options.options.items():
        if key not in _KNOWN_OPTIONS:
            raise InvalidArgumentError(
                f'network {name}: unknown option "{key}"',
                resolution=f"known are {', '.join(sorted(_KNOWN_OPTIONS))}",
            )
        if key in ("mtu", "vlan", "metric", "com.docker.network.driver.mtu"):
            limit = {"vlan": 4094, "metric": (1 << 32) - 1}.get(key, 65535)
            if not value.isdecimal() or int(value) > limit:
                raise InvalidArgumentError(
                    f'network {name}: option {key} must be a number up to {limit}, not "{value}"'
                )
        if key == "isolate" and value.lower() not in ("true", "false", "1", "0", "t", "f", "strict"):
            raise InvalidArgumentError(f"network {name}: option isolate is true, false or strict")
        if key == "vrf":
            raise NotSupportedError(f"network {name}: routing domains (vrf) are not supported")
    modes = {BRIDGE: ("", "managed", "unmanaged"), IPVLAN: _IPVLAN_MODES}.get(options.driver, _MACVLAN_MODES)
    if options.options.get("mode", "") not in modes:
        raise InvalidArgumentError(
            f'network {name}: a {options.driver} has no mode "{options.options["mode"]}"',
            resolution=f"choose one of {', '.join(mode for mode in modes if mode)}",
        )


def _checked_route(name: str, route: Route) -> Route:
    try:
        network = ipaddress.ip_network(route.destination, strict=False)
    except ValueError as error:
        raise InvalidArgumentError(f'network {name}: "{route.destination}" is not a destination') from error
    if route.gateway:
        if _address(name, route.gateway).version != network.version:
            raise InvalidArgumentError(f"network {name}: route {route.destination} via another family")
    elif route.route_type not in _UNREACHABLE:
        raise InvalidArgumentError(f"network {name}: the route to {route.destination} needs a gateway")
    return msgspec.structs.replace(route, destination=str(network))


def _checked_server(name: str, server: str) -> str:
    return str(_address(name, server))


def _address(name: str, text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(text)
    except ValueError as error:
        raise InvalidArgumentError(f'network {name}: "{text}" is not an IP address') from error
