"""Errors become one line and an exit code: podman's.

    125   the engine refused or failed, or the command line makes no sense
    126   the command exists in the container and cannot be run
    127   the command does not exist in the container
    other the container's own, of run, start -a, exec and attach

Some verbs tell scripts more; `OF_VERB` lists them.

Covers: cmd/podman/registry/registry.go (exit codes), libpod/define/exec_codes.go
"""

from __future__ import annotations

import sys

import libpod
from libpod_cli.parser import UsageError

GENERIC = 125

EXPECTED = (libpod.LibpodError, OSError, UsageError)
"""What a user can cause. Anything else is a bug of ours and keeps its traceback."""

CODES: tuple[tuple[type[BaseException], int], ...] = (
    (libpod.CommandNotFoundError, 127),
    (libpod.CommandNotExecutableError, 126),
    (libpod.OciRuntimeError, 126),
)

_REMOVAL = ((libpod.NotFoundError, 1), (libpod.InUseError, 2), (libpod.ContainerStateError, 2))
OF_VERB: dict[str, tuple[tuple[type[BaseException], int], ...]] = {
    "rm": _REMOVAL,
    "rmi": _REMOVAL,
    "volume rm": _REMOVAL,
    "network rm": _REMOVAL,
    "exec": ((libpod.ContainerStateError, 255),),
}


def exit_code(error: BaseException, verb: str = "") -> int:
    """The exit code for *error*, raised by *verb*."""
    verb = verb.removeprefix("container ").replace("image rm", "rmi")
    for kind, code in (*OF_VERB.get(verb, ()), *CODES):
        if isinstance(error, kind):
            return code
    return GENERIC


def sentence(error: BaseException) -> str:
    """The one line that is shown."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def report(error: BaseException, verb: str = "") -> int:
    """Print the line and return the exit code."""
    if "logging" in sys.modules:  # else nobody has asked for more
        logger = sys.modules["logging"].getLogger(__name__)
        if details := getattr(error, "details", None):
            logger.info("%s", details)
        logger.debug("where it came from", exc_info=error)
    print(f"Error: {sentence(error)}", file=sys.stderr)
    return exit_code(error, verb)
