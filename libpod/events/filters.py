"""Which events are wanted. Pure.

Values of one key are alternatives, keys must all match, as podman has it since 4.0:

    container, pod, image, network   events of that type; exact name or prefix of the id
    volume                           events of that type; prefix of the name
    event, status                    the status; "die" stands for "died"
    type                             the type
    label                            "key" or "key=value" among the attributes
    health_status                    the health that the event reports

Moments are RFC 3339, a date, a Unix time in seconds, or a duration as Go writes it: "10m" is ten minutes ago for
*since* and, where the future makes sense, "-10m" ten minutes from now for *until*. Both ends are exclusive.

Covers: libpod/events/filters.go, pkg/util (ParseInputTime)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import msgspec

from libpod.define.errors import InvalidArgumentError
from libpod.events.base import EventQuery
from libpod.model.event import Event, EventType
from libpod.model.times import to_nanoseconds
from libpod.model.units import DURATION_PART, DURATION_TEXT, NANOSECONDS

Predicate = Callable[[Event, str], bool]


def _of_type(kind: EventType) -> Predicate:
    return lambda event, value: event.type is kind and (event.name == value or event.id.startswith(value))


def _has_label(event: Event, value: str) -> bool:
    key, equals, wanted = value.partition("=")
    attributes = event.attributes or {}
    return key in attributes and (not equals or attributes[key] == wanted)


def _has_status(event: Event, value: str) -> bool:
    return event.status.value == ("died" if value == "die" else value)


_FILTERS: Mapping[str, Predicate] = {
    "container": _of_type(EventType.CONTAINER),
    "pod": _of_type(EventType.POD),
    "image": _of_type(EventType.IMAGE),
    "network": _of_type(EventType.NETWORK),
    "volume": lambda event, value: event.type is EventType.VOLUME and event.name.startswith(value),
    "event": _has_status,
    "status": _has_status,
    "type": lambda event, value: event.type.value == value,
    "label": _has_label,
    "health_status": lambda event, value: event.health_status == value,
}


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """A query made ready for judging events one by one."""

    after: int | None
    """Nanoseconds; the event must be later."""
    before: int | None
    """Nanoseconds; the event must be earlier."""
    wanted: tuple[tuple[Predicate, tuple[str, ...]], ...]

    def matches(self, event: Event) -> bool:
        """Whether the event is wanted."""
        if self.after is not None or self.before is not None:
            moment = to_nanoseconds(event.time)
            if self.after is not None and moment <= self.after:
                return False
            if self.before is not None and moment >= self.before:
                return False
        return all(any(predicate(event, value) for value in values) for predicate, values in self.wanted)


def select(query: EventQuery, *, now: int) -> Selection:
    """Prepare *query*; *now* is the present in nanoseconds. Raises InvalidArgumentError."""
    grouped: dict[str, list[str]] = {}
    for key, values in query.filters.items():
        name = key.lower()
        if name not in _FILTERS:
            raise InvalidArgumentError(
                f'"{key}" is not a filter for events', resolution=f"use one of {', '.join(sorted(_FILTERS))}"
            )
        grouped.setdefault("event" if name == "status" else name, []).extend(values)
    return Selection(
        after=moment(query.since, now=now) if query.since else None,
        before=moment(query.until, now=now) if query.until else None,
        wanted=tuple((_FILTERS[name], tuple(values)) for name, values in grouped.items()),
    )


def parse_filters(words: Sequence[str]) -> dict[str, list[str]]:
    """`key=value` words as a command line has them; raises InvalidArgumentError."""
    found: dict[str, list[str]] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise InvalidArgumentError(f'"{word}" is not a filter', resolution="write it as key=value")
        found.setdefault(key, []).append(value)
    return found


# ---- moments ----------------------------------------------------------------------------------------------------

_DURATION = re.compile(rf"([+-]?)((?:{DURATION_TEXT})+)")
_ZONE = re.compile(r"(Z|z|[+-]\d\d:?\d\d)$")
_UNIX = re.compile(r"(\d+)(?:\.(\d{1,9}))?")


def moment(text: str, *, now: int) -> int:
    """The moment that a user means by *text*, in nanoseconds since 1970; raises InvalidArgumentError."""
    if (unix := _UNIX.fullmatch(text)) is not None:
        return int(unix[1]) * 1_000_000_000 + int((unix[2] or "").ljust(9, "0"))
    if (duration := _DURATION.fullmatch(text)) is not None:
        length = sum(
            int(float(number) * NANOSECONDS[unit]) for number, unit in DURATION_PART.findall(duration[2])
        )
        return now + length if duration[1] == "-" else now - length
    zone = _ZONE.search(text) if "T" in text or len(text) > 10 else None
    body = text[: zone.start()] if zone is not None else text
    if re.fullmatch(r"\d{4}-\d\d-\d\d", body):
        body += "T00:00:00"
    elif re.fullmatch(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d", body):
        body += ":00"
    try:
        return to_nanoseconds(body + (zone[0] if zone is not None else "Z"))
    except ValueError as error:
        raise InvalidArgumentError(
            f'"{text}" is not a time',
            resolution='use a form like "2026-01-31T12:00:00Z", "2026-01-31", "1769860800" or "10m" (ago)',
        ) from error
