"""Child processes of the set-up, and the one error that ends it."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


class SetupError(Exception):
    """The set-up cannot go on. The text is for the user: what, why, and what to do."""


def environment() -> dict[str, str]:
    """The environment for all children: no dialogues, messages in English because some are read."""
    return {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}


def attempt(
    argv: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    extra: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run *argv* to its end and return what it said, whatever its exit status; stderr is part of stdout."""
    try:
        return subprocess.run(
            [str(word) for word in argv],
            cwd=cwd,
            env={**environment(), **(extra or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError as error:
        raise SetupError(f"{argv[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise SetupError(f"{argv[0]} did not finish within {timeout:g} s") from error


def run(
    argv: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    extra: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> str:
    """Like `attempt`, but a non-zero exit status is a SetupError with the last lines of the output."""
    result = attempt(argv, cwd=cwd, extra=extra, timeout=timeout)
    if result.returncode != 0:
        tail = "\n  ".join(result.stdout.strip().splitlines()[-8:]) or "no output"
        words = " ".join(str(word) for word in argv)
        raise SetupError(f"`{words}` exited with status {result.returncode}:\n  {tail}")
    return result.stdout


def say(text: str) -> None:
    """Tell the user about a step; at once, because steps can take a minute."""
    print(f"setup: {text}", flush=True)
