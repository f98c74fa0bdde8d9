"""One container process is made: conmon first, held back, then the byte that lets it go.

    launching ──spawn──▶ conmon (front) waits for the start byte     the block mounts, makes the netns,
        │                                                            writes config.json last
        └─ go(): byte ─▶ front forks the monitor, writes conmon.pid, ends 0
                         monitor: attach, ctl, winsz; runtime create|restore ─▶ report with init's pid

conmon takes end-of-file on the start channel for the byte, so that the driver's death does not stop it. Therefore
config.json is removed on entry and is written last: a conmon that goes on by itself finds nothing to create. A block
that is left early kills conmon, which has not forked yet, before the channel closes.

What a crash leaves, by moment: before the byte, nothing but a log file and a conmon that fails by itself (and runs the
exit command); after it, a created or restored container with its monitor and its files, or one that is just being
made. The next `launching` ends what is being made or was created, and refuses what runs; `rediscover` finds both. The
note ``launching`` in the run directory tells that a conmon may be about whose pid was not written down yet.

Covers: oci_conmon_common.go (createOCIContainer, restore)
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from libpod.define.errors import InvalidStateError, LibpodError, OciRuntimeError
from libpod.linux import inotify, pidfd, sockets
from libpod.linux.files import remove_tree
from libpod.linux.pidfd import ProcessIdentity
from libpod.linux.process import DEVNULL, Child, spawned
from libpod.oci import arguments, reports, state_files
from libpod.oci.base import Bundle, Launched, RestoreRequest
from libpod.oci.control import listening
from libpod.oci.deleting import delete
from libpod.oci.errors import Phase, read_log, runtime_error
from libpod.oci.preserving import command_of, out_of_the_way, preserving

if TYPE_CHECKING:
    from libpod.oci.programs import Programs

logger = logging.getLogger(__name__)

SILENCE_TIMEOUT = 10.0
"""Seconds that an ending conmon may take to let go of its files."""


class Launch:
    """A conmon that waits for its start byte. Made by `launching` only."""

    def __init__(
        self,
        programs: Programs,
        bundle: Bundle,
        restore: RestoreRequest | None,
        *,
        front: Child,
        gate: socket.socket,
        sync: socket.socket,
        printed: BinaryIO | None,
    ) -> None:
        self._programs, self._bundle, self._restore = programs, bundle, restore
        self._front, self._gate, self._sync, self._printed = front, gate, sync, printed
        self._released = False
        self._reported = False
        self._finished = False

    @property
    def pid(self) -> int:
        """conmon's front process, for whoever wants it (and so its monitor) in another cgroup."""
        return self._front.pid

    def go(self) -> Launched:
        """Let conmon create the container, or restore it, and return its processes.

        Raises CommandNotFoundError, CommandNotExecutableError, ContainerExistsError, RestoreError, OciRuntimeError;
        nothing of the container is left then.
        """
        self.release()
        return self.finish()

    def release(self) -> None:
        """Send the start byte and return at once; `finish` waits. Attaching fits in between."""
        if self._released:
            raise InvalidStateError(f"container {self._bundle.name} was let go already")
        self._released = True
        try:
            self._gate.send(b"\0", socket.MSG_NOSIGNAL)
        except (BrokenPipeError, ConnectionResetError):
            pass  # conmon ended before it got here; finish() tells why
        self._gate.close()

    def wait_socket(self, timeout: float = reports.CREATE_TIMEOUT) -> bool:
        """Wait until clients can attach, between `release` and `finish`; False when conmon failed before.

        The way to see the first byte of a restored container, which runs by the time `finish` returns.
        """
        return await_socket(self._bundle.attach_socket, self._sync, timeout)

    def finish(self, timeout: float = reports.CREATE_TIMEOUT) -> Launched:
        """Wait for conmon's report after `release`."""
        try:
            report = reports.receive_report(self._sync, timeout)
            self._reported = True
            # The front process writes conmon.pid before it ends.
            status = self._front.wait()
            if report is None or report.failed or status != 0:
                raise self._failure(report)
            launched = Launched(init=ProcessIdentity.of(report.data), conmon=_conmon_identity(self._bundle))
        except TimeoutError as error:
            raise OciRuntimeError(
                f"the OCI runtime did not {self._phase} container {self._bundle.name} within {timeout:g} seconds"
            ) from error
        self._finished = True
        _launch_note(self._bundle).unlink(missing_ok=True)
        return launched

    @property
    def _phase(self) -> Phase:
        return Phase.CREATE if self._restore is None else Phase.RESTORE

    def _failure(self, report: reports.Report | None) -> LibpodError:
        text = read_log(self._bundle.oci_log)
        if not text and report is not None:
            text = report.message
        if not text and self._printed is not None:
            text = (self._printed.read(65536) or b"").decode(errors="replace")
        criu_log = self._bundle.directory / "restore.log" if self._restore is not None else None
        return runtime_error(self._phase, self._bundle.name, text, criu_log=criu_log)

    def _abandon(self) -> None:
        """Undo what conmon did or is doing. The runtime dies with the monitor that forked it (PDEATHSIG)."""
        if not self._released:
            # Before the channel closes: conmon would take that for the byte.
            self._front.kill()
            self._front.wait()
        else:
            try:
                self._front.wait(SILENCE_TIMEOUT)
            finally:
                self._front.kill()
            # A monitor that has failed by itself is not killed: it runs the exit command, and waits for it.
            if not self._reported:
                _kill_with_children(self._programs, self._bundle, _conmon_identity(self._bundle))
            delete(self._programs, self._bundle, force=True)
        for path in (*_conmon_files(self._bundle), self._bundle.conmon_pid_file, _launch_note(self._bundle)):
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def launching(
    programs: Programs,
    bundle: Bundle,
    restore: RestoreRequest | None = None,
    *,
    pass_fds: Sequence[int] = (),
    preserve_fds: Sequence[int] = (),
) -> Iterator[Launch]:
    """See `OciRuntime.launching`."""
    clear_the_way(programs, bundle)
    for directory in (bundle.run_dir, bundle.exit_dir, bundle.persist_dir):
        directory.mkdir(mode=0o750, parents=True, exist_ok=True)
    argv = arguments.conmon_args(
        programs.conmon,
        programs.runtime,
        bundle,
        crun=programs.runtime_name == "crun",
        restore=restore,
        preserved=len(preserve_fds),
    )
    with contextlib.ExitStack() as stack:
        sync, sync_theirs = _channel(preserve_fds, stack)
        gate, gate_theirs = _channel(preserve_fds, stack)
        printed, output = _output(bundle, stack)
        preserved = preserving(argv, preserve_fds, stack)
        channels = {"_OCI_SYNCPIPE": str(sync_theirs.fileno()), "_OCI_STARTPIPE": str(gate_theirs.fileno())}
        logger.debug("launch %s", " ".join(argv))
        _launch_note(bundle).touch()
        front = stack.enter_context(
            spawned(
                preserved.argv,
                env={**programs.environment, **channels},
                cwd=bundle.directory,
                pass_fds=(sync_theirs.fileno(), gate_theirs.fileno(), *pass_fds, *preserved.pass_fds),
                process_group=0,
                stdin=None if output is None else DEVNULL,
                stdout=output,
                stderr=output,
            )
        )
        sync_theirs.close()
        gate_theirs.close()
        if output is not None:
            output.close()
        launch = Launch(programs, bundle, restore, front=front, gate=gate, sync=sync, printed=printed)
        try:
            yield launch
        except BaseException as error:
            if not launch._finished:
                try:
                    launch._abandon()
                except (LibpodError, OSError) as second:
                    error.add_note(f"roll-back of the launch: {second}")
            raise
        if not launch._finished:
            launch._abandon()


def _channel(preserve_fds: Sequence[int], stack: contextlib.ExitStack) -> tuple[socket.socket, socket.socket]:
    """A channel to conmon: (our end, its end), both closed with *stack*."""
    ours, theirs = sockets.packet_pair()
    stack.enter_context(ours)
    return ours, stack.enter_context(out_of_the_way(theirs, preserve_fds))


def _output(bundle: Bundle, stack: contextlib.ExitStack) -> tuple[BinaryIO | None, BinaryIO | None]:
    """A pipe for what conmon prints, (read end, write end); none for passthrough, where it is the container's."""
    if bundle.log_driver == "passthrough":
        return None, None
    reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    return tuple(
        stack.enter_context(os.fdopen(end, mode, buffering=0))
        for end, mode in ((reading, "rb"), (writing, "wb"))
    )  # type: ignore[return-value]


def await_socket(path: Path, sync: socket.socket, timeout: float) -> bool:
    """Wait until conmon has made the attach socket *path*; False when it failed or ended before."""
    with inotify.Inotify() as watch:
        watch.watch(path.parent, inotify.IN_CREATE | inotify.IN_MOVED_TO)
        deadline = time.monotonic() + timeout
        while not path.exists():
            left = deadline - time.monotonic()
            ready = pidfd.wait_readable([watch.fileno(), sync.fileno()], max(0.0, left))
            if sync.fileno() in ready:
                return path.exists()
            if not ready:
                raise TimeoutError(errno.ETIMEDOUT, "conmon made no attach socket", str(path))
            watch.read()
    return True


# ---- what an earlier life left ------------------------------------------------------------------------------------


def clear_the_way(programs: Programs, bundle: Bundle) -> None:
    """Make sure that nothing of an earlier life is in the way of a new one.

    What a dead driver created, or is still being created for it, is ended. A container that runs is refused: starting
    a second conmon would replace its sockets and cut the living monitor off.
    """
    _require_not_running(programs, bundle)
    _end_stray_monitor(programs, bundle)
    root = state_files.state_root(programs.runtime_name, bundle)
    if root is None or (root / bundle.id).exists():
        delete(programs, bundle, force=True)
    remove_leftovers(programs, bundle)
    bundle.config_file.unlink(missing_ok=True)


def remove_leftovers(programs: Programs, bundle: Bundle) -> None:
    """See `OciRuntime.remove_leftovers`."""
    _require_not_running(programs, bundle)
    _end_stray_monitor(programs, bundle)
    _await_silence(bundle)
    for path in (
        *_conmon_files(bundle),
        bundle.exit_file,
        bundle.oci_log,
        bundle.pid_file,
        bundle.conmon_pid_file,
        _launch_note(bundle),
        bundle.pid_file.with_name(f".{bundle.pid_file.name}"),  # of a runtime that was killed while it wrote
        bundle.directory / "oom",
    ):
        path.unlink(missing_ok=True)
    remove_tree(bundle.persist_dir)


def _require_not_running(programs: Programs, bundle: Bundle) -> None:
    root = state_files.state_root(programs.runtime_name, bundle)
    state = state_files.read_state(root / bundle.id) if root is not None else None
    if state is not None and state.started and state.init.alive():
        raise InvalidStateError(
            f"container {bundle.name} runs already, as process {state.init.pid}",
            resolution="stop it first; it may have been started by a program that died",
        )


def end_stray_launch(programs: Programs, bundle: Bundle) -> None:
    """Kill whatever a launch left at work whose driver died in the middle. One `stat` when there is nothing."""
    if not _launch_note(bundle).exists():
        return
    # Not even a pid is known for sure: look at all processes. A look is not of one moment, a process may fork and end
    # while it lasts: only two that find nothing are proof.
    unseen = 0
    while unseen < 2:
        strays = [process for process in pidfd.all_processes() if _works_on(programs, process, bundle)]
        for stray in strays:
            _kill_with_children(programs, bundle, stray)
        unseen = 0 if strays else unseen + 1
        time.sleep(0.001)


def _end_stray_monitor(programs: Programs, bundle: Bundle) -> None:
    """Kill a conmon that creates, or has failed to create, for a driver that died.

    It may be anywhere between its start and its end, and goes on by itself. One that failed may be waiting for its
    exit command, which waits for the lock that our caller holds: waiting for it would be for ever. With an exit file
    the monitor is on its way out and is left alone.
    """
    end_stray_launch(programs, bundle)
    monitor = _conmon_identity(bundle)
    if not bundle.exit_file.exists() and _works_on(programs, monitor, bundle):
        _kill_with_children(programs, bundle, monitor)


def _kill_with_children(programs: Programs, bundle: Bundle, process: ProcessIdentity) -> None:
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


def _argv(process: ProcessIdentity) -> list[bytes]:
    """The command line of a process; empty when it is gone, or a zombie."""
    try:
        return Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return []


def _works_on(programs: Programs, process: ProcessIdentity, bundle: Bundle) -> bool:
    """Whether a process is conmon or the runtime at work on the container itself, not on an exec session.

    Pids come out of files that may be older than a reboot: the command line decides.
    """
    argv = command_of(_argv(process))
    ours = (os.fsencode(programs.runtime), os.fsencode(programs.conmon))
    return argv[:1] in ([ours[0]], [ours[1]]) and bundle.id.encode() in argv and b"-e" not in argv


def _launch_note(bundle: Bundle) -> Path:
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


def _conmon_files(bundle: Bundle) -> list[Path]:
    return [bundle.attach_socket, bundle.control_fifo, bundle.directory / "winsz"]


def _conmon_identity(bundle: Bundle) -> ProcessIdentity:
    try:
        return ProcessIdentity.of(int(bundle.conmon_pid_file.read_text()))
    except (FileNotFoundError, ValueError):
        return ProcessIdentity(0, 0)


def rediscover(programs: Programs, bundle: Bundle) -> Launched | None:
    """See `OciRuntime.rediscover`."""
    root = state_files.state_root(programs.runtime_name, bundle)
    state = state_files.read_state(root / bundle.id) if root is not None else None
    if state is None or not state.init.alive():
        return None
    # The pid file may be older than a reboot: its number counts only while somebody reads the control FIFO.
    watched = listening(bundle.control_fifo)
    return Launched(init=state.init, conmon=_conmon_identity(bundle) if watched else ProcessIdentity(0, 0))
