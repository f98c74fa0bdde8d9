"""Containers whose layer another tool removed from the store by force: told as that, and removable."""

from __future__ import annotations

import io
import subprocess

import pytest

import libpod
from tests.engines import Engine

GONE = "is gone from the store, with its layer"
BY = {
    "podman rm": ("podman", "rm", "-f"),
    "podman rmi": ("podman", "rmi", "-f"),
}


def take_away(engine: Engine, how: str, container: libpod.Container) -> None:
    program, verb, *options = BY[how]
    where = ["--root", str(engine.root), "--runroot", str(engine.runroot), "--storage-driver", "overlay"]
    where += ["--tmpdir", str(engine.runroot / "P"), "--runtime", "runc", "--cgroup-manager", "cgroupfs"]
    what = container.image if verb == "rmi" else container.id
    for _ in range(5):
        done = subprocess.run(
            [program, *where, verb, *options, what], capture_output=True, text=True, timeout=100, check=False
        )
        # podman gives up now and then on the mount of /dev/shm, which its first attempt has unmounted.
        if "device or resource busy" not in done.stderr:
            break
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("running", [False, True], ids=["created", "running"])
@pytest.mark.parametrize("how", BY)
def test_a_container_without_its_layer_is_told_as_that_and_can_be_removed(
    empty_engine, busybox_rootfs, how, running
):
    with empty_engine.runtime() as runtime:
        runtime.import_image(busybox_rootfs, "bb:1")
        container = runtime.create("bb:1", "sleep", "1000", name="bereft", network="none")
        if running:
            container.start()
        take_away(empty_engine, how, container)
        assert [listed.name for listed in runtime.containers()] == ["bereft"]
        assert container.inspect()["Name"] == "bereft"
        asked = {
            "mount": container.mount,
            "diff": container.diff,
            "size": container.size,
            "commit": container.commit,
            "export": lambda: container.export(io.BytesIO()),
        }
        if not running:
            asked |= {"start": container.start, "copy": lambda: container.stat("/etc")}
        for what, ask in asked.items():
            with pytest.raises(libpod.StorageError, match=GONE):
                raise AssertionError(f"{what} went well: {ask()!r}")
        assert any("gone from the store" in str(finding) for finding in runtime.check().findings)
        container.remove(force=running, timeout=0)
        assert runtime.containers() == []
    assert empty_engine.leftovers() == []
