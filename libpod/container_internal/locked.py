"""Lock a container, read its state, bring it up to date: the preamble of every verb, written once.

Covers: libpod/container_internal.go (the lock, sync and check at the head of every call)
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from libpod.container_internal.held import LockedContainer
from libpod.container_internal.services import Services
from libpod.container_internal.sync import sync
from libpod.define.errors import NoSuchContainerError
from libpod.lock.base import LockKind


@contextlib.contextmanager
def locked(services: Services, ctr_id: str, *, synced: bool = True) -> Iterator[LockedContainer]:
    """The container, locked and fresh, for the duration of the block.

    Raises NoSuchContainerError when it is gone, also when it went while we waited for the lock.
    """
    services.require_open()
    while True:
        config = services.state.container_config(ctr_id)
        with services.locks.lock(config.lock_id, LockKind.CONTAINER) as lock:
            if not services.state.has_container(ctr_id):
                raise NoSuchContainerError(ctr_id)
            fresh = services.state.container_config(ctr_id)
            if fresh.lock_id != config.lock_id:
                continue  # renumbered while we waited: this lock no longer protects it
            held = LockedContainer(services, fresh, services.state.container_state(ctr_id), lock)
            if synced:
                sync(held)
            yield held
            return


@contextlib.contextmanager
def released(held: LockedContainer) -> Iterator[None]:
    """Give the lock up around something slow; afterwards the state is read and synced again.

    What was required before must be required again.
    """
    held.lock.release()
    try:
        yield
    finally:
        held.lock.acquire()
    held.reload()
    sync(held)
