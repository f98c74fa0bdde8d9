"""Networks of a container that exists, running or not: join one, leave one, load the rules again.

The record changes first, then the kernel. A kill in between leaves a container whose record has the network (or has
it no more); its next start, or its clean-up, makes the kernel follow.

The address of a network that was left stays claimed until the container ends: the claims of a container are given
back together.

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
from libpod.model.event import EventStatus, EventType


def join(held: LockedContainer, network: str, options: NetworkOptions | None = None) -> None:
    """Connect the container to one more network; on an error its record is as before."""
    held.require(Operation.NETWORK)
    _require_bridge(held)
    definition = bridging.definitions_of(held.services).get_or_default(network)
    before = held.config
    if definition.name in before.networks:
        raise InvalidStateError(f"container {held.name} is connected to network {definition.name} already")
    wanted = options or NetworkOptions()
    if not wanted.interface_name:
        wanted = msgspec.structs.replace(wanted, interface_name=_free_interface(before))
    _rewrite(held, {**before.networks, definition.name: wanted})
    try:
        if held.status in LIVE and held.state.netns:
            found = bridging.connect_more(held, Path(held.state.netns), definition.name)
            held.update(network_status={**held.state.network_status, **found})
            _rewrite_files(held)
    except BaseException:
        _rewrite(held, dict(before.networks))
        raise
    _emit(held, EventStatus.CONNECT, definition.name)


def leave(held: LockedContainer, network: str) -> None:
    """Disconnect the container from one of its networks; its published ports follow to another."""
    held.require(Operation.NETWORK)
    _require_bridge(held)
    name = bridging.definitions_of(held.services).get_or_default(network).name
    before = held.config
    if name not in before.networks:
        raise NetworkError(
            f"container {held.name} is not connected to network {name}",
            resolution=f"it is connected to {', '.join(before.networks) or 'none'}",
        )
    _rewrite(held, {other: options for other, options in before.networks.items() if other != name})
    if held.status in LIVE and held.state.netns:
        bridging.disconnect_some(held, before, Path(held.state.netns), name)
        rest = {other: status for other, status in held.state.network_status.items() if other != name}
        held.update(network_status=rest)
        _rewrite_files(held)
    _emit(held, EventStatus.DISCONNECT, name)


def reload(held: LockedContainer) -> None:
    """Load the host's rules for a running container again."""
    if held.status in LIVE and held.state.netns and held.config.networks:
        bridging.reload(held, Path(held.state.netns))


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
