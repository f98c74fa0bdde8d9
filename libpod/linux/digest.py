"""SHA-256 without OpenSSL, whose loading takes longer than all that is asked of it in a start.

The modules are the interpreter's own; where it has none of them, hashlib does the same.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any


def _found() -> Callable[..., Any]:
    for name in ("_sha256", "_sha2", "hashlib"):  # Python 3.11; 3.12 and later; any
        try:
            found: Callable[..., Any] = import_module(name).sha256
        except ImportError:
            continue
        return found
    raise ImportError("this Python has no SHA-256")


_sha256 = _found()


def sha256(data: bytes) -> bytes:
    """The digest: 32 bytes."""
    digest: bytes = _sha256(data).digest()
    return digest
