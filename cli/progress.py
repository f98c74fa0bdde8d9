"""Progress of long work on a terminal, and nothing anywhere else.

The library calls back; what is drawn goes to standard error, only when that is a terminal and only once the work has
taken a second. The bars are rich's; where it is not installed nothing is drawn.

Covers: the progress bars of cmd/podman (pull, push, save, load), and what podman does not show (checkpoint, restore)
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

PATIENCE = 1.0
"""Seconds of work before anything is drawn."""


class Bars:
    """One bar a phase or blob. Callbacks may come from any thread, and cost a dictionary entry until bars are drawn."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._rows: dict[str, tuple[int, int]] = {}
        self._tasks: dict[str, Any] = {}
        self._display: Any = None
        self._timer = threading.Timer(PATIENCE, self._begin)
        self._timer.daemon = True
        self._timer.start()

    def phase(self, name: str, done: int, total: int) -> None:
        """`CheckpointOptions.progress` and `RestoreOptions.progress`."""
        self._set(name, done, total)

    def blob(self, blob: Any) -> None:
        """The callback of copies of images."""
        over = blob.state.value in {"done", "skipped"}
        total = blob.total or blob.done or (1 if over else 0)
        self._set(f"{blob.kind} {blob.digest[:12]}", total if over else blob.done, total)

    def end(self) -> None:
        """Stop drawing; what is drawn stays."""
        self._timer.cancel()
        with self._guard:
            if self._display is not None:
                self._display.stop()
                self._display = None

    def _set(self, name: str, done: int, total: int) -> None:
        with self._guard:
            self._rows[name] = (done, total)
            if self._display is not None:
                self._draw(name)

    def _begin(self) -> None:
        try:
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                DownloadColumn,
                Progress,
                TextColumn,
                TimeElapsedColumn,
                TransferSpeedColumn,
            )
        except ImportError:
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeElapsedColumn(),
        )
        with self._guard:
            self._display = Progress(*columns, console=Console(file=sys.stderr), transient=False)
            self._display.start()
            for name in self._rows:
                self._draw(name)

    def _draw(self, name: str) -> None:
        done, total = self._rows[name]
        if name not in self._tasks:
            self._tasks[name] = self._display.add_task(name, total=total or None)
        self._display.update(self._tasks[name], completed=done, total=total or None)


@contextlib.contextmanager
def drawn(*, quiet: bool = False) -> Iterator[Bars | None]:
    """Bars for the duration of the block; None when nobody would see them."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    bars = Bars()
    try:
        yield bars
    finally:
        bars.end()


def phases(bars: Bars | None) -> Callable[[str, int, int], None] | None:
    """The callback for a checkpoint or restore."""
    return bars.phase if bars is not None else None


def blobs(bars: Bars | None) -> Callable[[Any], None] | None:
    """The callback for a copy of an image."""
    return bars.blob if bars is not None else None
