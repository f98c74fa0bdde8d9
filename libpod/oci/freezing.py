"""Containers that stand still.

The freezer's file is written directly: 0.4 ms against 7 ms for ``runtime pause``. The runtime sees the same file, so
that its own idea of "paused" agrees. Where there is no freezer (cgroups disabled) the runtime is asked, and says why
not.

CRIU freezes by itself, but on cgroup v1 sleeps 100 ms when the answer is still FREEZING: a container that already
stands still is dumped that much faster, and its files can be copied consistently meanwhile. After a dump that leaves it
running the cgroup is still frozen. Killed in between, we leave it frozen: `resume` or `delete` thaws.

Between the call of the runtime and the moment when CRIU wants to freeze lie its start, two of CRIU and all probing of
the kernel: a quarter of a second that the container need not stand still for. So the freezer's file gets a gate, and
when CRIU comes to open it, the container is frozen and CRIU let in. Without a gate it is frozen at once.

Covers: oci_conmon_common.go (PauseContainer, UnpauseContainer)
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from libpod.define.errors import CommandError, OciRuntimeError
from libpod.linux import cgroups, pidfd
from libpod.linux.fanotify import OpenGate
from libpod.linux.process import run
from libpod.oci import arguments
from libpod.oci.base import Bundle
from libpod.oci.errors import Phase, log_text, runtime_error

if TYPE_CHECKING:
    from libpod.oci.programs import Programs


logger = logging.getLogger(__name__)

_CRIU_WORKER = b"swrk"
"""CRIU's first word when a runtime has called it. Others look at the freezer too: the runtime, or who lists states."""


class Frozen:
    """A container that stands still from CRIU's freeze to the end of a block. Made by `freezing` only."""

    def __init__(self, directory: Path | None, *, was_frozen: bool) -> None:
        self._directory, self._keep = directory, was_frozen
        self._since: int | None = time.monotonic_ns() if was_frozen else None
        self._callbacks: list[Callable[[], None]] = []
        self.by_us = directory is not None and not was_frozen
        """Whether it was running before."""

    @property
    def duration(self) -> int:
        """Microseconds that it has been standing still by now."""
        return 0 if self._since is None else (time.monotonic_ns() - self._since) // 1000

    @property
    def missed(self) -> bool:
        """Whether it could have been frozen and nobody came to the freezer."""
        return self._directory is not None and self._since is None

    def when_still(self, callback: Callable[[], None]) -> None:
        """Call *callback* as soon as it stands still, before CRIU looks at it: at once, or in another thread."""
        if self._since is not None or self._directory is None:
            callback()
        else:
            self._callbacks.append(callback)

    def thaw(self) -> None:
        """Let it run now instead of at the end of the block; not when it was frozen before. Repeating it is fine."""
        if self._directory is not None and not self._keep:
            cgroups.thaw(self._directory)

    def stay(self) -> None:
        """Leave it frozen at the end of the block."""
        self._keep = True

    def freeze(self) -> None:
        """Let it stand still now."""
        assert self._directory is not None
        self._since = time.monotonic_ns()
        try:
            cgroups.freeze(self._directory)
        except TimeoutError:
            pass  # it was thawed again; CRIU tries by itself and reports what is in the way
        for callback in self._callbacks:
            callback()


def pause(programs: Programs, bundle: Bundle) -> None:
    """See `OciRuntime.pause`."""
    directory = freezer(bundle)
    if directory is None:
        _command(programs, bundle, Phase.PAUSE)
        return
    try:
        cgroups.freeze(directory)
    except TimeoutError as error:
        raise OciRuntimeError(
            f"cannot pause container {bundle.name}: the kernel does not freeze its processes",
            resolution="one of them hangs in the kernel; see its state in /proc",
        ) from error


def resume(programs: Programs, bundle: Bundle) -> None:
    """See `OciRuntime.resume`."""
    directory = freezer(bundle)
    if directory is None:
        _command(programs, bundle, Phase.RESUME)
        return
    cgroups.thaw(directory)


@contextlib.contextmanager
def freezing(bundle: Bundle) -> Iterator[Frozen]:
    """See `OciRuntime.freezing`. Without a freezer the block runs with the container running."""
    directory = freezer(bundle)
    frozen = Frozen(directory, was_frozen=directory is not None and cgroups.is_frozen(directory))
    try:
        if directory is None or not frozen.by_us:
            yield frozen
        else:
            with _freezing_for_criu(frozen, directory):
                yield frozen
    finally:
        frozen.thaw()


@contextlib.contextmanager
def _freezing_for_criu(frozen: Frozen, directory: Path) -> Iterator[None]:
    """Freeze when CRIU comes to the freezer; at once where it cannot be waited for."""
    try:
        gate = OpenGate(cgroups.freezer_switch(directory))
    except OSError as error:
        logger.debug("no gate before %s (%s): frozen at once", directory, error.strerror)
        frozen.freeze()
        yield
        return
    stop = os.eventfd(0, os.EFD_CLOEXEC)
    thread = threading.Thread(target=_keep_gate, args=(gate, stop, frozen), name="freezer", daemon=True)
    try:
        thread.start()
        yield
    finally:
        os.eventfd_write(stop, 1)
        thread.join()
        os.close(stop)


def _keep_gate(gate: OpenGate, stop: int, frozen: Frozen) -> None:
    """Let everybody through until CRIU comes; freeze, let it through, and go. Whatever happens, the gate opens."""
    with gate:
        while stop not in pidfd.wait_readable([gate.fileno(), stop], None):
            for opener in gate.waiting():
                try:
                    if _CRIU_WORKER in pidfd.command_line(opener.pid):
                        gate.open_to_all()
                        frozen.freeze()
                        return
                finally:
                    gate.let_pass(opener)


def freezer(bundle: Bundle) -> Path | None:
    """The directory of the container's freezer, when there is one."""
    if not (bundle.cgroups_enabled and bundle.cgroup_path):
        return None
    return cgroups.freezer_directory(cgroups.group_path(bundle.cgroup_path))


def _command(programs: Programs, bundle: Bundle, phase: Phase) -> None:
    argv = arguments.runtime_args(programs.runtime, bundle, log=False, systemd=True)
    try:
        run([*argv, "--log-format=json", phase.value, bundle.id], env=programs.environment)
    except CommandError as error:
        raise runtime_error(phase, bundle.name, log_text(error.stderr) or error.stderr) from error
