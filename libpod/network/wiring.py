"""Links, addresses and routes, through pyroute2: the only module that speaks to it.

pyroute2 is imported at the first use, because it costs more than everything else that a start does. It runs
an event loop of its own, which must not meet one of the caller's thread: `on_host` and `inside` therefore
do their work in a thread made for it. Both hand out a `Wiring`, valid in the call.

Covers: netavark src/network/netlink.rs, core_utils.rs, bridge.rs (links), vlan.rs
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from libpod.define.errors import NetworkError, NotSupportedError
from libpod.linux.links import Link
from libpod.linux.namespaces import run_in_netns, run_in_thread
from libpod.network.plan import PlannedRoute
from libpod.network.status import NetAddress

T = TypeVar("T")

_NODAD = 0x02
_UNREACHABLE_KINDS = ("blackhole", "unreachable", "prohibit")


def on_host(function: Callable[[Wiring], T]) -> T:
    """Call *function* with the links of the caller's network namespace."""
    return run_in_thread(lambda: _with_wiring(function))


def inside(namespace: int | Path, function: Callable[[Wiring], T]) -> T:
    """Call *function* with the links of *namespace*, in a thread that has joined it."""
    return run_in_netns(namespace, lambda: _with_wiring(function))


def _with_wiring(function: Callable[[Wiring], T]) -> T:
    from pyroute2 import IPRoute

    with IPRoute() as netlink:
        return function(Wiring(netlink))


class Wiring:
    """The links of one namespace. Every refusal of the kernel is a NetworkError that says what was tried."""

    def __init__(self, netlink: Any) -> None:
        self._netlink = netlink

    def find(self, name: str) -> Link | None:
        """The link called *name*, None when there is none."""
        with _translated(f"look at interface {name}"):
            try:
                found = self._netlink.link("get", ifname=name)[0]
            except _netlink_error() as error:
                if error.code == errno.ENODEV:
                    return None
                raise
        return Link(
            index=int(found["index"]),
            name=name,
            alias=str(found.get("ifalias") or ""),
            group=int(found.get("group") or 0),
            master=int(found.get("master") or 0),
        )

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
        extra: dict[str, Any] = {"br_vlan_filtering": 1, "br_vlan_default_pvid": 0} if vlan_filtering else {}
        with _translated(f"make bridge {name}"):
            try:
                self._netlink.link("add", ifname=name, kind="bridge", address=mac, group=group, **extra)
            except _netlink_error() as error:
                if vlan_filtering and error.code == errno.EOPNOTSUPP:
                    raise NotSupportedError(
                        f"bridge {name} cannot have a vlan: this kernel's bridges do not filter them"
                    ) from error
                raise
        return self.require(name, "the bridge")

    def add_veth(self, name: str, *, peer: str, peer_mac: str, namespace: int, mtu: int, group: int) -> int:
        """A pair of links: *name* here, *peer* in the namespace behind the descriptor *namespace*; both
        down."""
        size = {"mtu": mtu} if mtu else {}
        with _translated(f"make the pair {name} and {peer}"):
            self._netlink.link(
                "add",
                ifname=name,
                kind="veth",
                group=group,
                peer={"ifname": peer, "address": peer_mac, "net_ns_fd": namespace, **size},
                **size,
            )
        return self.require(name, "the container")

    def add_on_parent(
        self, name: str, *, driver: str, parent: int, mac: str, namespace: int, mode: str, mtu: int
    ) -> None:
        """A macvlan or ipvlan of the link with the number *parent*, made inside *namespace*."""
        options: dict[str, Any] = {"mtu": mtu} if mtu else {}
        if driver == "macvlan":
            options |= {"address": mac, "macvlan_mode": mode or "bridge"}
        else:
            options["ipvlan_mode"] = {"": 0, "l2": 0, "l3": 1, "l3s": 2}[mode]
        with _translated(f"make {name} as {driver}"):
            try:
                self._netlink.link(
                    "add", ifname=name, kind=driver, link=parent, net_ns_fd=namespace, **options
                )
            except _netlink_error() as error:
                if error.code == errno.EOPNOTSUPP:
                    raise NotSupportedError(f"this kernel has no {driver} interfaces") from error
                raise

    def attach(self, index: int, *, bridge: int, alias: str) -> None:
        """Make a link a port of *bridge*, give it its alias, and bring it up."""
        with _translated(f"attach an interface for {alias}"):
            self._netlink.link("set", index=index, master=bridge, ifalias=alias, state="up")

    def reflect(self, index: int) -> None:
        """Let the port of a bridge send back where a packet came from: a container asking its own published port.

        Needed where the kernel translates addresses on bridges already (br_netfilter).
        """
        with _translated("set hairpin mode"):
            self._netlink.brport("set", index=index, mode=1)

    def tag_vlan(self, index: int, vlan: int, *, of_bridge: bool = False) -> None:
        """Untagged packets of the port (or of the bridge itself) belong to *vlan*."""
        extra = {"vlan_flags": "self"} if of_bridge else {}
        with _translated(f"set vlan {vlan}"):
            self._netlink.vlan_filter(
                "add", index=index, vlan_info={"vid": vlan, "flags": "pvid,untagged"}, **extra
            )

    def bring_up(self, index: int, *, alias: str = "", mtu: int = 0) -> None:
        extra: dict[str, Any] = {}
        if alias:
            extra["ifalias"] = alias
        if mtu:
            extra["mtu"] = mtu
        with _translated("bring an interface up"):
            self._netlink.link("set", index=index, state="up", **extra)

    def delete(self, name: str) -> bool:
        """Delete a link; whether it was there. The other end of a pair goes with it."""
        with _translated(f"delete interface {name}"):
            try:
                self._netlink.link("del", ifname=name)
            except _netlink_error() as error:
                if error.code == errno.ENODEV:
                    return False
                raise
        return True

    def add_address(self, index: int, address: NetAddress) -> None:
        """Give the link an address; one that it has already is fine."""
        # Duplicate address detection would delay IPv6 by a second; the claims exclude duplicates.
        extra = {"flags": _NODAD} if ":" in address.ipnet else {}
        with _translated(f"set address {address.ipnet}"):
            self._netlink.addr(
                "replace", index=index, address=address.address, prefixlen=address.prefix_length, **extra
            )

    def add_route(self, index: int, route: PlannedRoute) -> None:
        """Add a route through the link; one that is there already is fine."""
        extra: dict[str, Any] = {"family": 10 if route.version == 6 else 2, "proto": "static"}
        if route.gateway:
            extra["gateway"] = route.gateway
        if route.kind in _UNREACHABLE_KINDS:
            extra["type"] = route.kind
        else:
            extra["oif"] = index
        destination = route.destination
        if destination == "default" and route.version == 6:
            destination = "::/0"
        with _translated(f"add the route to {route.destination} via {route.gateway or route.kind}"):
            try:
                self._netlink.route("add", dst=destination, priority=route.metric, **extra)
            except _netlink_error() as error:
                if error.code != errno.EEXIST:
                    raise


def _netlink_error() -> Any:
    from pyroute2 import NetlinkError

    return NetlinkError


@contextlib.contextmanager
def _translated(purpose: str) -> Iterator[None]:
    """The kernel's refusals as NetworkErrors that say what was tried."""
    try:
        yield
    except _netlink_error() as error:
        raise NetworkError(
            f"the kernel could not {purpose} ({os.strerror(error.code)})",
            resolution=_RESOLUTIONS.get(error.code),
        ) from error
    except OSError as error:
        raise NetworkError(f"the kernel could not {purpose} ({error.strerror})") from error


_RESOLUTIONS = {
    errno.EPERM: "run as root, or with CAP_NET_ADMIN",
    errno.EOPNOTSUPP: "load the kernel module that is missing",
}
