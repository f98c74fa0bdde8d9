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
from tests.network.netavark_killed import Bench, killed, network

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


def test_a_kill_while_a_network_is_added_leaves_the_others_alone(directory, host, containers):
    """netavark and we are killed in the middle of the second network of a container that lives on the first."""
    bench = host.do(lambda: Bench(directory))
    front, back = bench.network, network("back", "br-back", "10.6.0.0/24", dns=False)
    one = containers("one")
    host.do(lambda: bench.backend.setup(one.request((front, ("10.5.0.2",)))))
    one.serve_tcp(80)
    both = one.request((front, ("10.5.0.2",)), (back, ("10.6.0.2",)))
    for step in (9, 18):
        assert host.do(
            lambda step=step: killed(bench, step, "both", lambda: bench.backend.connect(both, ["back"]))
        )
        host.do(lambda: bench.backend.disconnect(both, ["back"]))
        assert one.links() == {"lo", "eth0"}
        assert host.links() - {"lo", "br-ours"} == {"veth0"}
        assert "10.6.0.0" not in host.ruleset()
        assert host.ask("10.5.0.2", 80) == b"hello"
    host.do(lambda: bench.backend.connect(both, ["back"]))
    assert host.ask("10.6.0.2", 80) == b"hello"
    host.do(lambda: bench.backend.teardown(both))
    assert host.links() == {"lo"}
