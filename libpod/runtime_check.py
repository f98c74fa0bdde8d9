"""Looking for everything that is not in order, and putting it right on request.

What is looked at, in this order, since what comes first can explain what comes later:

    containers     with their lock in hand; those that somebody works on are left to him
    records        half-written rows, lock numbers and claims of the dead, two objects with one lock
    layers         in the store with our mark, of nobody
    strays         processes, files, mounts, namespaces, cgroups of containers that do not exist
    staging, volumes, networks, temporary files
    damage         only on request: every record decoded, the store's own rules, parts that others removed

Each finding is a sentence. Where nobody but its owner can decide, it says what to do and is not repaired.

Covers: libpod/runtime.go (SystemCheck), cmd/podman/system/check.go
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import attrs

from libpod import runtime_leftovers as leftovers
from libpod import runtime_upkeep as upkeep
from libpod.container_internal.services import Services
from libpod.define.errors import LibpodError
from libpod.runtime_leftovers import Problem
from libpod.runtime_traces import survey

logger = logging.getLogger(__name__)


@attrs.frozen(kw_only=True)
class Finding:
    """One thing that was not as it should be."""

    kind: str
    """process, mount, layer, network, volume, lock, …: a word to count by."""
    subject: str
    sentence: str
    repaired: bool = False
    error: str = ""
    """Why it could not be repaired."""
    resolution: str = ""
    """What the user can do about it."""

    def __str__(self) -> str:
        if self.repaired:
            return f"{self.sentence} (repaired)"
        if self.error:
            return f"{self.sentence} (cannot be repaired: {self.error})"
        return f"{self.sentence}; {self.resolution}" if self.resolution else self.sentence


@attrs.frozen(kw_only=True)
class CheckReport:
    """What was found, in the order in which it was looked for."""

    findings: tuple[Finding, ...] = ()

    @property
    def is_clean(self) -> bool:
        """Whether nothing is left to do."""
        return all(finding.repaired for finding in self.findings)


def check(services: Services, *, repair: bool = False, thorough: bool = True) -> CheckReport:
    """See `Runtime.check`. Without *thorough* only what a killed process can leave."""
    services.require_open()
    found: list[Finding] = []
    fixed: dict[object, str] = {}
    for finder in _finders(services, thorough=thorough):
        # One by one: a fix may answer what comes next.
        found.extend(_handled(problem, fixed) if repair else _reported(problem) for problem in finder())
    return CheckReport(findings=tuple(found))


def _finders(services: Services, *, thorough: bool) -> Iterator[Callable[[], Iterator[Problem]]]:
    """One after the other, so that each survey sees what the fixes before it have done."""
    seen = survey(services)
    yield lambda: leftovers.container_problems(services, seen)
    yield lambda: leftovers.named_by_dead(services, survey(services))
    yield lambda: upkeep.rows(services, thorough=thorough)
    yield lambda: upkeep.lock_conflicts(services)
    yield lambda: upkeep.layers(services)
    yield lambda: leftovers.strays(services, survey(services))
    yield lambda: leftovers.staging(services, seen)
    yield lambda: upkeep.volume_problems(services)
    yield lambda: upkeep.unsettled_networks(services)
    yield lambda: upkeep.network_strays(services)
    yield lambda: upkeep.temporary_files(services)
    if thorough:
        yield lambda: leftovers.missing_parts(services)
        yield lambda: upkeep.store_damage(services)


def _reported(problem: Problem) -> Finding:
    return Finding(
        kind=problem.kind,
        subject=problem.subject,
        sentence=problem.sentence,
        resolution=problem.resolution or ("run system check --repair" if problem.fix else ""),
    )


def _handled(problem: Problem, fixed: dict[object, str]) -> Finding:
    """The finding after its fix was tried. One fix may answer several problems and is called once."""
    if problem.fix is None:
        return _reported(problem)
    key = _key(problem.fix)
    if key not in fixed:
        try:
            problem.fix()
            fixed[key] = ""
        except (LibpodError, OSError) as error:
            logger.warning("%s, and that cannot be repaired: %s", problem.sentence, error)
            fixed[key] = str(error)
    return Finding(
        kind=problem.kind,
        subject=problem.subject,
        sentence=problem.sentence,
        repaired=not fixed[key],
        error=fixed[key],
        resolution=problem.resolution,
    )


def _key(fix: Callable[[], object]) -> object:
    function = getattr(fix, "func", None)
    if function is None:
        return fix
    return (function, tuple(str(item) for item in getattr(fix, "args", ())[1:] or getattr(fix, "args", ())))
