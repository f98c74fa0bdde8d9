"""Identifiers and names.

An id is 64 random lower-case hex digits whose first twelve are not all decimal, so that a short id never looks like
a number. Containers and pods share one name space; volumes and networks have their own.

Covers: storage/pkg/stringid, libpod/define/config.go (NameRegex)
"""

from __future__ import annotations

import os
import re

from libpod.define.errors import InvalidArgumentError

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
_FULL_ID = re.compile(r"[0-9a-f]{64}")


def new_id() -> str:
    """A fresh identifier."""
    while True:
        candidate = os.urandom(32).hex()
        if not candidate[:12].isdecimal():
            return candidate


def is_full_id(text: str) -> bool:
    """Whether *text* has the form of a complete id."""
    return _FULL_ID.fullmatch(text) is not None


def check_name(kind: str, name: str) -> str:
    """Return *name* when it may name a container, pod, volume or network; raises InvalidArgumentError."""
    if _NAME.fullmatch(name) is None:
        raise InvalidArgumentError(
            f'"{name}" cannot name a {kind}',
            resolution="a name begins with a letter or digit and goes on with letters, digits, _ . or -",
        )
    return name
