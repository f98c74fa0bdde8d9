"""A restore is killed -9 at every named step of its network: the next command leaves nothing of it."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.engines import Engine
from tests.runtime.restore_killed import STEPS

pytestmark = [pytest.mark.root, pytest.mark.criu, pytest.mark.network]
ROOT = Path(__file__).parents[2]
NAMES = {name for names in STEPS.values() for name in names}


@pytest.mark.timeout(300)
def test_a_restore_that_is_killed_at_a_step_of_its_network_can_be_repeated(
    engine, other_engine, machines, tmp_path
):
    """In place it is restorable and answers on its port then, or runs; of an import nothing is left.

    Both ways at once, each with an engine and a host of its own.
    """

    def run(way: str, engine: Engine) -> subprocess.CompletedProcess[str]:
        host = machines(way)
        work = tmp_path / way
        work.mkdir()
        argv = [sys.executable, "-m", "tests.runtime.restore_killed", way]
        argv += [str(engine.root), str(engine.runroot), str(work)]
        return host.do(lambda: subprocess.run(argv, capture_output=True, text=True, check=False, cwd=ROOT))

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(run, ("in-place", "import"), (engine, other_engine)))
    for result in results:
        assert result.returncode == 0, result.stderr
        found = json.loads(result.stdout)
        assert found["problems"] == []
        assert NAMES - set(found["names"]) == set()
