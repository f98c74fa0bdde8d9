"""New lock numbers for objects that share one, and who holds which lock.

Two objects share a number when their records were copied or damaged; the state never hands one out twice. Both may be
in use meanwhile: whoever waits for the old lock notices, when he gets it, that it protects the object no longer
(`container_internal.locked`).

Covers: libpod/runtime_renumber.go, libpod/runtime.go (LockConflicts)
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import msgspec

from libpod.container_internal.services import Services
from libpod.lock.base import LockKind
from libpod.model.event import EventStatus, EventType


@attrs.frozen(kw_only=True)
class LockInfo:
    """One lock that somebody holds, or that several objects share."""

    number: int
    objects: tuple[str, ...]
    """"container <id>", "pod <id>", "volume <name>"."""
    pid: int = 0
    """Who holds it; 0 for nobody, or somebody whom the kernel does not name."""
    command: str = ""
    held: bool = False

    @property
    def is_conflict(self) -> bool:
        """Whether several objects share it."""
        return len(self.objects) > 1


def locks(services: Services) -> list[LockInfo]:
    """The locks that are held now, and those that are shared, by number."""
    named = services.state.locks_in_use()
    holders = {holder.lock_id: holder for holder in services.locks.holders()}
    numbers = sorted(holders.keys() | {number for number, owners in named.items() if len(owners) > 1})
    return [
        LockInfo(
            number=number,
            objects=tuple(named.get(number, ())),
            pid=holders[number].pid if number in holders else 0,
            command=holders[number].description if number in holders else "",
            held=number in holders,
        )
        for number in numbers
    ]


def renumber(services: Services, *, everything: bool = False) -> dict[str, int]:
    """Give every object that shares a lock one of its own; with *everything* all objects. Returns the new numbers."""
    changed = {}
    for number, owners in sorted(services.state.locks_in_use().items()):
        # The first may keep it.
        for owner in owners if everything else owners[1:]:
            changed[owner] = _moved(services, number, owner)
    if changed:
        services.emit(EventStatus.RENUMBER, type=EventType.SYSTEM)
    return changed


def _moved(services: Services, old: int, owner: str) -> int:
    """Write the new number under the old lock, so that nobody is at work on the object."""
    word, _, name = owner.partition(" ")
    state = services.state
    new = state.allocate_lock()
    with services.locks.lock(old, _KINDS[word]):
        if word == "container":
            state.rewrite_container_config(msgspec.structs.replace(state.container_config(name), lock_id=new))
        elif word == "pod":
            state.rewrite_pod_config(msgspec.structs.replace(state.pod_config(name), lock_id=new))
        else:
            state.rewrite_volume_config(msgspec.structs.replace(state.volume_config(name), lock_id=new))
    if not _is_named(state.locks_in_use().get(old, ())):
        state.free_lock(old)
    return new


def _is_named(owners: Sequence[str]) -> bool:
    return bool(owners)


_KINDS = {"container": LockKind.CONTAINER, "pod": LockKind.POD, "volume": LockKind.VOLUME}
