"""Work done in forked children, whose failures become failures of the test."""

from __future__ import annotations

import os
import select
import signal
import time
import traceback
from collections.abc import Callable

import prctl

PATIENCE = 60.0
"""Seconds after which a child counts as hanging; generous, because the machine may be busy."""


class Child:
    """A forked child that runs *work* and then ends; *work* may `say` lines to the parent."""

    def __init__(self, work: Callable[[Callable[[str], None]], None], *, patience: float = PATIENCE) -> None:
        source, sink = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                # A test that is killed must not leave children that go on writing.
                prctl.set_pdeathsig(signal.SIGKILL)
                os.close(source)
                work(lambda line: _write(sink, line + "\n"))
                status = 0
            except BaseException:  # noqa: BLE001 - whatever it is, the parent shows it
                _write(sink, f"failed {traceback.format_exc()}")
            finally:
                os._exit(status)
        os.close(sink)
        self._source = source
        self._text = b""
        self._deadline = time.monotonic() + patience

    def wait_for(self, line: str) -> None:
        """Wait until the child has said *line*."""
        while line.encode() not in self._text.split(b"\n"):
            assert self._read(), f"the child ended without saying {line}: {self._text.decode()}"

    def finish(self) -> list[str]:
        """Wait for the end; the lines it said. A failure of the child is raised here."""
        while self._read():
            pass
        status = self._reap()
        assert status == 0, f"child {self.pid} ended with {status}: {self._text.decode()}"
        return self._text.decode().splitlines()

    def kill(self) -> list[str]:
        """Kill -9, and say what it had said by then, as far as whole lines go."""
        os.kill(self.pid, signal.SIGKILL)
        while self._read():
            pass
        self._reap()
        return self._text.decode().rpartition("\n")[0].splitlines()

    def _read(self) -> bool:
        left = self._deadline - time.monotonic()
        ready, _, _ = select.select([self._source], [], [], max(0.0, left))
        if not ready:
            os.kill(self.pid, signal.SIGKILL)
            self._reap()
            raise AssertionError(f"child {self.pid} hangs; it said {self._text.decode()}")
        data = os.read(self._source, 1 << 16)
        self._text += data
        return bool(data)

    def _reap(self) -> int:
        os.close(self._source)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def _write(descriptor: int, text: str) -> None:
    data = text.encode()
    while data:
        data = data[os.write(descriptor, data) :]
