"""Bring a container's recorded state in line with the world, under its lock.

The exit file is the truth about an end; the OCI runtime is never asked. What a killed process left half-done is
finished here: a checkpoint that was interrupted, a start whose result nobody wrote down, a conmon that died.

Covers: libpod/container_internal.go (syncContainer, handleExitFile)
"""

from __future__ import annotations

import logging

from libpod.container_internal.held import LockedContainer
from libpod.container_internal.launching import bundle_for, identity_of_conmon, identity_of_init
from libpod.define.status import LIVE, ContainerStatus
from libpod.model.container_state import ExitRecord
from libpod.model.event import EventStatus
from libpod.model.times import ZERO_TIME, now
from libpod.oci.base import ExitStatus

logger = logging.getLogger(__name__)

EXIT_LOST = -1


def sync(held: LockedContainer) -> None:
    """Record an exit that happened since the state was written, and finish what a killed process began."""
    if held.status not in LIVE:
        return
    runtime = held.services.runtimes.for_container(held.config)
    bundle = bundle_for(held)
    if held.state.checkpointing:
        from libpod.container_internal import settling  # rare, and it needs half the house

        settling.settle(held)
        if held.status not in LIVE:
            return
    ended = runtime.exit_status(bundle)
    if ended is not None:
        record_exit(held, ended)
        return
    if held.status is ContainerStatus.CREATED and runtime.has_started(bundle):
        # The lock is ours: whoever started it died before it could say so.
        held.update(status=ContainerStatus.RUNNING, started_time=now(), finished_time=ZERO_TIME)
        held.emit(EventStatus.START)
    conmon, init = identity_of_conmon(held.state), identity_of_init(held.state)
    if runtime.monitor_alive(bundle, conmon):
        return
    # It may have written the file between our two looks.
    ended = runtime.exit_status(bundle)
    if ended is not None:
        record_exit(held, ended)
    elif not init.alive():
        logger.warning("container %s: its conmon died before it could say how the container ended", held.name)
        record_exit(
            held,
            ExitStatus(code=EXIT_LOST, finished=now(), oom_killed=False),
            error="conmon died before it could record how the container ended",
        )


def record_exit(held: LockedContainer, ended: ExitStatus, *, error: str = "") -> None:
    """The container is over: first durably for those who wait, then in its state; last the event."""
    held.services.state.record_exit(
        held.id, ExitRecord(code=ended.code, finished=ended.finished, oom_killed=ended.oom_killed)
    )
    restart = (
        held.config.restart_policy not in {"", "no"}
        and held.status in {ContainerStatus.RUNNING, ContainerStatus.PAUSED}
        and not held.state.stopped_by_user
    )
    held.update(
        status=ContainerStatus.STOPPED,
        exit_code=ended.code,
        exited=True,
        finished_time=ended.finished,
        oom_killed=ended.oom_killed,
        error=error,
        pid=0,
        pid_start=0,
        conmon_pid=0,
        conmon_start=0,
        restart_policy_match=held.state.restart_policy_match or restart,
    )
    held.emit(EventStatus.DIED, exit_code=ended.code)
