"""Networks of a runtime: create, find, list, remove, prune; who uses them; what belongs to nobody.

Covers: pkg/domain/infra/abi/network.go, libpod/networking_common.go (for a runtime)
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from libpod.container_internal import network_changes
from libpod.container_internal.bridging import backend_of, definitions_of, holds_of
from libpod.container_internal.locked import locked
from libpod.container_internal.removal import remove_container
from libpod.container_internal.services import Services
from libpod.define.errors import NetworkError, NetworkInUseError
from libpod.model.container_config import NetworkOptions
from libpod.model.event import EventStatus, EventType
from libpod.network import strays
from libpod.network.base import Stray
from libpod.network.creation import NetworkCreateOptions, new_definition
from libpod.network.definitions import NetworkDefinition

logger = logging.getLogger(__name__)


def create_network(
    services: Services, options: NetworkCreateOptions, *, ignore_existing: bool = False
) -> NetworkDefinition:
    """Make a network; see `libpod.network.creation` for what is filled in and what is refused."""
    known = definitions_of(services)
    if ignore_existing and options.name and known.exists(options.name):
        return known.get(options.name)
    if options.name == known.default_name:
        raise NetworkError(f"network {options.name} is the default network and makes itself")
    made = known.add(lambda others: new_definition(options, others))
    services.emit(EventStatus.CREATE, type=EventType.NETWORK, id=made.id, network=made.name)
    return made


def networks(services: Services) -> list[NetworkDefinition]:
    """All networks by name, the default one included."""
    known = definitions_of(services)
    known.get_or_default(known.default_name)
    return known.list()


def get_network(services: Services, name_or_id: str) -> NetworkDefinition:
    """By name, id or unique prefix of an id; raises NoSuchNetworkError, AmbiguousNameError."""
    known = definitions_of(services)
    return known.get_or_default(name_or_id) if name_or_id == known.default_name else known.get(name_or_id)


def network_users(services: Services, name: str) -> list[str]:
    """The ids of the containers that hang on a network, running or not."""
    return [config.id for config, _ in services.state.containers() if name in config.networks]


def remove_network(services: Services, name_or_id: str, *, force: bool = False) -> NetworkDefinition:
    """Remove a network that no container uses; with *force* those containers are removed before."""
    definition = get_network(services, name_or_id)
    users = network_users(services, definition.name)
    if users and not force:
        raise NetworkInUseError(definition.name, users)
    for user in users:
        remove_container(services, user, force=True, timeout=0, ignore_missing=True)
    removed = definitions_of(services).remove(definition.name)
    services.emit(EventStatus.REMOVE, type=EventType.NETWORK, id=removed.id, network=removed.name)
    return removed


def prune_networks(services: Services, *filters: Callable[[NetworkDefinition], bool]) -> list[str]:
    """Remove all networks without containers that pass every filter; returns their names."""
    used = {name for config, _ in services.state.containers() for name in config.networks}
    known = definitions_of(services)
    gone = []
    for definition in known.list():
        if definition.name in used or definition.name == known.default_name:
            continue
        if all(keep(definition) for keep in filters):
            remove_network(services, definition.name)
            gone.append(definition.name)
    return gone


def connect_network(
    services: Services, network: str, ctr_id: str, options: NetworkOptions | None = None
) -> None:
    """Connect a container to one more network."""
    with locked(services, ctr_id) as held:
        network_changes.join(held, network, options)


def disconnect_network(services: Services, network: str, ctr_id: str) -> None:
    """Disconnect a container from one of its networks."""
    with locked(services, ctr_id) as held:
        network_changes.leave(held, network)


def reload_networks(services: Services, ctr_ids: Sequence[str]) -> None:
    """Load the host's rules for running containers again."""
    for ctr_id in ctr_ids:
        with locked(services, ctr_id) as held:
            network_changes.reload(held)


def remove_strays(services: Services) -> list[Stray]:
    """Remove what is ours in the kernel and belongs to no container of this runtime; says what that was."""
    live = services.state.container_ids()
    backend = backend_of(services)
    found = backend.strays(live, definitions_of(services).list())
    if found:
        logger.info("removing %d remains of networks", len(found))
        backend.remove_strays(found)
    from libpod.linux.namespaces import delete_network_namespace

    for path in strays.namespaces(services.paths.netns("x").parent, live):
        delete_network_namespace(path)
        found.append(Stray(kind="namespace", name=str(path), container_id=path.name))
    holds_of(services).tidy()
    return found
