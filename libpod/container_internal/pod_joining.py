"""An imported container that was in a pod joins a pod of this host.

Every namespace that it shared with its old pod it shares with the infra container of the new one, which must share that
namespace; its own addresses and published ports are the pod's business now.

Covers: pkg/checkpoint/checkpoint_restore.go (the pod part), libpod/container_internal_common.go
"""

from __future__ import annotations

import msgspec

from libpod.container_internal.services import Services
from libpod.define.errors import ArchiveError, InvalidStateError
from libpod.model.container_config import ContainerConfig

_SHARED = {
    "ipc_ns_ctr": ("shares_ipc", "ipc"),
    "net_ns_ctr": ("shares_net", "net"),
    "uts_ns_ctr": ("shares_uts", "uts"),
    "pid_ns_ctr": ("shares_pid", "pid"),
    "cgroup_ns_ctr": ("shares_cgroup", "cgroup"),
}


def joined(services: Services, config: ContainerConfig, pod_name: str, *, archive: str) -> ContainerConfig:
    """*config* as a member of the pod *pod_name*; empty for no pod.

    Raises ArchiveError when the archive's container was in a pod and none is named, or the other way round,
    NoSuchPodError, and InvalidStateError for a pod that does not share what the container needs.
    """
    if not pod_name:
        if config.pod:
            raise ArchiveError(
                archive, f"container {config.name} belongs to a pod", resolution="name a pod to put it in"
            )
        return config
    if not config.pod:
        raise ArchiveError(
            archive,
            f"container {config.name} was in no pod and cannot be put into one",
            resolution="leave out pod",
        )
    pod_id = services.state.lookup_pod(pod_name)
    pod, state = services.state.pod_config(pod_id), services.state.pod_state(pod_id)
    infra_id = state.infra_container_id
    changes: dict[str, object] = {"pod": pod_id, "dependencies": None, "networks": {}, "port_mappings": ()}
    for field, (flag, word) in _SHARED.items():
        if not getattr(config, field):
            continue
        if not infra_id or not getattr(pod, flag):
            raise InvalidStateError(
                f"container {config.name} shares its {word} namespace, and pod {pod.name} does not",
                resolution=f"use a pod that shares {word}",
            )
        changes[field] = infra_id
    if changes.get("ipc_ns_ctr"):
        changes["shm_dir"] = services.state.container_config(infra_id).shm_dir
    if state.cgroup_path:
        changes["cgroup_parent"] = state.cgroup_path
    return msgspec.structs.replace(config, **changes)
