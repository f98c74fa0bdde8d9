"""containers.conf and storage.conf: where they are, and what each known key becomes.

Order of rising precedence: `/usr/share/containers/containers.conf`, `/etc/containers/containers.conf`, the drop-ins
`/etc/containers/containers.conf.d/*.conf` by name, the user's file and drop-ins under `$XDG_CONFIG_HOME/containers`
when not root, the file in `$CONTAINERS_CONF_OVERRIDE`. `$CONTAINERS_CONF` replaces all but the last. An array whose
last element is `{append=true}` adds to what is there. Storage: `$CONTAINERS_STORAGE_CONF`, else
`/etc/containers/storage.conf`, else `/usr/share/containers/storage.conf`; one file only, as the storage library does.

Keys that this version does not know are left alone: the files belong to every container tool of the machine. Keys it
knows are checked, and a wrong one is a ConfigError that names file and key. The keys that name an engine's directories
(`tmp_dir`, `static_dir`, `num_locks`, …) are podman's and are not read.

Covers: pkg/config of the common library (reading), storage/types/options.go
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from libpod.define.errors import ConfigError, InvalidArgumentError
from libpod.model.units import parse_size

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
    import tomllib

    try:
        with open(path, "rb") as stream:
            return tomllib.load(stream)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error


class _Key(msgspec.Struct, frozen=True):
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
_NETWORK_KEYS = {
    "network_backend": _Key("network_backend"),
}
"""Nothing of podman's networks: their subnets and directories are its own."""
_STORAGE_KEYS = {
    "driver": _Key("storage_driver"),
    "graphroot": _Key("graph_root"),
    "runroot": _Key("run_root"),
}


_DRIVER_OPTIONS = (
    "mountopt",
    "mount_program",
    "ignore_chown_errors",
    "size",
    "inodes",
    "skip_mount_home",
    "force_mask",
    "use_composefs",
)


def read_containers_conf(path: Path, values: dict[str, Any], defaults: dict[str, Any]) -> None:
    """Lay what *path* says over *values* (the fields of RuntimeConfig) and *defaults* (of ContainerDefaults)."""
    document = _read_toml(path)
    _take(path, document, "containers", _CONTAINER_KEYS, defaults)
    _take(path, document, "engine", _ENGINE_KEYS, values)
    _take(path, document, "network", _NETWORK_KEYS, values)
    if values["network_backend"] == "cni":
        values["network_backend"] = (
            ""  # what podman 4 can still have; here it is as if the key were not there
        )
    containers = _table(path, document, "containers")
    if "netns" in containers:
        values["network_mode"] = _convert(path, "containers.netns", "text", containers["netns"], ())
    runtimes = _table(path, _table(path, document, "engine", "engine"), "runtimes", "engine.runtimes")
    if runtimes:
        merged = dict(values["runtimes"])
        for name, places in runtimes.items():
            merged[name] = _convert(path, f"engine.runtimes.{name}", "texts", places, ())
        values["runtimes"] = merged


def read_storage_conf(path: Path, values: dict[str, Any]) -> None:
    """Lay what the storage.conf *path* says over *values*."""
    document = _read_toml(path)
    _take(path, document, "storage", _STORAGE_KEYS, values)
    storage = _table(path, document, "storage")
    options = _table(path, storage, "options", "storage.options")
    _refuse_split_stores(path, storage, options)
    stores = options.get("additionalimagestores")
    if stores is not None:
        values["image_stores"] = _convert(path, "storage.options.additionalimagestores", "texts", stores, ())
    driver = values["storage_driver"]
    own = _table(path, options, driver, f"storage.options.{driver}")
    found = []
    for key in _DRIVER_OPTIONS:
        value = own.get(key, options.get(key))
        if value:
            found.append(
                f"{driver}.{key}={_convert(path, f'storage.options.{driver}.{key}', 'text', value, ())}"
            )
    if found:
        values["storage_options"] = tuple(found)


def _refuse_split_stores(path: Path, storage: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    """Layouts in which records or layers lie elsewhere: whoever did not know of them would write beside them."""
    for shown, value, meaning in (
        ("storage.transient_store", storage.get("transient_store"), "containers that a reboot forgets"),
        ("storage.imagestore", storage.get("imagestore"), "images in another place than containers"),
        ("storage.options.additionallayerstores", options.get("additionallayerstores"), "layers of a plugin"),
    ):
        if value:
            raise ConfigError(
                f"{path}: {shown} asks for {meaning}, which libpod cannot do",
                resolution="take it out, or give libpod a storage.conf of its own in $CONTAINERS_STORAGE_CONF",
            )


def _table(path: Path, document: Mapping[str, Any], name: str, shown: str | None = None) -> Mapping[str, Any]:
    value = document.get(name, {})
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: {shown or name} is not a table")
    return value


def _take(
    path: Path, document: Mapping[str, Any], section: str, keys: Mapping[str, _Key], values: dict[str, Any]
) -> None:
    table = _table(path, document, section)
    for name, key in keys.items():
        if name in table:
            value = _convert(path, f"{section}.{name}", key.kind, table[name], values[key.field])
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
