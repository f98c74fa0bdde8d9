"""Regular expressions that are compiled when they are first used.

To compile one takes a tenth of a millisecond to several; the modules that a run loads have some fifty, of which it
uses five. `pattern` stands for `re.compile` where a module makes its expressions. The expression itself must be right:
tests/define compiles them all.

Covers: nothing upstream.
"""

from __future__ import annotations

import re
from typing import Any, AnyStr, cast


class _Uncompiled:
    """Becomes a compiled expression with the first question it is asked."""

    def __init__(self, text: str | bytes, flags: int) -> None:
        self._text = text
        self._flags = flags

    def __getattr__(self, name: str) -> Any:
        # Called for what is not there yet: a method is looked up once, and found without a detour from then on.
        value = getattr(re.compile(self._text, self._flags), name)
        setattr(self, name, value)
        return value


def pattern(text: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """The expression *text*; it answers as a compiled one does."""
    return cast("re.Pattern[AnyStr]", _Uncompiled(text, flags))
