"""Names of containers: whether one is free, and giving a container another.

Covers: libpod/runtime_ctr.go (RenameContainer)
"""

from __future__ import annotations

import msgspec

from libpod.container_internal.locked import locked
from libpod.container_internal.services import Services
from libpod.define.errors import ContainerExistsError, LibpodError
from libpod.define.ids import check_name
from libpod.define.status import LIVE, Operation
from libpod.model.container_config import ContainerConfig
from libpod.model.event import EventStatus


def is_taken(services: Services, name: str) -> bool:
    """Whether a container or a pod has exactly that name."""
    for lookup in (services.state.lookup_container, services.state.lookup_pod):
        try:
            found = lookup(name)
        except LibpodError:
            continue
        if lookup == services.state.lookup_container:
            if services.state.container_config(found).name == name:
                return True
        elif services.state.pod_config(found).name == name:
            return True
    return False


def rename_container(services: Services, ctr_id: str, name: str) -> ContainerConfig:
    """See `Container.rename`."""
    check_name("container", name)
    with locked(services, ctr_id) as held:
        held.require(Operation.RENAME)
        if name != held.name and is_taken(services, name):
            raise ContainerExistsError(name)
        config = msgspec.structs.replace(held.config, name=name)
        services.state.rewrite_container_config(config)
        if not config.rootfs:
            services.store.rename_container(config.id, name)
        before, held.config = held.config, config
        if held.status in LIVE:
            from libpod.container_internal import network_changes

            network_changes.renamed(held, before)
        held.emit(EventStatus.RENAME)
    return config
