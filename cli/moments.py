"""Times as users write them: RFC 3339, a date, seconds since 1970, or a length of time that means so long ago.

Covers: pkg/util (ParseInputTime)
"""

from __future__ import annotations

import calendar
import re
import time

from libpod_cli.formatting import NEVER, unix_seconds
from libpod_cli.parser import UsageError

_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_LOCAL = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.\d+)?)?)?")


def seconds_of(text: str) -> float:
    """The moment in seconds since 1970; raises UsageError."""
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    if re.fullmatch(rf"-?(?:{_PART.pattern})+", text):
        length = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
        return time.time() + (length if text.startswith("-") else -length)
    local = _LOCAL.fullmatch(text)
    if local is not None:
        return float(calendar.timegm((*(int(part or 0) for part in local.groups()), 0, 0, 0)))
    seconds = unix_seconds(text)
    if seconds == NEVER:
        raise UsageError(
            f'"{text}" is not a time: write 2026-01-31T12:00:00Z, 2026-01-31, or 10m for ten minutes ago'
        )
    return seconds


def rfc3339_of(text: str) -> str:
    """The same as RFC 3339; raises UsageError."""
    seconds = seconds_of(text)
    whole = int(seconds)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + f".{int((seconds - whole) * 1e9):09d}Z"
