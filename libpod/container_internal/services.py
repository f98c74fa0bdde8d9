"""The bundle of drivers that the domain works with.

`Runtime` opens the drivers and owns them; everything on this floor receives them here and never reaches for a global.

Covers: libpod/runtime.go (type Runtime, its fields)
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from libpod.define.errors import RuntimeClosedError
from libpod.model.event import Event, EventStatus, EventType
from libpod.model.times import now

if TYPE_CHECKING:
    # Types only: the classes are loaded by whoever opens them, so that a listing does not pay for an image library.
    from libpod.config import EnginePaths, RuntimeConfig
    from libpod.container_internal.oci_runtimes import OciRuntimes
    from libpod.events.base import EventBackend
    from libpod.image.local import LocalImages
    from libpod.linux.host import HostFacts
    from libpod.lock.base import LockManager
    from libpod.lock.presence import Presence
    from libpod.state.base import State
    from libpod.storage.store import Store


class Services:
    """Everything a step may use. `open_store` and `read_host` are asked late: a command pays only for what it needs."""

    def __init__(
        self,
        *,
        config: RuntimeConfig,
        paths: EnginePaths,
        state: State,
        locks: LockManager,
        presence: Presence,
        events: EventBackend,
        runtimes: OciRuntimes,
        open_store: Callable[[], Store],
        read_host: Callable[[], HostFacts],
    ) -> None:
        self.config = config
        self.paths = paths
        self.locks = locks
        self.presence = presence
        """Says to other processes that this one is at work."""
        self.events = events
        self.runtimes = runtimes
        self.closed = False
        self._state = state
        self._open_store = open_store
        self._read_host = read_host
        self._process = os.getpid()
        self._store: Store | None = None
        self._host: HostFacts | None = None
        self._images: LocalImages | None = None

    @property
    def state(self) -> State:
        """The records."""
        self.require_open()
        return self._state

    @property
    def store(self) -> Store:
        """The layer and container store, opened at first use."""
        self.require_open()
        if self._store is None:
            self.presence.announce()
            self._store = self._open_store()
        return self._store

    @property
    def images(self) -> LocalImages:
        """The images of the store."""
        self.require_open()
        if self._images is None:
            from libpod.image.local import LocalImages
            from libpod.image.registries import read_registries

            self._images = LocalImages(self.store, read_registries())
        return self._images

    @property
    def host(self) -> HostFacts:
        """What this machine is; read once."""
        if self._host is None:
            self._host = self._read_host()
        return self._host

    @functools.cached_property
    def exit_program(self) -> tuple[str, ...]:
        """What conmon's exit commands begin with."""
        from libpod.container_internal.exit_command import exit_program

        return exit_program(self.config)

    def require_open(self) -> None:
        """Raise RuntimeClosedError once the runtime is closed, and in a forked child, which must open its own.

        In the child the threads are gone that hold and give back locks, and its end would look like ours.
        """
        if self.closed:
            raise RuntimeClosedError("the runtime is closed", resolution="open a new Runtime")
        if self._process != os.getpid():
            raise RuntimeClosedError(
                f"the runtime was opened by process {self._process} and is used in a child of it",
                resolution="open a new Runtime in the child",
            )

    def close(self) -> None:
        """Let go of everything; idempotent. In a forked child it leaves the parent's alone."""
        if not self.closed:
            self.closed = True
            self.events.close()
            self.locks.close()
            self._state.close()
            self.presence.close()

    def emit(
        self,
        status: EventStatus,
        *,
        type: EventType,
        id: str = "",
        name: str = "",
        image: str = "",
        exit_code: int | None = None,
        network: str = "",
        pod_id: str = "",
        attributes: dict[str, str] | None = None,
    ) -> None:
        """Write one event, with the present time."""
        self.events.write(
            Event(
                name=name,
                status=status,
                time=now(),
                type=type,
                id=id,
                image=image,
                exit_code=exit_code,
                network=network,
                pod_id=pod_id,
                attributes=attributes,
            )
        )

    def bundle_directory(self, ctr_id: str) -> Path:
        """The permanent directory of a container, which is also its OCI bundle."""
        return self.store.container_directory(ctr_id)

    def run_directory(self, ctr_id: str) -> Path:
        """The directory of a container that a reboot empties."""
        return self.store.container_run_directory(ctr_id)
