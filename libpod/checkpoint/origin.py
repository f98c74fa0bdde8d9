"""Where an archive was made: facts about that host, as annotations of its specification.

Every reader ignores them there. podman's archives say nothing of the kind. The names are those that podman gives such
facts on checkpoint images.

Covers: nothing upstream
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from libpod.checkpoint.annotations import PODMAN

_CPU = f"{PODMAN}host.cpu"
_KEYS = {
    "architecture": f"{PODMAN}host.arch",
    "kernel": f"{PODMAN}host.kernel",
    "cgroups": f"{PODMAN}cgroups.version",
    "criu": f"{PODMAN}criu.version",
    "cpuinfo": f"{PODMAN}host.cpuinfo",
}


@attrs.frozen(kw_only=True)
class Origin:
    """The host that dumped the processes. What is not known is empty."""

    architecture: str = ""
    kernel: str = ""
    cgroups: str = ""
    """v1 or v2."""
    criu: str = ""
    """As a number: 40201."""
    cpuinfo: str = ""
    """Its processor as CRIU describes it (`criu.describe_cpu`)."""
    cpu: tuple[str, ...] = ()
    """Features of its processor."""

    def annotations(self) -> dict[str, str]:
        """To be added to those of the specification."""
        found = {key: str(getattr(self, name)) for name, key in _KEYS.items()}
        return {key: value for key, value in {**found, _CPU: " ".join(self.cpu)}.items() if value}


def origin_of(spec: Mapping[str, Any]) -> Origin:
    """What a specification says about the host that it ran on."""
    given = spec.get("annotations")
    words = given if isinstance(given, Mapping) else {}
    fields = {name: str(words.get(key, "")) for name, key in _KEYS.items()}
    return Origin(**fields, cpu=tuple(str(words.get(_CPU, "")).split()))


def without_origin(annotations: Mapping[str, Any]) -> dict[str, Any]:
    """*annotations* without those facts: the container is here now."""
    return {key: value for key, value in annotations.items() if key not in {_CPU, *_KEYS.values()}}
