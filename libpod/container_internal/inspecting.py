"""podman's `container inspect` document: the frame, the state, the network.

What a container was configured to be is in `inspecting_config`. Where podman 4 and 5 differ, 5 is followed (`Health`,
`Networks`), keys that only one of them has are there.

Covers: libpod/container_inspect.go
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from libpod.container_internal import files, inspecting_config
from libpod.container_internal.exec_sessions import active
from libpod.container_internal.held import LockedContainer
from libpod.container_internal.launching import bundle_for
from libpod.define.errors import LibpodError, NoSuchContainerError
from libpod.define.status import LIVE, ContainerStatus
from libpod.model.container_config import ContainerConfig

Document = dict[str, Any]


def inspect(held: LockedContainer, *, size: bool = False) -> Document:
    """See `Container.inspect`."""
    config, state = held.config, held.state
    spec = final_spec(held)
    process = spec.get("process") or {}
    args = [str(word) for word in process.get("args") or ()]
    capabilities = process.get("capabilities") or {}
    bundle = bundle_for(held)
    run_dir = held.run_directory
    mounts = inspecting_config.mounts(held)
    document: Document = {
        "Id": config.id,
        "Created": config.created_time,
        "Path": args[0] if args else "",
        "Args": args[1:],
        "State": _state(held, spec),
        "Image": config.rootfs_image_id,
        "ImageDigest": _image_digest(held),
        "ImageName": config.rootfs_image_name,
        "Rootfs": config.rootfs,
        "Pod": config.pod,
        "ResolvConfPath": state.bind_mounts.get("/etc/resolv.conf", ""),
        "HostnamePath": str(run_dir / "hostname"),
        "HostsPath": state.bind_mounts.get("/etc/hosts", str(run_dir / "hosts")),
        "StaticDir": config.static_dir,
        "OCIConfigPath": state.config_path,
        "OCIRuntime": config.runtime,
        "ConmonPidFile": str(bundle.conmon_pid_file),
        "PidFile": str(bundle.pid_file),
        "Name": config.name,
        "RestartCount": state.restart_count,
        "Driver": "" if config.rootfs else held.services.config.storage_driver,
        "MountLabel": config.mount_label,
        "ProcessLabel": config.process_label,
        "AppArmorProfile": process.get("apparmorProfile", ""),
        "EffectiveCaps": capabilities.get("effective") or [],
        "BoundingCaps": capabilities.get("bounding") or [],
        "ExecIDs": [session.id for session in active(held)],
        "GraphDriver": _graph_driver(held),
        "Mounts": mounts,
        "Dependencies": list(config.all_dependencies),
        "NetworkSettings": network_settings(held),
        "Namespace": config.namespace,
        "IsInfra": config.is_infra,
        "IsService": config.is_service,
        "KubeExitCodePropagation": "invalid",
        "lockNumber": config.lock_id,
        "Config": inspecting_config.config_section(held, spec),
        "HostConfig": inspecting_config.host_section(held, spec, mounts),
    }
    if size and not config.rootfs:
        found = files.size(held)
        document["SizeRw"], document["SizeRootFs"] = found.own, found.root
    return document


def final_spec(held: LockedContainer) -> Mapping[str, Any]:
    """The specification that runs or ran; before the first start, the template."""
    if held.state.config_path and held.status is not ContainerStatus.CONFIGURED:
        try:
            document: Mapping[str, Any] = json.loads(Path(held.state.config_path).read_bytes())
        except (FileNotFoundError, ValueError):
            return held.config.spec
        return document
    return held.config.spec


def _state(held: LockedContainer, spec: Mapping[str, Any]) -> Document:
    state, status = held.state, held.status
    live = status in LIVE
    section: Document = {
        "OciVersion": spec.get("ociVersion", ""),
        "Status": status.word,
        "Running": status in {ContainerStatus.RUNNING, ContainerStatus.STOPPING},
        "Paused": status is ContainerStatus.PAUSED,
        "Restarting": False,
        "OOMKilled": state.oom_killed,
        "Dead": status is ContainerStatus.UNKNOWN,
        "Pid": state.pid if live else 0,
        **({"ConmonPid": state.conmon_pid} if live and state.conmon_pid else {}),
        "ExitCode": state.exit_code,
        "Error": state.error,
        "StartedAt": state.started_time,
        "FinishedAt": state.finished_time,
        "Health": {"Status": "", "FailingStreak": 0, "Log": None},
    }
    if state.checkpointed:
        section["Checkpointed"] = True
    if live:
        section["CgroupPath"] = bundle_for(held).cgroup_path
    section["CheckpointedAt"] = state.checkpointed_time
    section["RestoredAt"] = state.restored_time
    for key, value in (
        ("CheckpointLog", state.checkpoint_log),
        ("CheckpointPath", state.checkpoint_path),
        ("RestoreLog", state.restore_log),
        ("Restored", state.restored),
        ("StoppedByUser", state.stopped_by_user),
    ):
        if value:
            section[key] = value
    return section


def _image_digest(held: LockedContainer) -> str:
    if not held.config.rootfs_image_id:
        return ""
    image = held.services.store.image(held.config.rootfs_image_id)
    return (image.digest or "") if image is not None else ""


def _graph_driver(held: LockedContainer) -> Document:
    if held.config.rootfs:
        return {"Name": "", "Data": {}}
    store = held.services.store
    data: dict[str, str] = {}
    try:
        upper = store.upper_directory(held.id)
        lowers = store.lower_directories(held.id)
    except LibpodError:  # another tool removed the layer: everything else is still worth showing
        return {"Name": held.services.config.storage_driver, "Data": data}
    if lowers:
        data["LowerDir"] = ":".join(map(str, lowers))
    if held.state.mounted:
        data["MergedDir"] = held.state.mount_point
    data["UpperDir"] = str(upper)
    data["WorkDir"] = str(upper.parent / "work")
    return {"Name": held.services.config.storage_driver, "Data": data}


# ---- network --------------------------------------------------------------------------------------------------


def network_settings(held: LockedContainer) -> Document:
    """The NetworkSettings section; a container that shares another's network shows that one's.

    The addresses stand at the top too when the default network is the only one, as podman has it.
    """
    config, state = held.config, held.state
    while config.net_ns_ctr:
        owner = config.net_ns_ctr
        try:
            config = held.services.state.container_config(owner)
            state = held.services.state.container_state(owner)
        except NoSuchContainerError:  # removed by force, with the engine's help or without
            break
    networks = {
        name: _network(name, state.network_status.get(name) or {}, config)
        for name in sorted({**config.networks, **state.network_status})
    }
    only_default = list(networks) == [held.services.config.default_network]
    first = next(iter(networks.values())) if only_default else {}
    settings: Document = {key: first.get(key, empty) for key, empty in _ADDRESS_KEYS.items()}
    settings |= {
        "Bridge": "",
        "SandboxID": "",
        "HairpinMode": False,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "Ports": ports(config),
        "SandboxKey": state.netns,
    }
    if networks:
        settings["Networks"] = networks
    return settings


_ADDRESS_KEYS: dict[str, Any] = {
    "EndpointID": "",
    "Gateway": "",
    "IPAddress": "",
    "IPPrefixLen": 0,
    "IPv6Gateway": "",
    "GlobalIPv6Address": "",
    "GlobalIPv6PrefixLen": 0,
    "MacAddress": "",
}


def _network(name: str, status: Mapping[str, Any], config: ContainerConfig) -> Document:
    section: Document = dict(_ADDRESS_KEYS)
    interface: Mapping[str, Any] = next(iter((status.get("interfaces") or {}).values()), {})
    section["MacAddress"] = interface.get("mac_address", "")
    for subnet in interface.get("subnets") or ():
        address, _, length = str(subnet.get("ipnet", "")).partition("/")
        gateway = subnet.get("gateway") or ""
        if ":" in address:
            section |= {
                "GlobalIPv6Address": address,
                "GlobalIPv6PrefixLen": int(length or 0),
                "IPv6Gateway": gateway,
            }
        else:
            section |= {"IPAddress": address, "IPPrefixLen": int(length or 0), "Gateway": gateway}
    options = config.networks.get(name)
    aliases = [*(options.aliases if options is not None else ()), config.short_id]
    return {
        **section,
        "NetworkID": name,
        "DriverOpts": None,
        "IPAMConfig": None,
        "Links": None,
        "Aliases": list(dict.fromkeys(aliases)),
    }


def ports(config: ContainerConfig) -> Document:
    """Port and protocol → where it is published, or None for one that is only exposed."""
    found: Document = {}
    for number, protocols in config.exposed_ports.items():
        for protocol in protocols:
            found[f"{number}/{protocol}"] = None
    for mapping in config.port_mappings:
        for protocol in mapping.protocol.split(","):
            for offset in range(mapping.range or 1):
                entry = {"HostIp": mapping.host_ip, "HostPort": str(mapping.host_port + offset)}
                key = f"{mapping.container_port + offset}/{protocol}"
                found[key] = [*(found.get(key) or ()), entry]
    return dict(sorted(found.items()))
