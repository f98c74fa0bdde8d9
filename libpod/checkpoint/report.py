"""What a checkpoint or restore reports: how long each phase took, how large it became, what CRIU counted.

`to_document` gives podman's `--print-stats` element.

Covers: pkg/domain/entities/types/container.go (CheckpointReport, RestoreReport), libpod/define/checkpoint_restore.go
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs

from libpod.checkpoint.statistics import DumpStatistics, RestoreStatistics
from libpod.checkpoint.timeline import Phase
from libpod.checkpoint.writer import ArchiveSummary


@attrs.frozen(kw_only=True)
class CheckpointReport:
    """Of one checkpoint. Durations are microseconds."""

    id: str
    name: str
    duration: int
    """From the call to its return."""
    runtime_duration: int
    """The OCI runtime's part: freezing and dumping."""
    downtime: int
    """How long the processes stood still; to the end of the call when they were not to go on."""
    phases: tuple[Phase, ...]
    statistics: DumpStatistics | None
    archive: ArchiveSummary | None = None
    image: str = ""
    """Name of the checkpoint image, when one was made."""

    @property
    def path(self) -> Path | None:
        """The archive."""
        return self.archive.path if self.archive is not None else None

    def to_document(self) -> dict[str, Any]:
        """podman's element of container_statistics."""
        return {
            "Id": self.id,
            "runtime_checkpoint_duration": self.runtime_duration,
            "criu_statistics": self.statistics.podman_document() if self.statistics is not None else {},
        }


@attrs.frozen(kw_only=True)
class RestoreReport:
    """Of one restore. Durations are microseconds."""

    id: str
    name: str
    duration: int
    runtime_duration: int
    phases: tuple[Phase, ...]
    statistics: RestoreStatistics | None
    archive_size: int = 0
    """Bytes of the archive on disk; 0 without one."""
    content_size: int = 0
    """Bytes of its members."""

    def to_document(self) -> dict[str, Any]:
        """podman's element of container_statistics."""
        return {
            "Id": self.id,
            "runtime_restore_duration": self.runtime_duration,
            "criu_statistics": self.statistics.podman_document() if self.statistics is not None else {},
        }
