"""Which runtime runs containers here, and what it can do.

A binary is asked once for the life of the process, and again when it has changed (path, size, time of change).
`choose` takes the configured runtime, or failing that the first that works with this host's cgroups and can
checkpoint, or failing that the first that works at all: crun refuses hybrid cgroups as soon as cgroup v2 has
controllers, and Debian builds it without CRIU.

Covers: runtime.go (getOCIRuntime…), oci_conmon_common.go (newConmonOCIRuntime, GetOCIRuntimeInfo, SupportsCheckpoint),
libpod/define/info.go (conmon and runtime versions)
"""

from __future__ import annotations

import functools
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from libpod.define.errors import CommandError, NotSupportedError, ProgramMissingError
from libpod.linux import cgroups
from libpod.linux.process import CLEAN_PATH, find_program, run
from libpod.oci.base import RuntimeCapabilities

CANDIDATES = ("crun", "runc")
OLDEST_CONMON = (2, 0, 24)
"""The first with a --full-attach that works."""


def choose(
    configured: str | None = None,
    *,
    candidates: Sequence[str] = CANDIDATES,
    places: Mapping[str, Sequence[str]] | None = None,
    path_env: str | None = None,
) -> RuntimeCapabilities:
    """The runtime to use: *configured* (a name or a path), else the best of *candidates*.

    *places* lists for a name the paths to look at before PATH, as in containers.conf. Raises ProgramMissingError when
    there is none, and NotSupportedError when none works on this host or the configured one does not.
    """
    if configured:
        found = _find(configured, places or {}, path_env)
        if found is None:
            raise ProgramMissingError(configured, purpose="run containers")
        runtime = probe(found)
        if not runtime.works_here:
            raise NotSupportedError(
                f"{found} {runtime.version} cannot run containers here: {runtime.obstacle}",
                resolution="configure another runtime",
            )
        return runtime
    there = [probe(path) for name in candidates if (path := _find(name, places or {}, path_env)) is not None]
    if not there:
        raise ProgramMissingError(" or ".join(candidates), purpose="run containers")
    working = [runtime for runtime in there if runtime.works_here]
    if not working:
        reasons = "; ".join(f"{runtime.path}: {runtime.obstacle}" for runtime in there)
        raise NotSupportedError(f"no OCI runtime works on this host ({reasons})", resolution="install runc")
    return next((runtime for runtime in working if runtime.can_checkpoint), working[0])


def conmon_version(conmon: Path) -> str:
    """conmon's version, e.g. 2.1.6; NotSupportedError when it is too old. Asked once."""
    version = _conmon_version(*_fingerprint(conmon))
    if version_tuple(version) < OLDEST_CONMON:
        raise NotSupportedError(
            f"{conmon} is version {version}", resolution="conmon 2.0.24 or later is needed: update it"
        )
    return version


def probe(path: Path) -> RuntimeCapabilities:
    """What the runtime *path* is and can do. Asked once."""
    return _probe(*_fingerprint(path))


def version_tuple(version: str) -> tuple[int, ...]:
    """The leading numbers of a version, to compare."""
    return tuple(int(number) for number in re.findall(r"\d+", version.split("-")[0].split("+")[0])[:4])


def obstacle(name: str) -> str:
    """Why a runtime of this name cannot make containers with this host's cgroups; empty when it can."""
    if name != "crun" or cgroups.mode() is not cgroups.CgroupMode.HYBRID:
        return ""
    taken = sorted(cgroups.unified_controllers())
    if not taken:
        return ""
    return f"crun refuses hybrid cgroups while cgroup v2 has controllers ({', '.join(taken)})"


def _find(name: str, places: Mapping[str, Sequence[str]], path_env: str | None) -> Path | None:
    for place in places.get(name, ()):
        if os.access(place, os.X_OK):
            return Path(place)
    if "/" in name:
        return Path(name) if os.access(name, os.X_OK) else None
    found = find_program(name, path=path_env or CLEAN_PATH)
    return Path(found) if found else None


def _fingerprint(path: Path) -> tuple[Path, int, int]:
    try:
        status = os.stat(path)
    except FileNotFoundError as error:
        raise ProgramMissingError(str(path), purpose="run containers") from error
    return path, status.st_size, status.st_mtime_ns


@functools.cache
def _conmon_version(path: Path, _size: int, _changed: int) -> str:
    text = run([path, "--version"], timeout=60).stdout.decode(errors="replace")
    return _version_in(text)


@functools.cache
def _probe(path: Path, _size: int, _changed: int) -> RuntimeCapabilities:
    text = run([path, "--version"], timeout=60).stdout.decode(errors="replace")
    name = text.split(maxsplit=1)[0] if text.strip() else path.name
    reason = obstacle(name)
    return RuntimeCapabilities(
        name=name,
        path=path,
        version=_version_in(text),
        version_text=text,
        can_checkpoint=_accepts(path, "checkpoint", "--help"),
        works_here=not reason,
        obstacle=reason,
        features=_features(path),
    )


def _version_in(text: str) -> str:
    """The version in what --version printed: `runc version 1.1.5+ds1`, `crun version 1.8.1`, `conmon version 2.1.6`."""
    found = re.search(r"(\d+\.\d+[^\s,]*)", text)
    return found.group(1) if found else "0"


def _accepts(*argv: Path | str) -> bool:
    try:
        run(argv, timeout=60)
    except CommandError:
        return False
    return True


def _features(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(run([path, "features"], timeout=60).stdout)
    except (CommandError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}
