"""What is asked of a new pod.

Covers: pkg/specgen/podspecgen.go, cmd/podman/pods/create.go
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from libpod.define.errors import InvalidArgumentError
from libpod.define.ids import check_name

SHAREABLE = ("ipc", "net", "uts", "pid", "cgroup")
DEFAULT_SHARE = ("ipc", "net", "uts")
EXIT_POLICIES = ("continue", "stop")


def _shared(value: str | Iterable[str]) -> tuple[str, ...]:
    words = value.split(",") if isinstance(value, str) else list(value)
    if words in ([""], ["none"]):
        return ()
    return tuple(dict.fromkeys(word.strip() for word in words))


@attrs.frozen(kw_only=True)
class PodOptions:
    """A request for a pod. Network options are those of the infra container, which every member shares."""

    name: str = ""
    labels: Mapping[str, str] = attrs.field(factory=dict)
    infra: bool = True
    infra_name: str = ""
    share: tuple[str, ...] = attrs.field(default=DEFAULT_SHARE, converter=_shared)
    """Namespaces that the members share: of ipc, net, uts, pid, cgroup."""
    hostname: str = ""
    exit_policy: str = "continue"
    """"stop": when only the infra container is left running, it is stopped too."""
    cgroup_parent: str = ""
    create_command: tuple[str, ...] = attrs.field(default=(), converter=tuple)
    infra_options: Mapping[str, Any] = attrs.field(factory=dict)
    """Further fields of CreateOptions for the infra container: network, publish, dns, add_host, volumes, …"""

    def __attrs_post_init__(self) -> None:
        if self.name:
            check_name("pod", self.name)
        unknown = [word for word in self.share if word not in SHAREABLE]
        if unknown:
            raise InvalidArgumentError(
                f'a pod cannot share the namespace "{unknown[0]}"', resolution=f"use {', '.join(SHAREABLE)}"
            )
        if self.exit_policy not in EXIT_POLICIES:
            raise InvalidArgumentError(
                f'there is no exit policy "{self.exit_policy}"',
                resolution=f"use {' or '.join(EXIT_POLICIES)}",
            )
        if not self.infra and (self.infra_options or self.infra_name):
            raise InvalidArgumentError(
                "a pod without an infra container has no network, ports or hosts of its own",
                resolution="leave those out, or make the infra container",
            )
