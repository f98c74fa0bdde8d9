"""Containers that stand still.

The freezer's file is written directly: 0.4 ms against 7 ms for ``runtime pause``. The runtime sees the same file, so
that its own idea of "paused" agrees. Where there is no freezer (cgroups disabled) the runtime is asked, and says why
not.

CRIU freezes by itself, but on cgroup v1 sleeps 100 ms when the answer is still FREEZING: a container that already
stands still is dumped that much faster, and its files can be copied consistently meanwhile. After a dump that leaves it
running the cgroup is still frozen. Killed in between, we leave it frozen: `resume` or `delete` thaws.

Covers: oci_conmon_common.go (PauseContainer, UnpauseContainer)
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from libpod.define.errors import CommandError, OciRuntimeError
from libpod.linux import cgroups
from libpod.linux.process import run
from libpod.oci import arguments
from libpod.oci.base import Bundle
from libpod.oci.errors import Phase, log_text, runtime_error

if TYPE_CHECKING:
    from libpod.oci.programs import Programs


class Frozen:
    """A container that stands still for the duration of a block. Made by `freezing` only."""

    def __init__(self, directory: Path | None, *, was_frozen: bool) -> None:
        self._directory, self._keep = directory, was_frozen
        self.by_us = directory is not None and not was_frozen
        """Whether it was running before."""

    def thaw(self) -> None:
        """Let it run now instead of at the end of the block; not when it was frozen before. Repeating it is fine."""
        if self._directory is not None and not self._keep:
            cgroups.thaw(self._directory)

    def stay(self) -> None:
        """Leave it frozen at the end of the block."""
        self._keep = True


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
        if directory is not None:
            try:
                cgroups.freeze(directory)
            except TimeoutError:
                pass  # it was thawed again; CRIU tries by itself and reports what is in the way
        yield frozen
    finally:
        frozen.thaw()


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
