"""Child processes: the one door to subprocess.

Arguments are lists, never a shell line; the environment is given, never inherited by accident; every child is waited
for; both output streams are read at once, so that neither can block the other.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import IO, Protocol, TypeAlias

import msgspec

from libpod.define.errors import CommandError, ProgramMissingError

logger = logging.getLogger(__name__)

StrPath = str | os.PathLike[str]
Child: TypeAlias = "subprocess.Popen[bytes]"
PIPE, DEVNULL = subprocess.PIPE, subprocess.DEVNULL

CLEAN_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""The PATH of children that are not told another."""


class SupportsWrite(Protocol):
    """Anything bytes can be written to."""

    def write(self, data: bytes, /) -> object: ...


class CommandResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a finished command left."""

    argv: tuple[str, ...]
    returncode: int
    stdout: bytes
    stderr: str


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """A small, predictable environment: PATH, HOME, the locale and TMPDIR of ours, then *extra*."""
    base = {"PATH": os.environ.get("PATH", CLEAN_PATH), "LC_ALL": "C.UTF-8"}
    for name in ("HOME", "TMPDIR", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"):
        if name in os.environ:
            base[name] = os.environ[name]
    return base | dict(extra or {})


def first_executable(places: Iterable[str]) -> str | None:
    """The first of these paths that can be run."""
    return next((place for place in places if os.access(place, os.X_OK)), None)


def find_program(name: StrPath, *, path: str | None = None) -> str | None:
    """Where *name* is on *path* (default: our PATH, then the system directories), or None."""
    for place in (path or os.environ.get("PATH", os.defpath), CLEAN_PATH):
        found = _on_path(os.fspath(name), place)
        if found is not None:
            return found
    return None


def _on_path(name: str, path: str) -> str | None:
    # Not shutil.which: it is alone in needing shutil here, which loads three compressors.
    candidates = [name] if "/" in name else [os.path.join(place, name) for place in path.split(":") if place]
    return next((file for file in candidates if os.path.isfile(file) and os.access(file, os.X_OK)), None)


def require_program(name: str, *, purpose: str, resolution: str | None = None) -> str:
    """The path of a program that must be there; raises ProgramMissingError with what it was needed for."""
    found = find_program(name)
    if found is None:
        raise ProgramMissingError(name, purpose=purpose, resolution=resolution)
    return found


def run(
    argv: Sequence[StrPath],
    *,
    stdin: bytes | IO[bytes] | int | None = None,
    env: Mapping[str, str] | None = None,
    cwd: StrPath | None = None,
    pass_fds: Sequence[int] = (),
    timeout: float | None = None,
    accept: Sequence[int] = (0,),
) -> CommandResult:
    """Run a command to its end and return what it printed.

    *timeout* is in seconds; a command that takes longer is killed and a CommandError says so. *accept* lists the exit
    statuses that are not errors. Raises CommandError and ProgramMissingError.
    """
    words = [os.fspath(word) for word in argv]
    logger.debug("run %s", shlex.join(words))
    with spawned(
        words,
        stdin=subprocess.PIPE
        if isinstance(stdin, bytes)
        else (subprocess.DEVNULL if stdin is None else stdin),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=env,
        cwd=cwd,
        pass_fds=pass_fds,
    ) as child:
        try:
            out, err = child.communicate(stdin if isinstance(stdin, bytes) else None, timeout=timeout)
        except subprocess.TimeoutExpired:
            child.kill()
            _, err = child.communicate()
            late = f"{err.decode(errors='replace')}\nkilled after {timeout:g} seconds"
            raise CommandError(argv=words, returncode=-9, stderr=late) from None
    text = err.decode(errors="replace")
    if child.returncode not in accept:
        raise CommandError(argv=words, returncode=child.returncode, stderr=text)
    return CommandResult(argv=tuple(words), returncode=child.returncode, stdout=out, stderr=text)


@contextlib.contextmanager
def spawned(
    argv: Sequence[StrPath],
    *,
    stdin: IO[bytes] | int | None = subprocess.DEVNULL,
    stdout: IO[bytes] | int | None = None,
    stderr: IO[bytes] | int | None = None,
    env: Mapping[str, str] | None = None,
    cwd: StrPath | None = None,
    pass_fds: Sequence[int] = (),
    process_group: int | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """A child for the duration of the block; when the block ends early, the child is killed and reaped."""
    words = [os.fspath(word) for word in argv]
    try:
        child = subprocess.Popen(
            words,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=environment() if env is None else dict(env),
            cwd=cwd,
            pass_fds=pass_fds,
            close_fds=True,
            process_group=process_group,
        )
    except FileNotFoundError as error:
        if cwd is not None and not os.path.isdir(cwd):
            raise
        raise ProgramMissingError(words[0], purpose=f"run {shlex.join(words[:3])}") from error
    with child:
        try:
            yield child
        except BaseException:
            child.kill()
            raise


def stream(
    argv: Sequence[StrPath], sink: SupportsWrite, *, stdin: bytes = b"", cwd: StrPath | None = None
) -> None:
    """Run a command and give what it prints to *sink* as it comes; *stdin* is at hand in a file, whatever its size.

    Raises CommandError and ProgramMissingError.
    """
    import tempfile  # here, because every program of ours runs commands, and few let them write streams

    words = [os.fspath(word) for word in argv]
    with tempfile.TemporaryFile() as given:
        given.write(stdin)
        given.seek(0)
        _stream(words, sink, given, cwd)


def _stream(words: Sequence[str], sink: SupportsWrite, given: IO[bytes], cwd: StrPath | None) -> None:
    import tempfile

    with (
        tempfile.TemporaryFile() as errors,
        spawned(words, stdin=given, stdout=subprocess.PIPE, stderr=errors, cwd=cwd) as child,
    ):
        assert child.stdout is not None
        while block := child.stdout.read(1 << 20):
            sink.write(block)
        status = child.wait()
        if status != 0:
            errors.seek(0)
            raise CommandError(argv=words, returncode=status, stderr=errors.read().decode(errors="replace"))
