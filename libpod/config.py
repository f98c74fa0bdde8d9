"""Configuration: the machine's files and overrides, made into one frozen value.

`RuntimeConfig.load` starts from the defaults below, lays the files over them (`config_files` says which, and what their
keys become) and the keyword overrides over those. `EnginePaths` says where an engine keeps what.

Covers: libpod/runtime.go (RuntimeConfig), pkg/config of the common library (defaults)
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

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
_PATHS = ("graph_root", "run_root", "volume_path", "events_log_path", "network_config_dir")
"""Settings that may be given as text and are kept as paths."""
_RUNTIME_DIRECTORIES = ("/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/sbin", "/bin")
_CGROUP_MANAGERS = ("cgroupfs", "systemd")
_CGROUPS_MODES = ("enabled", "disabled", "no-conmon", "split")
_EVENTS_BACKENDS = ("file", "journald", "none")
_LOG_DRIVERS = ("k8s-file", "json-file", "journald", "none", "passthrough", "passthrough-tty")
_IMAGE_VOLUME_MODES = ("bind", "anonymous", "tmpfs", "ignore")
_NETWORK_BACKENDS = ("bridge", "netavark", "")
_PULL_POLICIES = ("always", "missing", "never", "newer", "ifnewer", "ifmissing", "")


def _check_absolute(name: str, path: Path) -> None:
    if not path.is_absolute():
        raise ConfigError(f'{name} is "{path}", which is not an absolute path')


def _check_words(config: msgspec.Struct, allowed: Mapping[str, Sequence[str]]) -> None:
    """Raise ConfigError unless each field that *allowed* names is one of its words."""
    for name, words in allowed.items():
        value = getattr(config, name)
        if value not in words:
            shown = ", ".join(word for word in words if word)
            raise ConfigError(f'{name} is "{value}"', resolution=f"use one of {shown}")


def _runtimes() -> dict[str, tuple[str, ...]]:
    return {name: tuple(f"{place}/{name}" for place in _RUNTIME_DIRECTORIES) for name in ("crun", "runc")}


class ContainerDefaults(msgspec.Struct, frozen=True, kw_only=True):
    """The [containers] section: what a container gets when its creator does not say."""

    annotations: tuple[str, ...] = ()
    apparmor_profile: str = ""
    """A profile that is loaded in the kernel; empty: none of ours is set."""
    base_hosts_file: str = ""
    capabilities: tuple[str, ...] = DEFAULT_CAPABILITIES
    cgroup_namespace: str = ""
    """Empty: private on cgroup v2, the host's on v1."""
    cgroups: str = "enabled"
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
    log_driver: str = "k8s-file"
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

    def __post_init__(self) -> None:
        _check_words(self, {"cgroups": _CGROUPS_MODES, "log_driver": _LOG_DRIVERS})


class RuntimeConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How an engine works on this machine. Two configurations with equal roots must be equal in their directories."""

    graph_root: Path = Path("/var/lib/containers/storage")
    run_root: Path = Path("/run/containers/storage")
    storage_driver: str = "overlay"
    storage_options: tuple[str, ...] = ()
    """As the storage library takes them: `overlay.mountopt=nodev`."""
    image_stores: tuple[str, ...] = ()
    """Further graph roots that are read for images."""
    volume_path: Path | None = None
    """None: below the engine's own directory."""

    runtime: str = ""
    """Name or path of the OCI runtime; empty: the first found that can checkpoint here."""
    runtimes: Mapping[str, tuple[str, ...]] = msgspec.field(default_factory=_runtimes)
    """Where each runtime is looked for."""
    conmon_paths: tuple[str, ...] = _CONMON_PATHS
    conmon_env: tuple[str, ...] = (DEFAULT_PATH,)
    criu_path: str = ""
    """Empty: the one that is found and works."""
    cgroup_manager: str = "cgroupfs"
    no_pivot_root: bool = False
    runtime_flags: tuple[str, ...] = ()
    """Global options of the OCI runtime, without dashes: `debug`."""
    hooks_dirs: tuple[str, ...] = ("/usr/share/containers/oci/hooks.d", "/etc/containers/oci/hooks.d")
    events_backend: str = "file"
    events_log_path: Path | None = None
    events_log_max_size: int = 1_000_000
    stop_timeout: int = 10
    boot_id: str = ""
    """Stands for another boot than the present one, to see what a reboot would leave; empty: the kernel's."""
    lock_timeout: float = 0.0
    """Seconds after which waiting for a container's lock is a LockError that names its holder; 0: for ever."""
    exit_command_delay: int = 300
    pull_policy: str = "missing"
    image_volume_mode: str = "bind"
    infra_image: str = ""
    infra_command: str = ""
    namespace: str = ""

    network_mode: str = ""
    """What `--network` is when it is not given; empty: a bridge, for root."""
    default_network: str = "podman"
    """The name of the network that containers join when they name none; archives of podman's name it so too."""
    network_backend: str = ""
    """What makes the networks: empty or bridge is our own, netavark is podman's program."""
    default_subnet: str = ""
    """The subnet of the default network when it is made; empty: one that is free here, and never podman's."""
    network_config_dir: Path | None = None

    containers: ContainerDefaults = msgspec.field(default_factory=ContainerDefaults)

    def __post_init__(self) -> None:
        for name in _PATHS:
            if (path := getattr(self, name)) is not None:
                msgspec.structs.force_setattr(self, name, Path(path))
        _check_absolute("graph_root", self.graph_root)
        _check_absolute("run_root", self.run_root)
        _check_words(
            self,
            {
                "cgroup_manager": _CGROUP_MANAGERS,
                "events_backend": _EVENTS_BACKENDS,
                "pull_policy": _PULL_POLICIES,
                "image_volume_mode": _IMAGE_VOLUME_MODES,
                "network_backend": _NETWORK_BACKENDS,
            },
        )
        if self.lock_timeout < 0:
            raise ConfigError(f"lock_timeout is {self.lock_timeout}, which is less than nothing")
        if self.stop_timeout < 0:
            raise ConfigError(f"stop_timeout is {self.stop_timeout}, which is less than nothing")

    @property
    def criu(self) -> Path | None:
        """The criu that was configured; None for the one that is found."""
        return Path(self.criu_path) if self.criu_path else None

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

    def settings(self) -> dict[str, Any]:
        """The keywords of `load` that give this configuration again without reading a file."""
        plain = RuntimeConfig()
        changed = _differences(self, plain) | _differences(self.containers, plain.containers)
        changed.pop("containers", None)
        return {"read_files": False, "graph_root": self.graph_root, "run_root": self.run_root, **changed}

    @classmethod
    def load(
        cls, *, read_files: bool = True, environ: Mapping[str, str] | None = None, **overrides: Any
    ) -> RuntimeConfig:
        """Read this machine's files and apply *overrides*, which are fields of this class or of ContainerDefaults.

        With *read_files* false the machine's files are not read: what runs does not depend on them. Raises ConfigError.
        """
        variables = os.environ if environ is None else environ
        values: dict[str, Any] = msgspec.structs.asdict(cls())
        defaults: dict[str, Any] = msgspec.structs.asdict(values.pop("containers"))
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
    own = set(RuntimeConfig.__struct_fields__)
    inner = set(ContainerDefaults.__struct_fields__)
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


def _differences(config: msgspec.Struct, plain: msgspec.Struct) -> dict[str, Any]:
    return {
        name: value for name, value in msgspec.structs.asdict(config).items() if value != getattr(plain, name)
    }


def _frozen(value: Any) -> Any:
    """Lists, as TOML and JSON have them, become tuples, also those within."""
    if isinstance(value, list | tuple):
        return tuple(_frozen(item) for item in value)
    if isinstance(value, dict):
        return {key: _frozen(item) for key, item in value.items()}
    return value
