"""What registries.conf says about short names.

Read are `unqualified-search-registries`, `[aliases]`, `short-name-mode` and which registries are insecure (for the few
questions that we ask ourselves). Mirrors and blocked registries concern the transfer and are left to skopeo, which
reads the same files; `environment` hands it the ones we were told to use. Order, later wins:

1. the main file: $CONTAINERS_REGISTRIES_CONF, else the user's, else /etc/containers/registries.conf, else the one of
   /usr/share/containers; version 1 of the format (`[registries.search]`) is understood;
2. drop-ins `registries.conf.d/*.conf` of the system, then of the user, each folder in the order of the file names –
   unless the main file was given explicitly;
3. for aliases only: the cache that podman fills when a person has chosen (`short-name-aliases.conf`).

Covers: image/pkg/sysregistriesv2 (short names)
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from libpod.define.errors import ConfigError

_MODES = ("permissive", "enforcing", "disabled")


class RegistriesConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The effective answer of all files."""

    search: tuple[str, ...] = ()
    """The unqualified-search registries, in the order of trial."""
    aliases: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Short repository name → full repository name."""
    short_name_mode: str = "permissive"
    insecure: frozenset[str] = frozenset()
    """The registries whose `[[registry]]` entry allows plain HTTP and unknown certificates."""
    path: str = ""
    """The main file, for messages."""
    explicit: bool = False
    """Whether the main file was asked for, so that skopeo must be told too."""

    def environment(self) -> dict[str, str]:
        """What skopeo needs in its environment to read the same files."""
        return {"CONTAINERS_REGISTRIES_CONF": self.path} if self.explicit else {}


def read_registries(
    path: Path | None = None, *, environ: Mapping[str, str] | None = None
) -> RegistriesConfig:
    """The configuration of this machine and user; *path* replaces the search for the main file.

    No file at all is an empty configuration. Raises ConfigError for a file that cannot be read or is malformed.
    """
    env = os.environ if environ is None else environ
    named = str(path) if path is not None else env.get("CONTAINERS_REGISTRIES_CONF", "")
    home = Path(env.get("HOME") or "/")
    user = Path(env.get("XDG_CONFIG_HOME") or home / ".config") / "containers"
    folders = [Path("/etc/containers"), user]
    if named:
        files = [Path(named)]
        main = named
    else:
        candidates = [
            folder / "registries.conf"
            for folder in (user, Path("/etc/containers"), Path("/usr/share/containers"))
        ]
        files = [candidate for candidate in candidates if candidate.exists()][:1]
        main = str(files[0] if files else candidates[1])
        files += [
            file for folder in folders for file in sorted((folder / "registries.conf.d").glob("*.conf"))
        ]
    config = RegistriesConfig(path=main, explicit=bool(named))
    for file in files:
        config = merged(config, _load(file), file=str(file))
    cache = _alias_cache(home, env)
    return merged(config, _load(cache), file=str(cache)) if cache.exists() else config


def merged(config: RegistriesConfig, document: Mapping[str, Any], *, file: str) -> RegistriesConfig:
    """*config* overridden by what one file says; an alias that is set to nothing is removed."""
    changes: dict[str, Any] = {}
    search = document.get("unqualified-search-registries")
    if search is None:
        v1 = document.get("registries")
        search = v1.get("search", {}).get("registries") if isinstance(v1, dict) else None
    if search is not None:
        if not isinstance(search, list) or not all(isinstance(item, str) for item in search):
            raise ConfigError(f"{file} is malformed: unqualified-search-registries is not a list of strings")
        changes["search"] = tuple(search)
    mode = document.get("short-name-mode")
    if mode is not None:
        if mode not in _MODES:
            raise ConfigError(
                f"{file} is malformed: short-name-mode is {mode!r}, not one of {', '.join(_MODES)}"
            )
        changes["short_name_mode"] = mode
    aliases = document.get("aliases")
    if aliases is not None:
        if not isinstance(aliases, dict) or not all(isinstance(item, str) for item in aliases.values()):
            raise ConfigError(f"{file} is malformed: [aliases] is not a table of strings")
        changes["aliases"] = {name: full for name, full in (dict(config.aliases) | aliases).items() if full}
    entries = document.get("registry")
    if isinstance(entries, list):
        allowed = {_place(entry): bool(entry.get("insecure")) for entry in entries if isinstance(entry, dict)}
        kept = config.insecure - {place for place, insecure in allowed.items() if not insecure}
        changes["insecure"] = kept | {place for place, insecure in allowed.items() if insecure}
    return msgspec.structs.replace(config, **changes)


def _place(entry: Mapping[str, Any]) -> str:
    return str(entry.get("location") or entry.get("prefix") or "").partition("/")[0]


def _load(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            return tomllib.load(stream)
    except FileNotFoundError:
        raise ConfigError(f"the registries configuration {path} does not exist") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error


def _alias_cache(home: Path, env: Mapping[str, str]) -> Path:
    if os.geteuid() == 0:
        return Path("/var/cache/containers/short-name-aliases.conf")
    return Path(env.get("XDG_CACHE_HOME") or home / ".cache") / "containers" / "short-name-aliases.conf"
