"""The phases of a checkpoint or restore: named, timed, told to the caller.

The name of the phase that is at work is what an error says failed; the caller's progress callback hears of every phase
before it begins, and within the long ones of the bytes that are done.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

import attrs

Progress = Callable[[str, int, int], None]

_RARELY = 100_000_000
"""Nanoseconds between two calls of the callback within a phase."""


@attrs.frozen(kw_only=True)
class Phase:
    """One phase that is over."""

    name: str
    """A gerund phrase: it stands after "failed while"."""
    duration: int
    """Microseconds."""


class Timeline:
    """Collects phases in the order in which they ended."""

    def __init__(self, progress: Progress | None = None) -> None:
        self._progress = progress
        self._phases: list[Phase] = []
        self._began = time.monotonic_ns()
        self._told = 0
        self.current = ""
        """The phase at work, or the one that failed."""

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time the block under *name*."""
        self.current = name
        if self._progress is not None:
            self._progress(name, 0, 0)
        began = time.monotonic_ns()
        yield
        self._phases.append(Phase(name=name, duration=(time.monotonic_ns() - began) // 1000))

    def advanced(self, done: int, total: int) -> None:
        """Tell the caller that so many bytes of the current phase are done; often called, seldom told."""
        if self._progress is None:
            return
        moment = time.monotonic_ns()
        if moment - self._told >= _RARELY or done >= total > 0:
            self._told = moment
            self._progress(self.current, done, total)

    @property
    def phases(self) -> tuple[Phase, ...]:
        return tuple(self._phases)

    @property
    def total(self) -> int:
        """Microseconds since the timeline was made."""
        return (time.monotonic_ns() - self._began) // 1000
