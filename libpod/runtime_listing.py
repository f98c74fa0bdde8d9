"""What `ps` shows, from light records.

Ends that conmon has written down and nobody has recorded are recorded first: one look into the exit directory tells
which containers that concerns, so that a listing of a thousand containers takes no lock at all in the usual case.

Covers: libpod/runtime_ctr.go (GetContainers), pkg/ps/ps.go
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import msgspec

from libpod.container_internal.locked import locked
from libpod.container_internal.services import Services
from libpod.define.errors import NoSuchContainerError
from libpod.define.status import LIVE, ContainerStatus
from libpod.model.container_state import ContainerState
from libpod.model.container_summary import ContainerSummary


class Listed(msgspec.Struct, frozen=True):
    """One container in a listing."""

    summary: ContainerSummary
    state: ContainerState

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
    ended = _unrecorded_ends(services, rows)
    if ended:
        for ctr_id in ended:
            try:
                with locked(services, ctr_id):
                    pass  # locking records the end
            except NoSuchContainerError:
                continue
        rows = services.state.container_summaries()
    found = [Listed(summary, state) for summary, state in rows]
    if not all:
        found = [item for item in found if item.status is ContainerStatus.RUNNING]
    return [item for item in found if all_pass(item, filters)]


def all_pass(item: Listed, filters: Sequence[Callable[[Listed], bool]]) -> bool:
    """Whether every filter wants *item*."""
    return all(wanted(item) for wanted in filters)


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


def _exists(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")
