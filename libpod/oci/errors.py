"""What the runtime said, as one of our errors.

The text comes from the runtime's JSON log (several lines are possible; `fatal` lines hold the cause of the `error`
after them), else from conmon's message, else from what conmon printed. podman looks for "no such file or directory"
anywhere and so calls a missing bind source a missing command; here the phrases around it decide.

Covers: oci_util.go (getOCIRuntimeError), oci_conmon_common.go (writeConmonPipeData, readConmonPipeData)
"""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Callable
from pathlib import Path

from libpod.define.errors import (
    CheckpointError,
    CommandNotExecutableError,
    CommandNotFoundError,
    ContainerExistsError,
    InvalidStateError,
    LibpodError,
    NotPrivilegedError,
    OciRuntimeError,
    RestoreError,
    last_lines,
)


class Phase(enum.StrEnum):
    """What was being done; the value is how messages say it."""

    CREATE = "create"
    RESTORE = "restore"
    START = "start"
    EXEC = "exec in"
    DELETE = "delete"
    PAUSE = "pause"
    RESUME = "resume"
    UPDATE = "update"
    CHECKPOINT = "checkpoint"


_NOISE = (
    r"^(?:(?:runc|crun)(?: \w+ failed)?: |(?:create|exec|restore) failed: |[a-z_]+\.go:\d+: "
    r"|unable to start container process: |starting container process caused: |OCI runtime error: "
    r"|error during container init: |container init caused: |process_linux\.go:\d+: )+"
)

_NOT_EXECUTABLE = (
    r'exec: "[^"]*": (?:permission denied|is a directory)'
    r"|exec container process (?:\(missing dynamic library\?\) )?`[^`]*`: (?:permission denied|is a directory)"
    r"|open executable: permission denied|exec \S+: permission denied|stat `[^`]*`: permission denied"
    r"|path `[^`]*` (?:is not executable|is a directory)|exec format error"
)
_NOT_FOUND = (
    r'exec: "[^"]*": (?:executable file not found|stat [^:]*: no such file or directory|stat [^:]*: not a directory)'
    r"|executable file (?:`[^`]*` |\S+ )?not found"
    r"|exec container process (?:\(missing dynamic library\?\) )?`[^`]*`: no such file"
    r"|open executable: no such file|exec: \S+: not found|exec \S+: no such file or directory"
)
_UNKNOWN = (
    r"container(?: \"[^\"]*\"| `[^`]*`)? does not exist"
    r"|error opening file [`'][^`']*/status[`']: no such file or directory"
)
_EXISTS = r"container with (?:given|that) ID already exists|container `[^`]*` already exists"
_STATE = (
    r"container (?:`[^`]*` )?(?:is )?not running|container still running|container not paused|container (?:is )?paused"
    r"|cannot exec in a (?:stopped|paused) container|the container `[^`]*` is (?:not in|paused|not paused)"
    r"|cannot start (?:an already running container|a container)|container process is already dead"
    r"|cannot delete container .* that is not stopped|cannot checkpoint a stopped|exec container .* not running"
    r"|container .* is not (?:in|paused)"
)
_CRIU_LOG = r"log file: (\S+)"

# What else the text may show, and what to do about it.
_ADVICE = (
    (r"error mounting .*no such file or directory", "check that every source of a mount exists"),
    (r"invalid rootfs|rootfs path .*does not exist", "the container's root file system is not mounted"),
    (r"config\.json not found|open `?config\.json", "the bundle has no config.json"),
    (r"unexpected (?:EOF|end of JSON)", "config.json in the bundle is damaged"),
    (r"namespace path: lstat", "a namespace the container joins is gone; start what it belongs to first"),
    (
        r"not in a separate kernel namespace",
        "give the container its own namespace or leave the sysctl out",
    ),
    (r"error setting rlimit|setrlimit", "ask for a limit within the caller's own hard limits"),
    (r"unable to apply caps|set capabilities", "ask only for capabilities that the caller holds"),
    (r"oom_score_adj", "an OOM score below the caller's own needs CAP_SYS_RESOURCE"),
    (r"unable to set memory limit|memory limit too low", "raise the memory limit"),
    (r"hybrid mode not supported", "use runc on this host, or drop the controllers of cgroup v2"),
    (r"unixpacket .*EOF", "CRIU crashed: update it"),
)


def log_text(content: str) -> str:
    """The messages of a runtime's JSON log that tell what went wrong: every fatal one, then the last error."""
    fatal: list[str] = []
    error = ""
    for line in content.splitlines():
        try:
            entry = json.loads(line, strict=False)
        except ValueError:
            continue
        if not isinstance(entry, dict):
            continue
        level, message = entry.get("level"), str(entry.get("msg", "")).strip()
        if level == "fatal":
            fatal.append(message)
        elif level == "error":
            error = message
    return "\n".join([*fatal, error] if error else fatal)


def read_log(path: Path) -> str:
    """`log_text` of a file; empty when there is none."""
    try:
        return log_text(path.read_text(errors="surrogateescape"))
    except FileNotFoundError:
        return ""


def _says(pattern: str, text: str) -> bool:
    """Patterns are compiled here, by the first error: whoever runs containers loads this module."""
    return re.search(pattern, text, re.IGNORECASE) is not None


def is_unknown(text: str) -> bool:
    """Whether the runtime does not know the container."""
    return _says(_UNKNOWN, text)


def criu_reason(log: Path) -> str:
    """The lines of a CRIU log that say what failed, at most the last four; empty without a log."""
    try:
        with open(log, errors="replace") as stream:
            lines = [line.split("Error (", 1)[1] for line in stream if "Error (" in line]
    except FileNotFoundError:
        return ""
    # "Error (criu/tty.c:123): tty: …": the place in CRIU's source helps nobody here. One complaint is harmless.
    reasons = [line.partition("): ")[2].strip() or line.strip() for line in lines]
    return "; ".join(
        [reason for reason in reasons if "Can't setup RLIMIT_NOFILE for self" not in reason][-4:]
    )


def runtime_error(phase: Phase, container: str, text: str, *, criu_log: Path | None = None) -> LibpodError:
    """The error that *text* (of the runtime, of conmon) means."""
    details = last_lines(text) or None
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    cause = re.sub(_NOISE, "", lines[-1]) if lines else "conmon ended without a report"
    advice = next((words for pattern, words in _ADVICE if _says(pattern, text)), None)
    if phase in (Phase.CHECKPOINT, Phase.RESTORE) and (
        failed := _criu_error(phase, container, text, criu_log)
    ):
        return failed
    message = f"cannot {phase} container {container}: {cause}"
    if _says(_EXISTS, text):
        return ContainerExistsError(
            container,
            message=f"cannot {phase} container {container}: the OCI runtime holds one with this ID already",
            resolution="delete it from the runtime first",
        )
    if _says(_STATE, text):
        return InvalidStateError(message, details=details)
    if phase in (Phase.CREATE, Phase.EXEC, Phase.START, Phase.RESTORE):
        make: Callable[..., LibpodError]
        for pattern, make in (
            (_NOT_EXECUTABLE, CommandNotExecutableError),
            (_NOT_FOUND, CommandNotFoundError),
        ):
            if _says(pattern, text):
                return make(message, details=details)
    if phase is Phase.UPDATE and _says(r"permission denied|operation not permitted", text):
        return NotPrivilegedError(message, resolution=advice, details=details)
    if phase in (Phase.CHECKPOINT, Phase.RESTORE):
        kind, step = _CRIU_KINDS[phase]
        return kind(container=container, step=step, cause=cause, resolution=advice, details=details)
    return OciRuntimeError(message, resolution=advice, details=details)


_CRIU_KINDS: dict[Phase, tuple[type[CheckpointError] | type[RestoreError], str]] = {
    Phase.CHECKPOINT: (CheckpointError, "dumping"),
    Phase.RESTORE: (RestoreError, "restoring"),
}


def _criu_error(phase: Phase, container: str, text: str, criu_log: Path | None) -> LibpodError | None:
    """The error for a failure of CRIU, with the reason out of its log; None when CRIU was not the one that failed."""
    if "criu" not in text.lower() and "unixpacket" not in text:
        return None
    named = re.search(_CRIU_LOG, text)
    log = Path(named.group(1)) if named else criu_log
    reason = criu_reason(log) if log is not None else ""
    crashed = "unixpacket" in text
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("log file:")]
    cause = reason or (
        "CRIU crashed" if crashed else re.sub(_NOISE, "", lines[-1].strip()) if lines else "no report"
    )
    kind, step = _CRIU_KINDS[phase]
    return kind(
        container=container,
        step=step,
        cause=cause,
        resolution="update CRIU" if crashed else None,
        details=last_lines(text) or None,
        log=str(log) if log is not None else None,
    )
