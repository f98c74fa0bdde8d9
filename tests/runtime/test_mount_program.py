"""A container whose root is mounted by fuse-overlayfs: it lives, and it moves."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from libpod.linux import mounts
from tests.engines import COUNT, Engine, counts_on, last_count

pytestmark = [pytest.mark.root, pytest.mark.criu]


@pytest.fixture
def fuse_engine(empty_engine: Engine, busybox_rootfs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An engine whose storage.conf asks for the program."""
    program = shutil.which("fuse-overlayfs")
    if program is None:
        pytest.skip("fuse-overlayfs is not installed")
    if not os.path.exists("/dev/fuse"):
        pytest.skip("kernel: there is no /dev/fuse")
    conf = tmp_path / "storage.conf"
    conf.write_text(
        f'[storage]\ndriver = "overlay"\n[storage.options.overlay]\nmount_program = "{program}"\n'
    )
    with monkeypatch.context() as patch:
        patch.setenv("CONTAINERS_STORAGE_CONF", str(conf))
        with empty_engine.runtime() as runtime:
            runtime.import_image(busybox_rootfs, "bb:1", changes=["CMD /bin/sh"])
        yield empty_engine
        empty_engine.clear()


def test_it_lives_and_moves(fuse_engine: Engine, tmp_path):
    archive = tmp_path / "c.tar"
    with fuse_engine.runtime() as runtime:
        container = runtime.run("bb:1", "sh", "-c", COUNT, name="counter", network="none")
        root = Path(container.state().mount_point)
        kind = next(info.fstype for info in mounts.read_mountinfo() if info.target == str(root))
        assert kind.startswith("fuse")
        container.run("sh", "-c", "echo kept > /kept; rm /etc/image-file")
        assert {str(change) for change in container.diff()} == {"C /etc", "D /etc/image-file", "A /kept"}
        counts_on(container, 2)
        runtime.checkpoint("counter", export=archive)
        stood = last_count(container)
        assert str(root) not in {info.target for info in mounts.read_mountinfo()}
        container.remove()
        twin = runtime.restore(import_=archive)
        counts_on(twin, stood)
        assert twin.run("cat", "/kept").stdout == b"kept\n"
        assert twin.run("test", "-e", "/etc/image-file").exit_code == 1
        twin.remove(force=True, timeout=0)
