"""Everything that can be asked of a new container, in one value.

Most fields take the words of `podman create` or the value that the words stand for: `publish=["8080:80"]`,
`memory="512m"`, `network="none"`. They are read and checked where the value is made, so that whoever holds a
`CreateOptions` holds a request that makes sense in itself; what depends on the machine, the image or other containers
is checked when the container is planned (`spec.plan`). None, or an empty value, means "not said".

Not here: what belongs to the caller's side of a run (detach, attach, sig-proxy, cidfile).

Covers: libpod/options.go, pkg/specgen/specgen.go, pkg/specgen/container_validate.go, pkg/domain/entities/pods.go
(ContainerCreateOptions)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from libpod.define.errors import InvalidArgumentError
from libpod.define.ids import check_name
from libpod.define.patterns import pattern
from libpod.model import create_words as words
from libpod.model.container_config import HealthCheck, IDMap, PortMapping
from libpod.model.health import OnFailure, parse_on_failure
from libpod.model.limits import DeviceLimit, DeviceRequest, DeviceRule, Ulimit
from libpod.model.mounts import Mount, TmpfsMount
from libpod.model.namespace_mode import NamespaceKind, NamespaceMode
from libpod.model.network_request import NetworkRequest, parse_address, parse_networks
from libpod.model.security_options import SecurityOptions, parse_security_options

PULL_POLICIES = ("always", "missing", "never", "newer")
RESTART_POLICIES = ("", "no", "always", "on-failure", "unless-stopped")
CGROUPS_MODES = ("", "enabled", "disabled", "no-conmon", "split")
IMAGE_VOLUME_MODES = ("", "anonymous", "bind", "tmpfs", "ignore")
LOG_DRIVERS = ("", "k8s-file", "json-file", "journald", "none", "passthrough", "passthrough-tty")
LOG_OPTIONS = ("path", "max-size", "tag")

_HOSTNAME = pattern(r"[a-zA-Z0-9](?:[a-zA-Z0-9_.-]*[a-zA-Z0-9])?")
_UMASK = pattern(r"[0-7]{1,4}")
_CPUSET = pattern(r"\d+(-\d+)?(,\d+(-\d+)?)*")


# ---- the request ----------------------------------------------------------------------------------------------


class CreateOptions(msgspec.Struct, frozen=True, kw_only=True):
    """A request for a container: exactly one of `image` and `rootfs`, and whatever else differs from the defaults."""

    # -- what it is made of
    image: str = ""
    rootfs: str = ""
    """A directory of the host to be the root, instead of an image."""
    name: str = ""
    pod: str = ""
    """Name or id of the pod it belongs to."""
    pull: str = ""
    """Empty: as configured. `missing`, `always`, `newer`, `never`."""
    platform: str = ""
    """`linux/arm64/v8`; empty: this machine's."""
    storage_opts: Mapping[str, str] = {}
    namespace: str = ""

    # -- what runs
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    """None: the image's. An empty tuple, or one empty word: no entry point."""
    env: Mapping[str, str] = {}
    env_host: bool = False
    unset_env: tuple[str, ...] = ()
    unset_env_all: bool = False
    workdir: str = ""
    user: str = ""
    """`name|uid[:name|gid]`; empty: the image's."""
    groups: tuple[str, ...] = ()
    """Further groups of the process, by name or number."""
    hostname: str = ""
    init: bool | None = None
    init_path: str = ""
    tty: bool = False
    interactive: bool = False
    """Keep the standard input open."""
    umask: str = ""
    timezone: str = ""
    """A name such as Europe/Vienna, or `local`."""
    timeout: int = 0
    """Seconds after which it is killed; 0: never."""
    stop_signal: int | None = None
    stop_timeout: int | None = None
    preserve_fds: int = 0
    passwd: bool = True
    """Whether an entry for an unknown numeric user is made in /etc/passwd."""
    create_command: tuple[str, ...] = ()

    # -- descriptions
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}

    # -- files
    volumes: tuple[Mount, ...] = ()
    mounts: tuple[Mount, ...] = ()
    tmpfs: tuple[TmpfsMount, ...] = ()
    volumes_from: tuple[str, ...] = ()
    """`container[:ro|rw|z,…]`."""
    image_volume: str = ""
    """What becomes of the image's volumes: `anonymous` (also spelt bind), `tmpfs`, `ignore`."""
    read_only: bool = False
    read_only_tmpfs: bool = True
    """With `read_only`: whether /run, /tmp and /var/tmp are writable all the same."""
    shm_size: int | None = None

    # -- network
    network: NetworkRequest = msgspec.field(default_factory=NetworkRequest)
    network_alias: tuple[str, ...] = ()
    ip: str = ""
    ip6: str = ""
    mac_address: str = ""
    publish: tuple[PortMapping, ...] = ()
    publish_all: bool = False
    expose: tuple[tuple[int, int, str], ...] = ()
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_option: tuple[str, ...] = ()
    add_host: tuple[str, ...] = ()
    """`name:address`."""
    no_hosts: bool | None = None
    """Leave the image's /etc/hosts alone."""

    # -- namespaces
    pid: NamespaceMode = msgspec.field(default_factory=NamespaceMode)
    ipc: NamespaceMode = msgspec.field(default_factory=NamespaceMode)
    uts: NamespaceMode = msgspec.field(default_factory=NamespaceMode)
    userns: NamespaceMode = msgspec.field(default_factory=NamespaceMode)
    cgroupns: NamespaceMode = msgspec.field(default_factory=NamespaceMode)
    uid_map: tuple[IDMap, ...] = ()
    gid_map: tuple[IDMap, ...] = ()

    # -- resources
    ulimits: tuple[Ulimit, ...] = ()
    memory: int | None = None
    memory_swap: int | None = None
    """Memory and swap together; −1: without limit."""
    memory_reservation: int | None = None
    memory_swappiness: int | None = None
    cpus: float | None = None
    cpu_shares: int | None = None
    cpu_quota: int | None = None
    cpu_period: int | None = None
    cpu_rt_period: int | None = None
    cpu_rt_runtime: int | None = None
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    blkio_weight: int | None = None
    blkio_weight_device: tuple[DeviceLimit, ...] = ()
    device_read_bps: tuple[DeviceLimit, ...] = ()
    device_write_bps: tuple[DeviceLimit, ...] = ()
    device_read_iops: tuple[DeviceLimit, ...] = ()
    device_write_iops: tuple[DeviceLimit, ...] = ()
    pids_limit: int | None = None
    """0 or −1: without limit; None: as configured."""
    oom_score_adj: int | None = None
    oom_kill_disable: bool = False

    # -- security
    privileged: bool | None = None
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    security_opt: SecurityOptions = msgspec.field(default_factory=SecurityOptions)
    devices: tuple[DeviceRequest, ...] = ()
    device_cgroup_rules: tuple[DeviceRule, ...] = ()
    sysctl: Mapping[str, str] = {}

    # -- cgroups
    cgroup_parent: str = ""
    cgroups: str = ""
    cgroup_conf: Mapping[str, str] = {}
    """Files of the unified hierarchy and what is written into them."""

    # -- life
    restart_policy: str = ""
    """`no`, `always`, `unless-stopped`, `on-failure` or `on-failure:N`."""
    restart_retries: int = 0
    auto_remove: bool = False
    log_driver: str = ""
    log_opts: Mapping[str, str] = {}
    runtime: str = ""
    conmon_pid_file: str = ""
    pid_file: str = ""
    requires: tuple[str, ...] = ()
    """Containers that must run before this one."""
    health_check: HealthCheck | None = None
    no_health_check: bool = False
    health_on_failure: OnFailure = OnFailure.NONE

    if TYPE_CHECKING:
        # Every field takes words or what they stand for, which the types of the fields do not say.
        def __init__(self, **fields: Any) -> None: ...

    def __post_init__(self) -> None:
        for name, read in _READERS.items():
            msgspec.structs.force_setattr(self, name, read(getattr(self, name)))
        for check in (
            _check_source,
            _check_words,
            _check_process,
            _check_network,
            _check_resources,
            _check_life,
        ):
            check(self)

    @property
    def all_mounts(self) -> tuple[Mount, ...]:
        """Everything that is to be mounted, in the order it was given."""
        return self.volumes + self.mounts + self.tmpfs


_READERS: dict[str, Callable[[Any], object]] = {
    "storage_opts": words.pairs,
    "command": words.texts,
    "entrypoint": words.optional_texts,
    "env": words.pairs,
    "unset_env": words.texts,
    "groups": words.texts,
    "stop_signal": words.signal,
    "create_command": words.texts,
    "labels": words.pairs,
    "annotations": words.pairs,
    "volumes": words.volumes,
    "mounts": words.mounts,
    "tmpfs": words.tmpfs_mounts,
    "volumes_from": words.texts,
    "shm_size": words.size,
    "network": parse_networks,
    "network_alias": words.texts,
    "ip": words.address,
    "ip6": words.address,
    "mac_address": words.mac,
    "publish": words.published,
    "expose": words.exposed,
    "dns": words.texts,
    "dns_search": words.texts,
    "dns_option": words.texts,
    "add_host": words.texts,
    "pid": words.pid_namespace,
    "ipc": words.ipc_namespace,
    "uts": words.uts_namespace,
    "userns": words.user_namespace,
    "uid_map": words.id_maps,
    "gid_map": words.id_maps,
    "cgroupns": words.cgroup_namespace,
    "ulimits": words.ulimits,
    "memory": words.size,
    "memory_swap": words.signed_size,
    "memory_reservation": words.size,
    "blkio_weight_device": words.device_weights,
    "device_read_bps": words.device_bytes,
    "device_write_bps": words.device_bytes,
    "device_read_iops": words.device_operations,
    "device_write_iops": words.device_operations,
    "cap_add": words.texts,
    "cap_drop": words.texts,
    "security_opt": parse_security_options,
    "devices": words.devices,
    "device_cgroup_rules": words.device_rules,
    "sysctl": words.pairs,
    "cgroup_conf": words.pairs,
    "log_opts": words.pairs,
    "requires": words.texts,
    "health_on_failure": parse_on_failure,
}
"""Fields that may be given in words, and what reads them."""


# ---- the rules ------------------------------------------------------------------------------------------------


def _check_source(options: CreateOptions) -> None:
    if bool(options.image) == bool(options.rootfs):
        raise InvalidArgumentError(
            "a container is made of an image or of a root directory", resolution="give exactly one"
        )
    if options.rootfs and not options.rootfs.startswith("/"):
        raise InvalidArgumentError(f'the root directory "{options.rootfs}" is not an absolute path')
    if options.name:
        check_name("container", options.name)


def _check_words(options: CreateOptions) -> None:
    for subject, value, allowed in (
        ("pull policy", options.pull, ("", *PULL_POLICIES)),
        ("cgroups mode", options.cgroups, CGROUPS_MODES),
        ("mode of image volumes", options.image_volume, IMAGE_VOLUME_MODES),
        ("log driver", options.log_driver, LOG_DRIVERS),
    ):
        if value not in allowed:
            raise InvalidArgumentError(
                f'"{value}" is not a {subject}', resolution=f"use one of {', '.join(filter(None, allowed))}"
            )
    for name in options.log_opts:
        if name not in LOG_OPTIONS:
            raise InvalidArgumentError(
                f'"{name}" is not a log option', resolution=f"use one of {', '.join(LOG_OPTIONS)}"
            )
    if "max-size" in options.log_opts:
        words.signed_size(options.log_opts["max-size"])
    seen: set[str] = set()
    for mount in options.all_mounts:
        if mount.destination in seen:
            raise InvalidArgumentError(
                f"two mounts have the destination {mount.destination}",
                resolution="give each a destination of its own",
            )
        seen.add(mount.destination)
    for text in options.volumes_from:
        for word in filter(None, text.partition(":")[2].split(",")):
            if word not in ("ro", "rw", "z"):
                raise InvalidArgumentError(f'"{text}" has the option "{word}"', resolution="use ro, rw or z")


def _check_process(options: CreateOptions) -> None:
    for subject, path in (("working directory", options.workdir), ("init program", options.init_path)):
        if path and not path.startswith("/"):
            raise InvalidArgumentError(f'the {subject} "{path}" is not an absolute path')
    for name in (*options.env, *options.unset_env):
        if not name or "=" in name or "\0" in name:
            raise InvalidArgumentError(f'"{name}" cannot name an environment variable')
    if options.hostname and (len(options.hostname) > 64 or not _HOSTNAME.fullmatch(options.hostname)):
        raise InvalidArgumentError(f'"{options.hostname}" is not a host name')
    if options.hostname and options.uts.kind is NamespaceKind.HOST:
        raise InvalidArgumentError("a host name cannot be set in the host's UTS namespace")
    if options.umask and not _UMASK.fullmatch(options.umask):
        raise InvalidArgumentError(
            f'"{options.umask}" is not a umask', resolution="use an octal number such as 0022"
        )
    if options.stop_signal is not None and not 1 <= options.stop_signal <= 64:
        raise InvalidArgumentError(f"{options.stop_signal} cannot be a stop signal")
    for subject, number in (
        ("stop timeout", options.stop_timeout),
        ("timeout", options.timeout),
        ("number of preserved descriptors", options.preserve_fds),
    ):
        if number is not None and number < 0:
            raise InvalidArgumentError(f"the {subject} is {number}, which is less than nothing")
    if options.init and options.pid.kind in (NamespaceKind.HOST, NamespaceKind.CONTAINER, NamespaceKind.PATH):
        raise InvalidArgumentError(
            "an init program needs a PID namespace of its own", resolution="leave out pid or init"
        )
    if options.shm_size is not None and options.ipc.kind is NamespaceKind.HOST:
        raise InvalidArgumentError("the size of /dev/shm cannot be set in the host's IPC namespace")


def _check_network(options: CreateOptions) -> None:
    kind = options.network.mode.kind
    bridged = kind in (NamespaceKind.DEFAULT, NamespaceKind.BRIDGE)
    fixed = options.ip or options.ip6 or options.mac_address or options.network_alias
    if fixed and not bridged:
        raise InvalidArgumentError(f"addresses and aliases need a bridge network, not {kind.value}")
    if (options.ip or options.ip6 or options.mac_address) and len(options.network.networks) > 1:
        raise InvalidArgumentError(
            "an address or MAC address cannot belong to several networks",
            resolution="write them after the network's name: name:ip=…",
        )
    if options.ip and ":" in options.ip:
        raise InvalidArgumentError(f"{options.ip} is not an IPv4 address", resolution="use ip6")
    if options.ip6 and ":" not in options.ip6:
        raise InvalidArgumentError(f"{options.ip6} is not an IPv6 address", resolution="use ip")
    if (
        kind in (NamespaceKind.CONTAINER, NamespaceKind.HOST)
        and options.dns
        and kind is NamespaceKind.CONTAINER
    ):
        raise InvalidArgumentError("name servers belong to the container whose network is joined")
    for server in options.dns:
        if server != "none":
            parse_address(server)
    if options.no_hosts and options.add_host:
        raise InvalidArgumentError(
            "hosts cannot be added when /etc/hosts is left alone", resolution="drop one of them"
        )
    for text in options.add_host:
        name, colon, address = text.partition(":")
        if not name or not colon or not address:
            raise InvalidArgumentError(f'"{text}" is not a host', resolution="write name:address")
        if address != "host-gateway":
            parse_address(address.strip("[]"))


def _check_resources(options: CreateOptions) -> None:
    if options.cpus is not None and (options.cpu_quota or options.cpu_period):
        raise InvalidArgumentError(
            "cpus stands for a quota and a period", resolution="give cpus, or those two"
        )
    if options.cpus is not None and options.cpus < 0:
        raise InvalidArgumentError(f"the number of CPUs is {options.cpus}, which is less than nothing")
    if options.memory_swap is not None and options.memory_swap >= 0:
        if options.memory is None:
            raise InvalidArgumentError(
                "a limit of memory and swap needs one of memory", resolution="set memory too"
            )
        if options.memory_swap < options.memory:
            raise InvalidArgumentError("the limit of memory and swap together is below that of memory")
    if (
        options.memory is not None
        and options.memory_reservation is not None
        and options.memory_reservation > options.memory
    ):
        raise InvalidArgumentError("the memory reservation is above the memory limit")
    if options.memory_swappiness is not None and not -1 <= options.memory_swappiness <= 100:
        raise InvalidArgumentError(f"the swappiness {options.memory_swappiness} is not between 0 and 100")
    if (
        options.blkio_weight is not None
        and options.blkio_weight != 0
        and not 10 <= options.blkio_weight <= 1000
    ):
        raise InvalidArgumentError(f"the block I/O weight {options.blkio_weight} is not between 10 and 1000")
    if options.oom_score_adj is not None and not -1000 <= options.oom_score_adj <= 1000:
        raise InvalidArgumentError(f"the OOM score {options.oom_score_adj} is not between -1000 and 1000")
    if options.oom_kill_disable and options.memory is None:
        raise InvalidArgumentError(
            "without a memory limit, switching off the OOM killer can take the machine down",
            resolution="set memory",
        )
    for subject, value in (("CPU", options.cpuset_cpus), ("memory node", options.cpuset_mems)):
        if value and not _CPUSET.fullmatch(value):
            raise InvalidArgumentError(f'"{value}" is not a list of {subject}s', resolution="write 0-2,4")
    names = [ulimit.name for ulimit in options.ulimits]
    for name in names:
        if names.count(name) > 1:
            raise InvalidArgumentError(f"the limit {name} is given twice")
    if options.cgroups == "disabled" and (
        options.memory or options.cpus or options.pids_limit or options.cgroup_parent
    ):
        raise InvalidArgumentError("limits need a cgroup", resolution="leave out cgroups=disabled")


def _check_life(options: CreateOptions) -> None:
    policy, colon, retries = options.restart_policy.partition(":")
    if policy not in RESTART_POLICIES or (colon and not retries.isdecimal()):
        raise InvalidArgumentError(
            f'"{options.restart_policy}" is not a restart policy',
            resolution="use no, always, unless-stopped, on-failure or on-failure:N",
        )
    if (colon or options.restart_retries) and policy != "on-failure":
        raise InvalidArgumentError("a number of retries needs the restart policy on-failure")
    if options.auto_remove and policy not in ("", "no"):
        raise InvalidArgumentError(
            "a container that is removed when it ends cannot be restarted",
            resolution="drop auto_remove or restart_policy",
        )
    if options.no_health_check and options.health_check is not None:
        raise InvalidArgumentError("a health check is given and switched off", resolution="drop one of them")
    if options.health_on_failure is OnFailure.RESTART and policy == "always":
        raise InvalidArgumentError(
            "health_on_failure restart and restart policy always exclude each other", resolution="use kill"
        )
    if options.cgroup_parent and options.cgroup_parent.startswith("../"):
        raise InvalidArgumentError(f'"{options.cgroup_parent}" leaves the cgroup hierarchy')
