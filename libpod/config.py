"""Configuration: the machine's files and overrides, made into one frozen value.

`RuntimeConfig.load` starts from the defaults below, lays the files over them (`config_files` says which, and what their
keys become) and the keyword overrides over those. `EnginePaths` says where an engine keeps what.

Covers: libpod/runtime.go (RuntimeConfig), pkg/config of the common library (defaults)
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from libpod.config_files import container_files, read_containers_conf, read_storage_conf, storage_file
from libpod.define.errors import ConfigError
from libpod.engine_paths import EnginePaths as EnginePaths

logger = logging.getLogger(__name__)

DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

DEFAULT_CAPABILITIES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
)

_CONMON_PATHS = (
    "/usr/libexec/podman/conmon",
    "/usr/local/libexec/podman/conmon",
    "/usr/local/lib/podman/conmon",
    "/usr/bin/conmon",
    "/usr/sbin/conmon",
    "/usr/local/bin/conmon",
    "/usr/local/sbin/conmon",
)
_RUNTIME_DIRECTORIES = ("/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/sbin", "/bin")
_CGROUP_MANAGERS = ("cgroupfs", "systemd")
_EVENTS_BACKENDS = ("file", "journald", "none")
_LOG_DRIVERS = ("k8s-file", "json-file", "journald", "none", "passthrough", "passthrough-tty")
_PULL_POLICIES = ("always", "missing", "never", "newer", "ifnewer", "ifmissing", "")


def _absolute(_instance: object, attribute: attrs.Attribute[Path], value: Path) -> None:
    if not value.is_absolute():
        raise ConfigError(f'{attribute.name} is "{value}", which is not an absolute path')


def _one_of(*allowed: str) -> Callable[[object, attrs.Attribute[str], str], None]:
    def check(_instance: object, attribute: attrs.Attribute[str], value: str) -> None:
        if value not in allowed:
            shown = ", ".join(word for word in allowed if word)
            raise ConfigError(f'{attribute.name} is "{value}"', resolution=f"use one of {shown}")

    return check


def _runtimes() -> dict[str, tuple[str, ...]]:
    return {name: tuple(f"{place}/{name}" for place in _RUNTIME_DIRECTORIES) for name in ("crun", "runc")}


@attrs.frozen(kw_only=True)
class ContainerDefaults:
    """The [containers] section: what a container gets when its creator does not say."""

    annotations: tuple[str, ...] = ()
    apparmor_profile: str = ""
    """A profile that is loaded in the kernel; empty: none of ours is set."""
    base_hosts_file: str = ""
    capabilities: tuple[str, ...] = DEFAULT_CAPABILITIES
    cgroup_namespace: str = ""
    """Empty: private on cgroup v2, the host's on v1."""
    cgroups: str = attrs.field(
        default="enabled", validator=_one_of("enabled", "disabled", "no-conmon", "split")
    )
    devices: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_servers: tuple[str, ...] = ()
    env: tuple[str, ...] = (DEFAULT_PATH, "TERM=xterm")
    env_host: bool = False
    host_containers_internal_ip: str = ""
    init: bool = False
    init_path: str = ""
    ipc_namespace: str = "shareable"
    label: bool = True
    """Whether SELinux labels are used where SELinux runs."""
    log_driver: str = attrs.field(default="k8s-file", validator=_one_of(*_LOG_DRIVERS))
    log_size_max: int = -1
    """Bytes; −1 is without limit."""
    log_tag: str = ""
    no_hosts: bool = False
    pid_namespace: str = "private"
    pids_limit: int = 2048
    """0 is without limit."""
    privileged: bool = False
    read_only: bool = False
    seccomp_profile: str = ""
    """Empty: the machine's profile; `unconfined`: none."""
    shm_size: int = 65536000
    sysctls: tuple[str, ...] = ("net.ipv4.ping_group_range=0 0",)
    timezone: str = ""
    ulimits: tuple[str, ...] = ()
    umask: str = "0022"
    user_namespace: str = "host"
    uts_namespace: str = "private"
    volumes: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class RuntimeConfig:
    """How an engine works on this machine. Two configurations with equal roots must be equal in their directories."""

    graph_root: Path = attrs.field(
        default=Path("/var/lib/containers/storage"), converter=Path, validator=_absolute
    )
    run_root: Path = attrs.field(default=Path("/run/containers/storage"), converter=Path, validator=_absolute)
    storage_driver: str = "overlay"
    storage_options: tuple[str, ...] = ()
    """As the storage library takes them: `overlay.mountopt=nodev`."""
    image_stores: tuple[str, ...] = ()
    """Further graph roots that are read for images."""
    volume_path: Path | None = attrs.field(default=None, converter=attrs.converters.optional(Path))
    """None: below the engine's own directory."""

    runtime: str = ""
    """Name or path of the OCI runtime; empty: the first found that can checkpoint here."""
    runtimes: Mapping[str, tuple[str, ...]] = attrs.field(factory=_runtimes)
    """Where each runtime is looked for."""
    conmon_paths: tuple[str, ...] = _CONMON_PATHS
    conmon_env: tuple[str, ...] = (DEFAULT_PATH,)
    criu_path: str = ""
    """Empty: the one that is found and works."""
    cgroup_manager: str = attrs.field(default="cgroupfs", validator=_one_of(*_CGROUP_MANAGERS))
    no_pivot_root: bool = False
    runtime_flags: tuple[str, ...] = ()
    """Global options of the OCI runtime, without dashes: `debug`."""
    hooks_dirs: tuple[str, ...] = ("/usr/share/containers/oci/hooks.d", "/etc/containers/oci/hooks.d")
    events_backend: str = attrs.field(default="file", validator=_one_of(*_EVENTS_BACKENDS))
    events_log_path: Path | None = attrs.field(default=None, converter=attrs.converters.optional(Path))
    events_log_max_size: int = 1_000_000
    stop_timeout: int = 10
    exit_command_delay: int = 300
    pull_policy: str = attrs.field(default="missing", validator=_one_of(*_PULL_POLICIES))
    image_volume_mode: str = attrs.field(
        default="bind", validator=_one_of("bind", "anonymous", "tmpfs", "ignore")
    )
    infra_image: str = ""
    infra_command: str = ""
    namespace: str = ""

    network_mode: str = ""
    """What `--network` is when it is not given; empty: a bridge, for root."""
    default_network: str = "podman"
    """The name of the network that containers join when they name none; archives of podman's name it so too."""
    default_bridge: str = "libpod0"
    default_subnet: str = "10.87.0.0/16"
    """Not podman's 10.88.0.0/16: the two engines do not know each other's leases."""
    default_subnet_pools: tuple[tuple[str, int], ...] = (("10.91.0.0/16", 24), ("10.96.0.0/11", 24))
    network_config_dir: Path | None = attrs.field(default=None, converter=attrs.converters.optional(Path))
    dns_bind_port: int = 53

    containers: ContainerDefaults = attrs.field(factory=ContainerDefaults)

    def __attrs_post_init__(self) -> None:
        if self.stop_timeout < 0:
            raise ConfigError(f"stop_timeout is {self.stop_timeout}, which is less than nothing")

    @property
    def paths(self) -> EnginePaths:
        """Every directory and file of the engine."""
        return EnginePaths(
            graph_root=self.graph_root,
            run_root=self.run_root,
            volume_path=self.volume_path,
            network_config_dir=self.network_config_dir,
            events_log_path=self.events_log_path,
        )

    @classmethod
    def load(
        cls, *, read_files: bool = True, environ: Mapping[str, str] | None = None, **overrides: Any
    ) -> RuntimeConfig:
        """Read this machine's files and apply *overrides*, which are fields of this class or of ContainerDefaults.

        With *read_files* false the machine's files are not read: what runs does not depend on them. Raises ConfigError.
        """
        variables = os.environ if environ is None else environ
        values: dict[str, Any] = attrs.asdict(cls(), recurse=False)
        defaults: dict[str, Any] = attrs.asdict(values.pop("containers"), recurse=False)
        if read_files:
            for path in container_files(variables):
                read_containers_conf(path, values, defaults)
            storage = storage_file(variables)
            if storage is not None:
                read_storage_conf(storage, values)
        systemd = Path("/run/systemd/system").is_dir()
        if overrides.get("cgroup_manager") == "systemd" and not systemd:
            raise ConfigError(
                "cgroup_manager is systemd, and systemd does not run here", resolution="use cgroupfs"
            )
        if values.get("cgroup_manager") == "systemd" and not systemd:
            logger.warning("cgroup_manager is systemd and systemd does not run here: using cgroupfs")
            values["cgroup_manager"] = "cgroupfs"
        return with_overrides(values, defaults, overrides)


# ---- the last word --------------------------------------------------------------------------------------------


def with_overrides(
    values: Mapping[str, Any], defaults: Mapping[str, Any], overrides: Mapping[str, Any]
) -> RuntimeConfig:
    """The configuration of *values* and *defaults*, with *overrides* on top. Raises ConfigError."""
    own = {field.name for field in attrs.fields(RuntimeConfig)}
    inner = {field.name for field in attrs.fields(ContainerDefaults)}
    chosen, container = dict(values), dict(defaults)
    for name, value in overrides.items():
        if name in own:
            chosen[name] = value
        elif name in inner:
            container[name] = value
        else:
            raise ConfigError(
                f'there is no setting "{name}"', resolution=f"settings are {', '.join(sorted(own | inner))}"
            )
    if "containers" not in chosen:
        chosen["containers"] = ContainerDefaults(**container)
    return RuntimeConfig(**{name: _frozen(value) for name, value in chosen.items()})


def _frozen(value: Any) -> Any:
    if isinstance(value, Sequence) and not isinstance(value, str | bytes | tuple):
        return tuple(value)
    return value
