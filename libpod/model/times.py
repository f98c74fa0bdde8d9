"""Times as Go writes them: RFC 3339 with up to nine fractional digits.

The zero time "0001-01-01T00:00:00Z" means *never*. Text is kept as text; arithmetic goes through integers.
"""

from __future__ import annotations

import datetime
import re
import time

ZERO_TIME = "0001-01-01T00:00:00Z"
_EPOCH = datetime.date(1970, 1, 1).toordinal()

_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9})\d*)?(?:([Zz])|([+-])(\d\d):?(\d\d))"
)


def now() -> str:
    """The present time in UTC."""
    return from_nanoseconds(time.time_ns())


def from_nanoseconds(nanoseconds: int) -> str:
    """The RFC 3339 text of a Unix time in nanoseconds."""
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    digits = f"{fraction:09d}".rstrip("0")
    return f"{text}.{digits}Z" if digits else f"{text}Z"


def in_local_zone(text: str) -> str:
    """The same moment with the offset of this machine's time zone, as Go writes the time of day."""
    nanoseconds = to_nanoseconds(text)
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    local = time.localtime(seconds)
    minutes = (local.tm_gmtoff or 0) // 60
    if minutes == 0:
        return from_nanoseconds(nanoseconds)
    digits = f"{fraction:09d}".rstrip("0")
    sign = "+" if minutes > 0 else "-"
    clock = time.strftime("%Y-%m-%dT%H:%M:%S", local) + (f".{digits}" if digits else "")
    return f"{clock}{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"


def to_nanoseconds(text: str) -> int:
    """The Unix time in nanoseconds of an RFC 3339 text; raises ValueError."""
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError(f'"{text}" is not an RFC 3339 time')
    year, month, day, hour, minute, second, fraction, _zulu, sign, off_hours, off_minutes = match.groups()
    if not (int(day) <= 31 and int(hour) < 24 and int(minute) < 60 and int(second) < 60):
        raise ValueError(f'"{text}" is not a time of day')
    seconds = (
        _days(int(year), int(month), int(day)) * 86400 + int(hour) * 3600 + int(minute) * 60 + int(second)
    )
    if sign is not None:
        offset = int(off_hours) * 3600 + int(off_minutes) * 60
        seconds -= offset if sign == "+" else -offset
    return seconds * 1_000_000_000 + int((fraction or "").ljust(9, "0"))


def _days(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01; `calendar` could say it too, but loads for milliseconds what needs one line."""
    return datetime.date(year, month, day).toordinal() - _EPOCH


def is_zero(text: str) -> bool:
    """Whether *text* is the zero time, or empty."""
    return not text or text.startswith("0001-01-01T00:00:00")


def age(text: str) -> int:
    """What to sort by: the Unix time in nanoseconds, 0 when *text* is no time at all."""
    try:
        return to_nanoseconds(text)
    except ValueError:
        return 0
