"""The OCI runtimes of this engine: one driver a name, opened when a container needs it.

A container remembers the name of the runtime that made it; only that one can go on with it.

Covers: libpod/runtime.go (ociRuntimes), libpod/oci_missing.go
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from libpod.define.errors import OciRuntimeError
from libpod.model.container_config import ContainerConfig
from libpod.oci.base import OciRuntime


class OciRuntimes:
    """Opens drivers by name and keeps them for the life of the process."""

    def __init__(self, open_runtime: Callable[[str], OciRuntime], default_name: Callable[[], str]) -> None:
        self._open = open_runtime
        self._default_name = default_name
        self._opened: dict[str, OciRuntime] = {}
        self._guard = threading.Lock()

    @property
    def default_name(self) -> str:
        """The name that new containers get: the configured one, or the first that works here."""
        return self._default_name()

    def named(self, name: str) -> OciRuntime:
        """The driver of that name; raises OciRuntimeError or ProgramMissingError."""
        with self._guard:
            if name not in self._opened:
                self._opened[name] = self._open(name)
            return self._opened[name]

    def for_container(self, config: ContainerConfig) -> OciRuntime:
        """The driver that a container was made with."""
        try:
            return self.named(config.runtime or self.default_name)
        except OciRuntimeError as error:
            error.add_note(f"container {config.name} was made with the OCI runtime {config.runtime}")
            raise
