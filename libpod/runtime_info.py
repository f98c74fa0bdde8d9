"""What this engine is: versions, host, store.

Covers: libpod/info.go, libpod/define/version.go
"""

from __future__ import annotations

import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

from libpod.container_internal.services import Services
from libpod.define.errors import LibpodError
from libpod.define.status import ContainerStatus
from libpod.spec.capabilities import normalized
from libpod.version import version_document


def info(services: Services) -> dict[str, Any]:
    """podman's `info` document; a part that cannot be read says why instead."""
    return {
        "host": _host(services),
        "store": _store(services),
        "registries": {"search": list(services.images.registries.search)},
        "version": version_document()["Client"],
    }


def _host(services: Services) -> dict[str, Any]:
    facts = services.host
    memory = _memory()
    return {
        "arch": facts.architecture,
        "cgroupManager": services.config.cgroup_manager,
        "cgroupVersion": "v2" if facts.cgroup_v2 else "v1",
        "conmon": _conmon(services),
        "cpus": os.cpu_count() or 1,
        "criu": _criu(services),
        "distribution": _distribution(),
        "eventLogger": services.events.name,
        "hostname": facts.hostname,
        "kernel": facts.kernel,
        "logDriver": services.config.containers.log_driver,
        "memFree": memory.get("MemFree", 0),
        "memTotal": memory.get("MemTotal", 0),
        "ociRuntime": _oci_runtime(services),
        "os": "linux",
        "pid": os.getpid(),
        "pythonVersion": sys.version.split()[0],
        "security": {
            "apparmorEnabled": facts.apparmor,
            "capabilities": ",".join(normalized(services.config.containers.capabilities)),
            "rootless": os.geteuid() != 0,
            "seccompEnabled": facts.seccomp,
            "selinuxEnabled": facts.selinux,
        },
        "swapFree": memory.get("SwapFree", 0),
        "swapTotal": memory.get("SwapTotal", 0),
        "uptime": _uptime(),
    }


def _store(services: Services) -> dict[str, Any]:
    statuses = [state.status for _, state in services.state.containers()]
    return {
        "configFile": "/etc/containers/storage.conf",
        "containerStore": {
            "number": len(statuses),
            "paused": statuses.count(ContainerStatus.PAUSED),
            "running": statuses.count(ContainerStatus.RUNNING),
            "stopped": sum(
                status not in {ContainerStatus.RUNNING, ContainerStatus.PAUSED} for status in statuses
            ),
        },
        "graphDriverName": services.store.driver.name,
        "graphOptions": {},
        "graphRoot": str(services.config.graph_root),
        "imageStore": {"number": len(services.store.images())},
        "runRoot": str(services.config.run_root),
        "volumePath": str(services.paths.volumes),
    }


def _oci_runtime(services: Services) -> dict[str, Any]:
    try:
        capabilities = services.runtimes.named(services.runtimes.default_name).capabilities
    except LibpodError as error:
        return {"name": services.config.runtime, "error": str(error)}
    return {
        "name": capabilities.name,
        "path": str(capabilities.path),
        "version": capabilities.version_text,
        "canCheckpoint": capabilities.can_checkpoint,
    }


def _conmon(services: Services) -> dict[str, Any]:
    from libpod.linux.process import first_executable

    path = first_executable(services.config.conmon_paths)
    if path is None:
        return {"error": "conmon was not found"}
    from libpod.oci.discovery import conmon_version

    return {"path": path, "version": conmon_version(Path(path))}


def _criu(services: Services) -> dict[str, Any]:
    from libpod.checkpoint.criu import criu_status

    try:
        found = criu_status(services.config.criu, cache=services.paths.criu_probe)
    except LibpodError as error:
        return {"error": str(error)}
    return {"path": str(found.path), "version": found.version_text, "problem": found.problem or ""}


def _memory() -> dict[str, int]:
    with open("/proc/meminfo") as stream:
        rows = (line.split() for line in stream)
        return {row[0].rstrip(":"): int(row[1]) * 1024 for row in rows}


def _distribution() -> dict[str, str]:
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return {"distribution": "unknown", "version": "unknown"}
    return {"distribution": release.get("ID", "unknown"), "version": release.get("VERSION_ID", "unknown")}


def _uptime() -> str:
    seconds = int(time.clock_gettime(time.CLOCK_BOOTTIME))
    return f"{seconds // 3600}h {seconds % 3600 // 60}m {seconds % 60:.2f}s"
