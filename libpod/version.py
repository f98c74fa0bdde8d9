"""The version of this library, and of podman's formats that it speaks.

Covers: version/version.go
"""

from __future__ import annotations

VERSION = "0.1.0"

ARCHIVE_COMPATIBILITY = "4.3.1"
"""The podman whose config.dump we write; 4.x and 5.x read it."""
