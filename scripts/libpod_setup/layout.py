"""Where the set-up puts things. docs/setup.md tells the user the same."""

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]

VENV = REPOSITORY / ".venv"

CRIU_PREFIX = Path("/opt/libpod-criu")
"""Holds one folder for each version that was unpacked, and `bin/criu`. The library looks there by itself."""

PEERS_PREFIX = Path("/opt/libpod-peers")
"""Engines of a newer release that the tests hand archives to; made on demand, nothing but the tests looks there."""

STATE = Path("/var/lib/libpod-setup")
"""What the set-up remembers about this machine; nothing breaks when it is deleted."""

LOCK = STATE / "lock"
CRIU_RECORD = STATE / "criu.json"
INSTALLED_PACKAGES = STATE / "installed-packages"
ABSENT_PACKAGES = STATE / "absent-packages"
OS_RELEASE = Path("/etc/os-release")
