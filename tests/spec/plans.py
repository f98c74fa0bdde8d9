"""Planned containers for the tests of the specification, on machines that need not exist."""

from __future__ import annotations

from typing import Any

import msgspec

from libpod.config import RuntimeConfig
from libpod.linux.cgroups import CgroupMode
from libpod.linux.host import HostFacts
from libpod.model.container_config import ContainerConfig
from libpod.model.create_options import CreateOptions
from libpod.spec.finalize import FinalFacts
from libpod.spec.image import ImageSettings
from libpod.spec.plan import ImageFacts, plan_container
from libpod.spec.surroundings import Surroundings
from libpod.spec.users import ResolvedUser

CTR_ID = "17dc1347c5d9" + "0" * 52
CREATED = "2026-11-22T21:14:44.219546775Z"
V1 = HostFacts(cgroup_mode=CgroupMode.HYBRID, hostname="vm")
V2 = HostFacts(cgroup_mode=CgroupMode.UNIFIED, hostname="vm")
CONFIG = RuntimeConfig()


def planned(
    *,
    settings: ImageSettings | None = None,
    host: HostFacts = V1,
    config: RuntimeConfig = CONFIG,
    around: Surroundings | None = None,
    **fields: Any,
) -> ContainerConfig:
    """The record of a container made with these fields of CreateOptions."""
    counter = iter(range(100))
    return plan_container(
        CreateOptions(**{"image": "bb", "command": ["/bin/sh"], "network": "none", **fields}),
        image=ImageFacts(id="a" * 64, name="localhost/bb:latest", settings=settings or ImageSettings()),
        host=host,
        config=config,
        container_id=CTR_ID,
        name="sample",
        created=CREATED,
        around=around,
        volume_name=lambda: f"anonymous{next(counter)}",
    )


def facts(**fields: Any) -> FinalFacts:
    """What is known at the start of such a container."""
    return FinalFacts(**{"root_path": "/g/merged", "host": V1, "user": ResolvedUser(), **fields})


def changed(record: ContainerConfig, **fields: Any) -> ContainerConfig:
    return msgspec.structs.replace(record, **fields)


def on(host: HostFacts, **fields: Any) -> HostFacts:
    return msgspec.structs.replace(host, **fields)


def mounts_of(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The mounts by destination."""
    return {entry["destination"]: entry for entry in document["mounts"]}
