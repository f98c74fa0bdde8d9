"""A container's network namespace: made, configured, taken down.

The namespace is always ours and always kept by path, also for `--network none`: a namespace that the OCI runtime made
comes back from a restore with its loopback down.

Covers: libpod/networking_linux.go (createNetNS, setupNetNS, teardownNetwork)
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from libpod.checkpoint import documents, members
from libpod.container_internal.held import LockedContainer
from libpod.define.errors import NetworkError
from libpod.linux import namespaces
from libpod.linux.files import write_atomic
from libpod.model.container_config import ContainerConfig, NetworkOptions
from libpod.network.hold import hold_namespace, release_namespace
from libpod.network.status import NetworkStatus, status_from
from libpod.spec.namespaces import has_own

if TYPE_CHECKING:
    from libpod.model.move_options import RestoreOptions


def owns_namespace(config: ContainerConfig) -> bool:
    """Whether the engine makes a network namespace for the container."""
    if config.net_ns_ctr:
        return False
    if config.create_net_ns:
        return True
    return has_own(config.spec, "network")


def is_alone(held: LockedContainer) -> bool:
    """Whether no packet from outside can ever come to the container: it shares its namespace with nobody."""
    config = held.config
    return owns_namespace(config) and not config.networks and not held.services.state.dependents(config.id)


def set_up(
    held: LockedContainer, *, wishes: Mapping[str, NetworkOptions] | None = None, on_hold: bool = False
) -> tuple[dict[str, Any], str]:
    """Make and configure the namespace; returns the network status and the namespace's path ("" for none).

    *wishes* replaces the addresses of the container's record for this time: a restore brings its old ones. With
    *on_hold*, nothing comes in or goes out until `release`, so that no packet of an old connection finds the
    namespace without its socket. Repeating a set-up is harmless: what a killed process made is found under its
    deterministic name and used.
    """
    if not owns_namespace(held.config):
        return {}, ""
    path = held.services.paths.netns(held.id)
    try:
        if not namespaces.is_network_namespace(path):
            namespaces.create_network_namespace(path)
    except OSError as error:
        raise NetworkError(
            f"container {held.name}: its network namespace cannot be made ({error.strerror})"
        ) from error
    if not held.config.networks:
        return {}, str(path)
    from libpod.container_internal import bridging

    if on_hold:
        hold_namespace(path)
    return bridging.connect(held, path, wishes, on_hold=on_hold), str(path)


@contextlib.contextmanager
def reserved_ports(held: LockedContainer) -> Iterator[tuple[int, ...]]:
    """Hold the host ports that the container publishes; the descriptors are for its monitor to keep.

    As long as it has them, nobody else on this host can listen there; they end with the monitor, whatever befalls us.
    """
    if not held.config.port_mappings or not owns_namespace(held.config):
        yield ()
        return
    from libpod.container_internal import bridging

    with bridging.reserve(held) as descriptors:
        yield descriptors


def release(held: LockedContainer) -> None:
    """End what holds the container's connections, in its namespace and on this host; none is fine.

    Both last until its sockets are there again: would an attempt that was killed be taken down without them, its peers
    were told that nobody is there. (The kernel ends both by itself after a while.)
    """
    if held.config.networks and held.state.netns:
        from libpod.container_internal import bridging

        release_namespace(Path(held.state.netns))
        bridging.holds_of(held.services).release(held.id)


def tear_down(held: LockedContainer) -> None:
    """Take the namespace and what hangs on it away, and note it; nothing there is fine."""
    if held.config.net_ns_ctr:
        from libpod.container_internal import generated_files

        generated_files.forget_guest(held.services, held.config)
    if not owns_namespace(held.config):
        return
    if held.config.networks:
        from libpod.container_internal.bridging import disconnect

        disconnect(held)
    path = Path(held.state.netns) if held.state.netns else held.services.paths.netns(held.id)
    try:
        namespaces.delete_network_namespace(path)
    except OSError as error:
        raise NetworkError(
            f"container {held.name}: its network namespace {path} cannot be removed ({error.strerror})"
        ) from error
    if held.state.netns or held.state.network_status:
        held.update(netns="", network_status={})


# ---- freezing and waking --------------------------------------------------------------------------------------


def keep_for_restore(held: LockedContainer, *, established: bool) -> None:
    """Before a checkpointed container's network goes: write down what it had, and hold its connections."""
    if not held.config.networks or not held.state.network_status:
        return
    path = held.directory / members.NETWORK_STATUS
    write_atomic(path, documents.encode_document(held.state.network_status), durable=False)
    if established:
        from libpod.container_internal import bridging

        bridging.hold_on_host(held)


def wishes_for_restore(held: LockedContainer, options: RestoreOptions) -> dict[str, NetworkOptions]:
    """The addresses and MACs that the container had when it was frozen, as far as *options* want them.

    Under a new name it is another container, perhaps one of several copies: then only what was asked for at its
    creation counts.
    """
    if not held.config.networks:
        return {}
    from libpod.container_internal import bridging

    status: NetworkStatus = {}
    if not options.name:
        with contextlib.suppress(FileNotFoundError):
            data = (held.directory / members.NETWORK_STATUS).read_bytes()
            status = status_from(documents.read_network_status(data))
    wishes = bridging.wishes_of(
        held.config, status, addresses=not options.ignore_static_ip, mac=not options.ignore_static_mac
    )
    return wishes if options.tcp_established else bridging.without_foreign_addresses(held, wishes)
