"""class Network: what containers hang on.

Covers: libpod/networking_common.go (for the user), pkg/domain/infra/abi/network.go
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from libpod.define.errors import NetworkInUseError, NoSuchContainerError, NoSuchPodError
from libpod.model.event import EventStatus, EventType
from libpod.network.definitions import NetworkDefinition, definition_document

if TYPE_CHECKING:
    from libpod.container_api import Container
    from libpod.container_internal.services import Services


class Network:
    """A handle: the definition as it was when the handle was made, and the verbs. Two of one network are equal."""

    def __init__(self, services: Services, definition: NetworkDefinition) -> None:
        self._services = services
        self.definition = definition

    def __repr__(self) -> str:
        return f"<libpod.Network {self.name}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Network) and self.definition == other.definition

    def __hash__(self) -> int:
        return hash(self.id)

    @property
    def name(self) -> str:
        return self.definition.name

    @property
    def id(self) -> str:
        return self.definition.id

    @property
    def driver(self) -> str:
        """bridge, macvlan or ipvlan."""
        return self.definition.driver

    @property
    def labels(self) -> dict[str, str]:
        return dict(self.definition.labels)

    @property
    def subnets(self) -> tuple[str, ...]:
        """As texts: 10.72.0.0/24."""
        return tuple(item.subnet for item in self.definition.subnets)

    def users(self) -> list[str]:
        """Ids of the containers that hang on it, running or not."""
        states = self._services.state.containers()
        return [config.id for config, _ in states if self.name in config.networks]

    def inspect(self) -> dict[str, Any]:
        """podman's `network inspect` document."""
        return definition_document(self.definition)

    def connect(
        self,
        container: str | Container,
        *,
        addresses: Sequence[str] = (),
        mac: str = "",
        aliases: Sequence[str] = (),
        interface: str = "",
    ) -> None:
        """Connect a container, which may be running, with the addresses and names that are wanted.

        Raises InvalidStateError when it hangs on the network already or on none at all, NetworkError when an address is
        taken. On an error the container is as before. Upstream: `NetworkConnect`.
        """
        from libpod.container_internal import network_changes
        from libpod.container_internal.locked import locked
        from libpod.model.container_config import NetworkOptions
        from libpod.model.network_request import parse_address, parse_mac

        options = NetworkOptions(
            static_ips=tuple(parse_address(text) for text in addresses),
            static_mac=parse_mac(mac) if mac else "",
            aliases=tuple(aliases),
            interface_name=interface,
        )
        with locked(self._services, self._id_of(container)) as held:
            network_changes.join(held, self.name, options)

    def disconnect(self, container: str | Container) -> None:
        """Disconnect a container, which may be running; its published ports follow to another of its networks.

        Raises NetworkError when it does not hang on the network. Upstream: `NetworkDisconnect`.
        """
        from libpod.container_internal import network_changes
        from libpod.container_internal.locked import locked

        with locked(self._services, self._id_of(container)) as held:
            network_changes.leave(held, self.name)

    def remove(self, *, force: bool = False, timeout: float | None = None) -> None:
        """Remove the network.

        With *force* the containers that hang on it are removed first, running ones too, a pod with its infra container.
        Raises NetworkInUseError, NetworkError for the default network. Upstream: `NetworkRm`.
        """
        from libpod.container_internal.bridging import definitions_of

        users = self.users()
        if users and not force:
            raise NetworkInUseError(self.name, users)
        for user in users:
            self._remove_user(user, timeout)
        definitions_of(self._services).remove(self.name)
        self._services.emit(EventStatus.REMOVE, type=EventType.NETWORK, id=self.id, network=self.name)

    def _remove_user(self, ctr_id: str, timeout: float | None) -> None:
        from libpod.container_internal.removal import remove_container
        from libpod.pod_api import Pod

        state = self._services.state
        with contextlib.suppress(NoSuchContainerError, NoSuchPodError):  # gone with another one
            config = state.container_config(ctr_id)
            if config.is_infra:
                Pod(self._services, state.pod_config(config.pod)).remove(force=True, timeout=timeout)
                return
            for dependent in state.dependents(ctr_id):
                self._remove_user(dependent, timeout)
            remove_container(self._services, ctr_id, force=True, timeout=timeout)

    def _id_of(self, container: str | Container) -> str:
        return (
            self._services.state.lookup_container(container) if isinstance(container, str) else container.id
        )
