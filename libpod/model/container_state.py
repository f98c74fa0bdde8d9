"""What changes while a container lives: replaced as a whole, never edited.

Two records, because a reboot erases one and keeps the other. `ContainerState` is volatile: after a boot it is gone
and the container starts from `ContainerState()` with the `LastRun` of the durable record.

Covers: libpod/container.go (ContainerState)
"""

# Annotations are not put off here: to read 150 of them back from text takes msgspec milliseconds in every process.

from typing import Any

import msgspec

from libpod.define.status import ContainerStatus
from libpod.model.times import ZERO_TIME


class ContainerState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The state of a container as podman's JSON has it."""

    status: ContainerStatus = msgspec.field(default=ContainerStatus.CONFIGURED, name="state")
    config_path: str = msgspec.field(default="", name="configPath")
    """The generated config.json, once there is one."""
    run_dir: str = msgspec.field(default="", name="runDir")
    mounted: bool = False
    mount_point: str = msgspec.field(default="", name="mountPoint")
    started_time: str = msgspec.field(default=ZERO_TIME, name="startedTime")
    finished_time: str = msgspec.field(default=ZERO_TIME, name="finishedTime")
    exit_code: int = msgspec.field(default=0, name="exitCode")
    """−1 when the container ended and nobody can say how; meaningless unless `exited`."""
    exited: bool = False
    error: str = ""
    oom_killed: bool = msgspec.field(default=False, name="oomKilled")
    pid: int = 0
    """Process id of the container's init; 0 unless the status is CREATED, RUNNING, PAUSED or STOPPING."""
    pid_start: int = msgspec.field(default=0, name="pidStart")
    """Start time of that process in clock ticks: with the boot id it makes the pid an identity."""
    conmon_pid: int = msgspec.field(default=0, name="conmonPid")
    conmon_start: int = msgspec.field(default=0, name="conmonStart")
    network_status: dict[str, Any] = msgspec.field(default_factory=dict, name="networkStatus")
    netns: str = ""
    """Path of the network namespace that we made for the container, while there is one."""
    bind_mounts: dict[str, str] = msgspec.field(default_factory=dict, name="bindMounts")
    """Files we generate: path in the container → path on the host."""
    stopped_by_user: bool = msgspec.field(default=False, name="stoppedByUser")
    restart_policy_match: bool = msgspec.field(default=False, name="restartPolicyMatch")
    restart_count: int = msgspec.field(default=0, name="restartCount")
    checkpointed: bool = False
    checkpointed_time: str = msgspec.field(default=ZERO_TIME, name="checkpointedTime")
    checkpoint_path: str = msgspec.field(default="", name="checkpointPath")
    checkpoint_log: str = msgspec.field(default="", name="checkpointLog")
    restored: bool = False
    restored_time: str = msgspec.field(default=ZERO_TIME, name="restoredTime")
    restore_log: str = msgspec.field(default="", name="restoreLog")
    checkpointing: bool = False
    """Set, durably for this boot, before CRIU stops the container: a death seen now is not an exit."""
    removing_volumes: bool = msgspec.field(default=False, name="removingVolumes")
    """With status REMOVING: whether the anonymous volumes go too."""
    volumes_to_remove: tuple[str, ...] = msgspec.field(default=(), name="volumesToRemove")
    """With status REMOVING: volumes that go in any case, because an import that was undone had made them."""


class ExitRecord(msgspec.Struct, frozen=True, kw_only=True):
    """How a container last ended; survives its removal for a while, and reboots."""

    code: int
    finished: str
    oom_killed: bool = False


class ExecSession(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One process started inside a running container besides its own."""

    id: str
    container_id: str = msgspec.field(name="containerId")
    state: int = msgspec.field(default_factory=int)
    """0 unknown, 1 created, 2 running, 3 stopped."""
    pid: int = 0
    pid_start: int = msgspec.field(default=0, name="pidStart")
    exit_code: int = msgspec.field(default=0, name="exitCode")
    config: dict[str, Any] = {}
