"""Resource limits of the process, fitted to what we may set.

Raising a hard limit needs CAP_SYS_RESOURCE in the initial user namespace, and nobody may set RLIMIT_NOFILE above
`fs.nr_open`. A limit that is asked for and cannot be had is lowered to our own: the container then runs with what the
machine gives, which is what it would find on any other machine too. The two limits nobody asked for, open files and
processes, start from podman's 1048576.

Covers: pkg/specgen/generate/oci.go (addRlimits), libpod/container_internal_common.go (rlimits)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from libpod.linux.host import HostFacts
from libpod.linux.rlimits import INFINITY
from libpod.model.limits import Ulimit
from libpod.spec.document import Document

if TYPE_CHECKING:
    from libpod.spec.document_parts import Rlimit

DEFAULT_LIMIT = 1048576
DEFAULTED = ("RLIMIT_NOFILE", "RLIMIT_NPROC")


def requested(ulimits: Sequence[Ulimit], defaults: Sequence[Ulimit]) -> list[Rlimit]:
    """What was asked for, and what the configuration gives to those that were not."""
    chosen = {limit.name: limit for limit in (*defaults, *ulimits)}
    return [{"type": limit.name, "hard": limit.hard, "soft": limit.soft} for limit in chosen.values()]


def completed(limits: Sequence[Rlimit]) -> list[Rlimit]:
    """*limits* with the defaults for open files and processes."""
    given = {limit["type"] for limit in limits}
    missing: list[Rlimit] = [
        {"type": name, "hard": DEFAULT_LIMIT, "soft": DEFAULT_LIMIT}
        for name in DEFAULTED
        if name not in given
    ]
    return [limit.copy() for limit in limits] + missing


def clamped(limits: Sequence[Rlimit], host: HostFacts) -> list[Rlimit]:
    """*limits*, lowered to what this process may set."""
    result: list[Rlimit] = []
    for limit in limits:
        ceiling = _ceiling(limit["type"], host)
        hard = min(limit["hard"], ceiling)
        result.append({"type": limit["type"], "hard": hard, "soft": min(limit["soft"], hard)})
    return result


def out_of_reach(document: Document, host: HostFacts) -> list[str]:
    """The limits of a specification that a restore could not set here: CRIU sets them exactly and fails otherwise."""
    found: list[Rlimit] = document["process"].get("rlimits") or []
    return [
        f"{limit['type']} {limit['hard']} (at most {_ceiling(limit['type'], host)} here)"
        for limit in found
        if limit["hard"] > _ceiling(limit["type"], host)
    ]


def _ceiling(name: str, host: HostFacts) -> int:
    _, own = host.rlimits.get(name, (INFINITY, INFINITY))
    ceiling = INFINITY if host.may_raise_limits else own
    return min(ceiling, host.nr_open) if name == "RLIMIT_NOFILE" else ceiling
