"""One more process in a running container.

The session is recorded before the process starts and its pid after it; the record goes when the exit code is known. Who
follows a session says so with a sign. When it is killed, the process goes on, as with podman; its record is swept once
it has ended, by a repair or the container's clean-up. A process that nobody was told of is ended.

Covers: libpod/container_exec.go
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import msgspec

from libpod.container_internal import lifecycle, user_lookup
from libpod.container_internal.exec_sessions import directory_of, remove_session
from libpod.container_internal.exit_command import exit_command
from libpod.container_internal.held import LockedContainer
from libpod.container_internal.launching import bundle_for
from libpod.container_internal.locked import locked
from libpod.container_internal.undoing import undo
from libpod.define.errors import ExecSessionExistsError, NoSuchContainerError
from libpod.define.ids import new_id
from libpod.define.status import Operation
from libpod.lock.presence import EXEC
from libpod.model.container_state import ExecSession
from libpod.model.event import EventStatus
from libpod.model.exec_options import ExecOptions
from libpod.oci.base import ExecRequest
from libpod.oci.execution import ExecProcess
from libpod.spec.process import exec_process

if TYPE_CHECKING:
    from libpod.container_api import Container

CREATED, RUNNING, STOPPED = 1, 2, 3


class ExecResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a command that ran to its end left."""

    exit_code: int
    stdout: bytes
    stderr: bytes


class ExecHandle:
    """A process that runs in a container. A context manager.

    `process` has its streams; `wait` gives its exit code and forgets the session. Leaving the block ends a process
    whose streams are ours, and leaves a detached one alone.
    """

    def __init__(
        self, held: LockedContainer, session: ExecSession, process: ExecProcess, sign: Path | None
    ) -> None:
        self._services, self._config = held.services, held.config
        self._sign = sign
        self.session = session
        self.process = process
        self._detached = bool(session.config.get("detach"))

    @property
    def id(self) -> str:
        """Id of the session."""
        return self.session.id

    def __enter__(self) -> ExecHandle:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def wait(self, timeout: float | None = None) -> int | None:
        """The exit code; None when *timeout* seconds pass first."""
        code = self.process.wait(timeout)
        if code is not None:
            self._forget(code)
        return code

    def communicate(self, input: bytes = b"") -> ExecResult:
        """Send *input*, read all output and wait."""
        code, out, err = self.process.communicate(input)
        self._forget(-1 if code is None else code)
        return ExecResult(exit_code=-1 if code is None else code, stdout=out, stderr=err)

    def resize(self, rows: int, columns: int) -> None:
        """Set the size of the terminal."""
        self.process.resize(rows, columns)

    def close(self) -> None:
        """Let go of it; idempotent."""
        self.process.close()
        if not self._detached and self.session.state == RUNNING:
            self._forget(self.process.wait(0.0))
        self._unsign()

    def _unsign(self) -> None:
        if self._sign is not None:
            self._sign.unlink(missing_ok=True)
            self._sign = None

    def _forget(self, code: int | None) -> None:
        if self.session.state == STOPPED:
            return
        self.session = msgspec.structs.replace(
            self.session, state=STOPPED, exit_code=-1 if code is None else code
        )
        self.process.close()
        self._unsign()
        try:
            with locked(self._services, self._config.id, synced=False) as held:
                remove_session(held, self.session.id)
                held.emit(EventStatus.EXEC_DIED, exit_code=code)
        except NoSuchContainerError:
            return  # the container went, and its sessions with it


def execute(held: LockedContainer, options: ExecOptions) -> ExecHandle:
    """See `Container.exec`."""
    held.require(Operation.EXEC, resolution="start it first")
    session = _new_session(held, options)
    sign = held.services.presence.begin(EXEC, session.id) if not options.detach else None
    held.services.state.add_exec_session(session)
    try:
        directory = directory_of(held, session.id)
        directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        request = ExecRequest(
            session_id=session.id,
            directory=directory,
            process=_process(held, options),
            terminal=options.tty,
            stdin=options.interactive,
            detach=options.detach,
            size=options.size,
            streams=options.streams,
            exit_command=exit_command(
                held.services.exit_program, held.id, held.directory, exec_session=session.id
            )
            if options.detach
            else (),
            preserve_fds=options.preserve_fds,
        )
        process = lifecycle.runtime_of(held).exec(bundle_for(held), request)
    except BaseException as error:
        if sign is not None:
            sign.unlink(missing_ok=True)
        undo(error, lambda: remove_session(held, session.id))
        raise
    session = msgspec.structs.replace(
        session, state=RUNNING, pid=process.pid, pid_start=process.process.start_time
    )
    held.services.state.save_exec_session(session)
    held.emit(EventStatus.EXEC)
    return ExecHandle(held, session, process, sign)


def run(
    container: Container, command: tuple[str, ...], input: bytes, options: Mapping[str, Any]
) -> ExecResult:
    """See `Container.run`."""
    wanted = ExecOptions(command=command, interactive=bool(input), **options)
    with container.exec(wanted) as handle:
        return handle.communicate(input)


def _new_session(held: LockedContainer, options: ExecOptions) -> ExecSession:
    taken = {session.id for session in held.services.state.exec_sessions(held.id)}
    session_id = new_id()
    if session_id in taken:
        raise ExecSessionExistsError(session_id)
    return ExecSession(
        id=session_id,
        container_id=held.id,
        state=CREATED,
        config={
            "command": list(options.command),
            "terminal": options.tty,
            "attachStdin": options.interactive,
            "attachStdout": not options.detach,
            "attachStderr": not options.detach,
            "environment": dict(options.env),
            "privileged": options.privileged,
            "user": options.user,
            "workDir": options.workdir,
            "detach": options.detach,
        },
    )


def _process(held: LockedContainer, options: ExecOptions) -> dict[str, Any]:
    document = json.loads((held.directory / "config.json").read_bytes())
    user = options.user or held.config.user
    resolved = user_lookup.resolve(
        _live_root(held), user, groups=held.config.groups if not options.user else ()
    )
    return exec_process(document, options, user=resolved, host=held.services.host)


def _live_root(held: LockedContainer) -> str:
    """The root file system as the container sees it now."""
    root = f"/proc/{held.state.pid}/root"
    return root if os.path.exists(root) else held.state.mount_point
