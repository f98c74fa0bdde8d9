"""Big data: files that belong to an image or container record, under a key of any characters.

A key of digits, lower-case letters and dots is its own file name; any other is `=` and its base64, so that
`manifest` stays readable and `manifest-sha256:…` cannot leave the directory.

Covers: storage/store.go (makeBigDataBaseName)
"""

from __future__ import annotations

import base64

from libpod.define.errors import InvalidArgumentError
from libpod.define.patterns import pattern

_PLAIN = pattern(r"[0-9a-z.]+")


def file_name(key: str) -> str:
    """The name of the file that holds the item *key*."""
    if not key:
        raise InvalidArgumentError("an item of big data needs a key that is not empty")
    if _PLAIN.fullmatch(key) and key.strip("."):
        return key
    encoded = base64.b64encode(key.encode()).decode()
    if "/" in encoded:
        raise InvalidArgumentError(f'the key "{key}" cannot be stored (its base64 contains a slash)')
    return f"={encoded}"
