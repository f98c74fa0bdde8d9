"""What a reboot leaves of a state. Pure.

A process, a mount, a namespace, an address do not survive; what became of the container does. The durable half keeps,
for every object, its state as it will be after a reboot (`kept_container`), so that `refresh` is a copy, and so that
a transition which a reboot would undo anyway (CONFIGURED → CREATED, a pid, a mount) costs no flush to disk.

    before the reboot                                  after
    CONFIGURED, CREATED, UNKNOWN                       CONFIGURED
    RUNNING, PAUSED, STOPPING, STOPPED, EXITED         EXITED
    REMOVING                                           REMOVING

An exit that is recorded enters the kept state at once (`with_exit`), unless it is older than the last start. A
container that was running when the machine went down is EXITED with `exited` false: nobody can say how it would have
ended.

A checkpoint that was taken stays restorable; `stopped_by_user` stays, because the policy "unless-stopped" asks for it.

Covers: libpod/container_internal.go (resetContainerState), libpod/boltdb_state.go and sqlite_state.go (Refresh)
"""

from __future__ import annotations

import msgspec

from libpod.define.status import ContainerStatus
from libpod.model.container_state import ContainerState, ExitRecord
from libpod.model.pod import PodState
from libpod.model.times import is_zero, to_nanoseconds
from libpod.model.volume import VolumeState

_HAS_RUN = frozenset(
    {
        ContainerStatus.RUNNING,
        ContainerStatus.PAUSED,
        ContainerStatus.STOPPING,
        ContainerStatus.STOPPED,
        ContainerStatus.EXITED,
    }
)


def kept_container(state: ContainerState) -> ContainerState:
    """What a reboot leaves of *state*."""
    if state.status is ContainerStatus.REMOVING:
        status = ContainerStatus.REMOVING
    else:
        status = ContainerStatus.EXITED if state.status in _HAS_RUN else ContainerStatus.CONFIGURED
    return ContainerState(
        status=status,
        config_path="" if status is ContainerStatus.CONFIGURED else state.config_path,
        started_time=state.started_time,
        finished_time=state.finished_time,
        exit_code=state.exit_code,
        exited=state.exited,
        error=state.error,
        oom_killed=state.oom_killed,
        stopped_by_user=state.stopped_by_user,
        checkpointed=state.checkpointed,
        checkpointed_time=state.checkpointed_time,
        checkpoint_path=state.checkpoint_path,
        checkpoint_log=state.checkpoint_log,
        removing_volumes=state.removing_volumes,
    )


def with_exit(kept: ContainerState, record: ExitRecord) -> ContainerState:
    """A kept state after the container was seen to have ended."""
    if kept.status is ContainerStatus.CONFIGURED or not _is_later(record.finished, kept):
        return kept
    return msgspec.structs.replace(
        kept, exited=True, exit_code=record.code, finished_time=record.finished, oom_killed=record.oom_killed
    )


def kept_pod(state: PodState) -> PodState:
    """What a reboot leaves: the infra container, not the cgroup."""
    return PodState(infra_container_id=state.infra_container_id)


def kept_volume(state: VolumeState) -> VolumeState:
    """What a reboot leaves: whether the content has still to be prepared, not the mounts."""
    return VolumeState(needs_copy_up=state.needs_copy_up, needs_chown=state.needs_chown)


def _is_later(finished: str, kept: ContainerState) -> bool:
    """Whether *finished* belongs to the last run that *kept* knows of."""
    if is_zero(finished):
        return False
    try:
        return to_nanoseconds(finished) >= max(_moment(kept.started_time), _moment(kept.finished_time))
    except ValueError:
        return False


def _moment(text: str) -> int:
    return 0 if is_zero(text) else to_nanoseconds(text)
