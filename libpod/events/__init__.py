"""Events: interface and back ends (log file, journal, null)."""

from __future__ import annotations

import logging
from pathlib import Path

from libpod.define.errors import ConfigError
from libpod.events.base import EventBackend

logger = logging.getLogger(__name__)

__all__ = ["open_backend"]


def open_backend(name: str, path: Path, *, max_size: int | None = None) -> EventBackend:
    """The back end called *name* in containers.conf: "file", "journald" or "none".

    An empty name means the journal where journald listens, and the file *path* elsewhere; so does "journald", because
    distributions preset it whatever runs there. Raises ConfigError for another name.
    """
    if name in ("none", "null"):
        from libpod.events.null import NullEvents

        return NullEvents()
    if name not in ("", "file", "journald"):
        raise ConfigError(f'"{name}" is not an events logger', resolution='use "file", "journald" or "none"')
    if name != "file":
        from libpod.events.journald import JournaldEvents

        if JournaldEvents.available():
            return JournaldEvents()
        if name:
            logger.info("journald does not listen here: events go to %s", path)
    from libpod.events.logfile import DEFAULT_MAX_SIZE, LogFileEvents

    return LogFileEvents(path, max_size=DEFAULT_MAX_SIZE if max_size is None else max_size)
