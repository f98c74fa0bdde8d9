"""What can be left or broken beside containers: records, locks, layers, networks, volumes, temporary files.

As `runtime_leftovers`: every function gives `Problem`s and changes nothing.

Covers: libpod/runtime.go (LockConflicts, SystemCheck)
"""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections.abc import Iterator
from pathlib import Path

from libpod.container_internal.services import Services
from libpod.define.errors import LockError, NoSuchContainerError, NoSuchVolumeError, short
from libpod.linux.files import remove_tree
from libpod.lock.base import LockKind
from libpod.lock.presence import MAKE, UNMAKE
from libpod.runtime_leftovers import Problem
from libpod.volume_internal import mounting, naming, removal

_OLD = 60.0
"""Seconds after which a temporary file has no writer: they live for milliseconds."""


def rows(services: Services, *, thorough: bool) -> Iterator[Problem]:
    """Half-written records, claims and lock numbers of processes that died."""
    fix = functools.partial(services.state.repair, thorough=thorough)
    for sentence in services.state.repair(thorough=thorough, pretend=True):
        kind = "lock" if "lock number" in sentence else "claim" if "gave back" in sentence else "record"
        yield Problem(kind=kind, subject="state", sentence=f"records: {sentence}", fix=fix)


def lock_conflicts(services: Services) -> Iterator[Problem]:
    """Two objects with one lock: they would wait for each other, or for themselves."""
    from libpod import runtime_renumber

    for number, owners in sorted(services.state.locks_in_use().items()):
        if len(owners) > 1:
            yield Problem(
                kind="lock",
                subject=str(number),
                sentence=f"lock {number} is shared by {', '.join(_shown(owner) for owner in owners)}",
                fix=functools.partial(runtime_renumber.renumber, services),
            )


def _shown(owner: str) -> str:
    word, _, name = owner.partition(" ")
    return f"{word} {short(name)}" if len(name) == 64 else owner


def layers(services: Services) -> Iterator[Problem]:
    """Layers, links and temporary files in the store that carry our mark and belong to nobody."""
    fix = functools.partial(services.store.recover, services.state.container_ids)
    for item in services.store.leftovers(services.state.container_ids):
        yield Problem(
            kind="layer",
            subject=item.name,
            sentence=f"the store has a {item.kind.value} that belongs to nobody: {item.name}",
            fix=fix,
        )


def store_damage(services: Services) -> Iterator[Problem]:
    """Everything else that is not in order in the store, other engines' things among it."""
    ours = set(services.state.container_ids())
    links = False
    for item in services.store.check():
        if item.name in ours and item.problem.startswith("no container has this name"):
            continue  # a container with a root directory of its own has no record in the store
        links = links or item.subject == "short link" or "short link" in item.problem
        yield Problem(
            kind="store",
            subject=item.name,
            sentence=f"the store: {item}",
            fix=services.store.repair if "short link" in item.problem else None,
            resolution=""
            if "short link" in item.problem
            else "remove what depends on it, or pull the image again",
        )


def network_strays(services: Services) -> Iterator[Problem]:
    """Links, bridges and rules of containers that do not exist."""
    if not (services.paths.volatile / "network.lock").exists():
        return  # no network was ever set up since the boot
    from libpod.container_internal import bridging

    found = bridging.strays_of(services)
    for item in found:
        of = f" of container {short(item.container_id)}" if item.container_id else ""
        yield Problem(
            kind="network",
            subject=item.name,
            sentence=f"network {item.kind} {item.name}{of} belongs to nobody",
            fix=functools.partial(bridging.backend_of(services).remove_strays, found),
        )


def unsettled_networks(services: Services) -> Iterator[Problem]:
    """Running containers that a killed process was connecting or disconnecting."""
    from libpod.container_internal.network_changes import is_settled

    for config, state in services.state.containers():
        if is_settled(config, state):
            continue
        lock = services.locks.lock(config.lock_id, LockKind.CONTAINER)
        try:
            lock.acquire(0.0)
        except LockError:
            continue  # somebody is at work on it
        try:
            half = not is_settled(
                services.state.container_config(config.id), services.state.container_state(config.id)
            )
        except NoSuchContainerError:
            continue
        finally:
            lock.release()
        if half:
            yield Problem(
                kind="network",
                subject=config.name,
                sentence=f"container {config.name} is not connected to the networks of its record",
                fix=functools.partial(_settle_networks, services, config.id),
            )


def _settle_networks(services: Services, ctr_id: str) -> None:
    from libpod.container_internal.locked import locked
    from libpod.container_internal.network_changes import settle

    with contextlib.suppress(NoSuchContainerError), locked(services, ctr_id) as held:
        settle(held)


def volume_problems(services: Services) -> Iterator[Problem]:
    """Volumes' directories without a record, records without a directory, mounts and copies without a user."""
    for path in _nameless_directories(services):
        yield Problem(
            kind="volume directory",
            subject=path.name,
            sentence=f"{path} belongs to a volume that does not exist",
            fix=functools.partial(_remove_directory, services, path),
        )
    for config, state in services.state.volumes():
        lock = services.locks.lock(config.lock_id, LockKind.VOLUME)
        try:
            lock.acquire(0.0)
        except LockError:
            continue  # somebody is at work on it
        try:
            found = list(_in_volume(services, config.name))
        except NoSuchVolumeError:
            continue
        finally:
            lock.release()
        yield from found
        fresh = config.is_anonymous and state.needs_copy_up
        if fresh and not found and not services.presence.living(MAKE) and not _users(services, config.name):
            yield Problem(
                kind="volume",
                subject=config.name,
                sentence=f"volume {short(config.name)} has no name, was never used, and no container uses it",
                fix=functools.partial(removal.remove_unused, services, [config.name]),
            )


def _users(services: Services, name: str) -> list[str]:
    try:
        return services.state.volume_users(name)
    except NoSuchVolumeError:
        return ["somebody"]


def _in_volume(services: Services, name: str) -> Iterator[Problem]:
    """What is wrong with one volume, whose lock is held."""
    config = services.state.volume_config(name)
    if not os.path.isdir(config.mount_point):
        yield Problem(
            kind="volume",
            subject=name,
            sentence=f"volume {name}: its directory {config.mount_point} is gone",
            resolution="remove it, or put the directory back",
        )
        return
    if mounting.is_mounted(config) and not mounting.users_now(services, name):
        yield Problem(
            kind="volume mount",
            subject=name,
            sentence=f"volume {name} is mounted, and nothing that runs uses it",
            fix=functools.partial(_unmount_volume, services, name),
        )
    growing = Path(config.mount_point).with_name(".tmp-growing")
    if growing.exists():
        yield Problem(
            kind="volume",
            subject=name,
            sentence=f"volume {name}: {growing} is a copy that was never finished",
            fix=functools.partial(_with_volume_lock, services, name, functools.partial(remove_tree, growing)),
        )


def _unmount_volume(services: Services, name: str) -> None:
    _with_volume_lock(services, name, functools.partial(mounting.unmount, services, name))


def _with_volume_lock(services: Services, name: str, step: functools.partial[None]) -> None:
    with services.locks.lock(services.state.volume_config(name).lock_id, LockKind.VOLUME):
        step()


def _nameless_directories(services: Services) -> list[Path]:
    with naming.removing(services):
        aside_has_owner = bool(services.presence.living(UNMAKE))
        return [
            services.paths.volumes / name
            for name in sorted(os.listdir(services.paths.volumes))
            if not services.state.has_volume(name)
            and not (aside_has_owner and name.startswith(naming.SET_ASIDE))
            and (services.paths.volumes / name).is_dir()
        ]


def _remove_directory(services: Services, path: Path) -> None:
    with naming.removing(services):
        if services.state.has_volume(path.name):
            return
        aside = naming.set_aside(path)
    if aside is not None:
        remove_tree(aside)


def temporary_files(services: Services) -> Iterator[Problem]:
    """Files that were to replace others."""
    paths = services.paths
    limit = time.time() - _OLD
    for directory in (paths.durable, paths.durable_state, paths.networks, paths.volatile):
        with os.scandir(directory) as entries:
            found = [
                entry.path
                for entry in entries
                if entry.name.startswith(".tmp-")
                and entry.is_file(follow_symlinks=False)
                and entry.stat(follow_symlinks=False).st_mtime < limit
            ]
        for path in sorted(found):
            yield Problem(
                kind="temporary file",
                subject=path,
                sentence=f"{path} was never finished",
                fix=functools.partial(Path(path).unlink, missing_ok=True),
            )
