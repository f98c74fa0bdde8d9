"""Timing by turns: ours, theirs, ours, theirs … so that a noisy minute hits both."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import attrs

Work = Callable[[], object]


@attrs.frozen(kw_only=True)
class Comparison:
    """One row of the table. Times are seconds."""

    name: str
    ours: tuple[float, ...]
    theirs: tuple[float, ...]
    rival: str
    target: float | None = None
    """The ratio that is promised; None: none is."""

    @property
    def ratio(self) -> float:
        """Our median divided by theirs."""
        return statistics.median(self.ours) / statistics.median(self.theirs)

    @property
    def is_met(self) -> bool:
        return self.target is None or self.ratio <= self.target

    def row(self) -> str:
        """The row as it is printed."""
        promised = "" if self.target is None else f"{self.target:.3g}"
        verdict = "" if self.target is None else ("met" if self.is_met else "MISSED")
        return (
            f"{self.name:<58} {_shown(self.ours):>22} {_shown(self.theirs):>22}  {self.ratio:7.3f} {promised:>6}"
            f" {verdict:<6} {self.rival}"
        )


HEADING = f"{'':<58} {'ours ms (min-max)':>22} {'theirs ms (min-max)':>22}  {'ratio':>7} {'target':>6}"


def _shown(times: Sequence[float]) -> str:
    low, middle, high = (1000 * value for value in (min(times), statistics.median(times), max(times)))
    return f"{middle:.3g} ({low:.3g}-{high:.3g})"


def timed(work: Work) -> float:
    """Seconds that *work* takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def cpu_of(words: Sequence[str]) -> float:
    """Seconds of processor time, user and system, of a command and of the children that it waited for."""
    silence = os.open(os.devnull, os.O_RDWR)
    try:
        child = os.posix_spawn(
            words[0],
            words,
            os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, silence, end) for end in (0, 1, 2)],
        )
    finally:
        os.close(silence)
    _, status, used = os.wait4(child, 0)
    if status != 0:
        raise RuntimeError(f"{' '.join(words)} ended with status {status}")
    return used.ru_utime + used.ru_stime


def compare(
    name: str,
    ours: Work,
    theirs: Work,
    *,
    rounds: int,
    rival: str = "podman",
    target: float | None = None,
    between: Callable[[], AbstractContextManager[object]] = nullcontext,
    warm: bool = True,
    clock: Callable[[Work], float] = timed,
) -> Comparison:
    """Time both by turns, *rounds* times each, after one round that does not count.

    *between* wraps each single run in what must be made before it and cleared after it, untimed. *clock* says how long
    a run took; `measured` takes the run's own word for it.
    """
    mine: list[float] = []
    rivals: list[float] = []
    for number in range(rounds + warm):
        for work, times in ((ours, mine), (theirs, rivals)):
            with between():
                took = clock(work)
            if number >= warm:
                times.append(took)
    return Comparison(name=name, ours=tuple(mine), theirs=tuple(rivals), rival=rival, target=target)


def measured(work: Work) -> float:
    """A clock for work that returns how many seconds it took of what matters."""
    took = work()
    assert isinstance(took, float)
    return took


def in_blocks(name: str, ours: Sequence[float], theirs: Sequence[float], **more: object) -> Comparison:
    """A comparison of times that were taken elsewhere."""
    return Comparison(name=name, ours=tuple(ours), theirs=tuple(theirs), **{"rival": "podman", **more})  # type: ignore[arg-type]
