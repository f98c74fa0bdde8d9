"""What becomes of a container whose checkpointing or restoring process was killed.

The lock is ours, so nobody of us is at work on it; but the OCI runtime that the dead process had started goes on by
itself, and must not be disturbed in the middle of a dump: its end is awaited.

*Checkpoint.* The container's init tells. Alive: it is thawed and runs on as if nothing had been asked. Dead by SIGKILL,
with CRIU's inventory among the images, which it writes last: the images are its checkpoint, and it can be restored.
Dead otherwise: it has ended like any other.

*Restore in place.* Its runtime tells. Woken, with a conmon that watches it and the pid file that the runtime writes
last: it runs, and that is written down. Anything less is ended, its network and mounts are given back, and it is
checkpointed as before, since its images are only removed once its state says that it runs.

An import is not settled but removed (`abandoned`): its record says "removing" until it runs.

Covers: nothing upstream; podman takes the dead container for one that was killed.
"""

from __future__ import annotations

import logging
import time

from libpod.checkpoint import members
from libpod.container_internal import networking
from libpod.container_internal.held import LockedContainer
from libpod.container_internal.launching import bundle_for, identity_of_init, pids_of
from libpod.define.errors import CheckpointError
from libpod.define.status import ContainerStatus
from libpod.linux import pidfd
from libpod.linux.files import remove_tree
from libpod.linux.pidfd import ProcessIdentity
from libpod.model.times import ZERO_TIME, now
from libpod.oci.base import Bundle, OciRuntime

logger = logging.getLogger(__name__)

PATIENCE = 600.0
"""Seconds that the dump of a dead process may go on."""
_KILLED = 128 + 9
_UNKNOWN = -1


def settle(held: LockedContainer) -> None:
    """Finish or forget the checkpoint that was interrupted. Waits for a dump that goes on by itself."""
    for dump in dumps_at_work(held):
        logger.warning("container %s: waiting for the dump that a killed program left", held.name)
        if not pidfd.wait_end(dump, PATIENCE):
            raise CheckpointError(
                container=held.name,
                step="waiting for a dump that a killed program left",
                cause=f"process {dump.pid} does not end",
                resolution="end it",
            )
    runtime = held.services.runtimes.for_container(held.config)
    bundle = bundle_for(held)
    if identity_of_init(held.state).alive():
        runtime.resume(bundle)
        held.update(checkpointing=False)
        remove_tree(bundle.directory / members.CHECKPOINT_DIR)
        logger.warning("container %s: its checkpoint was interrupted; it runs on", held.name)
        return
    if not _is_complete(runtime, bundle):
        held.update(checkpointing=False)
        return  # an ordinary end: sync finds its exit file
    mark_as_checkpointed(held)
    established = any((bundle.directory / members.CHECKPOINT_DIR).glob("tcp-stream-*.img"))
    networking.keep_for_restore(held, established=established)
    logger.warning(
        "container %s: its checkpoint was interrupted; it can be restored from its own images", held.name
    )


def mark_as_checkpointed(held: LockedContainer) -> None:
    """Its processes are gone and its images are complete: they are its checkpoint. A clean-up gives the rest back."""
    bundle = bundle_for(held)
    ended = held.services.runtimes.for_container(held.config).exit_status(bundle)
    held.update(
        status=ContainerStatus.STOPPED,
        checkpointing=False,
        checkpointed=True,
        checkpointed_time=now(),
        checkpoint_path=str(bundle.directory / members.CHECKPOINT_DIR),
        restored=False,
        restored_time=ZERO_TIME,
        finished_time=ended.finished if ended is not None else now(),
        exited=True,
        exit_code=0,
        stopped_by_user=True,
    )


def dumps_at_work(held: LockedContainer) -> list[ProcessIdentity]:
    """The OCI runtimes that are dumping the container, for whoever started them."""
    return _runtimes_at_work(held, "checkpoint")


def _runtimes_at_work(held: LockedContainer, verb: str) -> list[ProcessIdentity]:
    runtime = held.services.runtimes.for_container(held.config).capabilities.path.name
    return _at_work(runtime.encode(), {verb.encode(), held.id.encode()})


def _at_work(program: bytes, wanted: set[bytes]) -> list[ProcessIdentity]:
    """The processes of a program by its name, with these words among its arguments."""
    found = []
    for process in pidfd.all_processes():
        words = pidfd.command_line(process.pid)
        if wanted <= set(words) and words[0].rpartition(b"/")[2] == program:
            found.append(process)
    return found


def settle_restore(held: LockedContainer) -> None:
    """Finish the restore in place that was interrupted, if it came so far; else leave it as it is, checkpointed.

    What is not finished is given back like all that a container at rest must not have (`abandoned`).
    """
    if not (held.directory / members.CHECKPOINT_DIR / members.INVENTORY).exists():
        return
    if held.status in {ContainerStatus.CONFIGURED, ContainerStatus.EXITED}:
        runtime, bundle = held.services.runtimes.for_container(held.config), bundle_for(held)
        await_restore(held)
        found = runtime.rediscover(bundle)
        if (
            found is None
            or not found.conmon.start_time
            or (pidfd.read_pid(bundle.pid_file) or 0) != found.init.pid
        ):
            return
        if not runtime.has_started(bundle):
            return  # it was a plain start that was interrupted: nothing of the checkpoint runs
        held.update(**pids_of(found), **woken_fields(held))
        networking.release(held)
        logger.warning("container %s: its restore was interrupted at the end; it runs", held.name)
    if held.state.restored and held.status is ContainerStatus.RUNNING:
        for name in CONSUMED:
            remove_tree(held.directory / name)


def await_restore(held: LockedContainer) -> None:
    """Let a restore come to its end, woken or not, that goes on by itself because whoever asked for it was killed.

    Ended in the middle, the runtime would leave a CRIU behind that goes on writing its log. A conmon that has begun
    nothing yet is about to, unless it is running the exit command already, which waits for our lock.
    """
    bundle = bundle_for(held)
    deadline = time.monotonic() + _RESTORE_PATIENCE
    idle = 0
    # A look at all processes is not of one moment, and one may fork meanwhile: only two that agree are believed.
    while idle < 2 and (left := deadline - time.monotonic()) > 0:
        if at_work := _runtimes_at_work(held, "restore"):
            pidfd.wait_end(at_work[0], left)
            idle = 0
            continue
        monitors = _at_work(b"conmon", {b"--restore", held.id.encode()})
        begins = any(_is_about_to_begin(monitor) for monitor in monitors)
        idle = 0 if begins and not bundle.pid_file.exists() else idle + 1
        time.sleep(_PAUSE)  # nothing tells that it forks; this is a matter of milliseconds


def _is_about_to_begin(monitor: ProcessIdentity) -> bool:
    """Whether a conmon has forked nothing yet, or only another conmon; else that is the exit command."""
    return all(pidfd.process_name(child.pid) == "conmon" for child in pidfd.children(monitor))


def woken_fields(held: LockedContainer) -> dict[str, object]:
    """The fields of a state that say that a container was woken."""
    return {
        "status": ContainerStatus.RUNNING,
        "config_path": str(bundle_for(held).config_file),
        "run_dir": str(held.run_directory),
        "started_time": now(),
        "finished_time": ZERO_TIME,
        "exit_code": 0,
        "exited": False,
        "oom_killed": False,
        "error": "",
        "stopped_by_user": False,
        "restart_policy_match": False,
        "checkpointed": False,
        "checkpointing": False,
        "checkpoint_path": "",
        "restored": True,
        "restored_time": now(),
    }


CONSUMED = (
    members.PRE_CHECKPOINT_DIR,
    members.CHECKPOINT_DIR,
    members.VOLUMES_DIR,
    members.DEVSHM_TAR,
    members.ROOTFS_DIFF_TAR,
    members.DELETED_FILES,
    members.NETWORK_STATUS,
    members.DUMP_LOG,
    members.RESTORE_LOG,
    members.STATS_DUMP,
    members.STATS_RESTORE,
    members.CONFIG_DUMP,
    members.SPEC_DUMP,
)
"""What a restore uses up, in the container's directory."""


def _is_complete(runtime: OciRuntime, bundle: Bundle) -> bool:
    """Whether CRIU had all and then killed it: by the exit code, one that ended by itself did so differently."""
    if not (bundle.directory / members.CHECKPOINT_DIR / members.INVENTORY).exists():
        return False
    ended = runtime.exit_status(bundle)
    return ended is None or ended.code in {_KILLED, _UNKNOWN}


_PAUSE = 0.005
_RESTORE_PATIENCE = 60.0
"""Seconds that the restore of a dead process may go on; then it is ended."""
