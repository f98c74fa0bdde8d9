"""Every example runs, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]

pytestmark = [pytest.mark.root, pytest.mark.criu, pytest.mark.slow]


def run_example(name: str, tmpdir: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, REPOSITORY / "examples" / name],
        env={**os.environ, "TMPDIR": str(tmpdir), **environment},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def test_the_demo_moves_a_container_and_cleans_up(short_tmp: Path) -> None:
    place = short_tmp / "demo"
    place.mkdir()
    done = run_example("migrate.py", place)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for expected in ("same token", "written before the journey", "froze it into one file", "downtime", " ms"):
        assert expected in done.stdout
    assert re.search(r"it goes on: (\d+), ", done.stdout)
    assert list(place.iterdir()) == []
    assert str(place) not in Path("/proc/self/mountinfo").read_text()


def test_the_demo_fails_loudly(short_tmp: Path) -> None:
    """Without a CRIU that works there is one sentence, another exit status, and nothing left."""
    place = short_tmp / "broken"
    place.mkdir()
    done = run_example("migrate.py", place, LIBPOD_CRIU="/bin/false")
    assert done.returncode == 1
    assert re.fullmatch(r"The demo failed: .*\.\n", done.stderr)
    assert list(place.iterdir()) == []
    assert str(place) not in Path("/proc/self/mountinfo").read_text()
