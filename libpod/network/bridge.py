"""The driver of our own: bridges, veth pairs and one nft table, without any other program.

A set-up is one pass under the driver's lock: rules of networks that are not up yet, their bridges, the
pairs – each made with one end inside the container's namespace –, then addresses and routes inside, then
the ports. The lock is a file in the runtime's directory; it dies with its holder.

What a kill leaves, and who repairs it:

    rules of a network without a bridge     used by the next set-up of the network, else `strays`
    a bridge without its alias              the alias is set last; `_ensure_bridge` does the steps again
    a pair without alias, or half set up    bears our group from birth; the container's tear-down knows its name
    published ports                         the elements bear the container's id; its tear-down, else `strays`
    interfaces inside the namespace         go with the namespace, or with the other end

Group and alias carry the *owner*, a number derived from the runtime's directory, so that two installations
on one host tell their links apart; the table's name carries it too.

Covers: netavark src/network/bridge.rs, vlan.rs, src/commands/setup.rs, teardown.rs
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from libpod.define.errors import NetworkError, short
from libpod.linux.file_locks import locked_file
from libpod.linux.links import links as host_links
from libpod.linux.namespaces import opened_namespace
from libpod.network import strays, sysctls, wiring
from libpod.network.aardvark import SEARCH_DOMAIN, Aardvark
from libpod.network.base import ContainerNetwork, NetworkAttachment, NetworkBackend, Stray
from libpod.network.definitions import BRIDGE, NetworkDefinition
from libpod.network.firewall import Firewall
from libpod.network.plan import PlannedLink, derived_mac, host_link_name, installation, plan, status_of
from libpod.network.rules import network_mark
from libpod.network.status import NetAddress, NetworkStatus
from libpod.network.wiring import Wiring

logger = logging.getLogger(__name__)


class BridgeBackend(NetworkBackend):
    """See the module. *run_directory* is the runtime's own and vanishes with a reboot."""

    name = "bridge"

    def __init__(self, run_directory: Path, *, aardvark: str | None = None) -> None:
        """*aardvark* is the program that serves names (`aardvark.find_aardvark`), None for no DNS."""
        self.owner = installation(run_directory)
        self.group = int(self.owner, 16) >> 1 | 1
        self.firewall = Firewall(f"libpod_{self.owner}")
        self._run_directory = run_directory
        self._dns = Aardvark(run_directory, aardvark) if aardvark else None

    # -- the interface
    # ------------------------------------------------------------------------------------------

    def setup(self, request: ContainerNetwork) -> NetworkStatus:
        return self.connect(request, [attachment.network for attachment in request.attachments])

    def connect(self, request: ContainerNetwork, networks: Collection[str]) -> NetworkStatus:
        planned = plan(self.owner, request)
        wanted = tuple(link for link in planned if link.attachment.network in networks)
        with self._locked():
            try:
                with _namespace(request) as namespace:
                    self._wire(request, namespace, wanted)
                    if request.ports:
                        self.firewall.publish(request.container_id, planned, request.ports)
                    if self._dns:
                        self._dns.add(
                            request.container_id, request.container_name, _named(wanted), request.dns_servers
                        )
            except BaseException as error:
                try:
                    self._unwire(
                        request, networks, withdraw=bool(request.ports) and len(wanted) == len(planned)
                    )
                except NetworkError as second:
                    error.add_note(f"roll-back: {second}")
                raise
        served = [link.attachment.network for link in _named(wanted)] if self._dns else []
        return status_of(wanted, dns_networks=served, search=SEARCH_DOMAIN)

    def teardown(self, request: ContainerNetwork) -> None:
        with self._locked():
            self._unwire(
                request, [item.network for item in request.attachments], withdraw=bool(request.ports)
            )

    def disconnect(self, request: ContainerNetwork, networks: Collection[str]) -> None:
        with self._locked():
            if request.ports:
                remaining = [
                    item for item in plan(self.owner, request) if item.attachment.network not in networks
                ]
                self.firewall.publish(request.container_id, remaining, request.ports)
            self._unwire(request, networks, withdraw=False)

    def reload(self, request: ContainerNetwork) -> None:
        planned = plan(self.owner, request)
        with self._locked():
            self.firewall.add_networks([link.definition for link in planned if _has_rules(link.definition)])
            if request.ports:
                self.firewall.publish(request.container_id, planned, request.ports)

    def rename(self, request: ContainerNetwork) -> None:
        if self._dns is None:
            return
        planned = plan(self.owner, request)
        with self._locked():
            self._dns.add(request.container_id, request.container_name, _named(planned), request.dns_servers)

    def strays(self, live: Collection[str], definitions: Sequence[NetworkDefinition]) -> list[Stray]:
        expected = {host_link_name(self.owner, ctr, item.name) for ctr in live for item in definitions}
        with self._locked():
            found = strays.find(
                host_links(),
                published=self.firewall.published(),
                network_elements=self.firewall.network_elements(),
                table=self.firewall.table if self.firewall.exists() else "",
                owner=self.owner,
                group=self.group,
                live=live,
                expected=expected,
            )
            if self._dns:
                found += strays.names(self._dns.known(), live)
                found += strays.servers(idle=self._dns.is_idle())
            return found

    def remove_strays(self, found: Sequence[Stray]) -> None:
        with self._locked():
            # Looked at again, since the lock was given up meanwhile: a set-up may have made use of what lay about.
            present = {link.name: link.alias for link in host_links()}
            up = {alias.removeprefix(self._bridge_prefix) for alias in present.values()}
            names = [
                stray.name
                for stray in found
                if stray.kind == "link" and strays.is_still(stray, present.get(stray.name))
            ]
            if names:
                wiring.on_host(lambda host: [host.delete(name) for name in names])
            for owner in {
                stray.container_id for stray in found if stray.kind == "rule" and stray.container_id
            }:
                self.firewall.withdraw(owner)
            for stray in found:
                if stray.kind == "rule" and not stray.container_id and stray.name not in up:
                    self.firewall.remove_network(stray.name)
                if stray.kind == strays.NAME and self._dns:
                    self._dns.remove(stray.container_id, [stray.name])
            self._remove_idle_bridges()
            if self._dns:
                self._dns.end_idle()

    # -- up
    # -----------------------------------------------------------------------------------------------------

    def _wire(self, request: ContainerNetwork, namespace: int, planned: Sequence[PlannedLink]) -> None:
        def on_host(host: Wiring) -> None:
            missing = [link.definition for link in planned if not self._is_up(host, link.definition)]
            # Before the bridges: a bridge that is up has its rules.
            self.firewall.add_networks([definition for definition in missing if _has_rules(definition)])
            _enable_forwarding(missing)
            for definition in missing:
                self._ensure_bridge(host, definition)
            for link in planned:
                if link.definition.driver == BRIDGE:
                    self._make_pair(host, request, namespace, link)
                else:
                    _make_on_parent(host, namespace, link)

        wiring.on_host(on_host)
        wiring.inside(namespace, lambda there: _configure(there, planned))

    def _is_up(self, host: Wiring, definition: NetworkDefinition) -> bool:
        """Whether nothing has to be done for the network's bridge; NetworkError when it is somebody
        else's."""
        if definition.driver != BRIDGE:
            return True
        found = host.find(definition.network_interface)
        if definition.is_unmanaged:
            if found is None:
                raise NetworkError(
                    f"network {definition.name}: its bridge {definition.network_interface} does not exist",
                    resolution="make the bridge, or a network that manages its own",
                )
            return True
        if found is None:
            return False
        if found.alias == self._bridge_alias(definition):
            return True
        if found.group == self.group and not found.alias:
            return False
        raise NetworkError(
            f"network {definition.name}: interface {definition.network_interface} exists and is not its bridge",
            resolution="remove that interface, or remove the network and make it anew",
        )

    def _ensure_bridge(self, host: Wiring, definition: NetworkDefinition) -> None:
        name = definition.network_interface
        found = host.find(name)
        index = (
            found.index
            if found is not None
            else host.add_bridge(
                name,
                mac=derived_mac(self.owner, "", definition.name),
                group=self.group,
                vlan_filtering=definition.vlan > 0,
            )
        )
        for subnet in definition.subnets:
            if subnet.gateway:
                length = subnet.subnet.partition("/")[2]
                host.add_address(index, NetAddress(ipnet=f"{subnet.gateway}/{length}"))
        if definition.vlan:
            host.tag_vlan(index, definition.vlan, of_bridge=True)
        sysctls.prepare_bridge(name, reachable=not definition.internal)
        host.bring_up(index, alias=self._bridge_alias(definition), mtu=definition.mtu)

    def _make_pair(self, host: Wiring, request: ContainerNetwork, namespace: int, link: PlannedLink) -> None:
        host.delete(link.host_name)
        index = host.add_veth(
            link.host_name,
            peer=link.attachment.interface,
            peer_mac=link.mac,
            namespace=namespace,
            mtu=link.definition.mtu,
            group=self.group,
        )
        bridge = host.require(link.definition.network_interface, f"network {link.definition.name}")
        mark = network_mark(link.definition)
        host.attach(index, bridge=bridge, alias=f"libpod:{self.owner}:{request.container_id}:{mark}")
        if request.ports:
            host.reflect(index)
        if link.definition.vlan:
            host.tag_vlan(index, link.definition.vlan)

    @property
    def _bridge_prefix(self) -> str:
        return f"libpod:{self.owner}:{strays.NETWORK}:"

    def _bridge_alias(self, definition: NetworkDefinition) -> str:
        return self._bridge_prefix + network_mark(definition)

    # -- down
    # ---------------------------------------------------------------------------------------------------

    def _unwire(self, request: ContainerNetwork, networks: Collection[str], *, withdraw: bool) -> None:
        """Try every step, raise the first error with the others as notes."""
        gone = [item for item in request.attachments if item.network in networks]
        errors: list[NetworkError] = []
        if withdraw:
            _attempt(errors, lambda: self.firewall.withdraw(request.container_id))
        if self._dns is not None:
            dns = self._dns
            _attempt(errors, lambda: dns.remove(request.container_id, [item.network for item in gone]))
        _attempt(errors, lambda: self._delete_links(request, gone))
        _attempt(errors, lambda: self._remove_idle_bridges([item.definition for item in gone]))
        if errors:
            for other in errors[1:]:
                errors[0].add_note(f"and: {other}")
            raise errors[0]

    def _delete_links(self, request: ContainerNetwork, gone: Sequence[NetworkAttachment]) -> None:
        names = [
            host_link_name(self.owner, request.container_id, item.network)
            for item in gone
            if item.definition.driver == BRIDGE
        ]
        if names:
            wiring.on_host(lambda host: [host.delete(name) for name in names])
        inner = [item.interface for item in gone if item.definition.driver != BRIDGE]
        if inner:
            try:
                with opened_namespace(request.namespace) as namespace:
                    wiring.inside(namespace, lambda there: [there.delete(name) for name in inner])
            except OSError as error:
                logger.debug("namespace of %s is gone: %s", short(request.container_id), error)

    def _remove_idle_bridges(self, candidates: Sequence[NetworkDefinition] | None = None) -> None:
        """Remove the bridges of *candidates* (default: all of ours) that have no port left, and their
        rules."""
        prefix = self._bridge_prefix
        names = None if candidates is None else {item.network_interface for item in candidates}
        if names is not None and "" in names:
            names = None  # the definition is gone, and which bridge was its own is not known any more
        present = host_links()
        busy = {link.master for link in present if link.master}
        bridges = [link for link in present if link.alias.startswith(prefix)]
        idle = [link for link in bridges if link.index not in busy and (names is None or link.name in names)]
        # A set-up that was killed before the bridge got its alias.
        unfinished = [
            link
            for link in present
            if link.group == self.group and not link.alias and link.name in (names or ())
        ]
        gone = [link.name for link in (*idle, *unfinished)]
        if gone:
            wiring.on_host(lambda host: [host.delete(name) for name in gone])
        if len(idle) == len(bridges):
            self.firewall.remove()
            return
        for link in idle:
            self.firewall.remove_network(link.alias.removeprefix(prefix))

    def _locked(self) -> contextlib.AbstractContextManager[None]:
        return locked_file(self._run_directory / "network.lock")


def _make_on_parent(host: Wiring, namespace: int, link: PlannedLink) -> None:
    definition = link.definition
    purpose = f"network {definition.name}"
    if not definition.network_interface:
        raise NetworkError(
            f"network {definition.name} names no interface to share",
            resolution="make it with the option parent",
        )
    host.add_on_parent(
        link.attachment.interface,
        driver=definition.driver,
        parent=host.require(definition.network_interface, purpose),
        mac=link.mac,
        namespace=namespace,
        mode=definition.mode,
        mtu=definition.mtu,
    )


def _configure(there: Wiring, planned: Sequence[PlannedLink]) -> None:
    """Inside the namespace: addresses, up, routes. All addresses first, because a route may lead through
    any."""
    indexes = {}
    for link in planned:
        name = link.attachment.interface
        indexes[name] = there.require(name, "the container")
        sysctls.prepare_interface(name, ipv6=any(":" in item.ipnet for item in link.addresses))
        for address in link.addresses:
            there.add_address(indexes[name], address)
        there.bring_up(indexes[name])
    for link in planned:
        for route in link.routes:
            there.add_route(indexes[link.attachment.interface], route)


def _named(planned: Sequence[PlannedLink]) -> list[PlannedLink]:
    """Those whose network has a name server, which listens on the bridge's addresses."""
    return [
        link
        for link in planned
        if link.definition.dns_enabled
        and _has_rules(link.definition)
        and any(subnet.gateway for subnet in link.definition.subnets)
    ]


def _has_rules(definition: NetworkDefinition) -> bool:
    return definition.driver == BRIDGE and not definition.is_unmanaged


def _enable_forwarding(definitions: Sequence[NetworkDefinition]) -> None:
    subnets = [
        subnet.subnet
        for definition in definitions
        if _has_rules(definition) and not definition.internal
        for subnet in definition.subnets
    ]
    if subnets:
        sysctls.enable_forwarding(
            ipv4=any(":" not in subnet for subnet in subnets), ipv6=any(":" in subnet for subnet in subnets)
        )


@contextlib.contextmanager
def _namespace(request: ContainerNetwork) -> Iterator[int]:
    try:
        with opened_namespace(request.namespace) as descriptor:
            yield descriptor
    except OSError as error:
        raise NetworkError(
            f"the network namespace of container {request.container_name or short(request.container_id)} "
            f"cannot be entered at {request.namespace} ({error.strerror})"
        ) from error


def _attempt(errors: list[NetworkError], step: Callable[[], object]) -> None:
    try:
        step()
    except NetworkError as error:
        errors.append(error)
