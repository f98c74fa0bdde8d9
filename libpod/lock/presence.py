"""Who is at work: one empty file for each, named after the process, so that the next one sees who died.

    <directory>/<word>.<subject>.<pid namespace>.<pid>.<start time>.<number>

    open     a process that has begun to change something in this engine; removed when it closes its Runtime
    make     a container or volume that is being made and has no record yet
    unmake   a volume whose record is gone and whose directory is being emptied
    stop     a container that is being stopped, while its lock is not held
    exec     an exec session whose process is followed by somebody

The file is made before the work and removed after it. What is there while its process is not is the sign of a kill:
whoever opens the engine next looks at everything that could have been left. A listing of the directory, usually empty,
is all that it costs when nothing happened. A process in another pid namespace cannot be judged and counts as alive.

Signs are hints for repairs. Where none can be written (a full file system) the work goes on without.

Covers: nothing upstream, which leaves what a kill leaves
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import logging
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from libpod.linux.pidfd import ProcessIdentity, own_identity

logger = logging.getLogger(__name__)

OPEN, MAKE, UNMAKE, STOP, EXEC = "open", "make", "unmake", "stop", "exec"
_NOBODY = "-"
_numbers = itertools.count()


class Sign(msgspec.Struct, frozen=True):
    """One file: *process* is, or was, at work on *subject*."""

    word: str
    subject: str
    pid_namespace: int
    process: ProcessIdentity
    path: Path

    def is_dead(self) -> bool:
        """Whether the process has certainly ended."""
        return self.pid_namespace == _own_pid_namespace(os.getpid()) and not self.process.alive()

    def notes(self) -> list[str]:
        """What was written into it: the names of the volumes that a container was to be made with."""
        try:
            return self.path.read_text(errors="replace").split()
        except FileNotFoundError:
            return []


class Presence:
    """The signs in one directory, and those that this object has set. Safe between threads."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._guard = threading.Lock()
        self._announced: Path | None = None
        self._process = os.getpid()

    def announce(self) -> None:
        """From now on this process counts as being at work. Costs nothing when repeated."""
        if self._announced is None:
            with self._guard:
                if self._announced is None:
                    self._announced = self._set(OPEN, _NOBODY)

    @contextlib.contextmanager
    def at_work(self, word: str, subject: str = _NOBODY, *, notes: Sequence[str] = ()) -> Iterator[None]:
        """A sign for the duration of the block; *notes* are for whoever has to clean up, see `Sign.notes`."""
        path = self._set(word, subject, notes)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)

    def begin(self, word: str, subject: str) -> Path:
        """A sign that outlives the call; its owner unlinks the path."""
        return self._set(word, subject)

    def signs(self) -> list[Sign]:
        """All signs of all processes."""
        try:
            names = os.listdir(self._directory)
        except FileNotFoundError:
            return []
        return [sign for name in names if (sign := _parsed(self._directory, name)) is not None]

    def dead(self) -> list[Sign]:
        """The signs of processes that were killed."""
        return [sign for sign in self.signs() if sign.is_dead()]

    def living(self, word: str) -> set[str]:
        """What living processes are doing *word* to."""
        return {sign.subject for sign in self.signs() if sign.word == word and not sign.is_dead()}

    def close(self) -> None:
        """This process is done. In a forked child the sign is the parent's and stays."""
        with self._guard:
            if self._announced is not None and self._process == os.getpid():
                self._announced.unlink(missing_ok=True)
                self._announced = None

    def _set(self, word: str, subject: str, notes: Sequence[str] = ()) -> Path:
        pid = os.getpid()
        name = (
            f"{word}.{subject}.{_own_pid_namespace(pid)}.{pid}.{own_identity().start_time}.{next(_numbers)}"
        )
        path = self._directory / name
        for attempt in (1, 2):
            try:
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
                try:
                    if notes:
                        os.write(descriptor, "".join(f"{note}\n" for note in notes).encode())
                finally:
                    os.close(descriptor)
                break
            except FileNotFoundError:
                # Somebody emptied the runroot under us.
                if attempt == 2:
                    raise
                self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                logger.warning("nobody will know that process %d is at work: %s", pid, error)
                break
        return path


def _parsed(directory: Path, name: str) -> Sign | None:
    words = name.rsplit(".", 4)
    head = words[0].partition(".")
    if len(words) != 5 or not head[2] or not all(word.isdecimal() for word in words[1:]):
        return None
    namespace, pid, start = (int(word) for word in words[1:4])
    return Sign(head[0], head[2], namespace, ProcessIdentity(pid, start), directory / name)


@functools.lru_cache(maxsize=2)
def _own_pid_namespace(pid: int) -> int:
    return os.stat(f"/proc/{pid}/ns/pid").st_ino
