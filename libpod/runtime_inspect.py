"""Look into archives, and say whether this host could wake them.

Covers: nothing upstream; checkpointctl does a part of it
"""

from __future__ import annotations

from pathlib import Path

from libpod.checkpoint import comparing
from libpod.checkpoint.criu import find_criu
from libpod.checkpoint.inspecting import inspect_archive
from libpod.checkpoint.inspection import CheckpointComparison, CheckpointInspection
from libpod.container_internal.services import Services
from libpod.define.errors import ProgramMissingError


def inspect_checkpoint(services: Services, path: Path, *, environment: bool = False) -> CheckpointInspection:
    """See `Runtime.inspect_checkpoint`."""
    services.require_open()
    return inspect_archive(
        path, criu=_criu(services), environment=environment, scratch=services.paths.staging
    )


def compare_checkpoints(services: Services, before: Path, after: Path) -> CheckpointComparison:
    """See `Runtime.compare_checkpoints`."""
    return comparing.compare(inspect_checkpoint(services, before), inspect_checkpoint(services, after))


def _criu(services: Services) -> Path | None:
    """The criu beside which the definitions lie; a host without one may have them elsewhere."""
    try:
        return find_criu(Path(services.config.criu_path) if services.config.criu_path else None)
    except ProgramMissingError:
        return None
