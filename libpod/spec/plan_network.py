"""What a new container's record says about networks, ports and name resolution.

Only a bridge has networks and ports; with any other mode they are dropped, as podman does with a warning. Host port 0
means that a free one is to be found. An exposed port that is not published is remembered for inspect.

Covers: pkg/specgen/generate/ports.go, pkg/specgen/generate/namespaces.go (network part)
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from libpod.config import RuntimeConfig
from libpod.define.errors import InvalidArgumentError
from libpod.model.container_config import NetworkOptions, PortMapping
from libpod.model.create_options import CreateOptions
from libpod.model.namespace_mode import NamespaceKind
from libpod.model.network_request import PROTOCOLS, parse_expose
from libpod.spec.plan_namespaces import PlannedNamespaces

logger = logging.getLogger(__name__)

_NO_SERVERS = "none"


def plan_network(
    options: CreateOptions,
    namespaces: PlannedNamespaces,
    *,
    config: RuntimeConfig,
    image_ports: Iterable[str],
) -> dict[str, Any]:
    """The fields of the record; raises InvalidArgumentError for ports that clash."""
    mode = namespaces.modes["network"]
    bridged = mode.kind is NamespaceKind.BRIDGE
    defaults = config.containers
    exposed = [parse_expose(text) for text in image_ports] + list(options.expose)
    ports: tuple[PortMapping, ...] = ()
    if bridged:
        ports = published(options.publish, exposed if options.publish_all else ())
    elif options.publish or options.publish_all:
        logger.warning("published ports are dropped: the network mode is %s", mode)
    servers = options.dns or defaults.dns_servers
    use_image_resolver = tuple(servers) == (_NO_SERVERS,)
    return {
        "create_net_ns": bridged,
        "network_mode": str(mode),
        "networks": networks(options, config) if bridged else {},
        "port_mappings": ports,
        "exposed_ports": unpublished(exposed, ports),
        "use_image_resolv_conf": use_image_resolver,
        "use_image_hosts": defaults.no_hosts if options.no_hosts is None else options.no_hosts,
        "base_hosts_file": defaults.base_hosts_file,
        "dns_servers": () if use_image_resolver else tuple(servers),
        "dns_search": options.dns_search or defaults.dns_search,
        "dns_options": options.dns_option or defaults.dns_options,
        "host_add": options.add_host,
    }


def networks(options: CreateOptions, config: RuntimeConfig) -> dict[str, NetworkOptions]:
    """The networks with their options, each with the name of its interface in the container."""
    asked = dict(options.network.networks) or {config.default_network: NetworkOptions()}
    found: dict[str, NetworkOptions] = {}
    taken = {item.interface_name for item in asked.values() if item.interface_name}
    for name, item in asked.items():
        target = config.default_network if name == "bridge" else name
        addresses = item.static_ips
        if len(asked) == 1:
            addresses += tuple(address for address in (options.ip, options.ip6) if address)
        found[target] = msgspec.structs.replace(
            item,
            static_ips=addresses,
            static_mac=(options.mac_address if len(asked) == 1 else "") or item.static_mac,
            aliases=item.aliases + options.network_alias,
            interface_name=item.interface_name or _free_interface(taken),
        )
        taken.add(found[target].interface_name)
    return found


def _free_interface(taken: set[str]) -> str:
    number = 0
    while f"eth{number}" in taken:
        number += 1
    return f"eth{number}"


def published(
    mappings: Sequence[PortMapping], exposed: Iterable[tuple[int, int, str]]
) -> tuple[PortMapping, ...]:
    """*mappings*, and one with any host port for each *exposed* port that they leave out.

    Raises InvalidArgumentError when two mappings want the same port of the host.
    """
    result = list(mappings)
    covered = {(mapping.protocol, port) for mapping in mappings for port in _container_ports(mapping)}
    for first, count, protocol in exposed:
        for port in range(first, first + count):
            if (protocol, port) not in covered:
                covered.add((protocol, port))
                result.append(PortMapping(container_port=port, host_port=0, protocol=protocol))
    _check_clashes(result)
    return joined(result)


def joined(mappings: Sequence[PortMapping]) -> tuple[PortMapping, ...]:
    """*mappings* in order, and those that continue one another made one: 80 and 81 are a range of two."""
    order = sorted(
        mappings,
        key=lambda item: (PROTOCOLS.index(item.protocol), item.host_ip, item.host_port, item.container_port),
    )
    found: list[PortMapping] = []
    for mapping in order:
        before = found[-1] if found else None
        if before is not None and mapping.host_port and _continues(before, mapping):
            found[-1] = msgspec.structs.replace(before, range=before.range + mapping.range)
        elif mapping != before:
            found.append(mapping)
    return tuple(found)


def _continues(before: PortMapping, mapping: PortMapping) -> bool:
    return (
        (before.protocol, before.host_ip) == (mapping.protocol, mapping.host_ip)
        and before.host_port + before.range == mapping.host_port
        and before.container_port + before.range == mapping.container_port
    )


def _container_ports(mapping: PortMapping) -> range:
    return range(mapping.container_port, mapping.container_port + mapping.range)


def _check_clashes(mappings: Sequence[PortMapping]) -> None:
    fixed = sorted(
        (mapping.protocol, mapping.host_port, mapping.host_port + mapping.range, mapping.host_ip)
        for mapping in mappings
        if mapping.host_port
    )
    for index, (protocol, first, last, address) in enumerate(fixed):
        for other_protocol, other_first, _, other_address in fixed[index + 1 :]:
            if other_protocol != protocol or other_first >= last:
                break
            if address == other_address or not address or not other_address:
                raise InvalidArgumentError(
                    f"port {max(first, other_first)}/{protocol} of the host is published twice"
                )


def unpublished(
    exposed: Iterable[tuple[int, int, str]], mappings: Sequence[PortMapping]
) -> dict[str, tuple[str, ...]]:
    """Port → protocols, of what is exposed and not published."""
    covered = {(mapping.protocol, port) for mapping in mappings for port in _container_ports(mapping)}
    found: dict[str, tuple[str, ...]] = {}
    for first, count, protocol in exposed:
        for port in range(first, first + count):
            key = str(port)
            if (protocol, port) not in covered and protocol not in found.get(key, ()):
                found[key] = (*found.get(key, ()), protocol)
    return found
