"""Undoing what was done so far, in reverse; the first error stays the first.

Covers: nothing upstream, which repeats `defer func() { if err != nil … }` at each step
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator

from libpod.define.errors import LibpodError

logger = logging.getLogger(__name__)


def undo(error: BaseException, step: Callable[[], object]) -> None:
    """Run a roll-back while *error* is on its way; what fails in it is noted on the error, which stays the first."""
    try:
        step()
    except (LibpodError, OSError) as second:
        error.add_note(f"roll-back: {second}")
        logger.warning("roll-back: %s", second)


class Steps:
    """The undoing of steps that were done. Made by `undoing` only."""

    def __init__(self) -> None:
        self._steps: list[Callable[[], object]] = []

    def add(self, step: Callable[[], object]) -> None:
        """Call *step* should the block fail, before those that were added earlier. Add it right after the doing."""
        self._steps.append(step)

    def run(self, error: BaseException) -> None:
        """All of them, the last first."""
        while self._steps:
            undo(error, self._steps.pop())


@contextlib.contextmanager
def undoing() -> Iterator[Steps]:
    """Around steps of which none or all are to be done."""
    steps = Steps()
    try:
        yield steps
    except BaseException as error:
        steps.run(error)
        raise
