"""The nft scripts of the bridge driver: pure text.

One table of family inet per installation. Nothing outside it is touched, and it is deleted with the last
bridge.

    raw_prerouting   drops what a container sends to 127.0.0.0/8 of the host (see route_localnet in `sysctls`)
    nat_prerouting   to an address of the host           → publish
    nat_output       … from the host itself              → publish
    publish          (address, protocol, port) → (address, port), by four maps: with and without a host address,
                     for IPv4 and IPv6; one look-up whatever the number of containers
    nat_postrouting  source in a subnet of ours          → net_<id>: masquerade what leaves the subnet, and hairpins
                     the host's loopback                 → from the gateway
    forward          from a bridge of ours → from_<id>, to a bridge of ours → to_<id>: internal and isolated networks

Every element of a map carries its owner as comment: the container's id for a port, ``network <name>`` for
what a network put there. So the kernel itself is the record of what is published, and a tear-down, a crash
repair and the question "who has port 80" are the same listing.

A chain has to be declared before a map whose elements jump to it, otherwise nft (1.0.6) does not find it.

Adding costs nft a fraction of a millisecond; deleting waits for a grace period of the kernel (about 10 ms).
Hence one transaction per set-up, and none at all for a container without ports on a bridge that is up.

Covers: netavark src/firewall/nft.rs, src/network/internal_types.rs
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

import msgspec

from libpod.model.container_config import PortMapping
from libpod.network.definitions import NetworkDefinition
from libpod.network.plan import PlannedLink
from libpod.network.ports import PortClaim, expand

MAPS = ("publish4", "publish6", "publish4_at", "publish6_at")
NETWORK_MAPS = ("sources4", "sources6", "gateways", "from_bridge", "to_bridge")
NETWORK_SETS = ("bridges", "isolated")
NETWORK_COMMENT = "network "
_ID_LENGTH = 16


class Published(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One element of a map: a host port, where it leads, and the container that owns it. Whose it is makes no other."""

    map: str
    claim: PortClaim
    address: str
    port: int
    owner: str = ""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Published) and self._place == other._place

    def __hash__(self) -> int:
        return hash(self._place)

    @property
    def _place(self) -> tuple[object, ...]:
        return self.map, self.claim, self.address, self.port

    @property
    def key(self) -> str:
        at = f"{self.claim.address} . " if self.map.endswith("_at") else ""
        return f"{at}{self.claim.protocol} . {self.claim.port}"


# ---- the table ---------------------------------------------------------------------------------------------


def skeleton(table: str) -> str:
    """Table, base chains and maps; harmless when they exist."""
    lines = [f"add table inet {table}"]
    for name, kind in (
        ("raw_prerouting", "type filter hook prerouting priority raw; policy accept;"),
        ("nat_prerouting", "type nat hook prerouting priority dstnat; policy accept;"),
        ("nat_output", "type nat hook output priority -100; policy accept;"),
        ("nat_postrouting", "type nat hook postrouting priority srcnat; policy accept;"),
        ("forward", "type filter hook forward priority filter; policy accept;"),
    ):
        lines += [f"add chain inet {table} {name} {{ {kind} }}", f"flush chain inet {table} {name}"]
    lines += [f"add chain inet {table} publish", f"flush chain inet {table} publish"]
    for family, kind in (("4", "ipv4_addr"), ("6", "ipv6_addr")):
        target = f"{kind} . inet_service"
        lines += [
            f"add map inet {table} publish{family} {{ type inet_proto . inet_service : {target}; }}",
            f"add map inet {table} publish{family}_at {{ type {kind} . inet_proto . inet_service : {target}; }}",
        ]
    lines.append(f"add set inet {table} bridges {{ type ifname; }}")
    lines.append(f"add set inet {table} isolated {{ type ifname; }}")
    return "\n".join(lines) + "\n"


def base_rules(table: str) -> str:
    """The maps that jump, and the contents of the base chains; after every chain that they lead to."""
    rules = (
        ("raw_prerouting", "iifname @bridges ip daddr 127.0.0.0/8 drop"),
        ("nat_prerouting", "fib daddr type local jump publish"),
        ("nat_output", "fib daddr type local jump publish"),
        ("publish", "dnat ip addr . port to ip daddr . meta l4proto . th dport map @publish4_at"),
        ("publish", "dnat ip6 addr . port to ip6 daddr . meta l4proto . th dport map @publish6_at"),
        ("publish", "dnat ip addr . port to meta l4proto . th dport map @publish4"),
        ("publish", "dnat ip6 addr . port to meta l4proto . th dport map @publish6"),
        # Not masquerade: the kernel forgets such connections when the bridge goes, and that of the last container goes
        # while it is frozen.
        ("nat_postrouting", "ip saddr 127.0.0.0/8 snat ip to ip daddr map @gateways"),
        ("nat_postrouting", "ip saddr vmap @sources4"),
        ("nat_postrouting", "ip6 saddr vmap @sources6"),
        ("forward", "iifname vmap @from_bridge"),
        ("forward", "oifname vmap @to_bridge"),
    )
    lines = [
        f"add map inet {table} sources4 {{ type ipv4_addr : verdict; flags interval; }}",
        f"add map inet {table} sources6 {{ type ipv6_addr : verdict; flags interval; }}",
        f"add map inet {table} gateways {{ type ipv4_addr : ipv4_addr; flags interval; }}",
        f"add map inet {table} from_bridge {{ type ifname : verdict; }}",
        f"add map inet {table} to_bridge {{ type ifname : verdict; }}",
        *(f"add rule inet {table} {chain} {rule}" for chain, rule in rules),
    ]
    return "\n".join(lines) + "\n"


def remove_table(table: str) -> str:
    """The table gone, whether it was there or not."""
    return f"add table inet {table}\ndelete table inet {table}\n"


# ---- networks ----------------------------------------------------------------------------------------------


def add_networks(table: str, definitions: Sequence[NetworkDefinition]) -> str:
    """Everything for *definitions* beside what is there already; a whole, idempotent script."""
    script = [skeleton(table)]
    for definition in definitions:
        script += _emptied(table, definition)
    script.append(base_rules(table))
    for definition in definitions:
        script += [f"add rule inet {table} {chain} {rule}\n" for chain, rule in _network_rules(definition)]
        script += [f"add element inet {table} {name} {{ {item} }}\n" for name, item in _elements(definition)]
    return "".join(script)


def remove_network(table: str, mark: str, elements: Sequence[tuple[str, str]]) -> str:
    """The *elements* (set, key) and the chains of the network with that *mark* gone; chains need not be there."""
    chains = _chains_of(mark)
    script = [f"add chain inet {table} {chain}\n" for chain in chains]
    script += [f"delete element inet {table} {name} {{ {key} }}\n" for name, key in elements]
    script += [f"flush chain inet {table} {chain}\n" for chain in chains]
    script += [f"delete chain inet {table} {chain}\n" for chain in chains]
    return "".join(script)


def network_mark(definition: NetworkDefinition) -> str:
    """What marks everything in the table that belongs to a network."""
    return definition.id[:_ID_LENGTH]


def _emptied(table: str, definition: NetworkDefinition) -> list[str]:
    return [
        f"add chain inet {table} {chain}\nflush chain inet {table} {chain}\n" for chain in _chains(definition)
    ]


def _chains(definition: NetworkDefinition) -> tuple[str, str, str]:
    return _chains_of(network_mark(definition))


def _chains_of(mark: str) -> tuple[str, str, str]:
    return f"net_{mark}", f"from_{mark}", f"to_{mark}"


def _network_rules(definition: NetworkDefinition) -> Iterable[tuple[str, str]]:
    net, leaving, entering = _chains(definition)
    bridge = f'"{definition.network_interface}"'
    if definition.internal:
        yield leaving, f"oifname != {bridge} drop"
        yield entering, f"iifname != {bridge} drop"
        return
    if definition.isolation:
        others = "@bridges" if definition.isolation == "strict" else "@isolated"
        yield leaving, f"oifname {bridge} return"
        yield leaving, f"oifname {others} drop"
        yield entering, f"iifname {bridge} return"
        yield entering, f"iifname {others} drop"
    # A published port of a container in the same subnet: without this its answer would go straight to the
    # asker, who does not know the address.
    yield net, "ct status dnat masquerade"
    # The middle of a connection that this host sees for the first time: it came with a restored container, and
    # its peer knows it by the address that it has. (Only the first packet of a connection comes here.)
    yield net, "tcp flags & (fin | syn | rst | ack) != syn return"
    for subnet in definition.subnets:
        yield net, f"{_family(subnet.subnet)} daddr {subnet.subnet} return"
    yield net, "ip daddr 224.0.0.0/4 return"
    yield net, "ip6 daddr ff00::/8 return"
    yield net, "masquerade"


def _elements(definition: NetworkDefinition) -> Iterable[tuple[str, str]]:
    net, leaving, entering = _chains(definition)
    comment = f'comment "{NETWORK_COMMENT}{network_mark(definition)}"'
    bridge = f'"{definition.network_interface}"'
    yield "bridges", f"{bridge} {comment}"
    yield "from_bridge", f"{bridge} {comment} : jump {leaving}"
    yield "to_bridge", f"{bridge} {comment} : jump {entering}"
    if definition.isolation:
        yield "isolated", f"{bridge} {comment}"
    if definition.internal:
        return
    for subnet in definition.subnets:
        name = "sources6" if _family(subnet.subnet) == "ip6" else "sources4"
        yield name, f"{subnet.subnet} {comment} : jump {net}"
        if name == "sources4" and subnet.gateway:
            yield "gateways", f"{subnet.subnet} {comment} : {subnet.gateway}"


def _family(subnet: str) -> str:
    return "ip6" if ":" in subnet else "ip"


# ---- ports -------------------------------------------------------------------------------------------------


def publications(
    container_id: str, links: Sequence[PlannedLink], ports: Iterable[PortMapping]
) -> list[Published]:
    """The elements that publish *ports*: they lead to the first address of each family that can be
    reached."""
    ipv4, ipv6 = _targets(links)
    found: dict[Published, None] = {}
    for mapping in ports:
        host = ipaddress.ip_address(mapping.host_ip) if mapping.host_ip else None
        at = "" if host is None or host.is_unspecified else str(host)
        for version, target in ((4, ipv4), (6, ipv6)):
            if target is None or (host is not None and host.version != version):
                continue
            name = f"publish{version}_at" if at else f"publish{version}"
            for host_port, container_port in expand(mapping):
                found.setdefault(
                    Published(
                        map=name,
                        claim=PortClaim(mapping.protocol, host_port, at),
                        address=target,
                        port=container_port,
                        owner=container_id,
                    )
                )
    return list(found)


def _targets(links: Sequence[PlannedLink]) -> tuple[str | None, str | None]:
    reachable = [
        address.address
        for link in links
        if link.definition.driver == "bridge" and not link.definition.internal
        for address in link.addresses
    ]
    return (
        next((address for address in reachable if ":" not in address), None),
        next((address for address in reachable if ":" in address), None),
    )


def publish(table: str, items: Sequence[Published]) -> str:
    """Add *items*; nft refuses the whole script when one of the ports leads elsewhere already."""
    return "".join(
        f"add element inet {table} {name} {{ "
        + ", ".join(f'{item.key} comment "{item.owner}" : {item.address} . {item.port}' for item in group)
        + " }\n"
        for name, group in _by_map(items)
    )


def withdraw(table: str, items: Sequence[Published]) -> str:
    """Delete *items*, all of which must be there."""
    return "".join(
        f"delete element inet {table} {name} {{ {', '.join(item.key for item in group)} }}\n"
        for name, group in _by_map(items)
    )


def _by_map(items: Sequence[Published]) -> Iterable[tuple[str, list[Published]]]:
    for name in MAPS:
        group = [item for item in items if item.map == name]
        if group:
            yield name, group
