"""Records that the tests of the state store put in."""

from __future__ import annotations

import hashlib
from typing import Any

from libpod.define.status import ContainerStatus
from libpod.model.container_config import ContainerConfig, NamedVolume, NetworkOptions, PortMapping
from libpod.model.container_state import ContainerState, ExecSession
from libpod.model.pod import PodConfig
from libpod.model.volume import VolumeConfig

SPEC: dict[str, Any] = {"ociVersion": "1.0.2", "process": {"args": ["sleep", "100"], "cwd": "/"}}


def an_id(seed: object) -> str:
    """A full id that is always the same for the same seed."""
    return hashlib.sha256(repr(seed).encode()).hexdigest()


def a_container(name: str, /, **changes: Any) -> ContainerConfig:
    """A configuration whose id follows from its name."""
    volumes = tuple(NamedVolume(name=volume, dest=f"/{volume}") for volume in changes.pop("volumes", ()))
    settings: dict[str, Any] = {
        "spec": SPEC,
        "id": an_id(name),
        "name": name,
        "named_volumes": volumes,
        "created_time": "2026-01-31T12:00:00Z",
    }
    return ContainerConfig(**settings | changes)


def a_full_container(name: str) -> ContainerConfig:
    """A configuration with everything that a listing shows."""
    return a_container(
        name,
        rootfs_image_name="docker.io/library/busybox:latest",
        rootfs_image_id="f" * 64,
        labels={"app": "shop"},
        port_mappings=(PortMapping(container_port=80, host_port=8080),),
        networks={"podman": NetworkOptions(interface_name="eth0")},
        network_mode="bridge",
        user_volumes=("/data",),
        auto_remove=True,
        restart_policy="always",
        created_time="2026-02-01T10:00:00.5+02:00",
    )


def a_pod(name: str, /, **changes: Any) -> PodConfig:
    """A pod whose id follows from its name."""
    return PodConfig(**{"id": an_id(name), "name": name, "created_time": "2026-01-31T12:00:00Z"} | changes)


def a_volume(name: str, **changes: Any) -> VolumeConfig:
    """A volume."""
    return VolumeConfig(name=name, **changes)


def a_session(container: ContainerConfig, name: str, /, **changes: Any) -> ExecSession:
    """An exec session whose id follows from its name."""
    return ExecSession(id=an_id(name), container_id=container.id, **changes)


def running(**changes: Any) -> ContainerState:
    """The state of a container that runs."""
    settings: dict[str, Any] = {
        "status": ContainerStatus.RUNNING,
        "config_path": "/bundle/config.json",
        "run_dir": "/run/x",
        "mounted": True,
        "mount_point": "/merged",
        "started_time": "2026-02-01T10:00:00Z",
        "pid": 4711,
        "pid_start": 99,
        "conmon_pid": 4710,
        "network_status": {"podman": {"interfaces": {}}},
        "netns": "/run/netns/x",
        "bind_mounts": {"/etc/hosts": "/run/x/hosts"},
        "restart_count": 3,
        "restart_policy_match": True,
    }
    return ContainerState(**settings | changes)
