"""A short storm on one store; the long one is in tests/soak."""

from __future__ import annotations

import pytest

from tests.image.store_storm import aftermath, storm

pytestmark = [pytest.mark.root, pytest.mark.podman, pytest.mark.slow]


@pytest.mark.timeout(600)
def test_all_engines_at_once_and_ours_killed_lose_nothing_and_see_no_error(
    empty_engine, busybox_rootfs, tmp_path
):
    with empty_engine.runtime() as runtime:
        before = {"keep": runtime.import_image(busybox_rootfs, "keep:1").id}
        container = runtime.create("keep:1", "true", name="kept", network="none")
        (container.mount() / "kept").write_text("kept\n")
        container.unmount()
    weather = storm(empty_engine, tmp_path, 12)
    assert weather.errors == []
    assert weather.kills > 0
    assert all(weather.rounds.get(name, 0) > 0 for name in ("calm", "podman_4", "skopeo", "buildah")), weather
    assert aftermath(empty_engine, tmp_path, before) == []
