"""Layers with redirects and with files whose data stayed below: only the kernel knows what they contain."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from libpod.define.ids import new_id
from libpod.linux import mounts
from libpod.storage import overlay_mount
from libpod.storage.options import StoreOptions
from libpod.storage.store import Store
from libpod.storage.upper import NeedsMergedView, walk
from tests.storage.store_sandbox import UPPER, Sandbox

pytestmark = pytest.mark.root


@pytest.fixture(params=["detached", "own namespace"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mount API of new kernels, and what is done without it."""
    if request.param == "own namespace":

        def refuse(_: object) -> int:
            raise OSError(22, "Invalid argument")

        monkeypatch.setattr(overlay_mount, "detached", refuse)


def redirecting(sandbox: Sandbox) -> tuple[Store, str, Path]:
    """A container in which directories were renamed and modes changed."""
    store = sandbox.open(options=StoreOptions(mount_options=("redirect_dir=on", "metacopy=on")))
    image = store.find_image(UPPER)
    assert image is not None
    ctr = store.create_container(new_id(), name="web", image_id=image.id)
    root = store.mount(ctr.id)
    (root / "opt/old").rename(root / "opt/renamed")
    (root / "bin/busybox").chmod(0o700)
    (root / "etc/one").unlink()
    (root / "new").write_text("x")
    stack = store.driver.stack(ctr.layer_id, image.top_layer)
    with pytest.raises(NeedsMergedView):
        list(walk(stack.upper, stack.lowers))
    return store, ctr.id, root


def of_layers(sandbox: Sandbox) -> list[int]:
    """The mounts of this store's own layers; the rest of the machine mounts and unmounts as it likes."""
    return [
        info.mount_id
        for info in mounts.read_mountinfo()
        if any(str(sandbox.top) in word for word in (info.target, *info.data))
    ]


EXPECTED = [
    "C /bin",
    "C /bin/busybox",
    "C /etc",
    "D /etc/one",
    "A /new",
    "C /opt",
    "A /opt/renamed",
    "A /opt/renamed/file",
    "A /opt/renamed/inner",
    "A /opt/renamed/inner/deep",
    "D /opt/old",
]


@pytest.mark.parametrize("mounted", [True, False])
def test_changes_are_found_by_comparing_whole_trees(sandbox: Sandbox, way: None, mounted: bool) -> None:
    store, ctr_id, _ = redirecting(sandbox)
    if not mounted:
        store.unmount(ctr_id)
    before = of_layers(sandbox)
    assert [str(change) for change in store.changes(ctr_id)] == EXPECTED
    assert of_layers(sandbox) == before


def test_the_tar_holds_the_data_that_the_upper_directory_lacks(sandbox: Sandbox, way: None) -> None:
    store, ctr_id, root = redirecting(sandbox)
    sink = io.BytesIO()
    store.diff_tar(ctr_id, sink)
    sink.seek(0)
    with tarfile.open(fileobj=sink) as archive:
        names = archive.getnames()
        member = archive.extractfile("bin/busybox")
        assert member is not None
        assert member.read() == Path("/bin/busybox").read_bytes()
        deep = archive.extractfile("opt/renamed/inner/deep")
        assert deep is not None
        assert deep.read() == b"deep\n"
    assert "opt/.wh.old" in names
    assert "etc/.wh.one" in names
    assert (root / "opt/renamed/inner/deep").exists()


def test_no_descriptor_is_left_open(sandbox: Sandbox, way: None) -> None:
    store, ctr_id, _ = redirecting(sandbox)
    store.changes(ctr_id)
    before = len(os.listdir("/proc/self/fd"))
    store.changes(ctr_id)
    store.diff_tar(ctr_id, io.BytesIO())
    assert len(os.listdir("/proc/self/fd")) == before


def test_podman_finds_the_same_changes(sandbox: Sandbox) -> None:
    store, ctr_id, _ = redirecting(sandbox)
    layer = store.container(ctr_id)
    assert layer is not None
    options = ["--storage-opt", "overlay.mountopt=redirect_dir=on,metacopy=on"]
    theirs = sandbox.podman(*options, "create", "--name", "theirs", UPPER, "sh").strip()
    root = store.mount(theirs)
    (root / "opt/old").rename(root / "opt/renamed")
    (root / "bin/busybox").chmod(0o700)
    (root / "etc/one").unlink()
    (root / "new").write_text("x")
    printed = sandbox.podman(*options, "diff", "theirs").splitlines()
    assert sorted(printed) == sorted(EXPECTED) == sorted(str(change) for change in store.changes(theirs))
