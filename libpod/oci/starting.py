"""A created container runs its command.

``runtime start`` is a process for what is one FIFO. runc's init blocks in opening ``exec.fifo`` for writing, crun's in
opening it for reading; the FIFO's removal is what tells the runtime that the container was started. It is done here
when the runtime's own state file names our process; everything that looks different goes through the command.

A crash before the FIFO is opened leaves a created container; after it, one that runs and whose FIFO may remain, so that
the runtime calls it created. The FIFO is therefore removed again by whoever repeats the start: `start` of a running
container is harmless when the FIFO has no other end.

Covers: oci_conmon_common.go (StartContainer)
"""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from libpod.define.errors import CommandError, InvalidStateError
from libpod.linux import cgroups, pidfd
from libpod.linux.pidfd import ProcessIdentity
from libpod.linux.process import run
from libpod.oci import arguments, state_files
from libpod.oci.base import Bundle, Launched
from libpod.oci.errors import Phase, read_log, runtime_error

if TYPE_CHECKING:
    from libpod.oci.programs import Programs

RELEASE_TIMEOUT = 60.0
"""Seconds that a waiting init may take to answer."""
EXECUTE_TIMEOUT = 2.0
"""Seconds that init is given to become the command, before a signal is sent to it all the same."""


def start(programs: Programs, bundle: Bundle, launched: Launched) -> None:
    """See `OciRuntime.start`."""
    state = state_files.state_of(programs.runtime_name, bundle)
    if state is not None and state.init == launched.init and not state.started and not _frozen(bundle):
        if state.kind == "runc" and _release_runc(bundle, state, launched):
            return
        if (
            state.kind == "crun"
            and not _needs_command(programs, bundle)
            and _release_crun(bundle, state, launched)
        ):
            return
    bundle.oci_log.unlink(missing_ok=True)
    try:
        run([*arguments.runtime_args(programs.runtime, bundle), "start", bundle.id], env=programs.environment)
    except CommandError as error:
        text = read_log(bundle.oci_log) or error.stderr
        raise runtime_error(Phase.START, bundle.name, text) from error


def await_command(programs: Programs, bundle: Bundle, init: ProcessIdentity) -> None:
    """`await_execve` for a container's init. A container that was created only is not waited for."""
    directory = state_files.state_directory(programs.runtime_name, bundle)
    await_execve(init, unless=directory / "exec.fifo" if directory is not None else None)


def await_execve(process: ProcessIdentity, *, unless: Path | None = None) -> None:
    """Wait until a process that was made a moment ago really executes its command.

    Before that runc's own code handles signals there, and loses them: a stop right after a start would run into its
    timeout. The kernel tells nobody about an execve, so this looks, a few milliseconds at most, at the process's name;
    outside that moment it looks once.
    """
    deadline = time.monotonic() + EXECUTE_TIMEOUT
    pause = 0.0002
    while pidfd.process_name(process.pid).startswith("runc:["):
        if time.monotonic() > deadline or (unless is not None and unless.exists()):
            return
        time.sleep(pause)
        pause = min(pause * 2, 0.005)


def _release_runc(bundle: Bundle, state: state_files.RuntimeState, launched: Launched) -> bool:
    """Open the FIFO for reading, take the byte, remove it. False when init does not answer as expected."""
    with pidfd.opened(launched.init) as init:
        if init is None:
            raise _died(bundle)
        descriptor = os.open(state.fifo, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            ready = pidfd.wait_readable([descriptor, init], RELEASE_TIMEOUT)
            if descriptor in ready and os.read(descriptor, 64):
                state.fifo.unlink(missing_ok=True)
                return True
            if init in ready:
                raise _died(bundle)
            return False
        finally:
            os.close(descriptor)


def _release_crun(bundle: Bundle, state: state_files.RuntimeState, launched: Launched) -> bool:
    """Open the FIFO for writing, remove it, send the byte."""
    try:
        descriptor = os.open(state.fifo, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENXIO:
            if not launched.init.alive():
                raise _died(bundle) from error
            return False  # not there yet, or not how this version waits
        raise
    try:
        state.fifo.unlink(missing_ok=True)
        os.write(descriptor, b"\0")
    finally:
        os.close(descriptor)
    return True


def _needs_command(programs: Programs, bundle: Bundle) -> bool:
    """Whether crun has more to do at start than to open the FIFO: poststart hooks, sd_notify."""
    if "NOTIFY_SOCKET" in programs.environment or bundle.sdnotify_socket is not None:
        return True
    try:
        return b'"poststart"' in bundle.config_file.read_bytes()
    except FileNotFoundError:
        return True


def _frozen(bundle: Bundle) -> bool:
    if not (bundle.cgroups_enabled and bundle.cgroup_path):
        return False
    freezer = cgroups.freezer_directory(cgroups.group_path(bundle.cgroup_path))
    return freezer is not None and cgroups.is_frozen(freezer)


def _died(bundle: Bundle) -> InvalidStateError:
    return InvalidStateError(
        f"cannot start container {bundle.name}: its process ended before it was started",
        resolution="create it again",
    )
