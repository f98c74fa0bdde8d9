"""As tests/runtime/test_crowd, for a minute."""

from __future__ import annotations

import os

import pytest

from tests.runtime.crowd import SHARED, crowd


@pytest.mark.root
@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_crowd_for_a_minute(other_engine):
    lives = crowd(
        other_engine, processes=8, threads=4, seconds=float(os.environ.get("LIBPOD_SOAK_SECONDS", "60"))
    )
    assert lives >= 32
    with other_engine.runtime() as runtime:
        assert {item.name for item in runtime.containers()} <= set(SHARED)
        for item in runtime.containers():
            runtime.container(item.id).remove(force=True, timeout=0)
        assert runtime._services.state.repair(thorough=True, pretend=True) == []
        assert [str(item) for item in runtime.check().findings] == []
