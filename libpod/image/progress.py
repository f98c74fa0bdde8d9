"""How far a copy is, blob by blob.

skopeo draws one line per blob on a terminal and redraws it; `ProgressReader` turns that drawing into events. It knows
just enough of it – the word, the digest, two sizes or `done` or `skipped` – to survive the differences between
versions; a line it does not understand is no event and never an error.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable

import attrs


class BlobState(enum.StrEnum):
    """Where one blob is."""

    STARTED = "started"
    COPYING = "copying"
    DONE = "done"
    SKIPPED = "skipped"
    """Nothing was copied: the destination has it already."""


@attrs.frozen(kw_only=True)
class BlobProgress:
    """One step of one blob."""

    kind: str
    """`blob` for a layer, `config` for the configuration."""
    digest: str
    """The first digits of the digest, as many as the tool shows (ten or more)."""
    state: BlobState
    done: int = 0
    """Bytes so far, as precise as the tool's rounding."""
    total: int = 0
    """0 when it is not known."""


Progress = Callable[[BlobProgress], None]
"""Called in the thread that asked for the copy. An exception it raises ends the copy and reaches the caller."""

_LINE = re.compile(r"Copying (blob|config) (?:sha256:)?([0-9a-f]{10,64})(.*)")
_SIZES = re.compile(r"([\d.]+)\s*([KMGT]i)?[bB] / ([\d.]+)\s*([KMGT]i)?[bB]")
_CONTROL = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")
_UNITS = {"": 1, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40}


class ProgressReader:
    """Feeds on the raw output of skopeo and calls *progress* for every line that changed."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._pending = b""
        self._last: dict[tuple[str, str], BlobProgress] = {}

    def feed(self, data: bytes) -> None:
        """Take the next piece of output, cut anywhere."""
        *lines, self._pending = re.split(rb"[\r\n]+", self._pending + data)
        for raw in lines:
            event = parse_line(_CONTROL.sub(b"", raw).decode(errors="replace"))
            if event is not None and self._last.get((event.kind, event.digest)) != event:
                self._last[event.kind, event.digest] = event
                self._progress(event)


def parse_line(line: str) -> BlobProgress | None:
    """The event one drawn line tells of, or None."""
    match = _LINE.search(line)
    if match is None:
        return None
    kind, digest, rest = match.groups()
    sizes = _SIZES.search(rest)
    done, total = (_bytes(*sizes.group(1, 2)), _bytes(*sizes.group(3, 4))) if sizes else (0, 0)
    if "skipped" in rest:
        state = BlobState.SKIPPED
    elif " done" in rest:
        state = BlobState.DONE
    elif sizes:
        state = BlobState.COPYING
    else:
        state = BlobState.STARTED
    return BlobProgress(kind=kind, digest=digest, state=state, done=done, total=total)


def _bytes(number: str, unit: str | None) -> int:
    try:
        return int(float(number) * _UNITS[unit or ""])
    except ValueError:
        return 0
