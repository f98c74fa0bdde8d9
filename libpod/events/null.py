"""The back end that keeps nothing (`events_logger = "none"`).

Covers: libpod/events/nullout.go
"""

from __future__ import annotations

from collections.abc import Iterator

from libpod.events.base import EventBackend, EventQuery
from libpod.model.event import Event


class NullEvents(EventBackend):
    """Drops what is written; there is nothing to read."""

    name = "none"

    def write(self, event: Event) -> None:
        return None

    def read(self, query: EventQuery) -> Iterator[Event]:
        return iter(())
