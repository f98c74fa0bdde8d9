"""From a request to a container's configuration.

`plan_container` is pure: the same request, image, machine and surroundings give the same configuration, except for the
names of new anonymous volumes. It decides everything that can be decided before anything exists. What is only known
when the container starts – numeric users, paths of namespaces and generated files – is added by `finalize`.

What stays empty, because only the engine knows it: lock_id, static_dir, shm_dir (unless it is another container's or
the host's), mounts, log_path (unless given), runtime (unless given).

Covers: pkg/specgen/generate/container.go, container_create.go, oci_linux.go, security_linux.go
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from libpod.config import RuntimeConfig
from libpod.define.errors import NotSupportedError
from libpod.define.ids import new_id
from libpod.define.signals import parse_signal
from libpod.linux.host import HostFacts
from libpod.model.container_config import ContainerConfig, HealthCheck
from libpod.model.create_options import CreateOptions
from libpod.model.health import DEFAULT_INTERVAL, DEFAULT_RETRIES, DEFAULT_TIMEOUT
from libpod.model.namespace_mode import NamespaceKind
from libpod.model.units import parse_size
from libpod.spec.image import ImageSettings
from libpod.spec.namespaces import cgroup_parent
from libpod.spec.plan_mounts import PlannedMounts, plan_mounts
from libpod.spec.plan_namespaces import PlannedNamespaces, plan_namespaces
from libpod.spec.plan_network import plan_network
from libpod.spec.plan_request import ImageFacts as ImageFacts
from libpod.spec.plan_request import PlanRequest
from libpod.spec.plan_template import plan_template
from libpod.spec.surroundings import Surroundings

DEFAULT_STOP_SIGNAL = 15


def plan_container(
    options: CreateOptions,
    *,
    image: ImageFacts | None,
    host: HostFacts,
    config: RuntimeConfig,
    container_id: str,
    name: str,
    created: str,
    around: Surroundings | None = None,
    volume_name: Callable[[], str] = new_id,
) -> ContainerConfig:
    """The configuration of the container that *options* ask for.

    *image* is None for a root directory. *around* is needed when the request names devices, other containers, a pod, a
    seccomp profile or an init program. *volume_name* names anonymous volumes. Raises InvalidArgumentError and
    NotSupportedError.
    """
    request = PlanRequest(
        options=options,
        image=image.settings if image else ImageSettings(),
        has_image=image is not None,
        host=host,
        config=config,
        around=around or Surroundings(),
    )
    namespaces = plan_namespaces(options, config=config, host=host, around=request.around)
    planned = plan_mounts(
        options,
        image_volumes=request.image.volumes,
        config=config,
        around=request.around,
        read_only=request.read_only,
        volume_name=volume_name,
    )
    network = plan_network(options, namespaces, config=config, image_ports=request.image.exposed_ports)
    fields: dict[str, Any] = {
        **_identity(request, image, container_id, name, created),
        **namespaces.fields,
        **network,
        **_storage(request, planned, namespaces),
        **_life(request),
        **_logging(request),
        **_cgroups(request),
        "spec": plan_template(request, namespaces, planned),
        "health_check": _health_check(request),
    }
    return ContainerConfig(**fields)


# ---- fields of the record -------------------------------------------------------------------------------------


def _identity(
    request: PlanRequest, image: ImageFacts | None, container_id: str, name: str, created: str
) -> dict[str, Any]:
    options, around = request.options, request.around
    return {
        "id": container_id,
        "name": name,
        "pod": around.pod.id if around.pod else "",
        "namespace": options.namespace or request.config.namespace,
        "create_command": options.create_command,
        "raw_image_name": options.image,
        "rootfs_image_id": image.id if image else "",
        "rootfs_image_name": image.name if image else "",
        "rootfs": options.rootfs,
        "created_time": created,
        "labels": {**request.image.labels, **options.labels},
        "dependencies": tuple(around.containers[item].id for item in options.requires) or None,
        "user": request.user,
        "groups": options.groups,
        "entrypoint": request.image.entrypoint or () if options.entrypoint is None else options.entrypoint,
        "command": options.command or request.image_command,
        "privileged": request.privileged,
        "label_opts": options.security_opt.labels,
        "id_mappings": request.id_mappings,
    }


def _storage(request: PlanRequest, planned: PlannedMounts, namespaces: PlannedNamespaces) -> dict[str, Any]:
    options = request.options
    ipc = namespaces.modes["ipc"].kind
    return {
        "named_volumes": planned.volumes,
        "overlay_volumes": planned.overlays,
        "image_volumes": planned.images,
        "user_volumes": planned.destinations,
        "shm_size": request.defaults.shm_size if options.shm_size is None else options.shm_size,
        "no_shm": ipc is NamespaceKind.NONE,
        "no_shm_share": ipc is NamespaceKind.PRIVATE,
        "storage_opts": dict(options.storage_opts) or None,
        "create_working_dir": request.has_image and not options.workdir,
        "passwd": options.passwd,
    }


def _life(request: PlanRequest) -> dict[str, Any]:
    options = request.options
    policy, _, retries = options.restart_policy.partition(":")
    stop_timeout = request.config.stop_timeout if options.stop_timeout is None else options.stop_timeout
    return {
        "stdin": options.interactive,
        "stop_signal": stop_signal(options, request.image),
        "stop_timeout": stop_timeout,
        "timeout": options.timeout,
        "auto_remove": options.auto_remove,
        "restart_policy": policy,
        "restart_retries": int(retries) if retries else options.restart_retries,
        "runtime": options.runtime,
        "conmon_pid_file": options.conmon_pid_file,
        "pid_file": options.pid_file,
        "preserve_fds": options.preserve_fds,
        "timezone": options.timezone or request.defaults.timezone,
        "umask": options.umask or request.defaults.umask,
        "health_check_on_failure": options.health_on_failure.number,
    }


def stop_signal(options: CreateOptions, image: ImageSettings) -> int:
    """The signal that asks the container to end."""
    if options.stop_signal is not None:
        return options.stop_signal
    return parse_signal(image.stop_signal) if image.stop_signal else DEFAULT_STOP_SIGNAL


def _logging(request: PlanRequest) -> dict[str, Any]:
    options, defaults = request.options, request.defaults
    size = options.log_opts.get("max-size", "")
    limit = defaults.log_size_max if not size else -1 if size == "-1" else parse_size(size)
    return {
        "log_driver": options.log_driver or defaults.log_driver,
        "log_path": options.log_opts.get("path", ""),
        "log_tag": options.log_opts.get("tag", defaults.log_tag),
        "log_size": max(limit, 0),
    }


def _cgroups(request: PlanRequest) -> dict[str, Any]:
    options, manager = request.options, request.config.cgroup_manager
    mode = options.cgroups or request.defaults.cgroups
    if mode == "split":
        raise NotSupportedError("cgroups=split shares the caller's cgroup, which this library does not do")
    pod = request.around.pod
    inherited = request.around.pod_cgroup if pod is not None and pod.uses_pod_cgroup else ""
    return {
        "cgroup_manager": manager,
        "cgroups_mode": mode,
        "no_cgroups": mode == "disabled",
        "cgroup_parent": cgroup_parent(options.cgroup_parent or inherited, manager),
    }


def _health_check(request: PlanRequest) -> HealthCheck | None:
    if request.options.no_health_check:
        return HealthCheck(test=("NONE",))
    if request.options.health_check is not None:
        return request.options.health_check
    found: Mapping[str, Any] = request.image.healthcheck or {}
    if not found.get("Test"):
        return None
    return HealthCheck(
        test=tuple(found["Test"]),
        start_period=found.get("StartPeriod") or 0,
        interval=found.get("Interval") or DEFAULT_INTERVAL,
        timeout=found.get("Timeout") or DEFAULT_TIMEOUT,
        retries=found.get("Retries") or DEFAULT_RETRIES,
    )
