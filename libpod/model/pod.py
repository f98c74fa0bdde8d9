"""Pods: containers that share namespaces and are handled together.

Covers: libpod/pod.go (podConfig, podState)
"""

from __future__ import annotations

import msgspec

from libpod.model.times import ZERO_TIME


class PodConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a pod is; written once."""

    id: str
    name: str
    namespace: str = ""
    hostname: str = ""
    labels: dict[str, str] = {}
    cgroup_parent: str = msgspec.field(default_factory=str, name="cgroupParent")
    uses_pod_cgroup: bool = msgspec.field(default=False, name="sharesParentCgroup")
    shares_pid: bool = msgspec.field(default=False, name="sharesPid")
    shares_ipc: bool = msgspec.field(default=False, name="sharesIpc")
    shares_net: bool = msgspec.field(default=False, name="sharesNet")
    shares_mnt: bool = msgspec.field(default=False, name="sharesMnt")
    shares_user: bool = msgspec.field(default=False, name="sharesUser")
    shares_uts: bool = msgspec.field(default=False, name="sharesUts")
    shares_cgroup: bool = msgspec.field(default=False, name="sharesCgroup")
    has_infra: bool = msgspec.field(default=False, name="hasInfra")
    exit_policy: str = msgspec.field(default="", name="ExitPolicy")
    restart_policy: str = msgspec.field(default="", name="RestartPolicy")
    created_time: str = msgspec.field(default_factory=lambda: ZERO_TIME, name="created")
    create_command: tuple[str, ...] = msgspec.field(default=(), name="CreateCommand")
    lock_id: int = msgspec.field(default_factory=int, name="lockID")


class PodState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What changes while a pod lives."""

    cgroup_path: str = msgspec.field(default="", name="cgroupPath")
    infra_container_id: str = msgspec.field(default="", name="InfraContainerID")
