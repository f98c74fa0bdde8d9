"""The records of exec sessions: which ones a container has, and sweeping those that are over.

Covers: libpod/container_exec.go (getActiveExecSessions, removeAllExecSessions)
"""

from __future__ import annotations

from pathlib import Path

from libpod.container_internal.held import LockedContainer
from libpod.define.errors import NoSuchExecSessionError
from libpod.linux.files import remove_tree
from libpod.linux.pidfd import ProcessIdentity
from libpod.model.container_state import ExecSession


def directory_of(held: LockedContainer, session_id: str) -> Path:
    """Where the files of a session are: below the run directory, so that a reboot forgets them."""
    return held.run_directory / "exec" / session_id


def is_alive(session: ExecSession) -> bool:
    """Whether the session's process runs still."""
    return bool(session.pid) and ProcessIdentity(session.pid, session.pid_start).alive()


def active(held: LockedContainer) -> list[ExecSession]:
    """The sessions whose process lives."""
    return [session for session in held.services.state.exec_sessions(held.id) if is_alive(session)]


def remove_sessions(held: LockedContainer) -> None:
    """Forget all sessions and remove their files; the container, and so their processes, is over."""
    for session in held.services.state.exec_sessions(held.id):
        remove_session(held, session.id)


def remove_session(held: LockedContainer, session_id: str) -> None:
    """Forget one session; repeating it is fine."""
    remove_tree(directory_of(held, session_id))
    try:
        held.services.state.remove_exec_session(session_id)
    except NoSuchExecSessionError:
        return
