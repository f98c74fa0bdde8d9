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

import attrs

from libpod.config import ContainerDefaults, RuntimeConfig
from libpod.define.errors import InvalidArgumentError, NotSupportedError
from libpod.define.ids import new_id
from libpod.define.signals import parse_signal
from libpod.linux.host import HostFacts
from libpod.model.container_config import ContainerConfig, HealthCheck, IDMap, IDMappingOptions
from libpod.model.create_options import CreateOptions
from libpod.model.health import DEFAULT_INTERVAL, DEFAULT_RETRIES, DEFAULT_TIMEOUT
from libpod.model.limits import parse_device, parse_ulimit
from libpod.model.namespace_mode import NamespaceKind
from libpod.model.units import parse_size
from libpod.spec import annotations as names
from libpod.spec import capabilities, devices, masking, mounts, resources, rlimits, seccomp
from libpod.spec.document import OCI_VERSION, Document
from libpod.spec.environment import environment, parsed, written
from libpod.spec.image import ImageSettings
from libpod.spec.namespaces import cgroup_parent
from libpod.spec.plan_mounts import PlannedMounts, plan_mounts
from libpod.spec.plan_namespaces import PlannedNamespaces, plan_namespaces
from libpod.spec.plan_network import plan_network
from libpod.spec.surroundings import Surroundings

DEFAULT_STOP_SIGNAL = 15


@attrs.frozen(kw_only=True)
class ImageFacts:
    """An image as a container sees it."""

    id: str
    name: str
    """The full name, with tag."""
    settings: ImageSettings = attrs.field(factory=ImageSettings)


@attrs.frozen(kw_only=True)
class _Request:
    """Everything a step of the plan may look at."""

    options: CreateOptions
    image: ImageSettings
    has_image: bool
    host: HostFacts
    config: RuntimeConfig
    around: Surroundings

    @property
    def defaults(self) -> ContainerDefaults:
        return self.config.containers

    @property
    def privileged(self) -> bool:
        asked = self.options.privileged
        return self.defaults.privileged if asked is None else asked

    @property
    def read_only(self) -> bool:
        return self.options.read_only or self.defaults.read_only

    @property
    def user(self) -> str:
        return self.options.user or self.image.user

    @property
    def init(self) -> bool:
        return self.defaults.init if self.options.init is None else self.options.init


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
    request = _Request(
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
        "spec": _template(request, namespaces, planned),
        "health_check": _health_check(request),
    }
    return ContainerConfig(**fields)


# ---- fields of the record -------------------------------------------------------------------------------------


def _identity(
    request: _Request, image: ImageFacts | None, container_id: str, name: str, created: str
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
        "command": options.command or _image_command(request),
        "privileged": request.privileged,
        "label_opts": options.security_opt.labels,
        "id_mappings": _id_mappings(options),
    }


def _id_mappings(options: CreateOptions) -> IDMappingOptions:
    if not options.uid_map and not options.gid_map:
        return IDMappingOptions()
    uids, gids = options.uid_map or options.gid_map, options.gid_map or options.uid_map
    return IDMappingOptions(host_uid_mapping=False, host_gid_mapping=False, uid_map=uids, gid_map=gids)


def _storage(request: _Request, planned: PlannedMounts, namespaces: PlannedNamespaces) -> dict[str, Any]:
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


def _life(request: _Request) -> dict[str, Any]:
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


def _logging(request: _Request) -> dict[str, Any]:
    options, defaults = request.options, request.defaults
    size = options.log_opts.get("max-size", "")
    limit = defaults.log_size_max if not size else -1 if size == "-1" else parse_size(size)
    return {
        "log_driver": options.log_driver or defaults.log_driver,
        "log_path": options.log_opts.get("path", ""),
        "log_tag": options.log_opts.get("tag", defaults.log_tag),
        "log_size": max(limit, 0),
    }


def _cgroups(request: _Request) -> dict[str, Any]:
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


def _health_check(request: _Request) -> HealthCheck | None:
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


# ---- the template ---------------------------------------------------------------------------------------------


def _template(request: _Request, namespaces: PlannedNamespaces, planned: PlannedMounts) -> Document:
    options = request.options
    document: Document = {
        "ociVersion": OCI_VERSION,
        "process": _process(request),
        "root": {"path": "rootfs"},
        "mounts": mounts.superseded(planned.entries, _default_mounts(request, namespaces)),
        "annotations": _annotations(request),
        "linux": _linux(request, namespaces),
    }
    if request.read_only:
        document["root"]["readonly"] = True
    hostname = options.hostname or _inherited_hostname(request, namespaces)
    if hostname:
        document["hostname"] = hostname
    return document


def _inherited_hostname(request: _Request, namespaces: PlannedNamespaces) -> str:
    """The name that comes with a shared UTS namespace, or with the host's network; empty: the id's."""
    owner = namespaces.owners.get("uts")
    if owner is not None:
        return str(owner.spec.get("hostname") or owner.short_id)
    return request.host.hostname if namespaces.modes["network"].kind is NamespaceKind.HOST else ""


def _process(request: _Request) -> dict[str, Any]:
    options, security = request.options, request.options.security_opt
    process: dict[str, Any] = {
        "user": {"uid": 0, "gid": 0},
        "args": _arguments(request),
        "env": written(_environment(request)),
        "cwd": options.workdir or request.image.working_dir or "/",
        "capabilities": _capabilities(request),
    }
    if options.tty:
        process["terminal"] = True
    limits = rlimits.requested(options.ulimits, [parse_ulimit(text) for text in request.defaults.ulimits])
    if limits:
        process["rlimits"] = limits
    if security.no_new_privileges:
        process["noNewPrivileges"] = True
    if options.oom_score_adj is not None:
        process["oomScoreAdj"] = options.oom_score_adj
    profile = _apparmor(request)
    if profile:
        process["apparmorProfile"] = profile
    return process


def _arguments(request: _Request) -> list[str]:
    asked = request.options.entrypoint
    entrypoint = request.image.entrypoint or () if asked is None else asked
    words = [] if tuple(entrypoint) == ("",) else list(entrypoint)
    words += request.options.command or _image_command(request)
    if not words:
        raise InvalidArgumentError(
            "there is no command to run: none was given, and the image has neither a command nor an entry point",
            resolution="give a command",
        )
    if request.init:
        if not request.around.init_program:
            raise InvalidArgumentError(
                "no init program was found for the container", resolution="set init_path"
            )
        words = [mounts.INIT_PATH, "--", *words]
    return words


def _image_command(request: _Request) -> tuple[str, ...]:
    """The image's command counts only as long as nobody replaces the entry point it belongs to."""
    return () if request.options.entrypoint else request.image.cmd or ()


def _environment(request: _Request) -> dict[str, str]:
    options = request.options
    from_host = options.env_host or request.defaults.env_host
    return environment(
        defaults=request.defaults.env,
        image=request.image.env,
        host=request.around.environment if from_host else None,
        unset=options.unset_env,
        unset_all=options.unset_env_all,
        asked=options.env,
    )


def _capabilities(request: _Request) -> Any:
    options = request.options
    if request.privileged:
        granted = sorted(request.host.bounding)
    else:
        granted = capabilities.merged(request.defaults.capabilities, options.cap_add, options.cap_drop)
    return capabilities.capability_sets(
        granted,
        root=capabilities.is_root(request.user),
        added=options.cap_add,
        allowed=request.host.bounding,
    )


def _apparmor(request: _Request) -> str:
    asked = request.options.security_opt.apparmor
    if not request.host.apparmor:
        if asked and asked != "unconfined":
            raise NotSupportedError(
                f'the AppArmor profile "{asked}" cannot be used: AppArmor does not run here'
            )
        return ""
    return asked if asked or request.privileged else request.defaults.apparmor_profile


def _annotations(request: _Request) -> dict[str, str]:
    options, security = request.options, request.options.security_opt
    found = parsed(request.defaults.annotations)
    pod = request.around.pod
    if pod is not None:
        infra = request.around.infra
        found[names.SANDBOX_ID] = infra.id if infra else pod.id
        found[names.CONTAINER_TYPE] = "container"
    found[names.TTY] = str(options.tty).lower()
    found[names.PUBLISH_ALL] = names.flag(options.publish_all)
    for key, value in (
        (names.SECCOMP, security.seccomp),
        (names.APPARMOR, security.apparmor),
        (names.LABEL, ",label=".join(security.labels)),
    ):
        if value:
            found[key] = value
    found |= options.annotations
    found[names.AUTO_REMOVE] = names.flag(options.auto_remove)
    if options.volumes_from:
        found[names.VOLUMES_FROM] = ",".join(options.volumes_from)
    found[names.PRIVILEGED] = names.flag(request.privileged)
    found[names.INIT] = names.flag(request.init)
    return found


def _default_mounts(request: _Request, namespaces: PlannedNamespaces) -> list[Any]:
    network, user = namespaces.modes["network"].kind, namespaces.modes["user"]
    new_user = namespaces.joins_user_namespace
    security = request.options.security_opt
    own_network = network in (NamespaceKind.BRIDGE, NamespaceKind.NONE, NamespaceKind.PRIVATE)
    unmasked = security.unmasks_all or "/sys/fs/cgroup" in security.unmask
    return mounts.default_mounts(
        request.host,
        privileged=request.privileged,
        sysfs_from_host=new_user and not own_network,
        cgroup_writable=request.host.cgroup_v2 and unmasked,
        gid_5_mapped=user.kind is not NamespaceKind.PRIVATE
        or _maps(request.options.gid_map or request.options.uid_map, 5),
        proc_options=security.proc_options,
    )


def _maps(ranges: tuple[IDMap, ...], number: int) -> bool:
    return any(item.container_id <= number < item.container_id + item.size for item in ranges)


def _linux(request: _Request, namespaces: PlannedNamespaces) -> dict[str, Any]:
    options, security = request.options, request.options.security_opt
    in_user_namespace = namespaces.joins_user_namespace or request.host.user_namespace
    linux: dict[str, Any] = {}
    if namespaces.modes["user"].kind is NamespaceKind.PRIVATE:
        mapping = _id_mappings(options)
        linux["uidMappings"] = _map_entries(mapping.uid_map)
        linux["gidMappings"] = _map_entries(mapping.gid_map)
    sysctl = _sysctls(request, namespaces)
    if sysctl:
        linux["sysctl"] = sysctl
    limits: dict[str, Any] = dict(
        resources.resources(
            options, pids_limit=request.defaults.pids_limit, host=request.host, devices=request.around.devices
        )
    )
    if request.privileged:
        if not in_user_namespace:
            limits = {"devices": [devices.ALLOW_ALL.copy()], **limits}
    else:
        asked = [*map(parse_device, request.defaults.devices), *options.devices]
        nodes, rules = devices.requested(asked, request.around.devices)
        if nodes:
            linux["devices"] = nodes
        if not in_user_namespace:
            extra = [devices.access(rule) for rule in options.device_cgroup_rules]
            limits = {"devices": [devices.DENY_ALL.copy(), *rules, *extra], **limits}
    linux["resources"] = limits
    linux["namespaces"] = namespaces.entries
    profile = _own_seccomp(request)
    if profile is not None:
        linux["seccomp"] = profile
    masked = masking.masked_paths(privileged=request.privileged, mask=security.mask, unmask=security.unmask)
    if masked:
        linux["maskedPaths"] = masked
    read_only = masking.read_only_paths(privileged=request.privileged, unmask=security.unmask)
    if read_only:
        linux["readonlyPaths"] = read_only
    return linux


def _map_entries(ranges: tuple[IDMap, ...] | None) -> list[dict[str, int]]:
    return [
        {"containerID": item.container_id, "hostID": item.host_id, "size": item.size} for item in ranges or ()
    ]


def _own_seccomp(request: _Request) -> Any:
    """A profile that the request names is compiled now: its file may be gone when the container starts."""
    if request.around.seccomp is None:
        return None
    bounding = frozenset(_capabilities(request).get("bounding") or ())
    return seccomp.compile_profile(
        request.around.seccomp, architecture=request.host.architecture, bounding=bounding
    )


_SYSCTL_OWNERS = (
    ("net.", "network"),
    ("fs.mqueue.", "ipc"),
    ("kernel.domainname", "uts"),
    ("kernel.hostname", "uts"),
)


def _sysctls(request: _Request, namespaces: PlannedNamespaces) -> dict[str, str]:
    """The defaults that concern a namespace of the container's own, and what was asked for."""
    found = {}
    for name, value in parsed(request.defaults.sysctls).items():
        owner = _sysctl_owner(name)
        if owner is None or namespaces.modes[owner].is_own:
            found[name] = value
    for name, value in request.options.sysctl.items():
        owner = _sysctl_owner(name)
        if owner is not None and namespaces.modes[owner].kind is NamespaceKind.HOST:
            raise InvalidArgumentError(
                f"{name} cannot be set, because the container is in the host's {owner} namespace"
            )
        found[name] = value
    return found


def _sysctl_owner(name: str) -> str | None:
    return next((owner for prefix, owner in _SYSCTL_OWNERS if name.startswith(prefix)), None)
