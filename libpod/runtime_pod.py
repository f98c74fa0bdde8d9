"""Pods of a runtime: create, find, list, prune.

The record comes first and the infra container after it; a pod whose maker was killed in between has no infra container
or does not know it, and both are found out by looking at its members.

Covers: libpod/runtime_pod.go, libpod/runtime_pod_linux.go
"""

from __future__ import annotations

from collections.abc import Callable

from libpod import runtime_ctr
from libpod.container_internal.naming import is_taken
from libpod.container_internal.services import Services
from libpod.define.errors import InvalidStateError, NoSuchPodError, PodExistsError, PodPartialError
from libpod.define.ids import new_id
from libpod.model.event import EventStatus, EventType
from libpod.model.pod import PodConfig, PodState
from libpod.model.pod_options import PodOptions
from libpod.model.times import now
from libpod.names import random_name
from libpod.pod_api import Pod
from libpod.pod_internal.infra import infra_options
from libpod.spec.namespaces import CGROUPFS_PARENT, SYSTEMD_PARENT


def create_pod(services: Services, options: PodOptions) -> Pod:
    """Make a pod and its infra container. On an error nothing is left. Upstream: `NewPod`."""
    services.require_open()
    name = _free_name(services, options.name)
    pod_id = new_id()
    lock_id = services.state.allocate_lock()
    shared = options.share if options.infra else ()
    cgroupfs = services.config.cgroup_manager == "cgroupfs"
    parent = options.cgroup_parent or (CGROUPFS_PARENT if cgroupfs else SYSTEMD_PARENT)
    config = PodConfig(
        id=pod_id,
        name=name,
        hostname=options.hostname,
        labels=dict(options.labels),
        cgroup_parent=parent,
        uses_pod_cgroup=cgroupfs,
        has_infra=options.infra,
        exit_policy=options.exit_policy,
        created_time=now(),
        create_command=options.create_command,
        lock_id=lock_id,
        shares_ipc="ipc" in shared,
        shares_net="net" in shared,
        shares_uts="uts" in shared,
        shares_pid="pid" in shared,
        shares_cgroup="cgroup" in shared,
    )
    cgroup = f"{parent}/{pod_id}" if config.uses_pod_cgroup else ""
    try:
        services.state.add_pod(config, PodState(cgroup_path=cgroup))
        try:
            if options.infra:
                infra = runtime_ctr.create_container(
                    services, infra_options(services, config, options), infra=True
                )
                services.state.save_pod_state(
                    pod_id, PodState(cgroup_path=cgroup, infra_container_id=infra.id)
                )
        except BaseException:
            services.state.remove_pod(pod_id)
            raise
    except BaseException:
        services.state.free_lock(lock_id)
        raise
    services.emit(EventStatus.CREATE, type=EventType.POD, id=pod_id, name=name, pod_id=pod_id)
    return Pod(services, config)


def get_pod(services: Services, name_or_id: str) -> Pod:
    """By full id, name or unique id prefix; raises NoSuchPodError, AmbiguousNameError."""
    services.require_open()
    return Pod(services, services.state.pod_config(services.state.lookup_pod(name_or_id)))


def has_pod(services: Services, name_or_id: str) -> bool:
    """Whether there is one; raises AmbiguousNameError."""
    services.require_open()
    try:
        services.state.lookup_pod(name_or_id)
    except NoSuchPodError:
        return False
    return True


def pods(services: Services, *filters: Callable[[Pod], bool]) -> list[Pod]:
    """All pods that pass every filter, oldest first."""
    services.require_open()
    found = [Pod(services, config) for config, _ in services.state.pods()]
    return [pod for pod in found if all(wanted(pod) for wanted in filters)]


def prune_pods(services: Services) -> list[str]:
    """Remove the pods in which nothing runs; returns their ids. Upstream: `PrunePods`."""
    removed = []
    for pod in pods(services):
        if pod.status() in {"Running", "Degraded", "Paused"}:
            continue
        try:
            pod.remove(force=True)
        except (NoSuchPodError, InvalidStateError, PodPartialError):
            continue  # it began to run, or somebody else was faster
        removed.append(pod.id)
    return removed


def _free_name(services: Services, wanted: str) -> str:
    if wanted:
        if is_taken(services, wanted):
            raise PodExistsError(wanted)
        return wanted
    while is_taken(services, name := random_name()):
        pass
    return name
