"""Kill -9 at random instants: nothing that was done is lost, nothing half done stays. More of it: tests/soak."""

from __future__ import annotations

import time

import pytest

from tests.runtime.kill_rounds import Rounds

ROUNDS = 40
BUDGET = 80.0
"""Seconds after which no new round begins: a machine that is busy does fewer."""


@pytest.mark.root
@pytest.mark.criu
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_process_that_is_killed_at_any_instant_loses_nothing_and_leaves_nothing(other_engine, tmp_path):
    rounds = Rounds(other_engine, tmp_path, seed=1)
    deadline = time.monotonic() + BUDGET
    done = 0
    while done < ROUNDS and time.monotonic() < deadline:
        rounds.run()
        done += 1
    assert done >= 5
