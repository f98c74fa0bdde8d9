"""Dependencies between containers: who must run first.

Covers: libpod/container_graph.go
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from libpod.container_internal.held import LockedContainer
from libpod.container_internal.services import Services
from libpod.define.errors import DependencyError, LibpodError
from libpod.define.status import ContainerStatus


def require_dependencies_running(held: LockedContainer) -> None:
    """Raise DependencyError unless every container that this one needs is running."""
    missing = [
        name
        for name, status in _dependencies(held.services, held.config.all_dependencies)
        if status is not ContainerStatus.RUNNING
    ]
    if missing:
        raise DependencyError(
            f"container {held.name} needs {', '.join(missing)}, which is not running",
            resolution="start that first",
        )


def _dependencies(services: Services, ids: Iterable[str]) -> list[tuple[str, ContainerStatus]]:
    return [
        (services.state.container_config(ctr_id).name, services.state.container_state(ctr_id).status)
        for ctr_id in ids
    ]


def in_start_order(edges: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Order containers in levels: each level needs only those before it, and may be started in parallel.

    *edges* maps an id to the ids it needs; ids that are no key of it are taken as running. Raises LibpodError for a
    circle.
    """
    left = {ctr_id: {need for need in needs if need in edges} for ctr_id, needs in edges.items()}
    levels: list[list[str]] = []
    while left:
        ready = sorted(ctr_id for ctr_id, needs in left.items() if not needs)
        if not ready:
            raise LibpodError(f"containers {', '.join(sorted(left))} depend on each other in a circle")
        levels.append(ready)
        for ctr_id in ready:
            del left[ctr_id]
        for needs in left.values():
            needs.difference_update(ready)
    return levels


def with_dependencies(services: Services, ctr_id: str) -> dict[str, tuple[str, ...]]:
    """The container and all that it needs, directly or not: id → ids it needs."""
    edges: dict[str, tuple[str, ...]] = {}
    waiting = [ctr_id]
    while waiting:
        current = waiting.pop()
        if current not in edges:
            edges[current] = services.state.container_config(current).all_dependencies
            waiting.extend(edges[current])
    return edges
