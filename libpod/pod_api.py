"""class Pod: containers that share namespaces and are handled together.

Covers: libpod/pod.go, libpod/pod_api.go
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from libpod.container_api import Container
from libpod.container_internal import lifecycle
from libpod.define.errors import InvalidStateError, NoSuchPodError
from libpod.define.signals import parse_signal
from libpod.define.status import LIVE, ContainerStatus
from libpod.lock.base import LockKind
from libpod.model.event import EventStatus, EventType
from libpod.model.pod import PodConfig
from libpod.pod_internal.members import levels, members, state_word, to_all

if TYPE_CHECKING:
    from libpod.container_internal.services import Services

Status = ContainerStatus


class Pod:
    """One pod. Made by `Runtime`. Verbs raise PodPartialError when some of the members failed; the others are done."""

    def __init__(self, services: Services, config: PodConfig) -> None:
        self._services = services
        self.config = config

    def __repr__(self) -> str:
        return f"<libpod.Pod {self.name} {self.id[:12]}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pod) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    @property
    def id(self) -> str:
        """64 hex digits."""
        return self.config.id

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def labels(self) -> dict[str, str]:
        return dict(self.config.labels)

    @property
    def infra_id(self) -> str:
        """Id of the infra container; empty without one."""
        known = self._services.state.pod_state(self.id).infra_container_id
        if known:
            return known
        # The process that made the pod may have been killed before it wrote the id down.
        return next((config.id for config, _ in members(self._services, self.id) if config.is_infra), "")

    def containers(self) -> list[Container]:
        """The members, the infra container among them."""
        return [Container(self._services, config) for config, _ in members(self._services, self.id)]

    def status(self) -> str:
        """podman's one word: Created, Running, Degraded, Paused, Stopped, Exited, Error."""
        return state_word([container.status() for container in self.containers()])

    # -- verbs --------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start every member that does not run, those that others need first. Upstream: `Start`."""
        startable = frozenset({Status.CONFIGURED, Status.CREATED, Status.STOPPED, Status.EXITED})
        self._all(lifecycle.start, "start", only=startable, event=EventStatus.START)

    def stop(self, timeout: float | None = None) -> None:
        """Stop every running member, those that need others first. Upstream: `StopWithTimeout`."""
        self._all(
            lambda held: lifecycle.stop(held, timeout),
            "stop",
            only=LIVE,
            event=EventStatus.STOP,
            backwards=True,
        )

    def restart(self, timeout: float | None = None) -> None:
        """Stop and start every member. Upstream: `Restart`."""
        self.stop(timeout)
        self.start()

    def kill(self, signal: str | int = "KILL") -> None:
        """Send a signal to every running member. Upstream: `Kill`."""
        number = parse_signal(signal)
        self._all(
            lambda held: lifecycle.kill(held, number),
            "kill",
            only=frozenset({Status.RUNNING}),
            event=EventStatus.KILL,
            backwards=True,
        )

    def pause(self) -> None:
        """Freeze every running member. Upstream: `Pause`."""
        self._all(lifecycle.pause, "pause", only=frozenset({Status.RUNNING}), event=EventStatus.PAUSE)

    def unpause(self) -> None:
        """Let every frozen member go on. Upstream: `Unpause`."""
        self._all(lifecycle.unpause, "unpause", only=frozenset({Status.PAUSED}), event=EventStatus.UNPAUSE)

    def remove(self, *, force: bool = False, timeout: float | None = None) -> None:
        """Remove the pod with its members; members beside the infra container need *force*.

        Raises InvalidStateError, PodPartialError. Upstream: `libpod/runtime_pod_linux.go`, `removePod`.
        """
        from libpod.container_internal.removal import remove_container

        services = self._services
        with services.locks.lock(self.config.lock_id, LockKind.POD):
            found = members(services, self.id)
            others = [config.name for config, _ in found if not config.is_infra]
            if others and not force:
                raise InvalidStateError(
                    f"pod {self.name} has containers ({', '.join(others[:4])})",
                    resolution="remove them first, or force the removal",
                )
            for level in reversed(levels(services, self.id)):
                for ctr_id in level:
                    remove_container(
                        services, ctr_id, force=True, volumes=True, timeout=timeout, ignore_missing=True
                    )
            services.state.remove_pod(self.id)
        services.state.free_lock(self.config.lock_id)
        self._remove_cgroup()
        self._emit(EventStatus.REMOVE)

    def inspect(self) -> dict[str, Any]:
        """podman's `pod inspect` document. Raises NoSuchPodError. Upstream: `Inspect`."""
        if self.id not in {config.id for config, _ in self._services.state.pods()}:
            raise NoSuchPodError(self.name)
        config, found = self.config, self.containers()
        states = {container.id: container.status() for container in found}
        shared = [
            word
            for word, on in (
                ("ipc", config.shares_ipc),
                ("net", config.shares_net),
                ("uts", config.shares_uts),
                ("pid", config.shares_pid),
                ("cgroup", config.shares_cgroup),
            )
            if on
        ]
        return {
            "Id": config.id,
            "Name": config.name,
            "Created": config.created_time,
            "CreateCommand": list(config.create_command),
            "ExitPolicy": config.exit_policy,
            "State": state_word(list(states.values())),
            "Hostname": config.hostname,
            "Labels": dict(config.labels),
            "CreateCgroup": config.uses_pod_cgroup,
            "CgroupParent": config.cgroup_parent,
            "CgroupPath": self._services.state.pod_state(self.id).cgroup_path,
            "CreateInfra": config.has_infra,
            "InfraContainerID": self.infra_id,
            "SharedNamespaces": shared,
            "NumContainers": len(found),
            "Containers": [
                {"Id": container.id, "Name": container.name, "State": states[container.id].word}
                for container in found
            ],
            "LockNumber": config.lock_id,
        }

    # -- inside -------------------------------------------------------------------------------------------------

    def _all(
        self,
        step: Any,
        verb: str,
        *,
        only: frozenset[ContainerStatus],
        event: EventStatus,
        backwards: bool = False,
    ) -> None:
        with self._services.locks.lock(self.config.lock_id, LockKind.POD):
            order = levels(self._services, self.id)
            to_all(
                self._services, self.name, reversed(order) if backwards else order, step, verb=verb, only=only
            )
        self._emit(event)

    def _emit(self, status: EventStatus) -> None:
        self._services.emit(
            status,
            type=EventType.POD,
            id=self.id,
            name=self.name,
            pod_id=self.id,
            attributes=self.labels or None,
        )

    def _remove_cgroup(self) -> None:
        from libpod.linux import cgroups

        if self.config.uses_pod_cgroup and self.config.cgroup_parent.startswith("/"):
            cgroups.remove(f"{self.config.cgroup_parent}/{self.id}")
