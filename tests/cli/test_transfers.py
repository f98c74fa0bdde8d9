"""Pulls that are killed at any point, and what the options of a storage.conf do to a container."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

import libpod
from libpod.linux import mounts
from tests.cli.command import Command
from tests.image.registry_server import serving


@pytest.fixture(scope="module")
def registry():
    yield from serving()


def test_a_pull_that_was_killed_at_any_point_can_be_repeated(cli, empty_engine, registry, tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "root/large").write_bytes(os.urandom(8 << 20))
    name = f"{registry.host}/large:1"
    with libpod.Runtime(cli.options[1], cli.options[3], events_backend="file") as runtime:
        made = runtime.import_image(tmp_path / "root", "large:1").id
    try:
        cli("push", "--tls-verify=false", "large:1", f"docker://{name}")
    finally:
        cli("rmi", "large:1")
    other, choose = Command(empty_engine.arguments), random.Random(7)
    for _ in range(6):
        with other.started("pull", "-q", "--tls-verify=false", name) as process:
            time.sleep(choose.uniform(0.05, 0.8))  # an instant, not a wait for something
            process.send_signal(signal.SIGKILL)
    assert other("pull", "-q", "--tls-verify=false", name) == made
    with empty_engine.runtime() as runtime:
        assert [image.id for image in runtime.images()] == [made]
        assert [str(finding) for finding in runtime.check(repair=True).findings if not finding.repaired] == []
    assert not list(empty_engine.root.glob("libpod-py/tmp/libpod-image-*"))


def test_mount_options_of_storage_conf_are_the_containers(empty_engine, busybox_rootfs, tmp_path):
    conf = tmp_path / "storage.conf"
    conf.write_text(
        '[storage]\ndriver = "overlay"\n[storage.options.overlay]\nmountopt = "nodev,metacopy=on,volatile"\n'
    )
    with empty_engine.runtime() as runtime:
        runtime.import_image(busybox_rootfs, "bb:1")
    command = Command(empty_engine.arguments)
    env = {**os.environ, "CONTAINERS_STORAGE_CONF": str(conf)}

    def call(*words: str) -> str:
        done = subprocess.run(
            command.argv(*words), capture_output=True, text=True, env=env, timeout=100, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    call("create", "--name", "opts", "--network", "none", "bb:1", "sh", "-c", "chmod 600 /etc/image-file")
    path = call("mount", "opts")
    info = next(info for info in mounts.read_mountinfo() if info.target == path)
    assert "nodev" in info.options
    assert "metacopy=on" in info.data
    assert {"volatile", "fsync=volatile"} & set(info.data)  # newer kernels write the second
    call("start", "--attach", "opts")
    assert call("diff", "opts").splitlines() == ["C /etc", "C /etc/image-file"]
    call("commit", "-q", "opts", "opts:1")
    call("unmount", "opts")
    call("create", "--name", "after", "--network", "none", "opts:1", "true")
    root = Path(call("mount", "after"))
    assert (root / "etc/image-file").read_text() == "from the image\n"
    assert (root / "etc/image-file").stat().st_mode & 0o777 == 0o600
    call("unmount", "after")
