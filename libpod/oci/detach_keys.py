"""The key sequence that lets go of a container, default ctrl-p,ctrl-q.

Purely our side's business: the keys are taken out of the input and never reach the container. Bytes that might begin
the sequence are held back until it is clear that they do not, and are then forwarded unchanged.

From a terminal the sequence is found wherever reads happen to cut it. From anything else a key counts only when a
read returned that one byte alone (as podman does), so that binary input which contains it gets through.

Covers: pkg/../detach keys (processDetachKeys in libpod/util.go), term.EscapeProxy
"""

from __future__ import annotations

from libpod.define.errors import InvalidArgumentError

DEFAULT_KEYS = "ctrl-p,ctrl-q"

_CONTROL = {"@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31}


def parse_detach_keys(text: str) -> bytes:
    """The bytes of a sequence such as ``ctrl-p,ctrl-q`` or ``a,ctrl-x``; an empty text means: none."""
    if not text:
        return b""
    return bytes(_parse_key(word, text) for word in text.split(","))


def _parse_key(word: str, text: str) -> int:
    if word == "DEL":
        return 127
    if word.startswith("ctrl-") and len(word) == 6:
        key = word[5]
        if "a" <= key <= "z":
            return ord(key) - ord("a") + 1
        if key in _CONTROL:
            return _CONTROL[key]
    elif len(word) == 1 and word.isascii():
        return ord(word)
    raise InvalidArgumentError(
        f'"{word}" in the detach keys "{text}" is not a key',
        resolution="name keys as single characters or ctrl-<a-z, @, [, \\, ], ^, _>, separated by commas",
    )


class DetachFilter:
    """Finds the sequence in a stream of input."""

    def __init__(self, keys: bytes, *, any_cut: bool) -> None:
        """With *any_cut* the sequence counts however the input is cut, else only byte by byte."""
        self._keys, self._any_cut = keys, any_cut
        self._held = b""

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """What to forward now, and whether the sequence is complete (what follows it is dropped)."""
        if not self._keys:
            return data, False
        if not self._any_cut and len(data) != 1:
            forward, self._held = self._held + data, b""
            return forward, False
        text = self._held + data
        found = text.find(self._keys)
        if found >= 0:
            self._held = b""
            return text[:found], True
        keep = next(
            (
                size
                for size in range(min(len(self._keys) - 1, len(text)), 0, -1)
                if text.endswith(self._keys[:size])
            ),
            0,
        )
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep], False

    def rest(self) -> bytes:
        """What was held back when the input ends."""
        rest, self._held = self._held, b""
        return rest
