"""How a container ended, and waiting for it.

conmon writes ``<persist dir>/exit``, then renames ``<exit dir>/<id>`` into place; the log is complete by then. Then
it runs the exit command, waits for it, and ends. So: exit file ⇒ the status is final; conmon's end ⇒ there is an exit
file, or conmon was killed. With an exit command inotify tells earlier, without one conmon's pidfd is enough.

The exit time is the exit file's change time.

Covers: container_internal.go (handleExitFile, waitForExitFileAndSync), container_api.go (Wait),
oci_conmon_common.go (UpdateContainerStatus)
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from libpod.linux import cgroups, inotify, pidfd
from libpod.oci.base import Bundle, ExitStatus, Launched
from libpod.oci.deleting import kill, thaw
from libpod.oci.starting import await_command

if TYPE_CHECKING:
    from libpod.oci.programs import Programs

UNKNOWN_CODE = -1


def format_time(nanoseconds: int) -> str:
    """RFC 3339 in UTC with nanoseconds."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def exit_status(bundle: Bundle) -> ExitStatus | None:
    """See `OciRuntime.exit_status`."""
    found = read_exit_file(bundle.exit_file) or read_exit_file(bundle.persist_dir / "exit")
    if found is None:
        return None
    code, changed = found
    oom = any(path.exists() for path in (bundle.persist_dir / "oom", bundle.directory / "oom"))
    return ExitStatus(code=code, finished=format_time(changed), oom_killed=oom)


def read_exit_file(path: Path) -> tuple[int, int] | None:
    """(code, change time in ns) of an exit file; a file that holds no number means code −1."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        text = os.read(descriptor, 64)
        changed = os.fstat(descriptor).st_ctime_ns
    finally:
        os.close(descriptor)
    try:
        return int(text), changed
    except ValueError:
        return UNKNOWN_CODE, changed


def exit_files(path: Path) -> list[Path]:
    """An exit file, and what a conmon that was killed over it has left under a temporary name of glib's."""
    try:
        names = os.listdir(path.parent)
    except FileNotFoundError:
        return []
    return [path, *(path.parent / name for name in names if name.startswith(f"{path.name}."))]


def wait_exit(bundle: Bundle, launched: Launched, timeout: float | None = None) -> ExitStatus | None:
    """See `OciRuntime.wait_exit`."""
    if (status := exit_status(bundle)) is not None:
        return status
    deadline = None if timeout is None else time.monotonic() + timeout
    with contextlib.ExitStack() as stack:
        watch = _watch(bundle, stack) if bundle.exit_command else None
        conmon = stack.enter_context(pidfd.opened(launched.conmon))
        init = stack.enter_context(pidfd.opened(launched.init))
        while (status := exit_status(bundle)) is None:
            if conmon is None or pidfd.ended(conmon):
                # It may have written the file between the two looks.
                if (status := exit_status(bundle)) is not None:
                    return status
                # Nobody watches any more. The container lives on until its init ends.
                if init is None or pidfd.ended(init):
                    return ExitStatus(code=UNKNOWN_CODE, finished=format_time(time.time_ns()))
                waiting = [init]
            else:
                waiting = [conmon] if watch is None else [conmon, watch.fileno()]
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not pidfd.wait_readable(waiting, left):
                return exit_status(bundle)
            if watch is not None:
                watch.read()
        return status


def _watch(bundle: Bundle, stack: contextlib.ExitStack) -> inotify.Inotify | None:
    """A watch of the exit directory; None when the user has no inotify instance left: conmon's end must do then."""
    try:
        watch = stack.enter_context(inotify.Inotify())
        watch.watch(bundle.exit_dir, inotify.IN_MOVED_TO)
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENOSPC):
            return None
        raise
    return watch


def send(
    programs: Programs, bundle: Bundle, init: pidfd.ProcessIdentity, number: int, *, everyone: bool = False
) -> bool:
    """See `OciRuntime.signal`."""
    if number not in (0, signal.SIGKILL):
        await_command(programs, bundle, init)
    if everyone and bundle.cgroups_enabled and bundle.cgroup_path:
        return cgroups.kill_all(cgroups.group_path(bundle.cgroup_path), number) > 0
    sent = pidfd.send_signal(init, number)
    if sent and number == signal.SIGKILL:
        thaw(bundle)
    return sent


def stop(
    programs: Programs,
    bundle: Bundle,
    launched: Launched,
    *,
    number: int,
    timeout: float,
    everyone: bool = False,
) -> ExitStatus:
    """See `OciRuntime.stop`."""
    killed = False
    if send(programs, bundle, launched.init, number, everyone=everyone):
        # A paused container cannot see the signal before it runs again.
        thaw(bundle)
        if not pidfd.wait_end(launched.init, timeout):
            if everyone:
                send(programs, bundle, launched.init, signal.SIGKILL, everyone=True)
            kill(bundle, launched.init)
            killed = True
    status = wait_exit(bundle, launched)
    assert status is not None  # only a timeout gives None
    if status.code == UNKNOWN_CODE and killed:
        return msgspec.structs.replace(status, code=128 + signal.SIGKILL)
    return status
