"""Changing the limits of a container that exists.

A running one gets them at once, from its runtime; the configuration follows, so that the next start has them too.

Covers: libpod/container_internal.go (update)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from libpod.container_internal import lifecycle
from libpod.container_internal.held import LockedContainer
from libpod.container_internal.launching import bundle_for
from libpod.define.status import LIVE, Operation
from libpod.model.container_config import ContainerConfig
from libpod.model.event import EventStatus


def update(held: LockedContainer, resources: Mapping[str, Any]) -> ContainerConfig:
    """See `Container.update`; *resources* are merged over those that the container has."""
    held.require(Operation.UPDATE)
    linux = dict(held.config.spec.get("linux", {}))
    merged = _merged(linux.get("resources", {}), resources)
    if held.status in LIVE:
        lifecycle.runtime_of(held).update(bundle_for(held), merged)
    spec = {**held.config.spec, "linux": {**linux, "resources": merged}}
    config = msgspec.structs.replace(held.config, spec=spec)
    held.services.state.rewrite_container_config(config)
    held.config = config
    held.emit(EventStatus.UPDATE)
    return config


def _merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(old)
    for key, value in new.items():
        before = merged.get(key)
        merged[key] = (
            _merged(before, value) if isinstance(before, Mapping) and isinstance(value, Mapping) else value
        )
    return merged
