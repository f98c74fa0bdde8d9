"""The engine is killed -9 at every step of a real container's networks: the next command leaves nothing behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.root, pytest.mark.network]

LEAST = {"start": 12, "stop": 5, "remove": 5, "connect": 10, "disconnect": 5}
"""How many steps there are at least: fewer would mean that the helper does not see them any more."""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("scenario", LEAST)
def test_whatever_is_killed_is_put_in_order_by_the_next_command(scenario, engine, host):
    argv = [sys.executable, "-m", "tests.runtime.network_killed", scenario]
    argv += [str(engine.root), str(engine.runroot)]
    done = host.do(
        lambda: subprocess.run(argv, capture_output=True, text=True, check=False, cwd=Path.cwd(), timeout=580)
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["problems"] == []
    assert found["steps"] > LEAST[scenario]
