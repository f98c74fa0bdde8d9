"""One more process in a running container.

Three ways, all by conmon, so that an exit code is recorded even when we die:

    follow     no terminal, not detached: conmon stays our child (--sync) and hands pipes (or the caller's descriptors)
               to the process as they are. No socket, no framing, no copying; its exit status is the code.
    terminal   conmon makes an attach socket, we connect, set the size, and let the process start; output from the
               first byte on.
    detached   conmon goes into the background; its output goes nowhere; code and pid are read from the exec bundle.

Files of a session, all in `ExecRequest.directory`: process.json, exec_pid, oci-log, ``exit/<container id>`` with the
code, and conmon's attach, ctl, winsz. The directory is removed when the exec fails, and by `ExecProcess.close`; for a
detached one by whoever takes the code (`exit_code`, then `remove_session`).

Killed in the middle, we leave the directory and possibly the process: pid in exec_pid, code later in the exit file.

Covers: oci_conmon_exec_common.go, oci_conmon_exec_linux.go
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import signal
import socket
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING

from libpod.define.errors import OciRuntimeError
from libpod.linux import pidfd
from libpod.linux.files import remove_tree, write_atomic
from libpod.linux.pidfd import ProcessIdentity, read_pid
from libpod.linux.process import DEVNULL, PIPE, Child, spawned
from libpod.oci import arguments, control, reports
from libpod.oci.attach import AttachStream
from libpod.oci.base import Bundle, ExecRequest
from libpod.oci.ending import UNKNOWN_CODE, read_exit_file
from libpod.oci.errors import Phase, read_log, runtime_error
from libpod.oci.preserving import preserving
from libpod.oci.starting import await_execve

if TYPE_CHECKING:
    from libpod.oci.programs import Programs

logger = logging.getLogger(__name__)


class ExecProcess:
    """A process that runs in a container beside its own. A context manager; `close` does not end the process."""

    def __init__(
        self,
        bundle: Bundle,
        request: ExecRequest,
        process: ProcessIdentity,
        resources: contextlib.ExitStack,
        *,
        sync: socket.socket,
        child: Child | None = None,
        stream: AttachStream | None = None,
    ) -> None:
        self._bundle, self._request, self._resources = bundle, request, resources
        self._sync, self._child = sync, child
        self._code: int | None = None
        self.process = process
        self.stream = stream
        """With a terminal: its streams."""
        self.stdin: IO[bytes] | None = child.stdin if child is not None else None
        self.stdout: IO[bytes] | None = child.stdout if child is not None else None
        self.stderr: IO[bytes] | None = child.stderr if child is not None else None

    def __enter__(self) -> ExecProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        return self.process.pid

    def wait(self, timeout: float | None = None) -> int | None:
        """The exit code (128+signal when killed, −1 when nobody saw it); None when *timeout* seconds pass first."""
        if self._code is None:
            try:
                report = reports.receive_report(self._sync, timeout)
            except TimeoutError:
                return None
            if report is not None and not report.failed:
                self._code = report.data
            elif (code := exit_code(self._request.directory, self._bundle.id)) is not None:
                self._code = code
            else:
                # conmon was killed. The process lives on, and nobody will ever see its code.
                if not pidfd.wait_end(self.process, timeout):
                    return None
                self._code = UNKNOWN_CODE
        return self._code

    def exit_fileno(self) -> int:
        """A descriptor that becomes readable when `wait` would not block."""
        return self._sync.fileno()

    def communicate(self, stdin: bytes | None = None) -> tuple[int | None, bytes, bytes]:
        """Send *stdin*, read all output, and return (code, stdout, stderr)."""
        from libpod.oci.copying import copy_exec

        out, err = io.BytesIO(), io.BytesIO()
        code = copy_exec(self, stdin=io.BytesIO(stdin or b""), stdout=out, stderr=err)
        return code, out.getvalue(), err.getvalue()

    def resize(self, rows: int, columns: int) -> None:
        """Set the size of the session's terminal."""
        resize(self._bundle, self._request.directory, rows, columns)

    def send_signal(self, number: int) -> bool:
        """Send a signal to the process; False when it is gone."""
        await_execve(self.process)
        return pidfd.send_signal(self.process, number)

    def stop(self, timeout: float = 10.0) -> None:
        """SIGTERM, and SIGKILL after *timeout* seconds."""
        stop(self.process, timeout)

    def close(self) -> None:
        """Let go of the session; a second call does nothing.

        A process that is followed through pipes is killed when it still runs: its streams end here. One with a
        terminal, or detached, goes on. The directory is removed when the code is known.
        """
        if self._child is not None and self._code is None:
            pidfd.send_signal(self.process, signal.SIGKILL)
            self.wait(STOP_TIMEOUT)
        self._resources.close()
        if self._code is not None:
            remove_session(self._request.directory)


STOP_TIMEOUT = 30.0
"""Seconds that a killed process may take to vanish."""


def start(programs: Programs, bundle: Bundle, request: ExecRequest) -> ExecProcess:
    """See `OciRuntime.exec`."""
    with contextlib.ExitStack() as stack:
        spec = _make_directory(bundle, request, stack)
        if request.detach:
            made = _start_detached(programs, bundle, request, spec, stack)
        elif request.terminal:
            made = _start_attached(programs, bundle, request, spec, stack)
        else:
            made = _start_followed(programs, bundle, request, spec, stack)
    return made


def _make_directory(bundle: Bundle, request: ExecRequest, stack: contextlib.ExitStack) -> Path:
    """The exec bundle with the process document; removed again when the stack unwinds with an error."""
    directory = request.directory
    stack.callback(remove_session, directory)
    (directory / "persist" / bundle.id).mkdir(parents=True, exist_ok=True)
    (directory / "exit").mkdir(exist_ok=True)
    for name in ("oci-log", "exec_pid", f"exit/{bundle.id}"):
        (directory / name).unlink(missing_ok=True)
    spec = directory / "process.json"
    process = dict(request.process)
    if request.terminal and request.size is not None:
        # conmon sets the size as well, but maybe later than the process looks.
        process["consoleSize"] = {"height": request.size[0], "width": request.size[1]}
    write_atomic(spec, json.dumps(process).encode(), durable=False)
    return spec


def _start_followed(
    programs: Programs, bundle: Bundle, request: ExecRequest, spec: Path, stack: contextlib.ExitStack
) -> ExecProcess:
    stdin, stdout, stderr = request.streams or (PIPE, PIPE, PIPE)
    resources = stack.enter_context(contextlib.ExitStack())
    sync, sync_theirs = reports.channel(request.preserve_fds, resources)
    argv = arguments.exec_args(
        programs.conmon, programs.runtime, bundle, request, spec, attach=False, follow=True
    )
    preserved = preserving(argv, request.preserve_fds, resources)
    child = resources.enter_context(
        spawned(
            preserved.argv,
            env={**programs.environment, "_OCI_SYNCPIPE": str(sync_theirs.fileno())},
            cwd=request.directory,
            pass_fds=(sync_theirs.fileno(), *preserved.pass_fds),
            process_group=0,
            stdin=stdin if request.stdin else DEVNULL,
            stdout=stdout,
            stderr=stderr,
        )
    )
    sync_theirs.close()
    report = _first_report(sync, bundle)
    if report is None or report.failed:
        child.kill()
        text = read_log(request.directory / "oci-log") or (report.message if report is not None else "")
        if not text and child.stderr is not None:
            text = child.stderr.read().decode(errors="replace")
        raise runtime_error(Phase.EXEC, bundle.name, text)
    process = ProcessIdentity.of(report.data)
    stack.pop_all()
    return ExecProcess(bundle, request, process, resources, sync=sync, child=child)


def _start_attached(
    programs: Programs, bundle: Bundle, request: ExecRequest, spec: Path, stack: contextlib.ExitStack
) -> ExecProcess:
    resources = stack.enter_context(contextlib.ExitStack())
    sync, sync_theirs = reports.channel(request.preserve_fds, resources)
    with contextlib.ExitStack() as launch:
        gate, gate_theirs = reports.channel(request.preserve_fds, launch)
        ready, ready_theirs = reports.channel(request.preserve_fds, launch)
        channels = {
            "_OCI_SYNCPIPE": sync_theirs,
            "_OCI_STARTPIPE": gate_theirs,
            "_OCI_ATTACHPIPE": ready_theirs,
        }
        front, printed = _spawn_background(programs, bundle, request, spec, channels, launch, attach=True)
        reports.push(gate)
        if reports.receive_report(ready, reports.CREATE_TIMEOUT) is None:
            raise _failure(bundle, request, None, printed)
        stream = resources.enter_context(
            AttachStream.connect(request.directory / "attach", f"exec session in container {bundle.name}")
        )
        if request.size is not None:
            resize(bundle, request.directory, *request.size)
        reports.push(gate)
        report = _first_report(sync, bundle)
        front.wait()
        if report is None or report.failed:
            raise _failure(bundle, request, report, printed)
    process = ProcessIdentity.of(report.data)
    stack.pop_all()
    return ExecProcess(bundle, request, process, resources, sync=sync, stream=stream)


def _start_detached(
    programs: Programs, bundle: Bundle, request: ExecRequest, spec: Path, stack: contextlib.ExitStack
) -> ExecProcess:
    resources = stack.enter_context(contextlib.ExitStack())
    sync, sync_theirs = reports.channel(request.preserve_fds, resources)
    with contextlib.ExitStack() as launch:
        channels = {"_OCI_SYNCPIPE": sync_theirs}
        front, printed = _spawn_background(programs, bundle, request, spec, channels, launch, attach=False)
        report = _first_report(sync, bundle)
        front.wait()
        if report is None or report.failed:
            raise _failure(bundle, request, report, printed)
    process = ProcessIdentity.of(report.data)
    stack.pop_all()
    return ExecProcess(bundle, request, process, resources, sync=sync)


def _spawn_background(
    programs: Programs,
    bundle: Bundle,
    request: ExecRequest,
    spec: Path,
    channels: dict[str, socket.socket],
    stack: contextlib.ExitStack,
    *,
    attach: bool,
) -> tuple[Child, IO[bytes]]:
    """A conmon that goes into the background, and what it prints before. Our ends of *channels* stay open."""
    reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    printed = stack.enter_context(os.fdopen(reading, "rb", buffering=0))
    argv = arguments.exec_args(
        programs.conmon, programs.runtime, bundle, request, spec, attach=attach, follow=False
    )
    with os.fdopen(writing, "wb", buffering=0):
        preserved = preserving(argv, request.preserve_fds, stack)
        front = stack.enter_context(
            spawned(
                preserved.argv,
                env={**programs.environment, **{name: str(end.fileno()) for name, end in channels.items()}},
                cwd=request.directory,
                pass_fds=[*(end.fileno() for end in channels.values()), *preserved.pass_fds],
                process_group=0,
                stdout=writing,
                stderr=writing,
            )
        )
    for end in channels.values():
        end.close()
    return front, printed


def _first_report(sync: socket.socket, bundle: Bundle) -> reports.Report | None:
    try:
        return reports.receive_report(sync, reports.CREATE_TIMEOUT)
    except TimeoutError as error:
        raise OciRuntimeError(
            f"the OCI runtime did not run the command in container {bundle.name} "
            f"within {reports.CREATE_TIMEOUT:g} seconds"
        ) from error


def _failure(
    bundle: Bundle, request: ExecRequest, report: reports.Report | None, printed: IO[bytes]
) -> Exception:
    text = read_log(request.directory / "oci-log") or (report.message if report is not None else "")
    if not text:
        text = (printed.read(65536) or b"").decode(errors="replace")
    return runtime_error(Phase.EXEC, bundle.name, text)


# ---- sessions of which only the directory is known ----------------------------------------------------------------


def exit_code(directory: Path, container_id: str) -> int | None:
    """The code of a session, or None while it has not ended."""
    found = read_exit_file(directory / "exit" / container_id)
    return found[0] if found is not None else None


def exec_pid(directory: Path) -> int | None:
    """The pid that the runtime wrote down, for a session whose starter died."""
    return read_pid(directory / "exec_pid")


def stop(process: ProcessIdentity, timeout: float = 10.0) -> None:
    """End a session's process: SIGTERM, and SIGKILL after *timeout* seconds. One that is gone is fine."""
    await_execve(process)
    if pidfd.send_signal(process, signal.SIGTERM) and not pidfd.wait_end(process, timeout):
        pidfd.send_signal(process, signal.SIGKILL)
        if not pidfd.wait_end(process, STOP_TIMEOUT):
            raise OciRuntimeError(f"process {process.pid} of an exec session does not die")


def resize(bundle: Bundle, directory: Path, rows: int, columns: int) -> None:
    """Set the size of a session's terminal."""
    subject = f"exec session in container {bundle.name}"
    control.resize(directory / "ctl", subject, rows, columns, pid=exec_pid(directory))


def remove_session(directory: Path) -> None:
    """Remove a session's files."""
    remove_tree(directory)
