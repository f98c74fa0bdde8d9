"""Whether a container can be frozen, or an archive woken, said before anything stops.

A report is a list of findings. An *obstacle* makes the operation fail; a *loss* is what does not survive it; a *remark*
is worth knowing. Nothing was touched to find them, so that what happens between the look and the deed is not known.

Covers: nothing upstream
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs


class Severity(enum.StrEnum):
    """How much a finding matters."""

    OBSTACLE = "obstacle"
    LOSS = "loss"
    REMARK = "remark"


@attrs.frozen
class FitnessFinding:
    """One thing that was found."""

    severity: Severity
    cause: str
    """A clause, lower case, no full stop."""
    cure: str = ""
    """What to do about it; empty when there is nothing to do, or nobody knows."""

    def __str__(self) -> str:
        return f"{self.severity}: {self.cause}" + (f": {self.cure}" if self.cure else "")


@attrs.frozen(kw_only=True)
class FitnessReport:
    """What is to be expected."""

    subject: str
    """The container's name, or the archive's path."""
    findings: tuple[FitnessFinding, ...]
    contents: Mapping[str, int] = attrs.field(factory=dict)
    """Member → bytes before compression: what the archive will hold, or holds. Memory is an estimate from above."""
    needed: int = 0
    """Bytes that it takes on the disk, at most."""
    free: int = 0
    """Bytes that are free there."""
    directory: Path | None = None
    """Where they are needed."""

    @property
    def fit(self) -> bool:
        """Whether nothing stands in the way."""
        return not self.obstacles

    @property
    def obstacles(self) -> tuple[FitnessFinding, ...]:
        """What stands in the way."""
        return tuple(item for item in self.findings if item.severity is Severity.OBSTACLE)

    def to_document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "subject": self.subject,
            "fit": self.fit,
            "findings": [
                {"severity": item.severity.value, "cause": item.cause, "cure": item.cure}
                for item in self.findings
            ],
            "contents": dict(self.contents),
            "needed": self.needed,
            "free": self.free,
        }
