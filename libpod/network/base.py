"""The interface of the drivers that connect a container's namespace to networks.

Vocabulary. A *network* is a definition (`definitions`). An *attachment* joins one container to one network
by one interface, with addresses that were chosen before (`ipam`). *Set-up* makes all attachments of a
request and publishes its ports; *tear-down* takes exactly those away. A container's namespace is made and
removed by the engine (`libpod.linux.namespaces`), not by a driver.

How the engine uses it, in this order:

    start       1 definitions.get_or_default(...) for every network of the container
                2 one state transaction: `ipam.choose`, claim the addresses and the ports
                3 create_network_namespace(path)
                4 status = backend.setup(request)          # addresses of step 2
                5 save path and status
    clean-up    1 backend.teardown(request)                # the same request; missing things are fine
                2 delete_network_namespace(path)
                3 release the claims, save "no namespace, no status"
    killed      anywhere in between: run the clean-up of that container; it repairs every step. What belongs to
                containers that the state does not know is found by `strays` and removed by `remove_strays`.
    checkpoint  see `libpod.network.hold`

Promises of every driver: set-up validates everything before it changes anything, and on error takes down
what it made; both are idempotent – set-up begins by removing what an earlier attempt of the same container
left, tear-down of what is not there succeeds; all names in the kernel are derived from the container's id
and the network's name. Requests of different containers may run at the same time in any number of
processes.

Not promised: that anything survives a reboot, or a firewall reload by somebody else – `reload` restores the
latter.

Errors: InvalidArgumentError for a request that cannot work, NotSupportedError for what this host lacks,
NetworkError for everything the kernel refused. No other class comes out.

Covers: container-libs common/libnetwork/types (ContainerNetwork), networking_linux.go (setupNetNS, teardown)
"""

from __future__ import annotations

import abc
from collections.abc import Collection, Sequence
from pathlib import Path

import msgspec

from libpod.model.container_config import PortMapping
from libpod.network.definitions import NetworkDefinition
from libpod.network.status import NetworkStatus


class NetworkAttachment(msgspec.Struct, frozen=True, kw_only=True):
    """One interface of a container on one network."""

    definition: NetworkDefinition
    interface: str
    """Its name inside the namespace: eth0, eth1, …"""
    addresses: tuple[str, ...] = ()
    """Without prefix length; each lies in one of the definition's subnets."""
    mac: str = ""
    """"" for one that is derived from the container's id, the same at every start."""
    aliases: tuple[str, ...] = ()
    """Names beside the container's own under which others find it on this network."""

    @property
    def network(self) -> str:
        return self.definition.name


class ContainerNetwork(msgspec.Struct, frozen=True, kw_only=True):
    """All that a driver needs to know about a container."""

    container_id: str
    container_name: str
    namespace: Path
    attachments: tuple[NetworkAttachment, ...]
    ports: tuple[PortMapping, ...] = ()
    """Complete mappings: every host port is chosen. They lead to the first attachment that has an address of
    the right family."""
    dns_servers: tuple[str, ...] = ()
    """Where a DNS server of the networks sends what it does not know; empty for the host's own."""


class Stray(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """Something of ours in the kernel or on disk that belongs to no container that lives."""

    kind: str
    """"link", "bridge", "rule", "table", "name", "server", "namespace", or "connection" for whatever netavark made."""
    name: str
    container_id: str = ""
    """"" when it belongs to a network, or is too young to say."""


class NetworkBackend(abc.ABC):
    """See the module for the contract that all methods share."""

    name: str

    @abc.abstractmethod
    def setup(self, request: ContainerNetwork) -> NetworkStatus:
        """Connect the namespace and publish the ports; what every network gave is returned in request
        order."""

    @abc.abstractmethod
    def teardown(self, request: ContainerNetwork) -> None:
        """Disconnect the attachments of *request* and withdraw its ports; all is tried, the first error
        raised.

        A bridge goes with its last container, and everything else with the last bridge.
        """

    @abc.abstractmethod
    def connect(self, request: ContainerNetwork, networks: Collection[str]) -> NetworkStatus:
        """Connect *networks* of *request*, which describes the container as it will be; it may be running.

        What it has already is left alone, and only what the new networks gave is returned.
        """

    @abc.abstractmethod
    def disconnect(self, request: ContainerNetwork, networks: Collection[str]) -> None:
        """Disconnect *networks* of *request*, which describes the container as it was; it may be running.

        Published ports lead to the first of the networks that remain.
        """

    @abc.abstractmethod
    def reload(self, request: ContainerNetwork) -> None:
        """Load the rules of a running container again, after somebody flushed the host's firewall."""

    @abc.abstractmethod
    def rename(self, request: ContainerNetwork) -> None:
        """Make a running container known by the name that *request* has now, where a server answers for names."""

    @abc.abstractmethod
    def strays(self, live: Collection[str], definitions: Sequence[NetworkDefinition]) -> list[Stray]:
        """What is ours and belongs to none of the containers *live* (ids of those that have a network
        now)."""

    @abc.abstractmethod
    def remove_strays(self, strays: Sequence[Stray]) -> None:
        """Remove what `strays` found; what went away meanwhile is fine."""
