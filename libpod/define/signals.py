"""Signals as users write them: TERM, SIGTERM, 15.

Covers: pkg/signal
"""

from __future__ import annotations

import signal

from libpod.define.errors import InvalidArgumentError

_RTMIN, _RTMAX = 34, 64


def parse_signal(text: str | int) -> int:
    """The number of a signal given as a number or a name, with or without SIG, RTMIN+n and RTMAX-n included.

    Raises InvalidArgumentError. 0 is accepted: it asks whether the process lives.
    """
    word = str(text).strip().upper()
    if word.isdecimal():
        number = int(word)
        if number <= _RTMAX:
            return number
        raise InvalidArgumentError(f'"{text}" is not a signal')
    name = word.removeprefix("SIG")
    for base, sign, anchor in (("RTMIN", "+", _RTMIN), ("RTMAX", "-", _RTMAX)):
        if name == base:
            return anchor
        offset = name.removeprefix(base + sign)
        if offset != name and offset.isdecimal():
            number = anchor + int(offset) if sign == "+" else anchor - int(offset)
            if _RTMIN <= number <= _RTMAX:
                return number
    try:
        return int(signal.Signals[f"SIG{name}"])
    except KeyError:
        raise InvalidArgumentError(
            f'"{text}" is not a signal', resolution="use a name such as TERM or a number"
        ) from None


def signal_name(number: int) -> str:
    """SIGTERM for 15; the number itself when it has no name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
