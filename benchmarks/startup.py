"""What it costs to begin: importing, the smallest command, the program that conmon runs."""

from __future__ import annotations

import sys

from benchmarks.hosts import Hosts, run
from benchmarks.measure import Comparison, compare


def chapter(hosts: Hosts, rounds: int) -> list[Comparison]:
    """All rows."""
    bare = [sys.executable, "-c", "pass"]
    return [
        compare(
            "python -c 'import libpod'",
            lambda: run([sys.executable, "-c", "import libpod"]),
            lambda: run(bare),
            rounds=rounds * 3,
            rival="python -c pass",
            target=6,
        ),
        compare(
            "python -c 'import libpod; libpod.Runtime'",
            lambda: run([sys.executable, "-c", "import libpod; libpod.Runtime"]),
            lambda: run(bare),
            rounds=rounds * 3,
            rival="python -c pass",
        ),
        compare(
            "libpod version",
            lambda: hosts.libpod("version"),
            lambda: hosts.podman("version"),
            rounds=rounds * 3,
            target=2.5,
        ),
    ]
