"""The installed command, run as a user runs it."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs

PROGRAM = Path(sys.executable).parent / "libpod"
TIMEOUT = 100.0


@attrs.frozen
class Command:
    """`libpod` with the global options of one engine."""

    options: Sequence[str] = ()

    def __call__(self, *words: str, stdin: str = "", code: int | None = 0) -> str:
        """Run it and return its standard output without the last newline; it must end with *code*, if that is given."""
        done = self.run(*words, stdin=stdin)
        if code is not None:
            assert done.returncode == code, (
                f"libpod {' '.join(words)} ended with {done.returncode}: {done.stderr}"
            )
        return done.stdout.removesuffix("\n")

    def fails(self, *words: str, code: int = 125) -> str:
        """Run it; it must end with *code* and one line of error, which is returned."""
        done = self.run(*words)
        assert done.returncode == code, (
            f"libpod {' '.join(words)} ended with {done.returncode}: {done.stderr}"
        )
        lines = done.stderr.splitlines()
        assert len(lines) == 1, f"not one line: {lines}"
        assert lines[0].startswith("Error: ")
        return lines[0].removeprefix("Error: ")

    def run(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.argv(*words), input=stdin, capture_output=True, text=True, timeout=TIMEOUT, check=False
        )

    def argv(self, *words: str) -> list[str]:
        return [str(PROGRAM), *self.options, *words]

    @contextlib.contextmanager
    def started(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """Run it beside the block, with its output in a pipe; it is killed at the end if it still runs."""
        process = subprocess.Popen(
            self.argv(*words),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with process:
            try:
                yield process
            finally:
                process.kill()

    @contextlib.contextmanager
    def on_terminal(self, *words: str) -> Iterator[Terminal]:
        """Run it with a terminal of its own."""
        pid, master = pty.fork()
        if pid == 0:
            try:
                os.execv(PROGRAM, self.argv(*words))
            finally:
                os._exit(127)
        terminal = Terminal(pid, master)
        try:
            yield terminal
        finally:
            terminal.close()


class Terminal:
    """The other side of a program's terminal."""

    def __init__(self, pid: int, master: int) -> None:
        self.pid, self.master = pid, master
        self.text = ""
        self._code: int | None = None

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def wait_for(self, wanted: str) -> str:
        """Read until *wanted* has come; returns everything since the last call."""
        deadline = time.monotonic() + TIMEOUT
        while wanted not in self.text:
            assert self._read(deadline - time.monotonic()), f"{wanted!r} has not come, only {self.text!r}"
        found, self.text = self.text, ""
        return found

    def exit_code(self) -> int:
        """Read on until the program has ended."""
        deadline = time.monotonic() + TIMEOUT
        while self._read(deadline - time.monotonic()):
            pass
        if self._code is None:
            self._code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._code

    def close(self) -> None:
        if self._code is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, 9)
            self.exit_code()
        os.close(self.master)

    def _read(self, seconds: float) -> bool:
        if not select.select([self.master], [], [], max(0.0, seconds))[0]:
            return False
        try:
            data = os.read(self.master, 4096)
        except OSError:  # EIO: the last program on the terminal has gone
            return False
        self.text += data.decode(errors="replace")
        return bool(data)
