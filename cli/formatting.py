"""How things are shown: tables, JSON, templates; sizes, times and ids for people.

    --format json                 the documents of the command, as podman prints them
    --format '{{.ID}} …'          a template (`templates`) for each row
    --format 'table {{.ID}} …'    the same in columns, with a heading
    nothing                       the command's own table

Covers: cmd/podman/common (report), go-units
"""

from __future__ import annotations

import calendar
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from libpod_cli.tables import aligned

Row = Mapping[str, Any]

_JSON = re.compile(r"\s*(json|\{\{\s*json\s*\.?\s*\}\})\s*")
_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)")
_CAMEL = re.compile(r"[A-Z]+(?![a-z])|[A-Z][a-z0-9]*|[a-z0-9]+")

NEVER = -62135596800
"""Go's zero time in seconds since 1970."""


# ---- listings ---------------------------------------------------------------------------------------------------


def show(
    rows: Sequence[Row],
    template: str,
    *,
    columns: Sequence[str],
    headings: Mapping[str, str],
    documents: Callable[[], Any],
    heading: bool = True,
    indent: int = 2,
) -> None:
    """Print a listing in the form that *template* (the value of --format) asks for.

    *columns* are the fields of the default table, *headings* those that are not called like their field.
    """
    if is_json(template):
        print(dump(documents(), indent=indent))
        return
    if template and not template.startswith("table "):
        print_each(rows, template)
        return
    if template:
        lines = _table_lines(rows, template, headings, heading)
    else:
        lines = [[_heading(name, headings) for name in columns]] if heading else []
        lines += [[str(row[name]) for name in columns] for row in rows]
    if lines:
        print(aligned(lines))


def print_each(rows: Sequence[Any], template: str) -> None:
    """Print *template* for every row, one a line."""
    from libpod_cli.templates import Template

    compiled = Template(unescaped(template))
    for row in rows:
        text = compiled.render(row)
        print(text, end="" if text.endswith("\n") else "\n")


def is_json(template: str) -> bool:
    """Whether --format asks for the documents themselves."""
    return _JSON.fullmatch(template) is not None


def dump(document: Any, *, indent: int | None = 2) -> str:
    """JSON as Go writes it."""
    separators = (",", ": ") if indent is not None else (",", ":")
    return json.dumps(document, indent=indent, separators=separators, ensure_ascii=False)


def unescaped(template: str) -> str:
    r"""`\t` and `\n` of a template that came through a shell."""
    return template.replace(r"\t", "\t").replace(r"\n", "\n")


def _table_lines(
    rows: Sequence[Row], template: str, headings: Mapping[str, str], heading: bool
) -> list[list[str]]:
    from libpod_cli.templates import Template

    compiled = Template(unescaped(template.removeprefix("table ")).replace(" ", "\t"))
    lines = [compiled.render(row).rstrip("\n").split("\t") for row in rows]
    if not heading:
        return lines
    return [compiled.render(_Headings(headings)).rstrip("\n").split("\t"), *lines]


class _Headings(dict[str, str]):
    """The heading of any field."""

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> str:
        return _heading(name, {})


def _heading(field: str, headings: Mapping[str, str]) -> str:
    return headings.get(field) or " ".join(_CAMEL.findall(field)).upper()


# ---- values -----------------------------------------------------------------------------------------------------


def short(object_id: str, *, whole: bool = False) -> str:
    """An id as tables show it."""
    return object_id if whole else object_id.removeprefix("sha256:")[:12]


def shortened(text: str, length: int, *, whole: bool = False) -> str:
    """*text*, cut to *length* characters with three dots."""
    return text if whole or len(text) <= length else f"{text[: length - 3]}..."


def human_size(size: float, digits: int = 4, *, space: str = "") -> str:
    """A size in decimal units: 1.98MB."""
    for unit in ("B", "kB", "MB", "GB", "TB", "PB"):
        if size < 1000 or unit == "PB":
            return f"{size:.{digits}g}{space}{unit}"
        size /= 1000
    raise AssertionError("unreachable")


def human_duration(seconds: float) -> str:
    """A length of time as people say it."""
    whole = int(seconds)
    minutes, hours = whole // 60, int(seconds / 3600 + 0.5)
    if whole < 1:
        return "Less than a second"
    if whole < 60:
        return "1 second" if whole == 1 else f"{whole} seconds"
    if minutes < 60:
        return "About a minute" if minutes == 1 else f"{minutes} minutes"
    if hours < 48:
        return "About an hour" if hours == 1 else f"{hours} hours"
    for limit, length, name in (
        (24 * 14, 24, "days"),
        (24 * 60, 24 * 7, "weeks"),
        (24 * 730, 24 * 30, "months"),
    ):
        if hours < limit:
            return f"{hours // length} {name}"
    return f"{int(seconds / 3600) // 24 // 365} years"


def ago(moment: str | float) -> str:
    """How long ago: "3 seconds ago"; empty for a time that never was."""
    seconds = unix_seconds(moment) if isinstance(moment, str) else moment
    return "" if seconds <= 0 else f"{human_duration(time.time() - seconds)} ago"


def unix_seconds(text: str) -> float:
    """Seconds since 1970 of an RFC 3339 time; NEVER for none."""
    match = _TIME.fullmatch(text)
    if match is None:
        return NEVER
    fields = [int(match[number]) for number in range(1, 7)]
    seconds = calendar.timegm((*fields, 0, 0, 0))
    if match[8] != "Z":
        offset = int(match[8][1:3]) * 3600 + int(match[8][4:]) * 60
        seconds -= offset if match[8][0] == "+" else -offset
    return seconds + (float(f"0.{match[7]}") if match[7] else 0)


def go_time(text: str) -> str:
    """An RFC 3339 time as Go prints one: `2026-11-30 14:28:29.068901483 +0000 UTC`."""
    match = _TIME.fullmatch(text)
    if match is None:
        return text
    zone = "+0000 UTC" if match[8] == "Z" else match[8].replace(":", "")
    return f"{text[:10]} {text[11 : match.start(8)]} {zone}"


def go_duration(nanoseconds: int) -> str:
    """A length of time as Go prints one: `1h2m3.5s`, `45.187409ms`."""
    if nanoseconds < 1_000_000_000:
        for size, unit in ((1_000_000, "ms"), (1_000, "µs")):
            if nanoseconds >= size:
                return f"{nanoseconds / size:.6f}".rstrip("0").rstrip(".") + unit
        return f"{nanoseconds}ns" if nanoseconds else "0s"
    minutes, rest = divmod(nanoseconds, 60_000_000_000)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{rest / 1e9:.9f}".rstrip("0").rstrip(".") + "s"
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + seconds
