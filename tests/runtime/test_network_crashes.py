"""The engine is killed -9 at every step of a real container's networks: the next command leaves nothing behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from libpod.network.netavark import find_netavark

pytestmark = [pytest.mark.root, pytest.mark.network]

LEAST = {"start": 12, "stop": 5, "remove": 5, "connect": 10, "disconnect": 5}
"""How many steps there are at least: fewer would mean that the helper does not see them any more."""


NETAVARK = {"start": 4}
"""tests/network/test_netavark_kills.py is about the steps of netavark; this is about ours around it."""
CASES = [(name, least, "bridge") for name, least in LEAST.items()]
CASES += [(name, least, "netavark") for name, least in NETAVARK.items()]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("scenario", "least", "backend"), CASES)
def test_whatever_is_killed_is_put_in_order_by_the_next_command(scenario, least, backend, engine, host):
    if backend == "netavark" and find_netavark() is None:
        pytest.skip("netavark is not installed")
    argv = [sys.executable, "-m", "tests.runtime.network_killed", scenario]
    argv += [str(engine.root), str(engine.runroot), backend]
    done = host.do(
        lambda: subprocess.run(argv, capture_output=True, text=True, check=False, cwd=Path.cwd(), timeout=580)
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["problems"] == []
    assert found["steps"] > least
