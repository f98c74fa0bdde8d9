"""`LockedContainer`: the proof that a container's lock is held and its state is fresh.

`require` consults the one table of states and operations; `update` persists first and shows second; `released` gives
the lock up around something slow and reads everything again afterwards.

Covers: libpod/container_internal.go (save, checks)
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from libpod.container_internal.services import Services
from libpod.define.errors import ContainerStateError
from libpod.define.status import ALLOWED, ContainerStatus, Operation
from libpod.lock.base import Lock
from libpod.model.container_config import ContainerConfig
from libpod.model.container_state import ContainerState
from libpod.model.event import EventStatus, EventType


class LockedContainer:
    """A container while its lock is held. Made by `locked.locked` only; useless outside that block."""

    def __init__(
        self, services: Services, config: ContainerConfig, state: ContainerState, lock: Lock
    ) -> None:
        self.services = services
        self.config = config
        self.lock = lock
        self._state = state

    @property
    def state(self) -> ContainerState:
        """The state as last read or written; fresh, since the lock is held."""
        return self._state

    @property
    def id(self) -> str:
        return self.config.id

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def status(self) -> ContainerStatus:
        return self._state.status

    @property
    def directory(self) -> Path:
        """The bundle."""
        return self.services.bundle_directory(self.id)

    @property
    def run_directory(self) -> Path:
        return self.services.run_directory(self.id)

    def require(self, operation: Operation, *, resolution: str | None = None) -> None:
        """Raise ContainerStateError unless *operation* is allowed in the present state."""
        allowed = ALLOWED[operation]
        if self.status not in allowed:
            raise ContainerStateError(
                operation=operation.value,
                container=self.name,
                status=self.status.word,
                allowed=[status.word for status in sorted(allowed)],
                resolution=resolution,
            )

    def update(self, **changes: Any) -> None:
        """Persist a changed state, then show it."""
        changed = msgspec.structs.replace(self._state, **changes)
        self.services.state.save_container_state(self.id, changed)
        self._state = changed

    def reload(self) -> None:
        """Read the state again, after the lock was given up for a while; raises NoSuchContainerError."""
        self.config = self.services.state.container_config(self.id)
        self._state = self.services.state.container_state(self.id)

    def emit(self, status: EventStatus, *, exit_code: int | None = None) -> None:
        """Write an event about this container, with podman's attributes: its labels."""
        self.services.emit(
            status,
            type=EventType.CONTAINER,
            id=self.id,
            name=self.name,
            image=self.config.rootfs_image_name,
            exit_code=exit_code,
            pod_id=self.config.pod,
            attributes=dict(self.config.labels) or None,
        )
