"""Which namespaces a new container gets.

What the request leaves open comes from the pod, where the pod shares it, and else from the configuration. The result
has one mode for each namespace, none of them "default", the entries of the specification, and the fields of the record
that say whose namespaces are joined.

Covers: pkg/specgen/generate/namespaces.go, pkg/specgen/namespaces.go (defaults)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from libpod.config import RuntimeConfig
from libpod.define.errors import InvalidArgumentError
from libpod.linux.host import HostFacts
from libpod.model.container_config import ContainerConfig
from libpod.model.create_options import CreateOptions
from libpod.model.namespace_mode import NamespaceKind, NamespaceMode, parse_namespace
from libpod.spec.namespaces import OWNER_FIELDS
from libpod.spec.surroundings import Surroundings

if TYPE_CHECKING:
    from libpod.spec.document_parts import Namespace

_POD_FIELDS = {
    "pid": "shares_pid",
    "ipc": "shares_ipc",
    "network": "shares_net",
    "user": "shares_user",
    "uts": "shares_uts",
    "cgroup": "shares_cgroup",
}
_ORDER = ("pid", "network", "ipc", "uts", "user", "cgroup")


class PlannedNamespaces(msgspec.Struct, frozen=True, kw_only=True):
    """The decision. `fields` belong into the record, `entries` into its template."""

    modes: Mapping[str, NamespaceMode]
    owners: Mapping[str, ContainerConfig]
    """Namespace → the container it is taken from."""
    entries: list[Namespace]
    fields: dict[str, Any]

    @property
    def joins_user_namespace(self) -> bool:
        """Whether the container is in another user namespace than the host."""
        return self.modes["user"].kind is not NamespaceKind.HOST


def plan_namespaces(
    options: CreateOptions, *, config: RuntimeConfig, host: HostFacts, around: Surroundings
) -> PlannedNamespaces:
    """Decide; raises InvalidArgumentError when a request cannot be met."""
    asked = {
        "pid": options.pid,
        "network": options.network.mode,
        "ipc": options.ipc,
        "uts": options.uts,
        "user": options.userns,
        "cgroup": options.cgroupns,
    }
    defaults = _defaults(config, host)
    modes: dict[str, NamespaceMode] = {}
    owners: dict[str, ContainerConfig] = {}
    for namespace in _ORDER:
        mode = asked[namespace]
        if (
            namespace == "user"
            and mode.kind is NamespaceKind.DEFAULT
            and (options.uid_map or options.gid_map)
        ):
            mode = NamespaceMode(NamespaceKind.PRIVATE)
        if mode.kind is NamespaceKind.DEFAULT:
            mode = NamespaceMode(NamespaceKind.POD) if _pod_shares(around, namespace) else defaults[namespace]
        if mode.kind is NamespaceKind.POD:
            owners[namespace] = _infra(around, namespace)
            mode = NamespaceMode(NamespaceKind.CONTAINER, owners[namespace].id)
        elif mode.kind is NamespaceKind.CONTAINER:
            owners[namespace] = _container(around, mode.value)
            mode = NamespaceMode(NamespaceKind.CONTAINER, owners[namespace].id)
        modes[namespace] = mode
    _check_user(options, modes)
    return PlannedNamespaces(
        modes=modes, owners=owners, entries=_entries(modes), fields=_fields(modes, owners)
    )


def _defaults(config: RuntimeConfig, host: HostFacts) -> dict[str, NamespaceMode]:
    wanted = config.containers
    cgroup = wanted.cgroup_namespace or ("private" if host.cgroup_v2 else "host")
    network = config.network_mode
    return {
        "pid": parse_namespace(wanted.pid_namespace, "pid"),
        "network": parse_namespace("bridge" if network in ("", "private") else network, "network"),
        "ipc": parse_namespace(wanted.ipc_namespace, "ipc"),
        "uts": parse_namespace(wanted.uts_namespace, "uts"),
        "user": parse_namespace(wanted.user_namespace, "user"),
        "cgroup": parse_namespace(cgroup, "cgroup"),
    }


def _pod_shares(around: Surroundings, namespace: str) -> bool:
    return around.pod is not None and around.infra is not None and getattr(around.pod, _POD_FIELDS[namespace])


def _infra(around: Surroundings, namespace: str) -> ContainerConfig:
    if around.infra is None:
        raise InvalidArgumentError(
            f"the {namespace} namespace of a pod needs a pod with an infra container", resolution="make one"
        )
    return around.infra


def _container(around: Surroundings, name: str) -> ContainerConfig:
    found = around.containers.get(name)
    if found is None:
        raise InvalidArgumentError(
            f'the container "{name}" whose namespace is to be joined was not looked up'
        )
    if around.pod is not None and found.pod != around.pod.id:
        raise InvalidArgumentError(
            f"container {found.name} is not in the same pod", resolution="join one of the pod"
        )
    return found


def _check_user(options: CreateOptions, modes: Mapping[str, NamespaceMode]) -> None:
    mapped = bool(options.uid_map or options.gid_map)
    own = modes["user"].kind is NamespaceKind.PRIVATE
    if own and not mapped:
        raise InvalidArgumentError(
            "a user namespace of its own needs a mapping", resolution="set uid_map and gid_map"
        )
    for maps in (options.uid_map or options.gid_map, options.gid_map or options.uid_map):
        if mapped and not any(entry.container_id == 0 for entry in maps):
            raise InvalidArgumentError(
                "the id 0 is not part of the mapping of ids, and the root of the container needs it",
                resolution="begin a range with 0:",
            )
    if mapped and not own:
        raise InvalidArgumentError(
            "a mapping of ids needs a user namespace of its own", resolution="set userns=private"
        )


def _entries(modes: Mapping[str, NamespaceMode]) -> list[Namespace]:
    """The container's own namespaces and those to join; the paths of other containers' come when it starts."""
    found: list[Namespace] = []
    for namespace in ("pid", "network", "ipc", "uts"):
        found += _entry(namespace, modes[namespace])
    found.append({"type": "mount"})
    for namespace in ("user", "cgroup"):
        found += _entry(namespace, modes[namespace])
    return found


def _entry(namespace: str, mode: NamespaceMode) -> list[Namespace]:
    if mode.kind is NamespaceKind.HOST:
        return []
    if mode.kind is NamespaceKind.PATH:
        return [{"type": namespace, "path": mode.value}]
    return [{"type": namespace}]


def _fields(modes: Mapping[str, NamespaceMode], owners: Mapping[str, ContainerConfig]) -> dict[str, Any]:
    fields: dict[str, Any] = {OWNER_FIELDS[namespace]: owner.id for namespace, owner in owners.items()}
    if "ipc" in owners:
        fields["shm_dir"] = owners["ipc"].shm_dir
        if owners["ipc"].no_shm_share or owners["ipc"].no_shm:
            raise InvalidArgumentError(
                f"container {owners['ipc'].name} does not share its IPC namespace",
                resolution="make it with ipc=shareable",
            )
    elif modes["ipc"].kind is NamespaceKind.HOST:
        fields["shm_dir"] = "/dev/shm"
    return fields
