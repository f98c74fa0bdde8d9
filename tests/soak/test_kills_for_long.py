"""As tests/runtime/test_kills, hundreds of times: LIBPOD_SOAK_KILLS says how often, LIBPOD_SOAK_SEED which steps."""

from __future__ import annotations

import os

import pytest

from tests.runtime.kill_rounds import Rounds


@pytest.mark.root
@pytest.mark.criu
@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_hundreds_of_kills_lose_nothing_and_leave_nothing(other_engine, tmp_path):
    rounds = Rounds(other_engine, tmp_path, seed=int(os.environ.get("LIBPOD_SOAK_SEED", "1000")))
    for _ in range(int(os.environ.get("LIBPOD_SOAK_KILLS", "300"))):
        rounds.run()
    assert len(rounds.interrupted) >= 8, f"the kills came during {rounds.interrupted} only"
