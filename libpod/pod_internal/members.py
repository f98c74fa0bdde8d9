"""The members of a pod, and doing one thing to all of them.

Start goes along the dependencies, stop and removal against them; within a level the members are handled in parallel.
One that fails does not hold up the others: all errors come back together, each with its container.

Covers: libpod/pod_api.go, libpod/container_graph.go
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Iterable, Sequence

from libpod.container_internal.graph import in_start_order
from libpod.container_internal.held import LockedContainer
from libpod.container_internal.locked import locked
from libpod.container_internal.services import Services
from libpod.define.errors import LibpodError, NoSuchContainerError, PodPartialError
from libpod.define.status import ContainerStatus
from libpod.model.container_config import ContainerConfig
from libpod.model.container_state import ContainerState

Step = Callable[[LockedContainer], None]


def members(services: Services, pod_id: str) -> list[tuple[ContainerConfig, ContainerState]]:
    """Configuration and state of every member; one that goes meanwhile is left out. Raises NoSuchPodError."""
    found = []
    for ctr_id in services.state.pod_containers(pod_id):
        try:
            found.append((services.state.container_config(ctr_id), services.state.container_state(ctr_id)))
        except NoSuchContainerError:
            continue
    return found


def levels(services: Services, pod_id: str) -> list[list[str]]:
    """Ids of the members: each level needs only those before it."""
    return in_start_order({config.id: config.all_dependencies for config, _ in members(services, pod_id)})


def to_all(
    services: Services,
    pod_name: str,
    order: Iterable[Sequence[str]],
    step: Step,
    *,
    verb: str,
    only: frozenset[ContainerStatus] | None = None,
) -> list[str]:
    """Do *step* to every member in *order*, to those in one of the states of *only*; returns the ids it was done to.

    Raises PodPartialError with the error of each member that failed, after all were tried.
    """
    done: list[str] = []
    failed: dict[str, LibpodError] = {}

    def one(ctr_id: str) -> None:
        try:
            with locked(services, ctr_id) as held:
                if only is None or held.status in only:
                    step(held)
                    done.append(ctr_id)
        except NoSuchContainerError:
            return
        except LibpodError as error:
            failed[ctr_id] = error

    for level in order:
        if len(level) == 1:
            one(level[0])
            continue
        with concurrent.futures.ThreadPoolExecutor(min(8, len(level) or 1)) as pool:
            list(pool.map(one, level))
    if failed:
        raise PodPartialError(pod=pod_name, verb=verb, errors=failed)
    return done


def state_word(states: Sequence[ContainerStatus]) -> str:
    """podman's one word for a pod, from the states of its members."""
    if not states:
        return "Created"
    running = sum(state in {ContainerStatus.RUNNING, ContainerStatus.STOPPING} for state in states)
    paused = states.count(ContainerStatus.PAUSED)
    over = sum(state in {ContainerStatus.STOPPED, ContainerStatus.EXITED} for state in states)
    if running == len(states):
        return "Running"
    if running:
        return "Degraded"
    if paused == len(states):
        return "Paused"
    if over == len(states):
        return "Exited"
    if over:
        return "Stopped"
    return "Created" if ContainerStatus.UNKNOWN not in states else "Error"
