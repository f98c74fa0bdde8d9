"""Which programs run containers here, and the environment they get.

Children get a small environment of our making. PATH decides which criu, iptables and tar the runtime and CRIU find;
it is short because CRIU tries every entry for every helper. conmon, the runtime, its hooks and the exit command all
see it.

Covers: oci_conmon_common.go (the environment part of createOCIContainer), oci_conmon_linux.go
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from libpod.linux.process import CLEAN_PATH


class Programs(msgspec.Struct, frozen=True, kw_only=True):
    """conmon, the runtime, and their environment."""

    conmon: Path
    runtime: Path
    runtime_name: str
    """runc, crun, or whatever the runtime calls itself."""
    environment: Mapping[str, str]


def child_environment(
    *, criu_directory: Path | None = None, path_env: str | None = None, extra: Sequence[str] = ()
) -> dict[str, str]:
    """The environment of conmon and the runtime; *extra* are NAME=value words of the configuration."""
    path = path_env or CLEAN_PATH
    if criu_directory is not None:
        path = f"{criu_directory}:{path}"
    # The runtimes of root derive nothing from XDG_RUNTIME_DIR when it is empty.
    environment = {"LC_ALL": "C.UTF-8", "HOME": os.environ.get("HOME", "/root")}
    for word in extra:
        name, equals, value = word.partition("=")
        if equals:
            environment[name] = value
    environment["PATH"] = path
    environment["XDG_RUNTIME_DIR"] = ""
    if os.geteuid() != 0:
        for name in ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"):
            if name in os.environ:
                environment[name] = os.environ[name]
    return environment
