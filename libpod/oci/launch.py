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
import socket
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from libpod.define.errors import InvalidStateError, LibpodError, OciRuntimeError
from libpod.linux import inotify, pidfd
from libpod.linux.pidfd import ProcessIdentity
from libpod.linux.process import DEVNULL, Child, spawned
from libpod.oci import arguments, criu_config, reports
from libpod.oci.attach import AttachStream
from libpod.oci.base import DEFAULT_BUFFER, Bundle, Launched, RestoreRequest
from libpod.oci.deleting import delete
from libpod.oci.errors import Phase, read_log, runtime_error
from libpod.oci.leftovers import (
    SILENCE_TIMEOUT,
    clear_the_way,
    conmon_files,
    conmon_identity,
    kill_with_children,
    launch_note,
)
from libpod.oci.preserving import preserving

if TYPE_CHECKING:
    from libpod.oci.programs import Programs

logger = logging.getLogger(__name__)


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
        reports.push(self._gate)  # to a conmon that ended before, nothing; finish() tells why
        self._gate.close()

    def attach(self, *, buffer: int | None = DEFAULT_BUFFER) -> AttachStream | None:
        """Connect to the streams, between `release` and `finish`; None when conmon fails: `finish` tells why.

        The way to see the first byte of a restored container, which runs by the time `finish` returns.
        """
        path = self._bundle.attach_socket
        deadline = time.monotonic() + reports.CREATE_TIMEOUT
        while await_socket(path, self._sync, deadline - time.monotonic()):
            try:
                return AttachStream.connect(path, f"container {self._bundle.name}", buffer=buffer)
            except InvalidStateError:
                # It is bound and does not listen yet: the next moment it does, and nothing tells. Unless conmon has
                # reported, or ended: by then it had listened for long.
                if pidfd.wait_readable([self._sync.fileno()], 0.0005):
                    return None
        return None

    def finish(self, timeout: float = reports.CREATE_TIMEOUT) -> Launched:
        """Wait for conmon's report after `release`."""
        try:
            report = reports.receive_report(self._sync, timeout)
            self._reported = True
            # The front process writes conmon.pid before it ends.
            status = self._front.wait()
            if report is None or report.failed or status != 0:
                raise self._failure(report)
            launched = Launched(init=ProcessIdentity.of(report.data), conmon=conmon_identity(self._bundle))
        except TimeoutError as error:
            raise OciRuntimeError(
                f"the OCI runtime did not {self._phase} container {self._bundle.name} within {timeout:g} seconds"
            ) from error
        self._finished = True
        launch_note(self._bundle).unlink(missing_ok=True)
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
            if not pidfd.wait_end(ProcessIdentity.of(self._front.pid), SILENCE_TIMEOUT):
                self._front.kill()
            self._front.wait()
            # A monitor that has failed by itself is not killed: it runs the exit command, and waits for it.
            if not self._reported:
                kill_with_children(self._programs, self._bundle, conmon_identity(self._bundle))
            delete(self._programs, self._bundle, force=True)
        for path in (*conmon_files(self._bundle), self._bundle.conmon_pid_file, launch_note(self._bundle)):
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
        sync, sync_theirs = reports.channel(preserve_fds, stack)
        gate, gate_theirs = reports.channel(preserve_fds, stack)
        printed, output = _output(bundle, stack)
        preserved = preserving(argv, preserve_fds, stack)
        channels = {"_OCI_SYNCPIPE": str(sync_theirs.fileno()), "_OCI_STARTPIPE": str(gate_theirs.fileno())}
        logger.debug("launch %s", " ".join(argv))
        words = ("tcp-close",) if restore is not None and restore.tcp_close else ()
        environment = stack.enter_context(criu_config.telling(programs.environment, bundle.directory, words))
        launch_note(bundle).touch()
        front = stack.enter_context(
            spawned(
                preserved.argv,
                env={**environment, **channels},
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
            if sync.fileno() in ready and not path.exists():
                return False
            if not ready:
                raise TimeoutError(errno.ETIMEDOUT, "conmon made no attach socket", str(path))
            watch.read()
    return True
