"""Look into archives, and say whether this host could wake them.

Covers: nothing upstream; checkpointctl does a part of it
"""

from __future__ import annotations

from pathlib import Path

import attrs

from libpod.checkpoint import comparing
from libpod.checkpoint.criu import find_criu
from libpod.checkpoint.inspecting import inspect_archive
from libpod.checkpoint.inspection import CheckpointComparison, CheckpointInspection
from libpod.container_internal.services import Services
from libpod.define.errors import ProgramMissingError
from libpod.model.move_options import RestoreOptions
from libpod.runtime_fitness import restore_fitness


def inspect_checkpoint(services: Services, path: Path, *, environment: bool = False) -> CheckpointInspection:
    """See `Runtime.inspect_checkpoint`."""
    services.require_open()
    found = inspect_archive(
        path, criu=_criu(services), environment=environment, scratch=services.paths.staging
    )
    return attrs.evolve(found, fitness=restore_fitness(services, RestoreOptions(import_=path)))


def compare_checkpoints(services: Services, before: Path, after: Path) -> CheckpointComparison:
    """See `Runtime.compare_checkpoints`."""
    services.require_open()
    criu, scratch = _criu(services), services.paths.staging
    return comparing.compare(
        inspect_archive(before, criu=criu, scratch=scratch),
        inspect_archive(after, criu=criu, scratch=scratch),
    )


def _criu(services: Services) -> Path | None:
    """The criu beside which the definitions lie; a host without one may have them elsewhere."""
    try:
        return find_criu(services.config.criu)
    except ProgramMissingError:
        return None
