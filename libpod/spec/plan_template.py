"""The template of a container's specification.

Everything of the document that does not depend on when and how often the container runs. `root.path` is a word, the
user is nobody in particular, namespaces of others have no paths yet: `finalize` fills those in.

Covers: pkg/specgen/generate/oci_linux.go, security_linux.go
"""

from __future__ import annotations

from typing import Any

from libpod.define.errors import InvalidArgumentError, NotSupportedError
from libpod.model.container_config import IDMap
from libpod.model.limits import parse_device, parse_ulimit
from libpod.model.namespace_mode import NamespaceKind
from libpod.spec import annotations as names
from libpod.spec import capabilities, devices, masking, mounts, resources, rlimits, seccomp
from libpod.spec.document import OCI_VERSION, Document
from libpod.spec.environment import environment, parsed, written
from libpod.spec.plan_mounts import PlannedMounts
from libpod.spec.plan_namespaces import PlannedNamespaces
from libpod.spec.plan_request import PlanRequest


def plan_template(request: PlanRequest, namespaces: PlannedNamespaces, planned: PlannedMounts) -> Document:
    """The specification as far as it can be written before the container exists."""
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


def _inherited_hostname(request: PlanRequest, namespaces: PlannedNamespaces) -> str:
    """The name that comes with a shared UTS namespace, or with the host's network; empty: the id's."""
    owner = namespaces.owners.get("uts")
    if owner is not None:
        return str(owner.spec.get("hostname") or owner.short_id)
    return request.host.hostname if namespaces.modes["network"].kind is NamespaceKind.HOST else ""


def _process(request: PlanRequest) -> dict[str, Any]:
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


def _arguments(request: PlanRequest) -> list[str]:
    asked = request.options.entrypoint
    entrypoint = request.image.entrypoint or () if asked is None else asked
    words = [] if tuple(entrypoint) == ("",) else list(entrypoint)
    words += request.options.command or request.image_command
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


def _environment(request: PlanRequest) -> dict[str, str]:
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


def _capabilities(request: PlanRequest) -> Any:
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


def _apparmor(request: PlanRequest) -> str:
    asked = request.options.security_opt.apparmor
    if not request.host.apparmor:
        if asked and asked != "unconfined":
            raise NotSupportedError(
                f'the AppArmor profile "{asked}" cannot be used: AppArmor does not run here'
            )
        return ""
    return asked if asked or request.privileged else request.defaults.apparmor_profile


def _annotations(request: PlanRequest) -> dict[str, str]:
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


def _default_mounts(request: PlanRequest, namespaces: PlannedNamespaces) -> list[Any]:
    network, user = namespaces.modes["network"].kind, namespaces.modes["user"]
    new_user = namespaces.joins_user_namespace
    security = request.options.security_opt
    own_network = network in _networks_of_its_own(namespaces)
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


def _networks_of_its_own(namespaces: PlannedNamespaces) -> frozenset[NamespaceKind]:
    """The modes whose network namespace the container's user namespace owns; the engine makes them, in the host's."""
    if namespaces.joins_user_namespace:
        return frozenset()
    return frozenset({NamespaceKind.BRIDGE, NamespaceKind.NONE, NamespaceKind.PRIVATE})


def _maps(ranges: tuple[IDMap, ...], number: int) -> bool:
    return any(item.container_id <= number < item.container_id + item.size for item in ranges)


def _linux(request: PlanRequest, namespaces: PlannedNamespaces) -> dict[str, Any]:
    options, security = request.options, request.options.security_opt
    in_user_namespace = namespaces.joins_user_namespace or request.host.user_namespace
    linux: dict[str, Any] = {}
    if namespaces.modes["user"].kind is NamespaceKind.PRIVATE:
        mapping = request.id_mappings
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


def _own_seccomp(request: PlanRequest) -> Any:
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


def _sysctls(request: PlanRequest, namespaces: PlannedNamespaces) -> dict[str, str]:
    """The defaults that concern a namespace of the container's own, and what was asked for."""
    found = {}
    for name, value in parsed(request.defaults.sysctls).items():
        owner = _sysctl_owner(name)
        if owner == "network" and namespaces.joins_user_namespace:
            continue
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
