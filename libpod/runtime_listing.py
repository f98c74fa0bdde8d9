"""What `ps` shows, from light records.

Ends that conmon has written down and nobody has recorded are recorded first: one look into the exit directory tells
which containers that concerns, so that a listing of a thousand containers takes no lock at all in the usual case. The
same goes for containers in the middle of something (being checkpointed, being removed) on which nobody is at work any
more: a killed checkpoint is settled, a killed removal or import is finished.

Covers: libpod/runtime_ctr.go (GetContainers), pkg/ps/ps.go
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence

import msgspec

from libpod.container_internal.locked import locked
from libpod.container_internal.removal import finish_removal
from libpod.container_internal.services import Services
from libpod.define.errors import LibpodError, LockError, NoSuchContainerError
from libpod.define.status import LIVE, ContainerStatus
from libpod.lock.base import LockKind
from libpod.model.container_config import PortMapping
from libpod.model.container_state import ContainerState
from libpod.model.container_summary import ContainerSummary

logger = logging.getLogger(__name__)


class Listed(msgspec.Struct, frozen=True):
    """One container in a listing."""

    summary: ContainerSummary
    state: ContainerState
    ports: tuple[PortMapping, ...] = ()
    """Published ports: its own, or those of the container whose network it shares."""

    @property
    def id(self) -> str:
        return self.summary.id

    @property
    def name(self) -> str:
        return self.summary.name

    @property
    def status(self) -> ContainerStatus:
        return self.state.status


def containers(
    services: Services, filters: Sequence[Callable[[Listed], bool]] = (), *, all: bool = True
) -> list[Listed]:
    """See `Runtime.containers`."""
    services.require_open()
    rows = services.state.container_summaries()
    ended = _unrecorded_ends(services, rows) + _interrupted(services, rows)
    if ended:
        for ctr_id in ended:
            try:
                with locked(services, ctr_id) as held:  # locking records the end, and settles a checkpoint
                    if held.status is ContainerStatus.REMOVING:
                        finish_removal(held)
            except NoSuchContainerError:
                continue
            except (LibpodError, OSError) as error:
                logger.warning("container %s cannot be put in order: %s", ctr_id[:12], error)
        rows = services.state.container_summaries()
    found = [Listed(summary, state, summary.port_mappings) for summary, state in rows]
    if any(item.summary.net_ns_container for item in found):
        owners = {item.id: item.summary for item in found}
        found = [msgspec.structs.replace(item, ports=_ports_of(item.summary, owners)) for item in found]
    if not all:
        found = [item for item in found if item.status is ContainerStatus.RUNNING]
    return [item for item in found if all_pass(item, filters)]


def all_pass(item: Listed, filters: Sequence[Callable[[Listed], bool]]) -> bool:
    """Whether every filter wants *item*."""
    return all(wanted(item) for wanted in filters)


def _ports_of(summary: ContainerSummary, others: Mapping[str, ContainerSummary]) -> tuple[PortMapping, ...]:
    while summary.net_ns_container in others:
        summary = others[summary.net_ns_container]
    return summary.port_mappings


def _unrecorded_ends(
    services: Services, rows: Sequence[tuple[ContainerSummary, ContainerState]]
) -> list[str]:
    """Ids of the containers that are recorded as live and are not."""
    live = {summary.id: state for summary, state in rows if state.status in LIVE}
    if not live:
        return []
    with os.scandir(services.paths.exits) as entries:
        written = {entry.name for entry in entries}
    return [ctr_id for ctr_id, state in live.items() if ctr_id in written or not _exists(state.conmon_pid)]


def _interrupted(services: Services, rows: Sequence[tuple[ContainerSummary, ContainerState]]) -> list[str]:
    """Ids of the containers in the middle of something that nobody does any more: their locks are free."""
    return [
        summary.id
        for summary, state in rows
        if (state.checkpointing or state.status is ContainerStatus.REMOVING)
        and _is_free(services, summary.lock_id)
    ]


def _is_free(services: Services, lock_id: int) -> bool:
    lock = services.locks.lock(lock_id, LockKind.CONTAINER)
    try:
        lock.acquire(timeout=0)
    except LockError:
        return False  # somebody is at work; it may be ourselves, further up
    lock.release()
    return True


def _exists(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")
