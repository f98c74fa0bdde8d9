"""netavark, whoever called it, or both are killed -9 at every step: nothing stays, and podman's is as it was."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from libpod.network.aardvark import find_aardvark
from libpod.network.netavark import find_netavark

pytestmark = [
    pytest.mark.root,
    pytest.mark.network,
    pytest.mark.skipif(
        find_netavark() is None or find_aardvark() is None, reason="netavark is not installed"
    ),
]
ROOT = Path(__file__).parents[2]
LEAST = {"setup": 20, "teardown": 12, "teardown-beside": 8}
"""Scenario → how many steps there are at least: fewer would mean that the helper does not see them any more."""


def test_a_kill_at_any_step_of_netavark_leaves_nothing_after_the_repair(directory, machines):
    """A set-up and a tear-down, alone and beside another container; at once, since they wait for the kernel mostly."""

    def run(scenario: str) -> subprocess.CompletedProcess[str]:
        work = directory / scenario
        work.mkdir()
        argv = [sys.executable, "-m", "tests.network.netavark_killed", scenario, str(work)]
        host = machines(scenario)
        return host.do(lambda: subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False))

    with ThreadPoolExecutor(len(LEAST)) as pool:
        results = dict(zip(LEAST, pool.map(run, LEAST), strict=True))
    for scenario, result in results.items():
        assert result.returncode == 0, result.stderr
        report = json.loads(result.stdout)
        assert report["problems"] == []
        assert report["steps"] > LEAST[scenario]
