"""What a checkpoint image says about itself: three families of annotations that do not clash.

    io.podman.annotations.checkpoint.*              podman: `runtime.name` decides whether it is one
    io.kubernetes.cri-o.annotations.checkpoint.*    CRI-O and Kubernetes: `name` decides
    org.criu.checkpoint.*                           the neutral set of checkpointctl and containerd

Covers: pkg/checkpoint (annotations), libpod/define/annotations.go, checkpointctl/lib
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

PODMAN = "io.podman.annotations.checkpoint."
CRIO = "io.kubernetes.cri-o.annotations.checkpoint."
NEUTRAL = "org.criu.checkpoint."


@attrs.frozen(kw_only=True)
class CheckpointFacts:
    """The container, its image, and what dumped it."""

    name: str
    raw_image_name: str
    image_id: str
    image_name: str
    engine_version: str
    criu_version: int
    runtime_name: str
    runtime_version: str
    """As the runtime prints it; may have several lines."""
    conmon_version: str
    architecture: str
    kernel: str
    cgroup_v2: bool
    distribution: str
    distribution_version: str


def annotations_of(facts: CheckpointFacts) -> dict[str, str]:
    """All three families; values that are not known are left out."""
    cgroups = "v2" if facts.cgroup_v2 else "v1"
    image = {
        "rawImageName": facts.raw_image_name,
        "rootfsImageID": facts.image_id,
        "rootfsImageName": facts.image_name,
        "criu.version": str(facts.criu_version or ""),
    }
    host = {
        "runtime.name": facts.runtime_name,
        "runtime.version": facts.runtime_version,
        "conmon.version": facts.conmon_version,
        "host.arch": facts.architecture,
        "host.kernel": facts.kernel,
        "distribution.name": facts.distribution,
        "distribution.version": facts.distribution_version,
    }
    podman = {
        "name": facts.name, "podman.version": facts.engine_version, "cgroups.version": cgroups, **image, **host
    }  # fmt: skip
    neutral = {
        "container.name": facts.name,
        "engine.name": "libpod",
        "engine.version": facts.engine_version,
        "cgroup.version": cgroups,
        "rootfsImageUserRequested": facts.raw_image_name,
        **image,
        **host,
    }
    families = ((PODMAN, podman), (CRIO, {"name": facts.name, **image}), (NEUTRAL, neutral))
    return {f"{prefix}{key}": value for prefix, pairs in families for key, value in pairs.items() if value}


def container_of(annotations: Mapping[str, object]) -> str | None:
    """The name of the container whose checkpoint an image is; None when it is none."""
    for key in (f"{PODMAN}name", f"{CRIO}name", f"{NEUTRAL}container.name"):
        name = annotations.get(key)
        if isinstance(name, str) and name:
            return name
    # An image of podman before it wrote the name.
    return "" if f"{PODMAN}runtime.name" in annotations else None
