"""podman's `container inspect` document: mounts, Config and HostConfig.

Covers: libpod/container_inspect.go, libpod/container_inspect_linux.go
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from libpod.config import DEFAULT_CAPABILITIES
from libpod.container_internal.generated_files import hostname_of
from libpod.container_internal.held import LockedContainer
from libpod.container_internal.preflight import ENGINE_MOUNTS
from libpod.spec.capabilities import normalized

Document = dict[str, Any]

_PROPAGATIONS = frozenset(
    {"private", "rprivate", "shared", "rshared", "slave", "rslave", "unbindable", "runbindable"}
)
_FAILURE_ACTIONS = {0: "none", 1: "invalid", 2: "kill", 3: "restart", 4: "stop"}


def mounts(held: LockedContainer) -> list[Document]:
    """The mounts that a user asked for: volumes, binds, tmpfs are in HostConfig."""
    found = []
    for volume in held.config.named_volumes:
        source = ""
        if held.services.state.has_volume(volume.name):
            source = held.services.state.volume_config(volume.name).mount_point
        found.append(
            {
                "Type": "volume",
                "Name": volume.name,
                "Source": source,
                "Destination": volume.dest,
                "Driver": "local",
                **_options(volume.options),
            }
        )
    found += [
        {
            "Type": "bind",
            "Source": mount.get("source", ""),
            "Destination": mount.get("destination", ""),
            "Driver": "",
            **_options(mount.get("options") or ()),
        }
        for mount in held.config.spec.get("mounts") or ()
        if mount.get("type") == "bind" and mount.get("destination") not in ENGINE_MOUNTS
    ]
    return found


def _options(options: Any) -> Document:
    words = [str(option) for option in options]
    propagation = next((word for word in words if word in _PROPAGATIONS), "rprivate")
    mode = next((word for word in words if word in {"z", "Z"}), "")
    rest = [word for word in words if word not in _PROPAGATIONS and word not in {"ro", "rw", "z", "Z"}]
    return {"Mode": mode, "Options": rest, "RW": "ro" not in words, "Propagation": propagation}


def config_section(held: LockedContainer, spec: Mapping[str, Any]) -> Document:
    """The Config section: what runs."""
    config = held.config
    process = spec.get("process") or {}
    section: Document = {
        "Hostname": hostname_of(config),
        "Domainname": "",
        "User": config.user,
        "AttachStdin": False,
        "AttachStdout": False,
        "AttachStderr": False,
        "Tty": bool(process.get("terminal")),
        "OpenStdin": config.stdin,
        "StdinOnce": False,
        "Env": list(process.get("env") or ()),
        "Cmd": list(config.command) or None,
        "Image": config.rootfs_image_name,
        "Volumes": None,
        "WorkingDir": process.get("cwd", "/"),
        "Entrypoint": " ".join(config.entrypoint),
        "OnBuild": None,
        "Labels": dict(config.labels) or None,
        "Annotations": dict(spec.get("annotations") or {}),
        "StopSignal": config.stop_signal_number,
        "HealthcheckOnFailureAction": _FAILURE_ACTIONS.get(config.health_check_on_failure, "none"),
    }
    if config.health_check is not None:
        check = config.health_check
        section["Healthcheck"] = {
            "Test": list(check.test),
            "StartPeriod": check.start_period,
            "Interval": check.interval,
            "Timeout": check.timeout,
            "Retries": check.retries,
        }
    if config.create_command:
        section["CreateCommand"] = list(config.create_command)
    if config.timezone:
        section["Timezone"] = config.timezone
    section |= {
        "Umask": config.umask,
        "Timeout": config.timeout,
        "StopTimeout": config.stop_timeout,
        "Passwd": config.passwd is not False,
        "sdNotifyMode": "ignore",
    }
    return section


def host_section(held: LockedContainer, spec: Mapping[str, Any], mounted: Sequence[Document]) -> Document:
    """The HostConfig section: how it is tied to this host; *mounted* are its `mounts`."""
    config = held.config
    linux = spec.get("linux") or {}
    annotations = config.spec.get("annotations") or {}
    capabilities = set((spec.get("process") or {}).get("capabilities", {}).get("bounding") or ())
    default = set(normalized(held.services.config.containers.capabilities or DEFAULT_CAPABILITIES))
    return {
        "Binds": [_bind(mount) for mount in mounted],
        "CgroupManager": config.cgroup_manager,
        "CgroupMode": _mode(held, "cgroup"),
        "ContainerIDFile": "",
        "LogConfig": {
            "Type": config.log_driver,
            "Config": None,
            "Path": config.log_path,
            "Tag": config.log_tag,
            "Size": f"{config.log_size}B" if config.log_size else "0B",
        },
        "NetworkMode": f"container:{config.net_ns_ctr}" if config.net_ns_ctr else config.network_mode,
        "PortBindings": _bindings(held),
        "RestartPolicy": {"Name": config.restart_policy, "MaximumRetryCount": config.restart_retries},
        "AutoRemove": config.auto_remove,
        "VolumeDriver": "",
        "VolumesFrom": _words(annotations.get("io.podman.annotations.volumes-from")),
        "CapAdd": sorted(capabilities - default),
        "CapDrop": [] if config.privileged else sorted(default - capabilities),
        "Dns": list(config.dns_servers),
        "DnsOptions": list(config.dns_options),
        "DnsSearch": list(config.dns_search),
        "ExtraHosts": list(config.host_add),
        "GroupAdd": list(config.groups),
        "IpcMode": _ipc_mode(held),
        "Cgroup": "",
        "Cgroups": "disabled" if config.no_cgroups else "default",
        "Links": None,
        "OomScoreAdj": (spec.get("process") or {}).get("oomScoreAdj", 0),
        "PidMode": _mode(held, "pid"),
        "Privileged": config.privileged,
        "PublishAllPorts": annotations.get("io.podman.annotations.publish-all") == "TRUE",
        "ReadonlyRootfs": bool((spec.get("root") or {}).get("readonly")),
        "SecurityOpt": _security(config.label_opts, annotations, spec),
        "Tmpfs": _tmpfs(config.spec),
        "UTSMode": _mode(held, "uts"),
        "UsernsMode": "private" if linux.get("uidMappings") else "",
        "ShmSize": config.shm_size,
        "Runtime": "oci",
        "ConsoleSize": [0, 0],
        "Isolation": "",
        **_resources(linux.get("resources") or {}),
        "Devices": [
            {
                "PathOnHost": node.get("path", ""),
                "PathInContainer": node.get("path", ""),
                "CgroupPermissions": "",
            }
            for node in linux.get("devices") or ()
        ],
        "CgroupParent": ""
        if config.cgroup_parent in {"/libpod_parent", "machine.slice"}
        else config.cgroup_parent,
        "DiskQuota": 0,
        "Ulimits": [
            {"Name": limit["type"], "Soft": limit["soft"], "Hard": limit["hard"]}
            for limit in (spec.get("process") or {}).get("rlimits") or ()
        ],
        "CpuCount": 0,
        "CpuPercent": 0,
        "IOMaximumIOps": 0,
        "IOMaximumBandwidth": 0,
        "CgroupConf": (linux.get("resources") or {}).get("unified"),
    }


def _resources(resources: Mapping[str, Any]) -> Document:
    cpu, memory, block = (resources.get(key) or {} for key in ("cpu", "memory", "blockIO"))
    quota, period = cpu.get("quota") or 0, cpu.get("period") or 0
    return {
        "CpuShares": cpu.get("shares") or 0,
        "Memory": memory.get("limit") or 0,
        "NanoCpus": int(quota * 1_000_000_000 / period) if quota > 0 and period else 0,
        "BlkioWeight": block.get("weight") or 0,
        "BlkioWeightDevice": block.get("weightDevice"),
        "BlkioDeviceReadBps": block.get("throttleReadBpsDevice"),
        "BlkioDeviceWriteBps": block.get("throttleWriteBpsDevice"),
        "BlkioDeviceReadIOps": block.get("throttleReadIOPSDevice"),
        "BlkioDeviceWriteIOps": block.get("throttleWriteIOPSDevice"),
        "CpuPeriod": period,
        "CpuQuota": quota,
        "CpuRealtimePeriod": cpu.get("realtimePeriod") or 0,
        "CpuRealtimeRuntime": cpu.get("realtimeRuntime") or 0,
        "CpusetCpus": cpu.get("cpus") or "",
        "CpusetMems": cpu.get("mems") or "",
        "KernelMemory": memory.get("kernel") or 0,
        "MemoryReservation": memory.get("reservation") or 0,
        "MemorySwap": memory.get("swap") or 0,
        "MemorySwappiness": memory.get("swappiness") or 0,
        "OomKillDisable": bool(memory.get("disableOOMKiller")),
        "PidsLimit": (resources.get("pids") or {}).get("limit") or 0,
    }


def _bind(mount: Document) -> str:
    words = ["rw" if mount["RW"] else "ro", mount["Propagation"], *mount["Options"]]
    return f"{mount.get('Name') or mount['Source']}:{mount['Destination']}:{','.join(words)}"


def _bindings(held: LockedContainer) -> Document:
    from libpod.container_internal.inspecting import ports

    return {key: where for key, where in ports(held.config).items() if where}


def _tmpfs(template: Mapping[str, Any]) -> Document:
    return {
        mount["destination"]: ",".join(mount.get("options") or ())
        for mount in template.get("mounts") or ()
        if mount.get("type") == "tmpfs" and mount.get("destination") not in {"/dev", "/dev/shm"}
    }


def _mode(held: LockedContainer, kind: str) -> str:
    config = held.config
    owner = {"ipc": config.ipc_ns_ctr, "pid": config.pid_ns_ctr, "uts": config.uts_ns_ctr}.get(kind, "")
    if owner:
        return f"container:{owner}"
    for entry in (config.spec.get("linux") or {}).get("namespaces") or ():
        if entry.get("type") == kind:
            return f"ns:{entry['path']}" if entry.get("path") else "private"
    return "host"


def _ipc_mode(held: LockedContainer) -> str:
    mode = _mode(held, "ipc")
    if mode != "private":
        return mode
    if held.config.no_shm:
        return "none"
    return "private" if held.config.no_shm_share else "shareable"


def _security(labels: tuple[str, ...], annotations: Mapping[str, Any], spec: Mapping[str, Any]) -> list[str]:
    found = [f"label={label}" for label in labels]
    for name in ("seccomp", "apparmor"):
        value = annotations.get(f"io.podman.annotations.{name}")
        if value:
            found.append(f"{name}={value}")
    if (spec.get("process") or {}).get("noNewPrivileges"):
        found.append("no-new-privileges")
    return found


def _words(text: Any) -> list[str] | None:
    return str(text).split(",") if text else None
