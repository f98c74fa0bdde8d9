"""Configuration: containers.conf, storage.conf and overrides, made into one frozen value.

Order of rising precedence: the defaults below, `/usr/share/containers/containers.conf`,
`/etc/containers/containers.conf`, the drop-ins `/etc/containers/containers.conf.d/*.conf` by name, the user's file and
drop-ins under `$XDG_CONFIG_HOME/containers` when not root, the file in `$CONTAINERS_CONF_OVERRIDE`; then keyword
overrides. `$CONTAINERS_CONF` replaces all files but the last. An array whose last element is `{append=true}` adds to
what is there. Storage: `$CONTAINERS_STORAGE_CONF`, else `/etc/containers/storage.conf`, else
`/usr/share/containers/storage.conf`; one file only, as the storage library does it.

Keys that this version does not know are left alone: the files belong to every container tool of the machine. Keys it
knows are checked, and a wrong one is a ConfigError that names file and key. Reading those files is the only I/O here;
the parts that name an engine's directories (`tmp_dir`, `static_dir`, `num_locks`, …) are podman's and are not read.

The engine's own files live in directories of its own, never in podman's (`EnginePaths`).

Covers: libpod/runtime.go (RuntimeConfig), pkg/config of the common library
"""

from __future__ import annotations

import glob
import logging
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from libpod.define.errors import ConfigError, InvalidArgumentError
from libpod.model.units import parse_size

logger = logging.getLogger(__name__)

OWN_DIRECTORY = "libpod-py"
"""The name of the engine's directory below the graph root and the run root. Podman's is called `libpod`."""

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
        values: dict[str, Any] = {}
        defaults: dict[str, Any] = {}
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
            del values["cgroup_manager"]
        return with_overrides(values, defaults, overrides)


@attrs.frozen(kw_only=True)
class EnginePaths:
    """Where the engine keeps what. Pure: nothing is made or read.

    <graph root>/libpod-py/     survives a reboot
        state/                  LMDB: configurations, names, pods, volumes, last exits
        volumes/<name>/_data    contents of volumes
        networks/<name>.json    definitions of networks
        tmp/                    staging of archives and images, on the graph root's file system
    <run root>/libpod-py/       worthless after a reboot
        state/                  LMDB: states, exec sessions, leases
        locks                   one byte a lock
        alive.lock              taken while the runtime opens
        exits/<id>              exit codes, written by conmon
        persist/<id>/           conmon's sign that it lives
        sockets/<id>/           attach sockets
        netns/<id>              network namespaces
        oci/<runtime>/          root directory of the OCI runtime
        events/events.log
        criu.json               what CRIU said it can do, for this boot
    """

    graph_root: Path
    run_root: Path
    volume_path: Path | None = None
    network_config_dir: Path | None = None
    events_log_path: Path | None = None

    @property
    def durable(self) -> Path:
        return self.graph_root / OWN_DIRECTORY

    @property
    def volatile(self) -> Path:
        return self.run_root / OWN_DIRECTORY

    @property
    def durable_state(self) -> Path:
        return self.durable / "state"

    @property
    def volatile_state(self) -> Path:
        return self.volatile / "state"

    @property
    def volumes(self) -> Path:
        return self.volume_path or self.durable / "volumes"

    def volume(self, name: str) -> Path:
        """The directory whose `_data` is the content of a local volume."""
        return self.volumes / name

    @property
    def networks(self) -> Path:
        return self.network_config_dir or self.durable / "networks"

    @property
    def staging(self) -> Path:
        """Temporary files that end by being renamed into the graph root."""
        return self.durable / "tmp"

    @property
    def locks(self) -> Path:
        return self.volatile / "locks"

    @property
    def alive_lock(self) -> Path:
        return self.volatile / "alive.lock"

    @property
    def exits(self) -> Path:
        return self.volatile / "exits"

    def exit_file(self, ctr_id: str) -> Path:
        return self.exits / ctr_id

    def persist(self, ctr_id: str) -> Path:
        return self.volatile / "persist" / ctr_id

    @property
    def sockets(self) -> Path:
        return self.volatile / "sockets"

    @property
    def netns_directory(self) -> Path:
        return self.volatile / "netns"

    def netns(self, ctr_id: str) -> Path:
        return self.netns_directory / ctr_id

    def oci_root(self, runtime: str) -> Path:
        """Where an OCI runtime keeps the states of our containers: ours alone, so that ids need not be unique."""
        return self.volatile / "oci" / runtime

    @property
    def events_log(self) -> Path:
        return self.events_log_path or self.volatile / "events" / "events.log"

    @property
    def criu_probe(self) -> Path:
        return self.volatile / "criu.json"

    @property
    def private_directories(self) -> tuple[Path, ...]:
        """The directories that must be there, and closed to others, before the engine works."""
        return (
            self.durable,
            self.durable_state,
            self.volumes,
            self.networks,
            self.staging,
            self.volatile,
            self.volatile_state,
            self.exits,
            self.volatile / "persist",
            self.sockets,
            self.netns_directory,
            self.volatile / "oci",
            self.events_log.parent,
        )


# ---- finding the files ----------------------------------------------------------------------------------------


def container_files(environ: Mapping[str, str]) -> list[Path]:
    """The containers.conf files that apply, weakest first."""
    found: list[Path] = []
    replaced = environ.get("CONTAINERS_CONF")
    if replaced:
        found.append(Path(replaced))
    else:
        places = [Path("/usr/share/containers"), Path("/etc/containers")]
        if os.geteuid() != 0:
            home = environ.get("XDG_CONFIG_HOME") or os.path.join(environ.get("HOME", "/"), ".config")
            places.append(Path(home, "containers"))
        for place in places:
            found += _existing(place / "containers.conf")
            found += sorted(Path(name) for name in glob.glob(str(place / "containers.conf.d" / "*.conf")))
    override = environ.get("CONTAINERS_CONF_OVERRIDE")
    if override:
        found.append(Path(override))
    return found


def storage_file(environ: Mapping[str, str]) -> Path | None:
    """The storage.conf that applies, if any."""
    chosen = environ.get("CONTAINERS_STORAGE_CONF")
    if chosen:
        return Path(chosen)
    for place in ("/etc/containers/storage.conf", "/usr/share/containers/storage.conf"):
        for path in _existing(Path(place)):
            return path
    return None


def _existing(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path


# ---- reading them ---------------------------------------------------------------------------------------------


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        with open(path, "rb") as stream:
            return tomllib.load(stream)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error


@attrs.frozen
class _Key:
    """How one key of a file becomes one field."""

    field: str
    kind: str = "text"


_CONTAINER_KEYS = {
    "annotations": _Key("annotations", "texts"),
    "apparmor_profile": _Key("apparmor_profile"),
    "base_hosts_file": _Key("base_hosts_file"),
    "cgroupns": _Key("cgroup_namespace"),
    "cgroups": _Key("cgroups"),
    "default_capabilities": _Key("capabilities", "texts"),
    "default_sysctls": _Key("sysctls", "texts"),
    "default_ulimits": _Key("ulimits", "texts"),
    "devices": _Key("devices", "texts"),
    "dns_options": _Key("dns_options", "texts"),
    "dns_searches": _Key("dns_search", "texts"),
    "dns_servers": _Key("dns_servers", "texts"),
    "env": _Key("env", "texts"),
    "env_host": _Key("env_host", "bool"),
    "host_containers_internal_ip": _Key("host_containers_internal_ip"),
    "init": _Key("init", "bool"),
    "init_path": _Key("init_path"),
    "ipcns": _Key("ipc_namespace"),
    "label": _Key("label", "bool"),
    "log_driver": _Key("log_driver"),
    "log_size_max": _Key("log_size_max", "int"),
    "log_tag": _Key("log_tag"),
    "no_hosts": _Key("no_hosts", "bool"),
    "pidns": _Key("pid_namespace"),
    "pids_limit": _Key("pids_limit", "int"),
    "privileged": _Key("privileged", "bool"),
    "read_only": _Key("read_only", "bool"),
    "seccomp_profile": _Key("seccomp_profile"),
    "shm_size": _Key("shm_size", "size"),
    "tz": _Key("timezone"),
    "umask": _Key("umask"),
    "userns": _Key("user_namespace"),
    "utsns": _Key("uts_namespace"),
    "volumes": _Key("volumes", "texts"),
}
_ENGINE_KEYS = {
    "cgroup_manager": _Key("cgroup_manager"),
    "conmon_env_vars": _Key("conmon_env", "texts"),
    "conmon_path": _Key("conmon_paths", "texts"),
    "events_logfile_max_size": _Key("events_log_max_size", "size"),
    "events_logger": _Key("events_backend"),
    "exit_command_delay": _Key("exit_command_delay", "int"),
    "hooks_dir": _Key("hooks_dirs", "texts"),
    "image_volume_mode": _Key("image_volume_mode"),
    "infra_command": _Key("infra_command"),
    "infra_image": _Key("infra_image"),
    "no_pivot_root": _Key("no_pivot_root", "bool"),
    "pull_policy": _Key("pull_policy"),
    "runtime": _Key("runtime"),
    "stop_timeout": _Key("stop_timeout", "int"),
}
_STORAGE_KEYS = {
    "driver": _Key("storage_driver"),
    "graphroot": _Key("graph_root"),
    "runroot": _Key("run_root"),
}


def read_containers_conf(path: Path, values: dict[str, Any], defaults: dict[str, Any]) -> None:
    """Lay what *path* says over *values* (fields of RuntimeConfig) and *defaults* (of ContainerDefaults)."""
    document = _read_toml(path)
    _take(path, document, "containers", _CONTAINER_KEYS, defaults, ContainerDefaults)
    _take(path, document, "engine", _ENGINE_KEYS, values, RuntimeConfig)
    containers = _table(path, document, "containers")
    if "netns" in containers:
        values["network_mode"] = _convert(path, "containers.netns", "text", containers["netns"], ())
    runtimes = _table(path, _table(path, document, "engine", "engine"), "runtimes", "engine.runtimes")
    if runtimes:
        merged = dict(values.get("runtimes", _runtimes()))
        for name, places in runtimes.items():
            merged[name] = _convert(path, f"engine.runtimes.{name}", "texts", places, ())
        values["runtimes"] = merged


def read_storage_conf(path: Path, values: dict[str, Any]) -> None:
    """Lay what the storage.conf *path* says over *values*."""
    document = _read_toml(path)
    _take(path, document, "storage", _STORAGE_KEYS, values, RuntimeConfig)
    options = _table(path, _table(path, document, "storage"), "options", "storage.options")
    stores = options.get("additionalimagestores")
    if stores is not None:
        values["image_stores"] = _convert(path, "storage.options.additionalimagestores", "texts", stores, ())
    driver = values.get("storage_driver") or "overlay"
    own = _table(path, options, driver, f"storage.options.{driver}")
    found = []
    for key in ("mountopt", "mount_program", "ignore_chown_errors", "size", "skip_mount_home", "force_mask"):
        value = own.get(key, options.get(key))
        if value:
            found.append(
                f"{driver}.{key}={_convert(path, f'storage.options.{driver}.{key}', 'text', value, ())}"
            )
    if found:
        values["storage_options"] = tuple(found)


def _table(path: Path, document: Mapping[str, Any], name: str, shown: str | None = None) -> Mapping[str, Any]:
    value = document.get(name, {})
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: {shown or name} is not a table")
    return value


def _take(
    path: Path,
    document: Mapping[str, Any],
    section: str,
    keys: Mapping[str, _Key],
    values: dict[str, Any],
    owner: type[Any],
) -> None:
    table = _table(path, document, section)
    for name, key in keys.items():
        if name in table:
            before = values.get(key.field, attrs.fields_dict(owner)[key.field].default)
            value = _convert(path, f"{section}.{name}", key.kind, table[name], before)
            if value != "":  # an empty string in these files means "as if it were not there"
                values[key.field] = value


def _convert(path: Path, shown: str, kind: str, value: Any, before: Any) -> Any:
    if kind == "texts":
        return _texts(path, shown, value, before)
    if kind == "size":
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        try:
            return parse_size(value)
        except (InvalidArgumentError, AttributeError, TypeError) as error:
            raise ConfigError(f"{path}: {shown} is {value!r}, not a size") from error
    expected = {"text": str, "bool": bool, "int": int}[kind]
    if not isinstance(value, expected) or (kind == "int" and isinstance(value, bool)):
        raise ConfigError(f"{path}: {shown} is {value!r}, not of type {expected.__name__}")
    return value


def _texts(path: Path, shown: str, value: Any, before: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ConfigError(f"{path}: {shown} is {value!r}, not a list")
    append = bool(value) and isinstance(value[-1], dict) and value[-1].get("append") is True
    items = value[:-1] if value and isinstance(value[-1], dict) else value
    for item in items:
        if not isinstance(item, str):
            raise ConfigError(f"{path}: {shown} holds {item!r}, which is not a string")
    return (tuple(before) if append else ()) + tuple(items)


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
