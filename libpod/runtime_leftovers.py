"""What can be left or broken around containers, found and put right: one function a subject.

Every function gives its findings as `Problem`s and changes nothing; whoever wants them repaired calls `fix`. Nothing is
believed that another process may be in the middle of: a container is looked at with its lock in hand, or not at all
when somebody has it; what has no record is compared with what living processes are making (`runtime_traces`).

Covers: nothing upstream; libpod/runtime.go (SystemCheck) looks at the store only
"""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs

from libpod import runtime_ended
from libpod.container_internal import abandoned, lifecycle, user_mounts
from libpod.container_internal.exec_sessions import is_alive
from libpod.container_internal.held import LockedContainer
from libpod.container_internal.launching import bundle_for, bundle_of, identity_of_conmon, identity_of_init
from libpod.container_internal.locked import taken
from libpod.container_internal.monitors import MOMENT, PATIENCE, end_monitor
from libpod.container_internal.removal import removes_itself
from libpod.container_internal.services import Services
from libpod.define.errors import LibpodError, LockError, NoSuchContainerError, short
from libpod.define.status import LIVE, ContainerStatus
from libpod.linux import cgroups, mounts, namespaces, pidfd
from libpod.linux.files import remove_tree
from libpod.lock.presence import EXEC
from libpod.model.container_config import ContainerConfig
from libpod.oci.ending import exit_files
from libpod.runtime_traces import Survey, Trace

logger = logging.getLogger(__name__)

Status = ContainerStatus
_RESTING = frozenset({Status.CONFIGURED, Status.EXITED, Status.UNKNOWN})


@attrs.frozen(kw_only=True)
class Problem:
    """One thing that is not as it should be."""

    kind: str
    subject: str
    """What it is about: a container's name, a path, a number."""
    sentence: str
    fix: Callable[[], object] | None = None
    """Puts it right; None when only its owner can decide. Equal fixes are called once."""
    resolution: str = ""


# ---- containers with a record -----------------------------------------------------------------------------------


def container_problems(services: Services, seen: Survey) -> Iterator[Problem]:
    """Containers that are not what their record says, or have what they should not have."""
    for ctr_id, (summary, state) in seen.records.items():
        suspicious = (
            state.status not in _RESTING
            or state.restart_policy_match
            or (summary.auto_remove and state.status is Status.EXITED and not state.checkpoint_path)
            or ctr_id in seen.abandoned
            or any(trace.kind not in {"directory", "layer"} for trace in seen.traces.get(ctr_id, ()))
        )
        if not suspicious:
            continue
        fix = functools.partial(put_right, services, ctr_id)
        try:
            with taken(services, ctr_id, timeout=0.0) as held:
                found = list(_seen_in(held, seen))
        except (LockError, NoSuchContainerError):
            continue  # somebody is at work on it, or has removed it
        for kind, sentence, resolution in found:
            yield Problem(
                kind=kind,
                subject=summary.name,
                sentence=f"container {summary.name}: {sentence}",
                fix=None if resolution else fix,
                resolution=resolution,
            )


def put_right(services: Services, ctr_id: str) -> None:
    """Put one container in order, and do what its exit command should have done."""
    try:
        with taken(services, ctr_id, timeout=0.0) as held:
            abandoned.settle(held)
            held.lock.abandoned = False
            if _needs_clean_up(held):
                runtime_ended.settle_end(held)
    except NoSuchContainerError:
        return  # its removal is finished


def _seen_in(held: LockedContainer, seen: Survey) -> Iterator[tuple[str, str, str]]:
    """(kind, sentence, resolution) of everything that is wrong with a container whose lock is held."""
    if held.status is Status.REMOVING:
        yield "removal", "its removal, or its import, was interrupted", ""
        return
    if held.status in LIVE:
        yield from _seen_in_live(held, seen)
        return
    if held.id in seen.cleaning or _monitor_stays(held, seen) is False:
        return  # its exit command is about to do it
    if held.status is Status.STOPPED or _needs_clean_up(held):
        yield "clean-up", "it ended, and nobody cleaned up after it", ""
        return
    yield from _seen_in_resting(held, seen)


def _seen_in_live(held: LockedContainer, seen: Survey) -> Iterator[tuple[str, str, str]]:
    runtime, bundle = lifecycle.runtime_of(held), bundle_for(held)
    watched = runtime.monitor_alive(bundle, identity_of_conmon(held.state))
    lives = identity_of_init(held.state).alive()
    ended = runtime.exit_status(bundle) is not None
    if held.state.checkpointing:
        yield "checkpoint", "its checkpoint was interrupted", ""
    elif not lives and not watched and held.id not in seen.cleaning:
        yield "clean-up", "it ended, and nobody cleaned up after it", ""
        return
    elif lives and not watched and not ended:
        yield "monitor", "its monitor died: nobody will see its output or its exit code", "restart it"
    if not lives:
        return
    if held.status is Status.CREATED and runtime.has_started(bundle):
        yield "start", "it runs, and is recorded as not started", ""
    frozen = abandoned.is_frozen(held)
    if frozen and held.status is not Status.PAUSED and not held.state.checkpointing:
        yield "freezer", "it stands still, and nobody has paused it", ""
    if not frozen and held.status is Status.PAUSED:
        yield "freezer", "it runs, and is recorded as paused", ""
    if held.status is Status.STOPPING and not abandoned.is_being_stopped(held):
        yield "stop", "whoever was stopping it was killed", ""
    yield from _sessions(held)
    if held.state.mounted and not held.config.rootfs and held.services.store.mountpoint(held.id) is None:
        yield "mount", "its root file system is not mounted on the host any more", "restart it"
    if held.state.netns and not namespaces.is_network_namespace(Path(held.state.netns)):
        yield "network namespace", "the name of its network namespace is gone", "restart it"


def _seen_in_resting(held: LockedContainer, seen: Survey) -> Iterator[tuple[str, str, str]]:
    state, services = held.state, held.services
    for kind, word in (
        ("monitor", "process"),
        ("exec monitor", "process"),
        ("runtime entry", "runtime entry"),
        ("namespace", "network namespace"),
        ("exit file", "exit file"),
        ("persist directory", "persist directory"),
        ("socket", "socket"),
    ):
        for trace in seen.of(held.id, kind):
            if trace.process is None or trace.process.alive():
                yield word, f"it does not run, and has a {kind}: {trace.name}", ""
    if any(
        hierarchy.directory(path).is_dir() for path in _cgroup_of(held) for hierarchy in cgroups.hierarchies()
    ):
        yield "cgroup", "it does not run, and has a cgroup", ""
    if state.network_status or state.netns or services.state.claims(owner=held.id):
        yield "network", "it does not run, and holds addresses or ports", ""
    if state.mounted or user_mounts.surplus(held) > 0:
        yield "mount", "it does not run, and its root file system is mounted for nobody", ""
    for trace in seen.of(held.id, "mount"):
        own = trace.name.startswith(f"{held.directory}/")
        if (own or services.store.mount_count(held.id) == 0) and mounts.is_mount_point(trace.name):
            yield "mount", f"it does not run, and {trace.name} is mounted", ""
    yield from _sessions(held)


def _sessions(held: LockedContainer) -> Iterator[tuple[str, str, str]]:
    followed = held.services.presence.living(EXEC)
    for session in held.services.state.exec_sessions(held.id):
        if session.id not in followed and not is_alive(session):
            yield "exec session", f"its exec session {short(session.id)} has no process", ""


def _cgroup_of(held: LockedContainer) -> list[str]:
    bundle = bundle_for(held)
    return [cgroups.group_path(bundle.cgroup_path)] if bundle.cgroups_enabled and bundle.cgroup_path else []


def _needs_clean_up(held: LockedContainer) -> bool:
    return (
        held.status is Status.STOPPED
        or (removes_itself(held.config, held.state) and not held.services.state.dependents(held.id))
        or (held.status is Status.EXITED and lifecycle.wants_restart(held))
    )


def _monitor_stays(held: LockedContainer, seen: Survey) -> bool | None:
    """None without a monitor; else whether it stays, for one that has done its work ends in a moment."""
    stays = None
    for trace in seen.of(held.id, "monitor"):
        assert trace.process is not None
        stays = not pidfd.wait_end(trace.process, MOMENT) or stays or False
    return stays


def missing_parts(services: Services) -> Iterator[Problem]:
    """Containers whose layer or directory somebody else has removed. They cannot run, but can be removed."""
    stored = {item.id: item.layer_id for item in services.store.containers()}
    layers = {layer.id for layer in services.store.layers()}
    for config, state in services.state.containers():
        if state.status is Status.REMOVING:
            continue
        problem = ""
        if not config.rootfs and stored.get(config.id) not in layers:
            problem = "its layer is gone from the store"
        elif config.rootfs and not Path(config.rootfs).is_dir():
            problem = f"its root directory {config.rootfs} is gone"
        elif not services.bundle_directory(config.id).is_dir():
            problem = "its directory is gone"
        if problem and services.state.has_container(config.id):
            yield Problem(
                kind="layer",
                subject=config.name,
                sentence=f"container {config.name}: {problem}",
                resolution="remove it, by force if it runs",
            )


# ---- containers without a record --------------------------------------------------------------------------------


def strays(services: Services, seen: Survey) -> Iterator[Problem]:
    """What is there of containers that do not exist."""
    for ctr_id, traces in seen.unknown.items():
        fix = functools.partial(remove_traces, services, ctr_id, tuple(traces))
        for trace in traces:
            if trace.process is not None and pidfd.wait_end(trace.process, MOMENT):
                continue  # it had done its work
            yield Problem(
                kind=_KIND_OF_TRACE.get(trace.kind, trace.kind),
                subject=short(ctr_id),
                sentence=f"{trace.kind} {trace.name} belongs to container {short(ctr_id)}, which does not exist",
                fix=fix,
            )


_KIND_OF_TRACE = {"monitor": "process", "exec monitor": "process", "namespace": "network namespace"}


def remove_traces(services: Services, ctr_id: str, traces: tuple[Trace, ...]) -> None:
    """End and remove all that is there of a container that has no record."""
    for trace in traces:
        if trace.process is not None:
            end_monitor(trace.process)
            # Its last words, which were not there when we looked.
            for path in exit_files(services.paths.exit_file(ctr_id)):
                remove_tree(path)
            remove_tree(services.paths.persist(ctr_id))
    for name in {Path(trace.name).parent.name for trace in traces if trace.kind == "runtime entry"}:
        stand_in = bundle_of(services, ContainerConfig(id=ctr_id, name=short(ctr_id), spec={}, runtime=name))
        abandoned.forget_in_runtime(services, services.runtimes.named(name), stand_in, name)
    for trace in sorted(traces, key=lambda item: item.name, reverse=True):
        if trace.kind == "mount":
            _unmount(trace.name)
    for trace in traces:
        path = Path(trace.name)
        if trace.kind == "namespace":
            namespaces.delete_network_namespace(path)
        elif trace.kind in {"exit file", "persist directory", "socket", "directory"}:
            remove_tree(path)
        elif trace.kind == "layer":
            services.store.delete_container(ctr_id)
        elif trace.kind == "cgroup":
            cgroups.kill_all(trace.name)
            cgroups.remove(trace.name, timeout=PATIENCE)


def _unmount(point: str) -> None:
    try:
        mounts.unmount(point, mounts.MNT_DETACH | mounts.UMOUNT_NOFOLLOW)
    except (FileNotFoundError, OSError) as error:
        if mounts.is_mount_point(point):
            raise
        logger.debug("%s is not mounted any more: %s", point, error)


def named_by_dead(services: Services, seen: Survey) -> Iterator[Problem]:
    """Volumes that were made for a container which then was not made."""
    planned = [(sign.subject, sign.notes()) for sign in seen.dead_signs]
    for ctr_id, names in planned:
        for name in names if ctr_id not in seen.records else ():
            if services.state.has_volume(name) and not services.state.volume_users(name):
                yield Problem(
                    kind="volume",
                    subject=name,
                    sentence=f"volume {name} was made for container {short(ctr_id)}, which does not exist",
                    fix=functools.partial(_remove_volume, services, name),
                )


def _remove_volume(services: Services, name: str) -> None:
    from libpod.volume_internal import removal

    try:
        removal.remove(services, name)
    except LibpodError as error:
        logger.debug("volume %s stays: %s", name, error)


def staging(services: Services, seen: Survey) -> Iterator[Problem]:
    """Temporary directories of processes that are gone."""
    for item in seen.dead_undertakings:
        yield Problem(
            kind="staging",
            subject=item.path.name,
            sentence=f"{item.path} holds the files of a {item.kind.value} that was killed",
            fix=functools.partial(remove_tree, item.path),
        )
    for path in _unlocked_scratch(services.paths.staging):
        yield Problem(
            kind="staging",
            subject=path.name,
            sentence=f"{path} holds the files of an image that was being made when its maker was killed",
            fix=functools.partial(remove_tree, path),
        )


def _unlocked_scratch(parent: Path) -> list[Path]:
    import fcntl

    from libpod.image.scratch import PREFIX

    found = []
    for name in sorted(os.listdir(parent)):
        if not name.startswith(PREFIX):
            continue
        try:
            descriptor = os.open(parent / name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found.append(parent / name)
        except BlockingIOError:
            pass  # somebody works in it
        finally:
            os.close(descriptor)
    return found
