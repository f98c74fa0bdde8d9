"""Which criu is used, which version it is, and what it can do on this kernel.

Found in this order: the path that was configured, `$LIBPOD_CRIU`, the prefix that the set-up script fills
(`/opt/libpod-criu/bin/criu`), PATH. The first that exists is taken; whether it works is then found out by asking it:

* `criu --version`, a number as podman writes it (40201 for 4.2.1);
* `criu check`, which knows what a kernel has, not how it has changed since CRIU was made;
* a real dump, where `check` is known to be wrong: Linux from 6.16 on and CRIU before 4.2 agree in `check` and then
  cannot dump any process with an IP socket. A child with a listening socket is frozen and left running; half a
  second. Newer or older pairs are not probed.

The answers are kept in one small file a cache directory, keyed by boot id, path, change time and size of the program:
a reboot, an upgrade and another kernel ask anew. A kill leaves the old file or the new one.

Covers: pkg/criu/criu.go, pkg/criu/criu_unsupported.go
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from libpod.define.errors import CommandError, NotSupportedError, ProgramMissingError
from libpod.linux.files import write_atomic
from libpod.linux.process import find_program, run, spawned

logger = logging.getLogger(__name__)

PREFIX = Path("/opt/libpod-criu/bin/criu")
ENVIRONMENT_KEY = "LIBPOD_CRIU"

MINIMUM = 31100
"""podman's MinCriuVersion."""
NEW_SOCKETS = 40200
"""The first CRIU that dumps IP sockets on Linux 6.16 and later."""
CAN_LEAVE_NETWORK = 31900
"""The first CRIU that can be told not to lock the network of what it dumps."""
_NEW_SOCKETS_KERNEL = (6, 16)
_TIMEOUT = 60.0
_CACHE_FORMAT = 2


class CriuStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What was found out about one criu on this kernel."""

    path: Path
    version: int
    """30000 for 3.0, 40201 for 4.2.1; 0 if it does not say."""
    problem: str | None = None
    """Why it does not work here, in one clause; None when it does."""

    @property
    def version_text(self) -> str:
        """The version as people write it."""
        return format_version(self.version)


class CriuNeeds(msgspec.Struct, frozen=True, kw_only=True):
    """What an operation asks of CRIU."""

    version: int = MINIMUM
    features: tuple[str, ...] = ()
    """Names for `criu check --feature`; MEMORY_TRACKING for a pre-checkpoint."""
    purpose: str = "checkpoint or restore a container"


MEMORY_TRACKING = "mem_dirty_track"
LAZY_PAGES = "uffd-noncoop"


def find_criu(configured: Path | None = None) -> Path:
    """The criu that this library and its OCI runtime use; raises ProgramMissingError.

    One that was named, by the configuration or the environment, and does not exist is an error, never replaced by
    another one silently.
    """
    named = configured or (Path(os.environ[ENVIRONMENT_KEY]) if os.environ.get(ENVIRONMENT_KEY) else None)
    if named is not None:
        if not os.access(named, os.X_OK) or named.is_dir():
            raise ProgramMissingError(
                str(named),
                purpose="checkpoint and restore containers",
                resolution=f"correct the configuration or {ENVIRONMENT_KEY}, or take it out",
            )
        return named
    if os.access(PREFIX, os.X_OK):
        return PREFIX
    found = find_program("criu")
    if found is None:
        raise ProgramMissingError(
            "criu",
            purpose="checkpoint and restore containers",
            resolution="run the set-up script, or install criu",
        )
    return Path(found)


def runtime_environment(criu: Path) -> dict[str, str]:
    """What an OCI runtime needs in its environment to find this criu: runc looks for `criu` on PATH."""
    path = os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
    directory = str(criu.parent)
    return {"PATH": path if path.split(":", 1)[0] == directory else f"{directory}:{path}"}


def parse_version(text: str) -> int:
    """The number in what `criu --version` prints: `Version: 4.2.1` is 40201; 0 if there is none."""
    found = re.search(r"^Version:\s*v?(\d+)(?:\.(\d+))?(?:\.(\d+))?", text, re.MULTILINE)
    if found is None:
        return 0
    major, minor, patch = (int(part or 0) for part in found.groups())
    return major * 10000 + minor * 100 + patch


def format_version(version: int) -> str:
    """4.2.1 for 40201, 4.2 for 40200."""
    major, minor, patch = version // 10000, version // 100 % 100, version % 100
    return f"{major}.{minor}.{patch}" if patch else f"{major}.{minor}"


def criu_status(configured: Path | None = None, *, cache: Path | None = None) -> CriuStatus:
    """What the criu in use can do here; probed once a boot when a *cache* file is given.

    Raises ProgramMissingError when there is none.
    """
    path = find_criu(configured)
    key = _cache_key(path)
    if cache is not None:
        remembered = _remembered(cache, key)
        if remembered is not None:
            return CriuStatus(path=path, version=remembered.version, problem=remembered.problem)
    status = _probe(path)
    if cache is not None:
        _remember(cache, key, _Facts(version=status.version, problem=status.problem))
    return status


def has_feature(feature: str, configured: Path | None = None, *, cache: Path | None = None) -> bool:
    """Whether this CRIU and kernel have a feature by its name for `criu check --feature`; cached likewise."""
    path = find_criu(configured)
    key = _cache_key(path)
    remembered = _remembered(cache, key) if cache is not None else None
    if remembered is not None and feature in remembered.features:
        return remembered.features[feature]
    # 1 means "not supported"; another status would be a CRIU that does not know the word: not supported either.
    answer = run([path, "check", "--feature", feature], accept=range(256), timeout=_TIMEOUT)
    supported = answer.returncode == 0
    if cache is not None and remembered is not None:
        _remember(
            cache,
            key,
            msgspec.structs.replace(remembered, features=remembered.features | {feature: supported}),
        )
    return supported


def describe_cpu(configured: Path | None = None, *, cache: Path | None = None) -> str:
    """This processor as CRIU describes it, in base64 so that it can travel as a word; empty where it does not."""
    from libpod.checkpoint import cpuinfo

    path = find_criu(configured)
    key = _cache_key(path)
    remembered = _remembered(cache, key) if cache is not None else None
    if remembered is not None and remembered.cpuinfo is not None:
        return remembered.cpuinfo
    description = cpuinfo.describe(path)
    if cache is not None and remembered is not None:
        _remember(cache, key, msgspec.structs.replace(remembered, cpuinfo=description))
    return description


def require_criu(
    needs: CriuNeeds | None = None, configured: Path | None = None, *, cache: Path | None = None
) -> CriuStatus:
    """The criu in use, or NotSupportedError with the version found and the version needed.

    Raises ProgramMissingError when there is none.
    """
    needs = needs or CriuNeeds()
    status = criu_status(configured, cache=cache)
    wanted = max(needs.version, NEW_SOCKETS if _kernel() >= _NEW_SOCKETS_KERNEL else 0)
    if status.problem is not None:
        raise NotSupportedError(
            f"criu {status.version_text} ({status.path}) does not work on Linux {os.uname().release}: "
            f"{status.problem}",
            resolution=f"use criu {format_version(wanted)} or newer, which the set-up script installs",
        )
    if status.version < needs.version:
        raise NotSupportedError(
            f"criu {format_version(needs.version)} is needed to {needs.purpose}, and {status.path} is "
            f"{status.version_text}",
            resolution=f"install criu {format_version(wanted)} or newer",
        )
    for feature in needs.features:
        if not has_feature(feature, configured, cache=cache):
            raise NotSupportedError(
                f"criu {status.version_text} on Linux {os.uname().release} lacks {feature}, which is needed to "
                f"{needs.purpose}",
                resolution=_FEATURE_CURES.get(feature),
            )
    return status


_FEATURE_CURES = {
    MEMORY_TRACKING: "make a plain checkpoint, or use a kernel with CONFIG_MEM_SOFT_DIRTY",
    LAZY_PAGES: "restore without lazy pages, or use a kernel with userfaultfd",
}


# ---- probing -----------------------------------------------------------------------------------------------------


def _kernel() -> tuple[int, int]:
    found = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _probe(path: Path) -> CriuStatus:
    try:
        version = parse_version(run([path, "--version"], timeout=_TIMEOUT).stdout.decode(errors="replace"))
    except CommandError as error:
        return CriuStatus(path=path, version=0, problem=f"it does not start ({error.message})")
    try:
        run([path, "check"], timeout=_TIMEOUT)
    except CommandError as error:
        from libpod.checkpoint.explain import explain_text  # large, and only wanted when something failed

        said = explain_text(error.stderr, "dump")
        return CriuStatus(path=path, version=version, problem=said.cause if said else error.message)
    problem = None
    if _kernel() >= _NEW_SOCKETS_KERNEL and version < NEW_SOCKETS:
        problem = probe_dump(path)
    return CriuStatus(path=path, version=version, problem=problem)


_SUBJECT = """
import os, socket, sys
os.setsid()
keep = socket.create_server(("127.0.0.1", 0))
sys.stdout.write("ready\\n"); sys.stdout.flush()
null = os.open(os.devnull, os.O_RDWR)
for fd in (0, 1, 2):
    os.dup2(null, fd)
os.close(null)
while True:
    __import__("signal").pause()
"""


def probe_dump(criu: Path) -> str | None:
    """Freeze a child with a listening IP socket and let it run on; None when that works, else why not."""
    import select
    import tempfile

    own = [sys.executable, "-I", "-S", "-c", _SUBJECT]
    with tempfile.TemporaryDirectory(prefix="libpod-criu-") as directory:
        read_end, write_end = os.pipe2(os.O_CLOEXEC)
        try:
            with spawned(own, stdout=write_end, cwd="/") as child:
                try:
                    os.close(write_end)
                    write_end = -1
                    ready, _, _ = select.select([read_end], [], [], _TIMEOUT)
                    if not ready or os.read(read_end, 16) != b"ready\n":
                        return None  # no Python to freeze, or no loopback: nothing is known, so nothing is refused
                    return _dump(criu, child.pid, Path(directory))
                finally:
                    child.kill()
        finally:
            os.close(read_end)
            if write_end >= 0:
                os.close(write_end)


def _dump(criu: Path, pid: int, directory: Path) -> str | None:
    argv: Sequence[str | Path] = [
        criu, "dump",
        "--tree", str(pid),
        "--images-dir", directory,
        "--leave-running",
        "--log-file", "dump.log",
        "-v2",
    ]  # fmt: skip
    try:
        run(argv, timeout=_TIMEOUT)
    except CommandError as error:
        from libpod.checkpoint.explain import explain_log

        said = explain_log(directory / "dump.log", "dump")
        return said.cause if said is not None else f"a trial dump failed ({error.message})"
    return None


# ---- cache -------------------------------------------------------------------------------------------------------


class _Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What the cache keeps of one criu."""

    version: int
    problem: str | None
    features: dict[str, bool] = msgspec.field(default_factory=dict)
    cpuinfo: str | None = None
    """This processor in CRIU's words; None when it was not asked yet."""


def _cache_key(path: Path) -> str:
    found = os.stat(path)
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot} {os.uname().release} {path} {found.st_mtime_ns} {found.st_size}"


def _remembered(cache: Path, key: str) -> _Facts | None:
    """What the cache says for *key*; None if it says nothing, or nothing that can be read."""
    try:
        document = json.loads(cache.read_bytes())
        if document["format"] != _CACHE_FORMAT or document["key"] != key:
            return None
        facts = document["facts"]
        problem = facts["problem"]
        return _Facts(
            version=int(facts["version"]),
            problem=None if problem is None else str(problem),
            features={str(name): bool(value) for name, value in facts["features"].items()},
            cpuinfo=None if facts["cpuinfo"] is None else str(facts["cpuinfo"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # absent, of another version, or damaged: asked anew


def _remember(cache: Path, key: str, facts: _Facts) -> None:
    document = {"format": _CACHE_FORMAT, "key": key, "facts": msgspec.structs.asdict(facts)}
    try:
        write_atomic(cache, json.dumps(document).encode(), durable=False)
    except OSError as error:
        # Asked again next time: slower, not wrong.
        logger.debug("the answers of criu cannot be kept in %s: %s", cache, error)
