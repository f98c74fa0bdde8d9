"""A container's network namespace: made, configured, taken down.

The namespace is always ours and always kept by path, also for `--network none`: a namespace that the OCI runtime made
comes back from a restore with its loopback down.

Covers: libpod/networking_linux.go (createNetNS, setupNetNS, teardownNetwork)
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from libpod.container_internal.held import LockedContainer
from libpod.define.errors import NetworkError
from libpod.linux import namespaces
from libpod.model.container_config import ContainerConfig


def owns_namespace(config: ContainerConfig) -> bool:
    """Whether the engine makes a network namespace for the container."""
    if config.net_ns_ctr:
        return False
    if config.create_net_ns:
        return True
    return any(
        item["type"] == "network" and not item.get("path")
        for item in config.spec.get("linux", {}).get("namespaces", ())
    )


def set_up(held: LockedContainer) -> tuple[dict[str, Any], str]:
    """Make and configure the namespace; returns the network status and the namespace's path ("" for none).

    Repeating it is harmless: what a killed process made is found under its deterministic name and used.
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
    from libpod.container_internal.bridging import connect

    return connect(held, path), str(path)


def tear_down(held: LockedContainer) -> None:
    """Take the namespace and what hangs on it away, and note it; nothing there is fine."""
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
