"""The version of this library, and of podman's formats that it speaks.

Covers: version/version.go
"""

from __future__ import annotations

import sys
from typing import Any

VERSION = "0.1.0"

ARCHIVE_COMPATIBILITY = "4.3.1"
"""The podman whose config.dump we write; 4.x and 5.x read it."""


def version_document() -> dict[str, Any]:
    """podman's `version` document, for the client. Needs no engine."""
    return {
        "Client": {
            "APIVersion": ARCHIVE_COMPATIBILITY,
            "Version": VERSION,
            "PythonVersion": sys.version.split()[0],
            "GitCommit": "",
            "Built": 0,
            "OsArch": f"linux/{_architecture()}",
            "Os": "linux",
        }
    }


def _architecture() -> str:
    from libpod.linux.architecture import native_architecture

    return native_architecture()
