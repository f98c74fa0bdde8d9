"""Links, addresses and routes: what a driver asks of the kernel, in words.

`on_host` works in the network namespace of the caller, `inside` in a thread that has joined another. Both hand out a
`Wiring`, valid in the call. The messages are pyroute2's (`netlink`), loaded with the first of them.

Covers: netavark src/network/netlink.rs, core_utils.rs, bridge.rs (links), vlan.rs
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from libpod.define.errors import NetworkError, NotSupportedError
from libpod.linux.links import Link, link_named
from libpod.linux.namespaces import run_in_netns
from libpod.network import netlink
from libpod.network.netlink import RouteSocket
from libpod.network.plan import PlannedRoute
from libpod.network.status import NetAddress

T = TypeVar("T")

_NODAD = 0x02
_HAIRPIN = 1
_PVID_UNTAGGED = 0x2 | 0x4
_BRIDGE_ITSELF = 2
_MACVLAN_MODES = ("bridge", "private", "vepa", "passthru")
_IPVLAN_MODES = {"": 0, "l2": 0, "l3": 1, "l3s": 2}
_ROUTE_TYPES = {"unicast": 1, "blackhole": 6, "unreachable": 7, "prohibit": 8}
_MAIN_TABLE, _STATIC, _EVERYWHERE, _ON_LINK = 254, 4, 0, 253


def on_host(function: Callable[[Wiring], T]) -> T:
    """Call *function* with the links of the caller's network namespace."""
    with RouteSocket() as opened:
        return function(Wiring(opened))


def inside(namespace: int | Path, function: Callable[[Wiring], T]) -> T:
    """Call *function* with the links of *namespace*, in a thread that has joined it."""
    return run_in_netns(namespace, lambda: on_host(function))


class Wiring:
    """The links of one namespace. Every refusal of the kernel is a NetworkError that says what was tried."""

    def __init__(self, opened: RouteSocket) -> None:
        self._route = opened

    def find(self, name: str) -> Link | None:
        """The link called *name*, None when there is none."""
        with _translated(f"look at interface {name}"):
            return link_named(name)

    def require(self, name: str, purpose: str) -> int:
        """The number of a link that must be there."""
        found = self.find(name)
        if found is None:
            raise NetworkError(
                f"interface {name} does not exist, and {purpose} needs it", resolution="make it before"
            )
        return found.index

    def add_bridge(self, name: str, *, mac: str, group: int, vlan_filtering: bool) -> int:
        """A new bridge, down."""
        extra = [("IFLA_BR_VLAN_FILTERING", 1), ("IFLA_BR_VLAN_DEFAULT_PVID", 0)] if vlan_filtering else []
        with _translated(f"make bridge {name}"):
            try:
                self._add(name, "bridge", extra, ("IFLA_ADDRESS", mac), ("IFLA_GROUP", group))
            except OSError as error:
                if vlan_filtering and error.errno == errno.EOPNOTSUPP:
                    raise NotSupportedError(
                        f"bridge {name} cannot have a vlan: this kernel's bridges do not filter them"
                    ) from error
                raise
        return self.require(name, "the bridge")

    def add_veth(self, name: str, *, peer: str, peer_mac: str, namespace: int, mtu: int, group: int) -> int:
        """A pair of links: *name* here, *peer* in the namespace behind the descriptor *namespace*; both
        down."""
        size = [("IFLA_MTU", mtu)] if mtu else []
        far = [("IFLA_IFNAME", peer), ("IFLA_ADDRESS", peer_mac), ("IFLA_NET_NS_FD", namespace), *size]
        with _translated(f"make the pair {name} and {peer}"):
            self._add(name, "veth", [("VETH_INFO_PEER", {"attrs": far})], ("IFLA_GROUP", group), *size)
        return self.require(name, "the container")

    def add_on_parent(
        self, name: str, *, driver: str, parent: int, mac: str, namespace: int, mode: str, mtu: int
    ) -> None:
        """A macvlan or ipvlan of the link with the number *parent*, made inside *namespace*."""
        more: list[tuple[str, Any]] = [("IFLA_LINK", parent), ("IFLA_NET_NS_FD", namespace)]
        if mtu:
            more.append(("IFLA_MTU", mtu))
        if driver == "macvlan":
            more.append(("IFLA_ADDRESS", mac))
            data: list[tuple[str, Any]] = [("IFLA_MACVLAN_MODE", mode or _MACVLAN_MODES[0])]
        else:
            data = [("IFLA_IPVLAN_MODE", _IPVLAN_MODES[mode])]
        with _translated(f"make {name} as {driver}"):
            try:
                self._add(name, driver, data, *more)
            except OSError as error:
                if error.errno == errno.EOPNOTSUPP:
                    raise NotSupportedError(f"this kernel has no {driver} interfaces") from error
                raise

    def _add(self, name: str, kind: str, data: list[tuple[str, Any]], *attributes: tuple[str, Any]) -> None:
        message = netlink.link_message()
        info: list[tuple[str, Any]] = [("IFLA_INFO_KIND", kind)]
        if data:
            info.append(("IFLA_INFO_DATA", {"attrs": data}))
        message["attrs"] = [("IFLA_IFNAME", name), *attributes, ("IFLA_LINKINFO", {"attrs": info})]
        self._route.change(netlink.NEWLINK, message, flags=netlink.MAKE)

    def attach(self, index: int, *, bridge: int, alias: str) -> None:
        """Make a link a port of *bridge*, give it its alias, and bring it up."""
        with _translated(f"attach an interface for {alias}"):
            self._set(index, ("IFLA_MASTER", bridge), ("IFLA_IFALIAS", alias), up=True)

    def reflect(self, index: int) -> None:
        """Let the port of a bridge send back where a packet came from: a container asking its own published port.

        Needed where the kernel translates addresses on bridges already (br_netfilter).
        """
        data = {"attrs": [("IFLA_BRPORT_MODE", _HAIRPIN)]}
        info = {"attrs": [("IFLA_INFO_SLAVE_KIND", "bridge"), ("IFLA_INFO_SLAVE_DATA", data)]}
        with _translated("set hairpin mode"):
            self._set(index, ("IFLA_LINKINFO", info))

    def tag_vlan(self, index: int, vlan: int, *, of_bridge: bool = False) -> None:
        """Untagged packets of the port (or of the bridge itself) belong to *vlan*."""
        what: list[tuple[str, Any]] = [("IFLA_BRIDGE_FLAGS", _BRIDGE_ITSELF)] if of_bridge else []
        what.append(("IFLA_BRIDGE_VLAN_INFO", {"vid": vlan, "flags": _PVID_UNTAGGED}))
        message = netlink.link_message(index=index, family=netlink.AF_BRIDGE)
        message["attrs"] = [("IFLA_AF_SPEC", {"attrs": what})]
        with _translated(f"set vlan {vlan}"):
            self._route.change(netlink.SETLINK, message)

    def bring_up(self, index: int, *, alias: str = "", mtu: int = 0) -> None:
        extra: list[tuple[str, Any]] = [("IFLA_IFALIAS", alias)] if alias else []
        if mtu:
            extra.append(("IFLA_MTU", mtu))
        with _translated("bring an interface up"):
            self._set(index, *extra, up=True)

    def _set(self, index: int, *attributes: tuple[str, Any], up: bool = False) -> None:
        flag = netlink.IFF_UP if up else 0
        message = netlink.link_message(index=index, flags=flag, change=flag)
        message["attrs"] = list(attributes)
        self._route.change(netlink.NEWLINK, message)

    def delete(self, name: str) -> bool:
        """Delete a link; whether it was there. The other end of a pair goes with it."""
        message = netlink.link_message()
        message["attrs"] = [("IFLA_IFNAME", name)]
        with _translated(f"delete interface {name}"):
            try:
                self._route.change(netlink.DELLINK, message)
            except OSError as error:
                if error.errno == errno.ENODEV:
                    return False
                raise
        return True

    def add_address(self, index: int, address: NetAddress) -> None:
        """Give the link an address; one that it has already is fine."""
        family = _family(address.ipnet)
        message = netlink.address_message(index=index, family=family, prefixlen=address.prefix_length)
        message["attrs"] = [("IFA_LOCAL", address.address), ("IFA_ADDRESS", address.address)]
        if family == socket.AF_INET6:
            # Duplicate address detection would delay IPv6 by a second; the claims exclude duplicates.
            message["attrs"].append(("IFA_FLAGS", _NODAD))
        else:
            network = ipaddress.ip_interface(address.ipnet).network
            if network.num_addresses > 2:
                message["attrs"].append(("IFA_BROADCAST", str(network.broadcast_address)))
        with _translated(f"set address {address.ipnet}"):
            self._route.change(netlink.NEWADDR, message, flags=netlink.REPLACE)

    def add_route(self, index: int, route: PlannedRoute) -> None:
        """Add a route through the link; one that is there already is fine."""
        destination = None if route.destination == "default" else ipaddress.ip_network(route.destination)
        through = route.kind == "unicast"
        message = netlink.route_message(
            family=socket.AF_INET6 if route.version == 6 else socket.AF_INET,
            dst_len=destination.prefixlen if destination else 0,
            table=_MAIN_TABLE,
            proto=_STATIC,
            scope=_ON_LINK if through and not route.gateway else _EVERYWHERE,
            type=_ROUTE_TYPES[route.kind],
        )
        attributes: list[tuple[str, Any]] = [("RTA_TABLE", _MAIN_TABLE), ("RTA_PRIORITY", route.metric)]
        if destination:
            attributes.append(("RTA_DST", str(destination.network_address)))
        if route.gateway:
            attributes.append(("RTA_GATEWAY", route.gateway))
        if through:
            attributes.append(("RTA_OIF", index))
        message["attrs"] = attributes
        with _translated(f"add the route to {route.destination} via {route.gateway or route.kind}"):
            try:
                self._route.change(netlink.NEWROUTE, message, flags=netlink.MAKE)
            except OSError as error:
                if error.errno != errno.EEXIST:
                    raise


def _family(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


@contextlib.contextmanager
def _translated(purpose: str) -> Iterator[None]:
    """The kernel's refusals as NetworkErrors that say what was tried."""
    try:
        yield
    except OSError as error:
        raise NetworkError(
            f"the kernel could not {purpose} ({error.strerror})",
            resolution=_RESOLUTIONS.get(error.errno or 0),
        ) from error


_RESOLUTIONS = {
    errno.EPERM: "run as root, or with CAP_NET_ADMIN",
    errno.EOPNOTSUPP: "load the kernel module that is missing",
}
