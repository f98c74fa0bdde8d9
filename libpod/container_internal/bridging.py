"""A container's networks: claims in the state first, the driver second.

    reserve      host ports claimed, then held by sockets, which the monitor inherits
    connect      definitions → addresses and host ports claimed in one transaction → set-up
    announce     once the status is saved and the container's files are written: neighbours told
    disconnect   neighbours told → tear-down → claims released

A claim that another process snatched is chosen again; one that the user asked for is refused with its owner. Claims
that the container holds already (an earlier attempt was killed) are kept, so that a repetition gets the same addresses.
Whatever a kill leaves is repaired by `disconnect`, which needs nothing but the container's record.

Host ports that the user left open are chosen at the container's creation and claimed when it starts.

Covers: libpod/networking_common.go, networking_linux.go (configureNetNS, teardownNetwork),
pkg/specgen/generate/ports.go (free host ports)
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from libpod.container_internal.held import LockedContainer
from libpod.container_internal.services import Services
from libpod.define.errors import (
    InUseError,
    NetworkError,
    NoSuchContainerError,
    NoSuchNetworkError,
    NoSuchPodError,
    ProgramMissingError,
    short,
)
from libpod.define.status import ContainerStatus
from libpod.linux.file_locks import locked_file
from libpod.model.container_config import ContainerConfig, NetworkOptions, PortMapping
from libpod.network import ipam, names, texts
from libpod.network.aardvark import find_aardvark
from libpod.network.base import ContainerNetwork, NetworkAttachment, NetworkBackend, Stray
from libpod.network.bridge import BridgeBackend
from libpod.network.definitions import NetworkDefinition, NetworkDefinitions, network_id
from libpod.network.firewall import port_taken
from libpod.network.hold import Holds
from libpod.network.listeners import reserved, with_host_ports
from libpod.network.ports import PortClaim, claims_of, first_conflict
from libpod.network.status import NetworkStatus, StatusBlock
from libpod.state.base import Claim, State

logger = logging.getLogger(__name__)

ADDRESS, PORT = "address", "port"
NETAVARK = "netavark"
_ATTEMPTS = 50


def definitions_of(services: Services) -> NetworkDefinitions:
    """The networks that this runtime knows."""
    config = services.config
    return NetworkDefinitions(
        services.paths.networks, default_name=config.default_network, default_subnet=config.default_subnet
    )


def strays_of(services: Services) -> list[Stray]:
    """What is ours in the kernel, or with the driver, and belongs to no container of this runtime."""
    seen = backend_of(services).strays(services.state.container_ids(), definitions_of(services).list())
    # Asked again: one that was made, and connected, while we looked is no stray.
    live = set(services.state.container_ids())
    return [item for item in seen if item.container_id not in live]


def holds_of(services: Services) -> Holds:
    """What is held on this host for containers that are frozen."""
    return Holds(BridgeBackend(services.paths.volatile).owner)


def backend_of(services: Services) -> NetworkBackend:
    """The driver that the configuration names; raises ProgramMissingError."""
    directory, aardvark = services.paths.volatile, find_aardvark()
    if services.config.network_backend != NETAVARK:
        return BridgeBackend(directory, aardvark=aardvark)
    from libpod.network.netavark import NetavarkBackend, find_netavark

    program = find_netavark()
    if program is None:
        raise ProgramMissingError(
            NETAVARK,
            purpose="connect containers",
            resolution="install netavark, or leave network_backend empty for our own",
        )
    return NetavarkBackend(directory, program=program, aardvark=aardvark)


@contextlib.contextmanager
def reserve(held: LockedContainer) -> Iterator[tuple[int, ...]]:
    """Claim the container's host ports and hold them during the block; the descriptors are for its monitor.

    Whoever has one of them is named, be it a container or a program of this host.
    """
    config = _with_host_ports(held)
    with contextlib.ExitStack() as stack:
        try:
            held.services.state.claim(_port_claims(held.services, config))
            sockets = stack.enter_context(reserved(config.port_mappings))
        except BaseException:
            held.services.state.release_claims(held.id)
            raise
        yield tuple(item.fileno() for item in sockets)


def connect(
    held: LockedContainer,
    namespace: Path,
    wishes: Mapping[str, NetworkOptions] | None = None,
    *,
    on_hold: bool = False,
) -> dict[str, Any]:
    """Connect the container's namespace to its networks; returns the status that its state records.

    *wishes* stand in for the networks of the record, for this time. With *on_hold* what is held on the host for a
    frozen container stays held.
    """
    config = _with_host_ports(held)
    if wishes is not None:
        config = msgspec.structs.replace(config, networks={**config.networks, **wishes})
    known = definitions_of(held.services)
    networks = {name: known.get_or_default(name) for name in config.networks}
    try:
        addresses = _claimed(held, config, networks)
        request = request_for(held.services, config, namespace, networks, addresses)
        status = backend_of(held.services).setup(request)
        if held.state.checkpointed and not on_hold:
            holds_of(held.services).release(held.id)
    except BaseException:
        held.services.state.release_claims(held.id)
        raise
    plain: dict[str, Any] = msgspec.to_builtins(status)
    return plain


def disconnect(held: LockedContainer) -> None:
    """Take down what `connect` made, and give its claims back; nothing there is fine."""
    config, services = with_all_networks(held), held.services
    known = definitions_of(services)
    networks = {name: _definition_or_stand_in(known, name) for name in config.networks}
    status = msgspec.convert(held.state.network_status, dict[str, StatusBlock])
    addresses = _addresses_claimed_by(services, held.id)
    _tell_neighbours(services, config, networks, status, gone=True)
    path = Path(held.state.netns) if held.state.netns else services.paths.netns(held.id)
    backend_of(services).teardown(request_for(held.services, config, path, networks, addresses))
    services.state.release_claims(held.id)
    if not held.state.checkpointed or held.status is ContainerStatus.REMOVING:
        holds_of(services).release(held.id)


def connect_more(held: LockedContainer, namespace: Path, network: str) -> dict[str, Any]:
    """Connect a running container to *network*, which its record has already; returns that network's status."""
    known = definitions_of(held.services)
    networks = {name: known.get_or_default(name) for name in held.config.networks}
    addresses = _claimed(held, held.config, networks)
    request = request_for(held.services, held.config, namespace, networks, addresses)
    status = backend_of(held.services).connect(request, [network])
    plain: dict[str, Any] = msgspec.to_builtins(status)
    return plain


def disconnect_some(held: LockedContainer, namespace: Path, network: str) -> None:
    """Disconnect a running container from *network*, which its record has no more and its status still has."""
    before = with_all_networks(held)
    known = definitions_of(held.services)
    networks = {name: _definition_or_stand_in(known, name) for name in before.networks}
    status = msgspec.convert(held.state.network_status, dict[str, StatusBlock])
    _tell_neighbours(
        held.services,
        before,
        {network: networks[network]},
        {name: block for name, block in status.items() if name == network},
        gone=True,
    )
    addresses = _addresses_claimed_by(held.services, held.id)
    backend_of(held.services).disconnect(
        request_for(held.services, before, namespace, networks, addresses), [network]
    )
    freed = [
        Claim(kind=ADDRESS, key=ipam.address_key(network, address), owner=held.id)
        for address in addresses.get(network, ())
    ]
    held.services.state.release_claims(held.id, freed)


def with_all_networks(held: LockedContainer) -> ContainerConfig:
    """The record with the networks of the status too: one that was being left when a process was killed."""
    status = held.state.network_status
    left = {
        name: NetworkOptions(interface_name=next(iter(block.get("interfaces") or {}), ""))
        for name, block in status.items()
        if name not in held.config.networks
    }
    return msgspec.structs.replace(held.config, networks={**held.config.networks, **left})


def rename(held: LockedContainer, before: ContainerConfig, namespace: Path) -> None:
    """Make a running container known by its new name instead of that of *before*."""
    known = definitions_of(held.services)
    networks = {name: _definition_or_stand_in(known, name) for name in held.config.networks}
    status = msgspec.convert(held.state.network_status, dict[str, StatusBlock])
    _tell_neighbours(held.services, before, networks, status, gone=True)
    addresses = _addresses_claimed_by(held.services, held.id)
    backend_of(held.services).rename(request_for(held.services, held.config, namespace, networks, addresses))


def reload(held: LockedContainer, namespace: Path) -> None:
    """Load the host's rules for a running container again."""
    known = definitions_of(held.services)
    networks = {name: _definition_or_stand_in(known, name) for name in held.config.networks}
    addresses = _addresses_claimed_by(held.services, held.id)
    backend_of(held.services).reload(request_for(held.services, held.config, namespace, networks, addresses))


def hold_on_host(held: LockedContainer) -> None:
    """From now on nobody is refused who speaks to the container; ended by its next set-up, its removal, or time."""
    addresses = [
        address for found in _addresses_claimed_by(held.services, held.id).values() for address in found
    ]
    holds_of(held.services).hold(held.id, addresses=addresses, ports=held.config.port_mappings)


def wishes_of(
    config: ContainerConfig, status: NetworkStatus, *, addresses: bool, mac: bool
) -> dict[str, NetworkOptions]:
    """The container's networks with the interface, addresses and MAC that *status* tells.

    Without *addresses* any will do, without *mac* one that nobody has had, whatever record and status say: its former
    one may still be in use elsewhere, and what is derived from its id would be the same. A network of which the status
    knows nothing is as the record has it otherwise.
    """
    found = {}
    for name, options in config.networks.items():
        interface = next(iter(status[name].interfaces.items()), None) if name in status else None
        if interface is not None:
            options = msgspec.structs.replace(
                options,
                interface_name=interface[0],
                static_ips=tuple(item.address for item in interface[1].subnets),
                static_mac=interface[1].mac_address,
            )
        found[name] = msgspec.structs.replace(
            options,
            static_ips=options.static_ips if addresses else (),
            static_mac=options.static_mac if mac else _any_mac(),
        )
    return found


def without_foreign_addresses(
    held: LockedContainer, wishes: Mapping[str, NetworkOptions]
) -> dict[str, NetworkOptions]:
    """*wishes* without addresses that the network of that name does not have here, unless a user asked for them.

    Another host, or podman, may have given the default network another subnet.
    """
    known = definitions_of(held.services)
    found = {}
    for name, options in wishes.items():
        asked = held.config.networks[name].static_ips
        subnets = [ipaddress.ip_network(subnet.subnet) for subnet in known.get_or_default(name).subnets]
        kept = tuple(
            address
            for address in options.static_ips
            if address in asked or any(ipaddress.ip_address(address) in subnet for subnet in subnets)
        )
        if kept != options.static_ips:
            logger.warning(
                "container %s gets a new address: %s is not in network %s here",
                held.name, ", ".join(set(options.static_ips) - set(kept)), name,
            )  # fmt: skip
        found[name] = msgspec.structs.replace(options, static_ips=kept)
    return found


def _any_mac() -> str:
    """A random address, locally administered."""
    raw = bytearray(os.urandom(6))
    raw[0] = raw[0] & 0xFC | 0x02
    return raw.hex(":")


def announce(held: LockedContainer, hosts: Path) -> None:
    """Where no server answers for names: tell the neighbours, and tell the container about them in *hosts*.

    The status must be saved and the file written before: of two containers that start at once, the later one then
    finds the other's status, or the other its file.
    """
    services, config = held.services, held.config
    if find_aardvark() is not None or not config.networks:
        return
    known = definitions_of(services)
    networks = {name: _definition_or_stand_in(known, name) for name in config.networks}
    status = msgspec.convert(held.state.network_status, dict[str, StatusBlock])
    _tell_neighbours(services, config, networks, status, gone=False)
    found = neighbours(services, config)
    if found:
        texts.edit_in_place(hosts, lambda text: texts.hosts_with(text, found))


def with_free_host_ports(services: Services, mappings: Sequence[PortMapping]) -> tuple[PortMapping, ...]:
    """*mappings* with a free port of the host wherever any was asked for; claimed only when the container starts."""
    if all(mapping.host_port for mapping in mappings):
        return tuple(mappings)
    taken = [PortClaim.from_key(claim.key) for claim in services.state.claims(kind=PORT)]
    return with_host_ports(mappings, taken)


def neighbours(services: Services, config: ContainerConfig) -> tuple[texts.HostEntry, ...]:
    """The lines for other containers in this one's hosts file: none where a server answers for them."""
    if find_aardvark() is not None or not config.networks:
        return ()
    known = definitions_of(services)
    networks = [_definition_or_stand_in(known, name) for name in config.networks]
    shared = names.named_networks(networks)
    return names.neighbour_entries(config.id, shared, _living(services, shared)) if shared else ()


def name_on_networks(services: Services, config: ContainerConfig) -> str:
    """The name by which others find a container: its own, for the infra container of a pod that of the pod."""
    if config.is_infra and config.pod:
        with contextlib.suppress(NoSuchPodError):
            return services.state.pod_config(config.pod).name
    return config.name


def request_for(
    services: Services,
    config: ContainerConfig,
    namespace: Path,
    networks: Mapping[str, NetworkDefinition],
    addresses: Mapping[str, tuple[str, ...]],
) -> ContainerNetwork:
    """What the driver needs to know of a container."""
    return ContainerNetwork(
        container_id=config.id,
        container_name=name_on_networks(services, config),
        namespace=namespace,
        attachments=tuple(
            NetworkAttachment(
                definition=networks[name],
                interface=options.interface_name or f"eth{position}",
                addresses=addresses.get(name, ()),
                mac=options.static_mac,
                aliases=options.aliases,
            )
            for position, (name, options) in enumerate(config.networks.items())
        ),
        ports=config.port_mappings,
        dns_servers=config.dns_servers,
    )


# ---- claims ---------------------------------------------------------------------------------------------------


def _claimed(
    held: LockedContainer, config: ContainerConfig, networks: Mapping[str, NetworkDefinition]
) -> dict[str, tuple[str, ...]]:
    """Network → addresses, all claimed together with the host ports."""
    state = held.services.state
    with locked_file(held.services.paths.volatile / "addresses.lock"):
        return _claimed_alone(held, state, config, networks)


def _claimed_alone(
    held: LockedContainer,
    state: State,
    config: ContainerConfig,
    networks: Mapping[str, NetworkDefinition],
) -> dict[str, tuple[str, ...]]:
    """The lock spares many that start at once to choose the same address; that none gets it twice is the state's."""
    for _ in range(_ATTEMPTS):
        taken = state.claims(kind=ADDRESS)
        chosen = {
            name: _chosen(networks[name], options, taken, held.id)
            for name, options in config.networks.items()
        }
        wanted = [
            Claim(kind=ADDRESS, key=ipam.address_key(name, address), owner=held.id)
            for name, addresses in chosen.items()
            for address in addresses
        ]
        try:
            state.claim([*wanted, *_port_claims(held.services, config)])
        except InUseError:
            continue  # another process was faster; a wish of the user fails in the next round
        return chosen
    raise NetworkError(
        f"container {held.name}: no address could be claimed in {_ATTEMPTS} attempts", resolution="try again"
    )


def _chosen(
    definition: NetworkDefinition, options: NetworkOptions, taken: list[Claim], owner: str
) -> tuple[str, ...]:
    mine: list[str] = []
    others: list[str] = []
    for claim in taken:
        network, address = ipam.split_address_key(claim.key)
        if network == definition.name:
            (mine if claim.owner == owner else others).append(address)
    static = options.static_ips or mine
    last = max((ipaddress.ip_address(item) for item in others if ":" not in item), default=None)
    return ipam.choose(definition, others, static=static, last=None if last is None else str(last))


def _port_claims(services: Services, config: ContainerConfig) -> list[Claim]:
    wanted = claims_of(config.port_mappings)
    if wanted:
        others = {
            PortClaim.from_key(claim.key): claim.owner
            for claim in services.state.claims(kind=PORT)
            if claim.owner != config.id
        }
        conflict = first_conflict(wanted, others)
        if conflict is not None:
            claim, owner = conflict
            raise port_taken(claim, f"container {_name_of(services, owner)}")
    return [Claim(kind=PORT, key=claim.key, owner=config.id) for claim in sorted(wanted)]


def _addresses_claimed_by(services: Services, owner: str) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for claim in services.state.claims(owner=owner, kind=ADDRESS):
        network, address = ipam.split_address_key(claim.key)
        found[network] = (*found.get(network, ()), address)
    return found


def _with_host_ports(held: LockedContainer) -> ContainerConfig:
    """For records that were made without us: an import, or a container of podman's archive."""
    config = held.config
    if all(mapping.host_port for mapping in config.port_mappings):
        return config
    held.config = msgspec.structs.replace(
        config, port_mappings=with_free_host_ports(held.services, config.port_mappings)
    )
    held.services.state.rewrite_container_config(held.config)
    return held.config


def _definition_or_stand_in(known: NetworkDefinitions, name: str) -> NetworkDefinition:
    """The definition; for one that is gone, what suffices to find the links by the network's name."""
    try:
        return known.get(name)
    except NoSuchNetworkError:
        return NetworkDefinition(name=name, id=network_id(name))


def _name_of(services: Services, ctr_id: str) -> str:
    try:
        return services.state.container_config(ctr_id).name
    except NoSuchContainerError:
        return short(ctr_id)


# ---- names without a server -----------------------------------------------------------------------------------


def _tell_neighbours(
    services: Services,
    config: ContainerConfig,
    networks: Mapping[str, NetworkDefinition],
    status: NetworkStatus,
    *,
    gone: bool,
) -> None:
    """Add the container to the hosts files of those that share a network with it, or take it out of them."""
    shared = names.named_networks(networks.values())
    if not shared or not status or find_aardvark() is not None:
        return
    entries = names.entries_of(_as_neighbour(services, config, status), shared)
    change = texts.hosts_without if gone else texts.hosts_with
    for other in _living(services, shared):
        if other.container_id != config.id and shared & set(other.status):
            hosts = services.run_directory(other.container_id) / "hosts"
            texts.edit_in_place(hosts, lambda text: change(text, entries))


def _living(services: Services, shared: frozenset[str]) -> list[names.Neighbour]:
    return [
        _as_neighbour(services, config, msgspec.convert(state.network_status, dict[str, StatusBlock]))
        for config, state in services.state.containers()
        if state.network_status and shared & set(config.networks)
    ]


def _as_neighbour(services: Services, config: ContainerConfig, status: NetworkStatus) -> names.Neighbour:
    return names.Neighbour(
        container_id=config.id,
        name=name_on_networks(services, config),
        status=status,
        aliases={name: options.aliases for name, options in config.networks.items()},
    )
