"""A failure of CRIU in plain words: the runtime's error together with what CRIU's log says.

Covers: nothing upstream; podman shows "criu failed: type NOTIFY errno 0".
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from libpod.checkpoint.explain import Operation, explain_log
from libpod.define.errors import CheckpointError, RestoreError

E = TypeVar("E", CheckpointError, RestoreError)


def explained(error: E, *, step: str) -> E:
    """The same error with the step named and, when the log knows it, the cause and the cure."""
    operation: Operation = "dump" if issubclass(type(error), CheckpointError) else "restore"
    found = explain_log(Path(error.log), operation) if error.log is not None else None
    return type(error)(
        container=error.container,
        step=step or error.step,
        cause=found.cause if found is not None else error.cause,
        resolution=(found.resolution if found is not None else None) or error.resolution,
        details=found.details if found is not None else error.details,
        log=error.log,
    )
