"""One run of the program: its global options, and the engine, opened when a verb first asks for it.

Covers: cmd/podman/registry/config.go
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import libpod
from libpod_cli import errors

T = TypeVar("T")


class Session:
    """What every verb is given."""

    def __init__(self, settings: argparse.Namespace, words: Sequence[str]) -> None:
        self._settings = settings
        self.command_line = ("libpod", *words)
        self._runtime: libpod.Runtime | None = None

    @property
    def settings(self) -> argparse.Namespace:
        """The global options, for verbs that open the engine in their own way."""
        return self._settings

    @property
    def runtime(self) -> libpod.Runtime:
        """The engine that the global options describe."""
        if self._runtime is None:
            self._runtime = libpod.Runtime(**engine_settings(self._settings))
        return self._runtime

    def close(self) -> None:
        if self._runtime is not None:
            self._runtime.close()
            self._runtime = None

    def each(self, objects: Iterable[T], action: Callable[[T], object], verb: str = "") -> int:
        """Call *action* for every object and print what it returns; an error is reported and does not stop the others.

        Returns the exit code: that of the last error, as podman has it.
        """
        code = 0
        for item in objects:
            try:
                result = action(item)
            except errors.EXPECTED as error:
                code = errors.report(error, verb)
            else:
                if result is not None:
                    print(result)
        return code


def engine_settings(settings: argparse.Namespace) -> dict[str, Any]:
    """The keywords of `Runtime` that the global options give."""
    found: dict[str, Any] = {
        "root": _absolute(settings.root),
        "runroot": _absolute(settings.runroot),
        "runtime": settings.runtime,
        "events_backend": settings.events_backend,
        "cgroup_manager": settings.cgroup_manager,
        "storage_driver": settings.storage_driver,
        "storage_options": tuple(settings.storage_opt),
        "conmon_paths": (settings.conmon,) if settings.conmon else (),
        "hooks_dirs": tuple(settings.hooks_dir),
        "runtime_flags": tuple(settings.runtime_flag),
        "network_config_dir": _absolute(settings.network_config_dir),
        "volume_path": _absolute(settings.volumepath),
        "namespace": settings.namespace,
    }
    return {name: value for name, value in found.items() if value}


def _absolute(path: str) -> str:
    return os.path.abspath(path) if path else ""
