"""A failure of CRIU in plain words: the runtime's error together with what CRIU's log says.

Covers: nothing upstream; podman shows "criu failed: type NOTIFY errno 0".
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from libpod.checkpoint.timeline import Timeline
from libpod.define.errors import CheckpointError, LibpodError, RestoreError

E = TypeVar("E", CheckpointError, RestoreError)


def explained(error: E, *, step: str) -> E:
    """The same error with the step named and, when the log knows it, the cause and the cure."""
    found = None
    if error.log is not None:
        # Large, and only wanted when something failed.
        from libpod.checkpoint.explain import explain_log

        found = explain_log(
            Path(error.log), "dump" if issubclass(type(error), CheckpointError) else "restore"
        )
    return type(error)(
        container=error.container,
        step=step or error.step,
        cause=found.cause if found is not None else error.cause,
        resolution=(found.resolution if found is not None else None) or error.resolution,
        details=found.details if found is not None else error.details,
        log=error.log,
    )


@contextlib.contextmanager
def translated(
    kind: type[E],
    name: str,
    timeline: Timeline,
    *,
    passing: tuple[type[LibpodError], ...] = (),
) -> Iterator[None]:
    """Every failure becomes a *kind* that names the phase; CRIU's own are explained from its log, *passing* stay."""
    try:
        yield
    except kind as error:
        raise explained(error, step=timeline.current) from error
    except passing:
        raise
    except LibpodError as error:
        raise kind(
            container=name,
            step=timeline.current,
            cause=error.message,
            resolution=error.resolution,
            details=error.details,
        ) from error
    except OSError as error:
        raise kind(
            container=name, step=timeline.current, cause=f"{error.strerror} ({error.filename})"
        ) from error
