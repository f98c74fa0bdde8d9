"""What an earlier life of a container left, and how it is cleared away.

Conmon's sockets and files stay behind at every end; a driver that was killed leaves more: a conmon that is still about
to create, or has created, or has failed and waits for its exit command. All of it goes before a new launch, and nothing
that lives for somebody is touched: a container that runs is refused.

    exit file there          the monitor is on its way out: wait for it to unlink `attach`, microseconds
    `launching` there        a driver died in the middle: find its conmon among all processes, kill it
    conmon.pid names one     a monitor without a container that runs: kill it

Each step can be repeated; killed in the middle, we leave less than there was.

Covers: oci_conmon_common.go (the clean-up in createOCIContainer), container_internal.go (removeConmonFiles)
"""

from __future__ import annotations

import logging
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from libpod.define.errors import InvalidStateError
from libpod.linux import inotify, pidfd
from libpod.linux.files import remove_tree
from libpod.linux.pidfd import ProcessIdentity
from libpod.oci import state_files
from libpod.oci.base import Bundle, Launched
from libpod.oci.control import listening
from libpod.oci.deleting import delete
from libpod.oci.ending import exit_files
from libpod.oci.preserving import command_of

if TYPE_CHECKING:
    from libpod.oci.programs import Programs

logger = logging.getLogger(__name__)

SILENCE_TIMEOUT = 10.0
"""Seconds that an ending conmon may take to let go of its files."""


def clear_the_way(programs: Programs, bundle: Bundle) -> None:
    """Make sure that nothing of an earlier life is in the way of a new one.

    What a dead driver created, or is still being created for it, is ended. A container that runs is refused: starting
    a second conmon would replace its sockets and cut the living monitor off.
    """
    _require_not_running(programs, bundle)
    _end_stray_monitor(programs, bundle)
    directory = state_files.state_directory(programs.runtime_name, bundle)
    if directory is None or directory.exists():
        delete(programs, bundle, force=True)
    remove_leftovers(programs, bundle)
    bundle.config_file.unlink(missing_ok=True)


def remove_leftovers(programs: Programs, bundle: Bundle) -> None:
    """See `OciRuntime.remove_leftovers`."""
    _require_not_running(programs, bundle)
    _end_stray_monitor(programs, bundle)
    _await_silence(bundle)
    for path in (
        *conmon_files(bundle),
        *exit_files(bundle.exit_file),
        bundle.oci_log,
        bundle.pid_file,
        bundle.conmon_pid_file,
        launch_note(bundle),
        bundle.pid_file.with_name(f".{bundle.pid_file.name}"),  # of a runtime that was killed while it wrote
        bundle.directory / "oom",
    ):
        path.unlink(missing_ok=True)
    remove_tree(bundle.persist_dir)


def _require_not_running(programs: Programs, bundle: Bundle) -> None:
    state = state_files.state_of(programs.runtime_name, bundle)
    if state is not None and state.started and state.init.alive():
        raise InvalidStateError(
            f"container {bundle.name} runs already, as process {state.init.pid}",
            resolution="stop it first; it may have been started by a program that died",
        )


def end_stray_launch(programs: Programs, bundle: Bundle) -> None:
    """Kill whatever a launch left at work whose driver died in the middle. One `stat` when there is nothing."""
    if not launch_note(bundle).exists():
        return
    # Not even a pid is known for sure: look at all processes. A look is not of one moment, a process may fork and end
    # while it lasts: only two that find nothing are proof.
    unseen = 0
    while unseen < 2:
        strays = [process for process in pidfd.all_processes() if _works_on(programs, process, bundle)]
        for stray in strays:
            kill_with_children(programs, bundle, stray)
        unseen = 0 if strays else unseen + 1
        time.sleep(0.001)


def _end_stray_monitor(programs: Programs, bundle: Bundle) -> None:
    """Kill a conmon that creates, or has failed to create, for a driver that died.

    It may be anywhere between its start and its end, and goes on by itself. One that failed may be waiting for its
    exit command, which waits for the lock that our caller holds: waiting for it would be for ever. With an exit file
    the monitor is on its way out and is left alone.
    """
    end_stray_launch(programs, bundle)
    monitor = conmon_identity(bundle)
    if not bundle.exit_file.exists() and _works_on(programs, monitor, bundle):
        kill_with_children(programs, bundle, monitor)


def kill_with_children(programs: Programs, bundle: Bundle, process: ProcessIdentity) -> None:
    """Kill a conmon together with the conmon or runtime that it forked, and wait for all of them.

    The runtime asks for death with its parent, but a moment after it was forked; so each is stopped first, lest it
    forks unseen. Spared are the exit command and the container's init (`runc init`, without the id).
    """
    logger.warning("container %s: ending process %d that nobody waits for", bundle.name, process.pid)
    family = _stopped_family(programs, bundle, process)
    for member in family:
        pidfd.send_signal(member, signal.SIGKILL)
    for member in family:
        pidfd.wait_end(member, SILENCE_TIMEOUT)


def _stopped_family(programs: Programs, bundle: Bundle, process: ProcessIdentity) -> list[ProcessIdentity]:
    pidfd.stop_process(process)
    family = [process]
    for child in pidfd.children(process):
        if _works_on(programs, child, bundle):
            family += _stopped_family(programs, bundle, child)
    return family


def _works_on(programs: Programs, process: ProcessIdentity, bundle: Bundle) -> bool:
    """Whether a process is conmon or the runtime at work on the container itself, not on an exec session.

    Pids come out of files that may be older than a reboot: the command line decides.
    """
    argv = command_of(pidfd.command_line(process.pid))
    ours = (os.fsencode(programs.runtime), os.fsencode(programs.conmon))
    return argv[:1] in ([ours[0]], [ours[1]]) and bundle.id.encode() in argv and b"-e" not in argv


def launch_note(bundle: Bundle) -> Path:
    """There from before conmon is spawned until its pid is known: a conmon may be about whose pid nobody knows."""
    return bundle.run_dir / "launching"


def _await_silence(bundle: Bundle) -> None:
    """Wait until no conmon will touch the bundle: it unlinks `attach` last, then only runs the exit command."""
    if not (bundle.attach_socket.exists() and listening(bundle.control_fifo)):
        return
    with inotify.Inotify() as watch:
        watch.watch(bundle.directory, inotify.IN_DELETE)
        deadline = time.monotonic() + SILENCE_TIMEOUT
        while bundle.attach_socket.exists() and listening(bundle.control_fifo):
            left = deadline - time.monotonic()
            if left <= 0:
                raise InvalidStateError(
                    f"container {bundle.name} still has a conmon that watches it",
                    resolution="stop the container, or delete it by force",
                )
            # A conmon that is killed meanwhile unlinks nothing: look again now and then.
            pidfd.wait_readable([watch.fileno()], min(left, 0.5))
            watch.read()


def conmon_files(bundle: Bundle) -> list[Path]:
    return [bundle.attach_socket, bundle.control_fifo, bundle.directory / "winsz"]


def conmon_identity(bundle: Bundle) -> ProcessIdentity:
    pid = pidfd.read_pid(bundle.conmon_pid_file)
    return ProcessIdentity(0, 0) if pid is None else ProcessIdentity.of(pid)


def rediscover(programs: Programs, bundle: Bundle) -> Launched | None:
    """See `OciRuntime.rediscover`."""
    state = state_files.state_of(programs.runtime_name, bundle)
    if state is None or not state.init.alive():
        return None
    # The pid file may be older than a reboot: its number counts only while somebody reads the control FIFO.
    watched = listening(bundle.control_fifo)
    return Launched(init=state.init, conmon=conmon_identity(bundle) if watched else ProcessIdentity(0, 0))
