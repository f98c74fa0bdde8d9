"""As tests/image/test_store_storm, for minutes: LIBPOD_SOAK_SECONDS says how long, LIBPOD_SOAK_SEED which steps."""

from __future__ import annotations

import os

import pytest

from tests.image.store_storm import aftermath, storm


@pytest.mark.root
@pytest.mark.podman
@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_minutes_of_everybody_on_one_store_lose_nothing(empty_engine, busybox_rootfs, tmp_path):
    with empty_engine.runtime() as runtime:
        before = {"keep": runtime.import_image(busybox_rootfs, "keep:1").id}
        container = runtime.create("keep:1", "true", name="kept", network="none")
        (container.mount() / "kept").write_text("kept\n")
        container.unmount()
    seconds = float(os.environ.get("LIBPOD_SOAK_SECONDS", "240"))
    weather = storm(empty_engine, tmp_path, seconds, seed=int(os.environ.get("LIBPOD_SOAK_SEED", "1000")))
    assert weather.errors == []
    assert weather.kills >= seconds / 10
    assert aftermath(empty_engine, tmp_path, before) == []
