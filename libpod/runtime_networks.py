"""Networks of a runtime: create, find, list, prune; what belongs to nobody.

Covers: pkg/domain/infra/abi/network.go, libpod/networking_common.go (for a runtime)
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from libpod.container_internal import network_changes
from libpod.container_internal.bridging import backend_of, definitions_of, holds_of, strays_of
from libpod.container_internal.locked import locked
from libpod.container_internal.services import Services
from libpod.define.errors import NetworkExistsError, NetworkInUseError, NoSuchNetworkError
from libpod.define.status import LIVE
from libpod.model.event import EventStatus, EventType
from libpod.network import strays
from libpod.network.base import Stray
from libpod.network.creation import NetworkCreateOptions, new_definition
from libpod.network_api import Network

logger = logging.getLogger(__name__)


def create_network(
    services: Services, options: NetworkCreateOptions, *, ignore_existing: bool = False
) -> Network:
    """Make a network; see `libpod.network.creation` for what is filled in and what is refused."""
    services.require_open()
    known = definitions_of(services)
    try:
        if options.name == known.default_name:
            raise NetworkExistsError(options.name)  # it makes itself
        made = known.add(lambda others: new_definition(options, others))
    except NetworkExistsError:
        if not ignore_existing:
            raise
        return get_network(services, options.name)
    services.emit(EventStatus.CREATE, type=EventType.NETWORK, id=made.id, network=made.name)
    return Network(services, made)


def networks(services: Services, *filters: Callable[[Network], bool]) -> list[Network]:
    """All networks that pass every filter, by name; the default one is always among them."""
    services.require_open()
    known = definitions_of(services)
    known.get_or_default(known.default_name)
    found = [Network(services, definition) for definition in known.list()]
    return [network for network in found if all(wanted(network) for wanted in filters)]


def get_network(services: Services, name_or_id: str) -> Network:
    """By name, id or unique prefix of an id; raises NoSuchNetworkError, AmbiguousNameError."""
    services.require_open()
    return Network(services, definitions_of(services).get_or_default(name_or_id))


def has_network(services: Services, name_or_id: str) -> bool:
    """Whether there is one; raises AmbiguousNameError."""
    try:
        get_network(services, name_or_id)
    except NoSuchNetworkError:
        return False
    return True


def prune_networks(services: Services, *filters: Callable[[Network], bool]) -> list[str]:
    """Remove all networks without containers that pass every filter; returns their names."""
    gone = []
    for network in networks(services, *filters):
        if network.name == services.config.default_network:
            continue
        try:
            network.remove()
        except (NetworkInUseError, NoSuchNetworkError):
            continue  # in use, or somebody else was faster: that is what prune means
        gone.append(network.name)
    return gone


def reload_networks(services: Services, ctr_ids: Sequence[str]) -> list[str]:
    """Load the host's rules for running containers again; returns the ids of those that had any."""
    services.require_open()
    reloaded = []
    for ctr_id in ctr_ids:
        with locked(services, ctr_id) as held:
            if held.status in LIVE and held.config.networks:
                network_changes.reload(held)
                reloaded.append(held.id)
    return reloaded


def remove_strays(services: Services) -> list[Stray]:
    """Remove what is ours in the kernel and belongs to no container of this runtime; says what that was."""
    found = strays_of(services)
    if found:
        logger.info("removing %d remains of networks", len(found))
        backend_of(services).remove_strays(found)
    from libpod.linux.namespaces import delete_network_namespace

    for path in strays.namespaces(services.paths.netns("x").parent, services.state.container_ids()):
        delete_network_namespace(path)
        found.append(Stray(kind="namespace", name=str(path), container_id=path.name))
    holds_of(services).tidy()
    return found
