"""Namespaces and the cgroup path of a specification.

A namespace entry without a path is one the runtime makes; with a path, one to join; no entry, the host's. Paths of
other containers (`/proc/<pid>/ns/…`) are only known when the container starts, so the template has entries without
them, and the record says whose namespace it is.

Covers: pkg/specgen/generate/namespaces.go, libpod/container_internal_linux.go (getOCICgroupPath, addNamespaceContainer)
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from libpod.define.errors import InvalidArgumentError
from libpod.model.container_config import ContainerConfig

if TYPE_CHECKING:
    from libpod.spec.document_parts import Namespace

OWNER_FIELDS = {
    "ipc": "ipc_ns_ctr",
    "mount": "mount_ns_ctr",
    "network": "net_ns_ctr",
    "pid": "pid_ns_ctr",
    "user": "user_ns_ctr",
    "uts": "uts_ns_ctr",
    "cgroup": "cgroup_ns_ctr",
}
"""For each namespace, the field of ContainerConfig that holds the id of the container it is taken from."""

PROC_NAMES = {"network": "net", "mount": "mnt"}
"""How /proc/<pid>/ns calls those that the specification calls otherwise."""

CGROUPFS_PARENT = "/libpod_parent"
SYSTEMD_PARENT = "machine.slice"


def borrowed(config: ContainerConfig) -> dict[str, str]:
    """Namespace → id of the container whose namespace *config* joins."""
    found = {}
    for namespace, field in OWNER_FIELDS.items():
        owner = getattr(config, field)
        if owner:
            found[namespace] = owner
    return found


def proc_path(pid: int, namespace: str) -> str:
    """The path of a namespace of a running process."""
    return f"/proc/{pid}/ns/{PROC_NAMES.get(namespace, namespace)}"


def with_path(entries: Sequence[Namespace], namespace: str, path: str) -> list[Namespace]:
    """*entries* with the one for *namespace* joining *path*; added when it was not there."""
    changed: list[Namespace] = []
    found = False
    for entry in entries:
        if entry["type"] == namespace:
            found = True
            changed.append({"type": namespace, "path": path})
        else:
            changed.append(entry)
    if not found:
        changed.append({"type": namespace, "path": path})
    return changed


def has_own(document: Mapping[str, Any], namespace: str) -> bool:
    """Whether the specification makes a new *namespace*."""
    entries = (document.get("linux") or {}).get("namespaces") or ()
    return any(entry.get("type") == namespace and not entry.get("path") for entry in entries)


def has_entry(document: Mapping[str, Any], namespace: str) -> bool:
    """Whether the container is in another *namespace* than the host."""
    entries = (document.get("linux") or {}).get("namespaces") or ()
    return any(entry.get("type") == namespace for entry in entries)


# ---- cgroups --------------------------------------------------------------------------------------------------


def cgroup_parent(asked: str, manager: str) -> str:
    """The parent under which a container's cgroup is made; raises InvalidArgumentError when it has the wrong form."""
    if manager == "systemd":
        parent = asked or SYSTEMD_PARENT
        if not posixpath.basename(parent).endswith(".slice"):
            raise InvalidArgumentError(
                f'"{parent}" is not a slice of systemd', resolution="give a name that ends in .slice"
            )
        return parent
    parent = asked or CGROUPFS_PARENT
    if posixpath.basename(parent).endswith(".slice"):
        raise InvalidArgumentError(
            f'"{parent}" is a slice of systemd, and cgroups are managed by cgroupfs here',
            resolution="give a path",
        )
    return parent if parent.startswith("/") else f"/{parent}"


def cgroups_path(config: ContainerConfig) -> str:
    """`linux.cgroupsPath` of a container; empty when it gets no cgroup."""
    if config.no_cgroups:
        return ""
    if config.cgroup_manager == "systemd":
        return f"{posixpath.basename(config.cgroup_parent or SYSTEMD_PARENT)}:libpod:{config.id}"
    return posixpath.join(config.cgroup_parent or CGROUPFS_PARENT, f"libpod-{config.id}")
