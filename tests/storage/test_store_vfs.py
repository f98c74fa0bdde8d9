"""The vfs driver: the same promises, without overlay."""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from libpod.define.ids import new_id
from libpod.storage.store import Store
from libpod.storage.stored import StoredImage
from tests.storage.store_sandbox import BASE, UPPER, Sandbox

pytestmark = [pytest.mark.root, pytest.mark.podman]


@pytest.fixture
def vfs(template: Path) -> Iterator[Sandbox]:
    """A vfs store with the image of two layers."""
    sandbox = Sandbox(Path(tempfile.mkdtemp(prefix="lpv-", dir="/tmp")), driver="vfs")
    try:
        for name in (BASE, UPPER):
            source = f"containers-storage:[overlay@{template}+{sandbox.top / 'other'}]{name}"
            sandbox.skopeo("copy", "-q", source, sandbox.reference(name))
        yield sandbox
    finally:
        sandbox.close()


@pytest.fixture
def store(vfs: Sandbox) -> Store:
    return vfs.open(owner="test")


@pytest.fixture
def image(store: Store) -> StoredImage:
    found = store.find_image(UPPER)
    assert found is not None
    return found


def test_a_container_lives_and_is_removed(vfs: Sandbox, store: Store, image: StoredImage) -> None:
    before = sorted(os.listdir(vfs.graph / "vfs/dir"))
    ctr = store.create_container(new_id(), name="web", image_id=image.id)
    root = store.mount(ctr.id)
    assert root == vfs.graph / "vfs/dir" / ctr.layer_id == store.mountpoint(ctr.id)
    assert (root / "etc/three").read_text() == "three\n"
    assert not (root / "etc/two").exists()
    assert store.mount(ctr.id) == root
    assert store.mount_count(ctr.id) == 2
    assert store.unmount(ctr.id) is True
    assert store.unmount(ctr.id) is False
    assert store.unmount(ctr.id) is False
    assert store.mount_count(ctr.id) == 0
    assert store.check() == []
    store.delete_container(ctr.id)
    assert sorted(os.listdir(vfs.graph / "vfs/dir")) == before
    assert store.check() == []


def test_changes_are_those_of_podman_and_the_image_stays_as_it_is(vfs: Sandbox, store: Store) -> None:
    ctr_id = vfs.podman("create", "--name", "theirs", UPPER, "sh").strip()
    assert store.changes(ctr_id) == []
    root = store.mount(ctr_id)
    (root / "etc/one").unlink()
    (root / "etc/three").write_text("more\n")
    (root / "opt/old").rename(root / "opt/renamed")
    (root / "new").mkdir()
    (root / "new/file").write_text("x" * 1000)
    os.link(root / "new/file", root / "new/again")
    (root / "bin/busybox").chmod(0o700)
    ours = [str(change) for change in store.changes(ctr_id)]
    theirs = vfs.podman("diff", "theirs").splitlines()
    assert sorted(ours) == sorted(theirs), (ours, theirs)
    assert "D /etc/one" in ours
    busybox = Path("/bin/busybox").stat().st_size
    assert store.container_size(ctr_id) == 1000 + busybox + len("more\n" + "old\n" + "deep\n")
    sink = io.BytesIO()
    store.diff_tar(ctr_id, sink)
    sink.seek(0)
    with tarfile.open(fileobj=sink) as archive:
        names = archive.getnames()
    assert {"etc/.wh.one", "opt/.wh.old", "opt/renamed/inner/deep", "new/file"} <= set(names)
    assert "etc/two" not in names
    fresh = store.create_container(new_id(), name="fresh", image_id=store.containers()[0].image_id)
    assert (store.mount(fresh.id) / "etc/one").read_text() == "one\n"


def test_podman_removes_what_we_made_and_the_reverse(vfs: Sandbox, store: Store, image: StoredImage) -> None:
    ours = store.create_container(new_id(), name="ours", image_id=image.id)
    store.mount(ours.id)
    assert "ours" in vfs.podman("ps", "-a", "--external")
    assert "mounted" in vfs.podman_result("rm", "ours", accept=(1, 2)).stderr
    store.unmount(ours.id)
    vfs.podman("rm", "ours")
    theirs = vfs.podman("create", "--name", "theirs", UPPER, "sh").strip()
    assert store.container(theirs) is not None
    vfs.podman("rm", "theirs")
    assert store.containers() == []
    assert store.check() == []
    assert store.delete_image(image.id) == [image.top_layer]
    assert store.recover(list) == []


def test_a_container_without_image_is_an_empty_directory(store: Store) -> None:
    ctr = store.create_container(new_id(), name="scratch", image_id=None)
    assert os.listdir(store.mount(ctr.id)) == []
    assert store.container_size(ctr.id) == 0
