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

    Was the holder before killed, the container is put in order first. Raises NoSuchContainerError when it is gone, also
    when it went while we waited for the lock.
    """
    with taken(services, ctr_id) as held:
        _put_in_order(held)
        if synced:
            sync(held)
        yield held


@contextlib.contextmanager
def taken(services: Services, ctr_id: str, *, timeout: float | None = None) -> Iterator[LockedContainer]:
    """The container, locked, as its record has it: neither synced nor put in order.

    For repairs. Raises LockError when the lock is not to be had within *timeout* seconds.
    """
    services.require_open()
    services.presence.announce()
    while True:
        config = services.state.container_config(ctr_id)
        lock = services.locks.lock(config.lock_id, LockKind.CONTAINER)
        lock.acquire(timeout)
        try:
            if not services.state.has_container(ctr_id):
                lock.abandoned = False
                raise NoSuchContainerError(ctr_id)
            fresh = services.state.container_config(ctr_id)
            if fresh.lock_id != config.lock_id:
                continue  # renumbered while we waited: this lock no longer protects it
            yield LockedContainer(services, fresh, services.state.container_state(ctr_id), lock)
            return
        finally:
            lock.release()


def _put_in_order(held: LockedContainer) -> None:
    if held.lock.abandoned:
        from libpod.container_internal.abandoned import put_in_order

        put_in_order(held)


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
    _put_in_order(held)
    sync(held)
