"""How containers find each other by name where no DNS server runs: lines in their hosts files. Pure.

A container knows every other container with which it shares a network that has DNS enabled, by the other's
name, short id and aliases on that network, at its addresses there. The engine rewrites the files of the
running neighbours when a container comes or goes (`texts.hosts_with`, `texts.hosts_without`).

Covers: what aardvark-dns does, for hosts without it
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import msgspec

from libpod.define.errors import short
from libpod.network.definitions import NetworkDefinition
from libpod.network.status import NetworkStatus
from libpod.network.texts import HostEntry


class Neighbour(msgspec.Struct, frozen=True, kw_only=True):
    """A container that is connected now: what others may need to find it."""

    container_id: str
    name: str
    status: NetworkStatus
    aliases: Mapping[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    """Network → further names of the container there."""


def dns_names(container_id: str, name: str, aliases: Iterable[str]) -> tuple[str, ...]:
    """Every name under which a container is known on a network, without doubles."""
    return tuple(dict.fromkeys(item for item in (name, *aliases, short(container_id)) if item))


def named_networks(definitions: Iterable[NetworkDefinition]) -> frozenset[str]:
    """The networks on which containers find each other by name."""
    return frozenset(definition.name for definition in definitions if definition.dns_enabled)


def entries_of(neighbour: Neighbour, networks: Collection[str]) -> tuple[HostEntry, ...]:
    """The lines by which others on *networks* know *neighbour*."""
    return tuple(
        HostEntry(
            address.address,
            dns_names(neighbour.container_id, neighbour.name, neighbour.aliases.get(network, ())),
        )
        for network, block in neighbour.status.items()
        if network in networks
        for interface in block.interfaces.values()
        for address in interface.subnets
    )


def neighbour_entries(
    container_id: str, networks: Collection[str], others: Iterable[Neighbour]
) -> tuple[HostEntry, ...]:
    """The lines for all *others* with whom *container_id* shares one of *networks* (see `named_networks`)."""
    return tuple(
        entry
        for other in others
        if other.container_id != container_id
        for entry in entries_of(other, networks)
    )
