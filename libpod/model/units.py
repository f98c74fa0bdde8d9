"""Sizes and durations as users write them.

Sizes are binary however they are spelt: `1k`, `1kb` and `1KiB` are 1024 bytes, as Docker and podman read them.
Durations are Go's: `1h2m3.5s`, `300ms`; whole numbers without a unit are seconds where podman takes seconds.

Covers: docker/go-units (RAMInBytes), time.ParseDuration
"""

from __future__ import annotations

import re
from decimal import Decimal

from libpod.define.errors import InvalidArgumentError
from libpod.define.patterns import pattern

_SIZE = pattern(r"(\d+(?:\.\d+)?) ?([kmgtpe]?)(?:i?b)?", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5, "e": 6}

DURATION_TEXT = r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)"
DURATION_PART = pattern(DURATION_TEXT)
NANOSECONDS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}


def parse_size(text: str) -> int:
    """Bytes in `512m`, `1.5g`, `1024`; raises InvalidArgumentError."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise InvalidArgumentError(
            f'"{text}" is not a size', resolution="use a number with an optional unit b, k, m, g"
        )
    number, unit = match.groups()
    return int(Decimal(number) * 1024 ** _POWERS[unit.lower()])


def parse_duration(text: str) -> int:
    """Nanoseconds in `1m30s`, `500ms`, `0`; raises InvalidArgumentError."""
    body = text.strip()
    negative = body.startswith("-")
    body = body[1:] if body[:1] in ("+", "-") else body
    if body == "0":
        return 0
    total, position = Decimal(0), 0
    for match in DURATION_PART.finditer(body):
        if match.start() != position:
            break
        total += Decimal(match[1].rstrip(".") if match[1] != "." else "0") * NANOSECONDS[match[2]]
        position = match.end()
    if not body or position != len(body):
        raise InvalidArgumentError(
            f'"{text}" is not a duration', resolution="use numbers with units, such as 1m30s"
        )
    return -int(total) if negative else int(total)
