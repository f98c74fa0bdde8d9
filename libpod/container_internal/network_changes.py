"""Networks of a container that exists, running or not: join one, leave one, load the rules again.

The record changes first, then the kernel, then the status. A kill in between leaves a container whose record has the
network (or has it no more) and whose status does not agree. `settle` makes the kernel follow the record: the next
opening of the engine asks for it, and so does the next change. A start or a clean-up follows the record anyway.

Covers: libpod/networking_common.go (NetworkConnect, NetworkDisconnect, reloadNetwork)
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from libpod.container_internal import bridging, generated_files
from libpod.container_internal.held import LockedContainer
from libpod.define.errors import InvalidStateError, NetworkError
from libpod.define.status import LIVE, Operation
from libpod.model.container_config import ContainerConfig, NetworkOptions
from libpod.model.container_state import ContainerState
from libpod.model.event import EventStatus, EventType


def join(held: LockedContainer, network: str, options: NetworkOptions | None = None) -> None:
    """Connect the container to one more network; on an error its record is as before."""
    held.require(Operation.NETWORK)
    _require_bridge(held)
    settle(held)
    definition = bridging.definitions_of(held.services).get_or_default(network)
    before = held.config
    if definition.name in before.networks:
        raise InvalidStateError(f"container {held.name} is connected to network {definition.name} already")
    wanted = options or NetworkOptions()
    if not wanted.interface_name:
        wanted = msgspec.structs.replace(wanted, interface_name=_free_interface(before))
    _rewrite(held, {**before.networks, definition.name: wanted})
    try:
        _connect(held, definition.name)
    except BaseException:
        _rewrite(held, dict(before.networks))
        raise
    _emit(held, EventStatus.CONNECT, definition.name)


def leave(held: LockedContainer, network: str) -> None:
    """Disconnect the container from one of its networks; its published ports follow to another."""
    held.require(Operation.NETWORK)
    _require_bridge(held)
    settle(held)
    name = bridging.definitions_of(held.services).get_or_default(network).name
    networks = held.config.networks
    if name not in networks:
        raise NetworkError(
            f"container {held.name} is not connected to network {name}",
            resolution=f"it is connected to {', '.join(networks) or 'none'}",
        )
    _rewrite(held, {other: options for other, options in networks.items() if other != name})
    _disconnect(held, name)
    _emit(held, EventStatus.DISCONNECT, name)


def reload(held: LockedContainer) -> None:
    """Load the host's rules for a running container again."""
    settle(held)
    if held.status in LIVE and held.state.netns and held.config.networks:
        bridging.reload(held, Path(held.state.netns))


def renamed(held: LockedContainer, before: ContainerConfig) -> None:
    """Make a running container known by its new name: to its networks, to its neighbours, and to itself.

    A kill before it leaves the old name in use until the next start.
    """
    if held.status not in LIVE:
        return
    generated_files.forget_guest(held.services, before)
    if held.state.netns and held.config.networks:
        bridging.rename(held, before, Path(held.state.netns))
    _rewrite_files(held)


def is_settled(config: ContainerConfig, state: ContainerState) -> bool:
    """Whether the container is connected as its record says, or does not run."""
    return state.status not in LIVE or not state.netns or set(config.networks) == set(state.network_status)


def settle(held: LockedContainer) -> None:
    """Connect and disconnect a running container as its record says; nearly always there is nothing to do."""
    if is_settled(held.config, held.state):
        return
    for name in set(held.state.network_status) - set(held.config.networks):
        _disconnect(held, name)
    for name in held.config.networks:
        if name not in held.state.network_status:
            _connect(held, name)


def _connect(held: LockedContainer, network: str) -> None:
    if held.status in LIVE and held.state.netns:
        found = bridging.connect_more(held, Path(held.state.netns), network)
        held.update(network_status={**held.state.network_status, **found})
        _rewrite_files(held)


def _disconnect(held: LockedContainer, network: str) -> None:
    if held.status in LIVE and held.state.netns:
        bridging.disconnect_some(held, Path(held.state.netns), network)
        rest = {name: status for name, status in held.state.network_status.items() if name != network}
        held.update(network_status=rest)
        _rewrite_files(held)


def _require_bridge(held: LockedContainer) -> None:
    if not held.config.create_net_ns or held.config.net_ns_ctr:
        raise InvalidStateError(
            f'container {held.name} has the network mode "{held.config.network_mode}" and hangs on no networks',
            resolution="create it with the network mode bridge",
        )


def _rewrite(held: LockedContainer, networks: dict[str, NetworkOptions]) -> None:
    config = msgspec.structs.replace(held.config, networks=networks)
    held.services.state.rewrite_container_config(config)
    held.config = config


def _rewrite_files(held: LockedContainer) -> None:
    generated_files.write(held, network_status=held.state.network_status)


def _free_interface(config: ContainerConfig) -> str:
    taken = {options.interface_name for options in config.networks.values()}
    number = 0
    while f"eth{number}" in taken:
        number += 1
    return f"eth{number}"


def _emit(held: LockedContainer, status: EventStatus, network: str) -> None:
    facts: dict[str, Any] = {"container": held.id}
    held.services.emit(status, type=EventType.NETWORK, id=held.id, network=network, attributes=facts)
