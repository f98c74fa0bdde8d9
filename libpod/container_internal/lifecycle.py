"""From configured to running and back: init, start, stop, kill, pause, restart, clean-up.

Each step records what it did before the next one begins; the docstrings say what a kill in between leaves, and `sync`
or the next `init` repairs it.

Covers: libpod/container_internal.go (init, start, stop, cleanup, prepareToStart, handleRestartPolicy)
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import msgspec

from libpod.container_internal import extra_mounts, graph, networking, rootfs, volumes
from libpod.container_internal.exec_sessions import remove_sessions
from libpod.container_internal.held import LockedContainer
from libpod.container_internal.launching import (
    NO_PROCESSES,
    bundle_for,
    identity_of_init,
    launched_of,
    pids_of,
)
from libpod.container_internal.locked import locked, released
from libpod.container_internal.services import Services
from libpod.container_internal.sync import record_exit
from libpod.container_internal.undoing import undo
from libpod.define.errors import LibpodError, NoSuchContainerError
from libpod.define.status import ALLOWED, LIVE, ContainerStatus, Operation
from libpod.lock.presence import STOP
from libpod.model.container_config import ContainerConfig, NetworkOptions
from libpod.model.event import EventStatus
from libpod.model.times import ZERO_TIME, now
from libpod.oci.base import OciRuntime
from libpod.spec.namespaces import has_own

if TYPE_CHECKING:
    from libpod.container_internal import specification

logger = logging.getLogger(__name__)

Status = ContainerStatus


def runtime_of(held: LockedContainer) -> OciRuntime:
    """The OCI driver of the container."""
    return held.services.runtimes.for_container(held.config)


def init(held: LockedContainer, *, keep_restart_count: bool = False, exit_delay: int = 0) -> None:
    """Create the container in the OCI runtime: everything is there, its command does not run yet.

    A kill before the state is saved leaves a created container that nobody knows of; `launching` of the next init
    finds and removes it. Any failure is undone: the container is as it was before. *exit_delay*: seconds for which
    conmon leaves the clean-up after its end to others.
    """
    from libpod.container_internal import specification  # who only gives a container back needs none of it

    held.require(Operation.INIT)
    graph.require_dependencies_running(held)
    rootfs.require_present(held)
    if held.status is Status.STOPPED:
        clean_up(held)
    runtime, bundle = runtime_of(held), msgspec.structs.replace(bundle_for(held), exit_delay=exit_delay)
    remove_unrecorded(held, runtime)
    try:
        with (
            networking.reserved_ports(held) as ports,
            runtime.launching(bundle, pass_fds=ports) as launch,
        ):
            prepared = prepare(held)
            specification.write_config(held, prepared)
            launched = launch.go()
        held.update(
            **pids_of(launched),
            status=Status.CREATED,
            config_path=str(bundle.config_file),
            run_dir=str(held.run_directory),
            exit_code=0,
            exited=False,
            oom_killed=False,
            error="",
            stopped_by_user=False,
            restart_policy_match=False,
            restart_count=held.state.restart_count if keep_restart_count else 0,
            checkpointed=False,
            restored=False,
            bind_mounts=prepared.bind_mounts,
        )
    except BaseException as error:
        undo(error, lambda: release_resources(held))
        raise
    held.emit(EventStatus.INIT)


def prepare(
    held: LockedContainer,
    *,
    wishes: Mapping[str, NetworkOptions] | None = None,
    on_hold: bool = False,
    copy_up: bool = True,
) -> specification.Prepared:
    """Make network, mounts and volumes, noting each before the next; what is there already is used."""
    from libpod.container_internal import specification

    network_status, netns = networking.set_up(held, wishes=wishes, on_hold=on_hold)
    if netns != held.state.netns or network_status != held.state.network_status:
        held.update(netns=netns, network_status=network_status)
    root = rootfs.mount(held)
    held.update(mounted=True, mount_point=str(root))
    volumes.prepare(held, root, copy_up=copy_up)
    return specification.prepare(held, root)


def start_infra(services: Services, config: ContainerConfig) -> None:
    """Start the infra container of the pod that a container is in, if it has one that does not run.

    Called before the member's own lock is taken: a pod's namespaces are there whenever a member starts.
    """
    if not config.pod or config.is_infra:
        return
    for ctr_id in config.all_dependencies:
        if services.state.container_config(ctr_id).is_infra:
            with locked(services, ctr_id) as infra:
                if infra.status in ALLOWED[Operation.START]:
                    start(infra)


def start(held: LockedContainer) -> None:
    """Run the container's command, from any state in which it does not run already."""
    held.require(Operation.START)
    if held.status is not Status.CREATED:
        init(held)
    _start_created(held)


def _start_created(held: LockedContainer) -> None:
    try:
        runtime_of(held).start(bundle_for(held), launched_of(held.state))
    except BaseException as error:
        undo(error, lambda: clean_up(held))
        raise
    held.update(status=Status.RUNNING, started_time=now(), finished_time=ZERO_TIME)
    held.emit(EventStatus.START)


def stop(held: LockedContainer, timeout: float | None = None) -> bool:
    """Ask the container to end, wait, then kill it. The lock is released during the wait.

    *timeout* in seconds; None means the container's own, 0 kills at once. A container that does not run is left
    alone. That a user stopped it is saved first, so that no restart policy revives it. False when it is not there any
    more: it has ended and removed itself, or somebody else has removed it.
    """
    held.require(Operation.STOP)
    if held.status not in LIVE:
        if not held.state.stopped_by_user:
            held.update(stopped_by_user=True)
        return True
    patience = float(held.config.stop_timeout if timeout is None else timeout)
    runtime, bundle, launched = runtime_of(held), bundle_for(held), launched_of(held.state)
    signal = held.config.stop_signal_number
    if held.status is Status.CREATED:
        patience = 0.0  # its command never ran: there is nobody to ask
    if held.status is Status.PAUSED:
        runtime.resume(bundle)
    held.update(status=Status.STOPPING, stopped_by_user=True)
    try:
        with held.services.presence.at_work(STOP, held.id), released(held):
            ended = runtime.stop(
                bundle, launched, signal=signal, timeout=patience, everyone=_shares_pid_namespace(held)
            )
    except NoSuchContainerError:
        return False
    if held.status is Status.STOPPING and held.state.conmon_pid == launched.conmon.pid:
        # sync has not seen an exit file: conmon had died, and the driver says what it knows.
        record_exit(held, ended)
    if held.status in {Status.STOPPED, Status.EXITED}:
        held.emit(EventStatus.STOP)
    return True


def kill(held: LockedContainer, signal: int) -> None:
    """Send a signal to the container's process; a later end counts as wanted by the user."""
    held.require(Operation.KILL)
    held.update(stopped_by_user=True)
    runtime_of(held).signal(
        bundle_for(held),
        identity_of_init(held.state),
        signal,
        everyone=_shares_pid_namespace(held) and signal == 9,
    )
    held.emit(EventStatus.KILL)


def pause(held: LockedContainer) -> None:
    """Freeze every process."""
    held.require(Operation.PAUSE)
    runtime_of(held).pause(bundle_for(held))
    held.update(status=Status.PAUSED)
    held.emit(EventStatus.PAUSE)


def unpause(held: LockedContainer) -> None:
    """Let frozen processes go on."""
    held.require(Operation.UNPAUSE)
    runtime_of(held).resume(bundle_for(held))
    held.update(status=Status.RUNNING)
    held.emit(EventStatus.UNPAUSE)


def restart(held: LockedContainer, timeout: float | None = None) -> None:
    """Stop the container if it runs and start it again, with a fresh network."""
    if held.status in LIVE and not stop(held, timeout):
        raise NoSuchContainerError(held.name)
    if held.status in {Status.STOPPED, Status.CREATED}:
        clean_up(held)
    start(held)
    held.emit(EventStatus.RESTART)


def clean_up(held: LockedContainer) -> None:
    """Remove what an ended (or only created) container still holds: runtime entry, network, mounts.

    STOPPED becomes EXITED, CREATED becomes CONFIGURED; already clean is fine. All steps run, even when one fails; the
    first error is raised, the others are logged.
    """
    held.require(Operation.CLEANUP)
    if held.status not in {Status.STOPPED, Status.CREATED}:
        release_resources(held)
        return
    init_process = identity_of_init(held.state) if held.state.pid else None

    def remove_from_runtime() -> None:
        runtime, bundle = runtime_of(held), bundle_for(held)
        runtime.delete(bundle, init=init_process, force=True)
        runtime.remove_leftovers(bundle)

    after = Status.EXITED if held.status is Status.STOPPED else Status.CONFIGURED
    _all_of(
        held,
        remove_from_runtime,
        lambda: remove_sessions(held),
        lambda: release_resources(held),
        lambda: held.update(status=after, **NO_PROCESSES),
    )
    held.emit(EventStatus.CLEANUP)


def release_resources(held: LockedContainer) -> None:
    """Network, mounts, volumes: given back. All are tried, whatever the state says was taken: a kill may lie between.

    The volumes last: the last user of one unmounts it, and a user is who has its root mounted.
    """
    _all_of(
        held,
        lambda: networking.tear_down(held),
        lambda: extra_mounts.release(held),
        lambda: rootfs.unmount(held),
        lambda: volumes.release(held),
    )


def after_exit(held: LockedContainer) -> bool:
    """What conmon's exit command does: restart by policy, else clean up. Says whether it was restarted.

    That the policy wants it back is forgotten only with the new start, or when that fails: one that was cleaned up by
    a process that was killed before the start is started by the next who looks.
    """
    if held.status not in {Status.STOPPED, Status.EXITED}:
        return False
    again = wants_restart(held)
    if held.status is Status.STOPPED:
        clean_up(held)
    if not again:
        return False
    try:
        held.update(restart_count=held.state.restart_count + 1)
        held.emit(EventStatus.RESTART)
        init(held, keep_restart_count=True)
        _start_created(held)
    except BaseException:
        held.update(restart_policy_match=False)
        raise
    return True


def wants_restart(held: LockedContainer) -> bool:
    """Whether the restart policy asks for a new start now."""
    state, config = held.state, held.config
    if not state.restart_policy_match or state.stopped_by_user:
        return False
    if config.restart_policy in {"always", "unless-stopped"}:
        return True
    if config.restart_policy != "on-failure" or state.exit_code == 0:
        return False
    return config.restart_retries == 0 or state.restart_count < config.restart_retries


def remove_unrecorded(held: LockedContainer, runtime: OciRuntime) -> None:
    """End what a killed process created in the runtime and never wrote down."""
    bundle = bundle_for(held)
    found = runtime.rediscover(bundle)
    if found is not None:
        logger.warning("container %s: removing a process that a killed program left", held.name)
        runtime.delete(bundle, init=found.init, force=True)
    runtime.remove_leftovers(bundle)


def _all_of(held: LockedContainer, *steps: Callable[[], None]) -> None:
    first: LibpodError | OSError | None = None
    for step in steps:
        try:
            step()
        except (LibpodError, OSError) as error:
            if first is None:
                first = error
            else:
                logger.warning("container %s: %s", held.name, error)
    if first is not None:
        raise first


def _shares_pid_namespace(held: LockedContainer) -> bool:
    """Without a PID namespace of its own, the end of init does not end the others."""
    return not has_own(held.config.spec, "pid") or bool(held.config.pid_ns_ctr)
