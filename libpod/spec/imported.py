"""What an imported container asks for that an ordinary one has not, in words. Pure.

`oddities` are what no engine writes and no policy grants: they would leave the engine's own directories, or make no
sense. `requests` are what somebody may rightly want, each with the field of the policy that grants it.

Covers: nothing upstream
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import attrs

from libpod.define.errors import InvalidArgumentError
from libpod.define.ids import check_name
from libpod.model.container_config import ContainerConfig
from libpod.model.import_policy import ImportPolicy
from libpod.spec import annotations as names
from libpod.spec.capabilities import normalized

OWN_KINDS = frozenset({"bind", "cgroup", "cgroup2", "devpts", "mqueue", "none", "proc", "sysfs", "tmpfs"})
"""Kinds of mounts that show nothing of the host but what `bind` names."""
ALWAYS_GRANTED = frozenset({"CAP_AUDIT_WRITE", "CAP_MKNOD", "CAP_NET_RAW"})
"""Capabilities that containers of older engines have by default."""
_RUNTIME_SETTINGS = ("org.criu.", "run.oci.", "org.systemd.property.", "com.docker.")
_ORDINARY_SETTINGS = frozenset(
    {
        "org.systemd.property.CollectMode",
        "org.systemd.property.KillSignal",
        "org.systemd.property.TimeoutStopUSec",
    }
)
"""podman 5 writes them into every container."""
_CGROUP_PARENT = re.compile(r"[A-Za-z0-9_.@:/\\-]*")
_LABEL = re.compile(r"[A-Za-z0-9_:.,+-]*")
_MANAGERS = frozenset({"", "cgroupfs", "systemd"})
_MAX_NUMBER = 1 << 62


@attrs.frozen
class Request:
    """One thing that an archive asks for."""

    what: str
    """A clause: "the device /dev/kvm"."""
    field: str
    """The field of the policy that grants it."""


def oddities(config: ContainerConfig) -> Iterator[str]:
    """One clause for everything in the configuration that no engine writes."""
    named = [("container", config.name), *(("volume", volume.name) for volume in config.named_volumes)]
    for kind, name in [*named, *(("network", network) for network in config.networks)]:
        try:
            check_name(kind, name)
        except InvalidArgumentError:
            yield f"the {kind} name {name[:80]!r}"
    parent = config.cgroup_parent
    if not _CGROUP_PARENT.fullmatch(parent) or ".." in parent.split("/"):
        yield f"the cgroup parent {parent[:80]!r}"
    if config.cgroup_manager not in _MANAGERS:
        yield f"the cgroup manager {config.cgroup_manager[:80]!r}"
    for label in (config.process_label, config.mount_label):
        if not _LABEL.fullmatch(label):
            yield f"the security label {label[:80]!r}"
    for volume in config.named_volumes:
        if not _is_clean_path(volume.dest) or ".." in volume.sub_path.split("/"):
            yield f"a volume at {volume.dest[:80]!r}"
    yield from _impossible_numbers(config)


def _impossible_numbers(config: ContainerConfig) -> Iterator[str]:
    numbers = {
        "shmSize": config.shm_size,
        "stopTimeout": config.stop_timeout,
        "stopSignal": config.stop_signal,
        "logSize": config.log_size,
        "timeout": config.timeout,
        "restart_retries": config.restart_retries,
    }
    for key, number in numbers.items():
        if not -1 <= number <= _MAX_NUMBER:
            yield f"{key} {number}"
    if config.stop_signal > 64:
        yield f"stopSignal {config.stop_signal}"
    for port in config.port_mappings:
        last = max(port.container_port, port.host_port) + port.range - 1
        if not (port.container_port >= 1 and port.host_port >= 0 and port.range >= 1 and last <= 65535):
            yield f"the port {port.host_port}:{port.container_port} (range {port.range})"
        if port.protocol not in {"tcp", "udp", "sctp"}:
            yield f"the port protocol {port.protocol[:20]!r}"


def requests(
    config: ContainerConfig,
    *,
    usual_capabilities: Collection[str],
    policy: ImportPolicy,
    resolve: Callable[[str], str] = os.path.realpath,
) -> Iterator[Request]:
    """Everything in the configuration and its specification that *policy* does not grant.

    The specification is the template made for this host: what it does not hold any more is not asked for.
    """
    spec = config.spec
    linux = _mapping(spec.get("linux"))
    yield from _mounts(config, policy, resolve)
    if config.privileged and not policy.privileged:
        yield Request("to be privileged", "privileged")
    if not policy.devices:
        yield from _devices(linux)
    usual = set(normalized(usual_capabilities)) | ALWAYS_GRANTED
    for capability in sorted(_capabilities(spec) - usual):
        if not policy.may_have(capability) and not (config.privileged and policy.privileged):
            yield Request(f"the capability {capability}", "capabilities")
    if not policy.host_namespaces:
        yield from _namespaces(config, linux)
    if not policy.unconfined and not (config.privileged and policy.privileged):
        yield from _confinement(spec, linux)
    if config.port_mappings and not policy.ports:
        yield Request("published ports", "ports")
    if not policy.runtime_settings:
        for key, value in _mapping(spec.get("annotations")).items():
            if str(key).startswith(_RUNTIME_SETTINGS) and key not in _ORDINARY_SETTINGS and value:
                yield Request(f"the setting {str(key)[:80]}", "runtime_settings")
    if config.base_hosts_file not in {"", "none", "image"} and not policy.host_files:
        yield Request(f"the file {config.base_hosts_file[:200]} as its hosts file", "host_files")


def _mounts(
    config: ContainerConfig, policy: ImportPolicy, resolve: Callable[[str], str]
) -> Iterator[Request]:
    for mount in config.spec.get("mounts") or ():
        kind, destination = str(mount.get("type", "")), str(mount.get("destination", ""))
        source, options = str(mount.get("source", "")), [str(word) for word in mount.get("options") or ()]
        if kind == "bind" or "bind" in options or "rbind" in options:
            if not (policy.may_bind(os.path.normpath(source)) and policy.may_bind(resolve(source))):
                yield Request(f"{source[:200]} of this host at {destination[:200]}", "bind_sources")
        elif kind not in OWN_KINDS and not policy.other_mounts:
            yield Request(f"a mount of kind {kind[:40]!r} at {destination[:200]}", "other_mounts")
    for overlay in config.overlay_volumes:
        if not policy.may_bind(resolve(overlay.source)):
            yield Request(f"{overlay.source[:200]} of this host at {overlay.dest[:200]}", "bind_sources")


def _devices(linux: Mapping[str, Any]) -> Iterator[Request]:
    for device in linux.get("devices") or ():
        yield Request(f"the device {str(_mapping(device).get('path'))[:80]}", "devices")
    for rule in _mapping(linux.get("resources")).get("devices") or ():
        if _mapping(rule).get("allow"):
            yield Request("access to devices by a cgroup rule", "devices")
            return
    if linux.get("netDevices"):
        yield Request("network devices of this host", "devices")


def _capabilities(spec: Mapping[str, Any]) -> set[str]:
    sets = _mapping(_mapping(spec.get("process")).get("capabilities"))
    return {str(name) for found in sets.values() for name in found or ()}


def _namespaces(config: ContainerConfig, linux: Mapping[str, Any]) -> Iterator[Request]:
    entries = [_mapping(entry) for entry in linux.get("namespaces") or ()]
    kinds = {entry.get("type") for entry in entries}
    lent = {
        "network": config.net_ns_ctr,
        "pid": config.pid_ns_ctr,
        "ipc": config.ipc_ns_ctr,
    }
    for kind, owner in lent.items():
        if kind not in kinds and not owner:
            yield Request(f"the {kind} namespace of this host", "host_namespaces")
    if "mount" not in kinds:
        yield Request("the mounts of this host", "host_namespaces")
    for entry in entries:
        if entry.get("path"):
            yield Request(f"the namespace {str(entry['path'])[:80]}", "host_namespaces")


def _confinement(spec: Mapping[str, Any], linux: Mapping[str, Any]) -> Iterator[Request]:
    asked = str(_mapping(spec.get("annotations")).get(names.SECCOMP, ""))
    seccomp = linux.get("seccomp")
    if asked == "unconfined" or (seccomp and _allows_all(_mapping(seccomp))):
        yield Request("to run without a seccomp filter", "unconfined")
    if _mapping(spec.get("process")).get("apparmorProfile") == "unconfined":
        yield Request("to run without an AppArmor profile", "unconfined")
    if not linux.get("maskedPaths"):
        yield Request("to see the kernel files that are usually masked", "unconfined")


def _allows_all(seccomp: Mapping[str, Any]) -> bool:
    return seccomp.get("defaultAction") in {"SCMP_ACT_ALLOW", "SCMP_ACT_LOG"} and not seccomp.get("syscalls")


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _is_clean_path(path: str) -> bool:
    return path.startswith("/") and ".." not in path.split("/") and "\0" not in path
