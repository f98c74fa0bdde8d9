"""Differences between any two of containers and images.

Covers: libpod/diff.go
"""

from __future__ import annotations

from libpod.container_internal import files
from libpod.container_internal.locked import locked
from libpod.container_internal.services import Services
from libpod.define.errors import InvalidStateError, NoSuchContainerError
from libpod.storage.changes import Change


def diff(services: Services, new: str, old: str = "") -> list[Change]:
    """See `Runtime.diff`."""
    container = _container(services, new)
    if not old:
        if container is not None:
            with locked(services, container) as held:
                return files.diff(held)
        top = services.images.find(new).top_layer
        return services.store.layer_changes(top) if top is not None else []
    layers = [_layer(services, name) for name in (new, old)]
    if layers[0] is None:
        return []
    found = services.store.compare_layers(layers[0], layers[1])
    return [change for change in found if change.path not in files.NOT_PART_OF_IT]


def _container(services: Services, name: str) -> str | None:
    services.require_open()
    try:
        return services.state.lookup_container(name)
    except NoSuchContainerError:
        return None


def _layer(services: Services, name: str) -> str | None:
    ctr_id = _container(services, name)
    if ctr_id is None:
        return services.images.find(name).top_layer
    config = services.state.container_config(ctr_id)
    stored = services.store.container(ctr_id)
    if config.rootfs or stored is None:
        raise InvalidStateError(f"container {config.name} has no layer that could be compared")
    return stored.layer_id
