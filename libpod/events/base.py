"""The events interface.

Writing never fails an operation that has succeeded: a back end that cannot write logs a warning. Reading yields events
in the order of writing; `follow` goes on without polling until the consumer closes the generator.

Covers: libpod/events/config.go (Eventer)
"""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from libpod.model.event import Event


class EventQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which events are wanted. Values of one filter key are alternatives; keys must all match."""

    since: str | None = None
    """RFC 3339; None means from the beginning (or from now on with follow)."""
    until: str | None = None
    filters: Mapping[str, Sequence[str]] = msgspec.field(default_factory=dict)
    """podman's keys: container, event, image, label, pod, volume, type, network, health_status."""
    follow: bool = False


class EventBackend(abc.ABC):
    """One place where events go."""

    name: str

    @abc.abstractmethod
    def write(self, event: Event) -> None: ...

    @abc.abstractmethod
    def read(self, query: EventQuery) -> Iterator[Event]: ...

    def close(self) -> None:
        """Idempotent."""
        return
