"""What becomes of a container whose lock was held by a process that was killed.

The next holder puts it in order before it does anything else. The lock is ours, so nobody is at work on the container,
and every step records before the next begins; so little has to be looked at:

    recorded as                 what may be left                            what is done
    REMOVING                    anything of it                              removed to the end
    a live state                an end, an interrupted checkpoint           `sync` records or settles them
                                a frozen cgroup nobody recorded             thawed
                                PAUSED, and it runs                         recorded as running
                                a start that was not recorded               `sync` records it
                                STOPPING, and nobody stops it any more      recorded as what it was
    STOPPED after a checkpoint  its network and mounts                      the address kept, the rest given back
    EXITED after a checkpoint   all that a restore makes                    recorded as running, if it runs
    CONFIGURED, EXITED          a process nobody recorded, mounts, network  ended and given back
    any                         an exec session that was just begun         its process ended, the record removed

A container that ended and was not cleaned up stays STOPPED: whoever wants it starts or removes it from there, and the
repair at opening does what its exit command should have done.

Covers: nothing upstream, where the next holder of a robust mutex goes on as if nothing had happened
"""

from __future__ import annotations

import contextlib
import logging
import signal
from pathlib import Path

from libpod.container_internal import lifecycle, networking, settling, user_mounts
from libpod.container_internal.exec_sessions import directory_of, is_alive, remove_session, remove_sessions
from libpod.container_internal.held import LockedContainer
from libpod.container_internal.launching import bundle_for
from libpod.container_internal.monitors import end_monitor, monitors
from libpod.container_internal.services import Services
from libpod.container_internal.sync import sync
from libpod.define.errors import LibpodError, NoSuchContainerError, OciRuntimeError
from libpod.define.status import LIVE, ContainerStatus
from libpod.linux import cgroups, pidfd
from libpod.linux.files import remove_tree
from libpod.linux.pidfd import ProcessIdentity
from libpod.lock.presence import EXEC, STOP
from libpod.model.container_state import ExecSession
from libpod.oci import execution
from libpod.oci.base import Bundle, OciRuntime
from libpod.oci.freezing import freezer

logger = logging.getLogger(__name__)

Status = ContainerStatus
_CREATED = 1
"""State of an exec session whose process nobody has recorded."""


def put_in_order(held: LockedContainer) -> None:
    """Do what the module says. Raises NoSuchContainerError when the container was being removed.

    What cannot be done is logged, and the lock stays abandoned for the next holder: a container must be removable
    whatever has become of it.
    """
    logger.info("container %s: whoever worked on it was killed; putting it in order", held.name)
    try:
        settle(held)
    except NoSuchContainerError:
        held.lock.abandoned = False
        raise
    except (LibpodError, OSError) as error:
        logger.warning("container %s cannot be put in order: %s", held.name, error)
        return
    held.lock.abandoned = False


def settle(held: LockedContainer) -> None:
    """As `put_in_order`, with errors raised."""
    if held.status is Status.REMOVING:
        from libpod.container_internal.removal import finish_removal

        finish_removal(held)
        raise NoSuchContainerError(held.id)
    sync(held)
    settling.settle_restore(held)
    if held.status in LIVE:
        settle_sessions(held)
        settle_live(held)
    elif held.status is Status.STOPPED:
        settle_sessions(held)
        if held.state.checkpointed:
            networking.keep_for_restore(held, established=False)
            lifecycle.clean_up(held)
    else:
        settle_resting(held)


def settle_live(held: LockedContainer) -> None:
    """A container that has processes: its record and its freezer agree afterwards."""
    frozen = is_frozen(held)
    if held.status is Status.PAUSED and not frozen:
        held.update(status=Status.RUNNING)
    elif frozen and held.status is not Status.PAUSED:
        lifecycle.runtime_of(held).resume(bundle_for(held))
        logger.warning("container %s stood still, and nobody had paused it; it runs on", held.name)
    if held.status is Status.STOPPING and not is_being_stopped(held):
        started = lifecycle.runtime_of(held).has_started(bundle_for(held))
        held.update(status=Status.RUNNING if started else Status.CREATED)
        logger.warning("container %s: whoever was stopping it was killed; it runs on", held.name)


def settle_resting(held: LockedContainer) -> None:
    """A container that must not have anything: processes ended, network, mounts and sessions given back."""
    runtime, bundle = lifecycle.runtime_of(held), bundle_for(held)
    if runtime.monitor_alive(bundle, ProcessIdentity(0, 0)) and runtime.rediscover(bundle) is None:
        # It watches something of which the runtime's own notes are gone.
        for monitor in monitors(held.services):
            if monitor.container == held.id and monitor.kind != "exit command":
                end_monitor(monitor.process)
    lifecycle.remove_unrecorded(held, runtime)
    # The runtime may know it without a process, and a cgroup may be there without the runtime.
    forget_in_runtime(held.services, runtime, bundle, held.config.runtime)
    remove_sessions(held)
    lifecycle.release_resources(held)
    held.services.state.release_claims(held.id)
    user_mounts.drop_surplus(held)


def settle_sessions(held: LockedContainer) -> None:
    """Exec sessions of a container that has, or had, processes: those without one go, unless somebody follows them."""
    followed = held.services.presence.living(EXEC)
    for session in held.services.state.exec_sessions(held.id):
        if session.id in followed:
            continue
        if session.state == _CREATED:
            _end_unrecorded(held, session)
        elif is_alive(session):
            continue
        remove_session(held, session.id)


def forget_in_runtime(services: Services, runtime: OciRuntime, bundle: Bundle, name: str) -> None:
    """Have the OCI runtime forget a container; what it cannot read itself is removed from its directory."""
    try:
        runtime.delete(bundle, force=True)
    except OciRuntimeError as error:
        logger.warning("container %s: its entry in the runtime is damaged: %s", bundle.name, error)
    remove_tree(services.paths.oci_root(Path(name).name or "default") / bundle.id)


def is_frozen(held: LockedContainer) -> bool:
    """Whether its processes stand still."""
    directory = freezer(bundle_for(held))
    return directory is not None and cgroups.is_frozen(directory)


def is_being_stopped(held: LockedContainer) -> bool:
    """Whether a living process waits for its end, without its lock."""
    return held.id in held.services.presence.living(STOP)


def _end_unrecorded(held: LockedContainer, session: ExecSession) -> None:
    """Nobody was told of the process: the caller died before it had a handle."""
    pid = execution.exec_pid(directory_of(held, session.id))
    if pid is None or pid not in lifecycle.runtime_of(held).processes(bundle_for(held)):
        return
    process = ProcessIdentity.of(pid)
    with contextlib.suppress(ProcessLookupError):
        pidfd.send_signal(process, signal.SIGKILL)
    pidfd.wait_end(process, 10.0)
