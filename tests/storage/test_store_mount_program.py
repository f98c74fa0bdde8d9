"""Layers mounted by fuse-overlayfs in place of the kernel."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from pathlib import Path

import pytest

from libpod.define.errors import NotSupportedError, ProgramMissingError
from libpod.define.ids import new_id
from libpod.linux import mounts
from libpod.storage.id_maps import IdMaps
from libpod.storage.options import StoreOptions
from libpod.storage.store import Store
from tests.storage.store_sandbox import Sandbox

pytestmark = [pytest.mark.root]


@pytest.fixture
def options() -> StoreOptions:
    program = shutil.which("fuse-overlayfs")
    if program is None:
        pytest.skip("fuse-overlayfs is not installed")
    if not os.path.exists("/dev/fuse"):
        pytest.skip("kernel: there is no /dev/fuse")
    return StoreOptions.parse([f"overlay.mount_program={program}"])


@pytest.fixture
def fused(sandbox: Sandbox, options: StoreOptions) -> Store:
    return sandbox.open(options=options)


def change(root: Path) -> None:
    (root / "etc/one").unlink()
    (root / "etc/new").write_text("new\n")
    shutil.rmtree(root / "opt/old")
    (root / "opt/old").mkdir()
    (root / "opt/old/other").write_text("other\n")
    os.chmod(root / "var/log/messages", 0o600)


def test_the_program_mounts_and_tells_the_changes(fused: Store) -> None:
    image = next(image for image in fused.images() if "localhost/base:1" in image.names)
    ctr_id = new_id()
    fused.create_container(ctr_id, name="web", image_id=image.id)
    root = fused.mount(ctr_id)
    assert next(info for info in mounts.read_mountinfo() if info.target == str(root)).fstype.startswith(
        "fuse"
    )
    change(root)
    found = {str(change) for change in fused.changes(ctr_id)}
    assert {"D /etc/one", "A /etc/new", "D /opt/old/file", "A /opt/old/other", "C /var/log/messages"} <= found
    sink = io.BytesIO()
    fused.diff_tar(ctr_id, sink)
    with tarfile.open(fileobj=io.BytesIO(sink.getvalue())) as archive:
        names = set(archive.getnames())
    assert {"etc/.wh.one", "etc/new", "opt/old/other", "opt/old/.wh.file"} <= names
    assert fused.unmount(ctr_id) is False
    assert not mounts.is_mount_point(root)
    fused.delete_container(ctr_id)
    assert list((fused.run_root / "overlay-layers").glob("view-*")) == []


def test_such_a_store_is_used_with_a_program_only(sandbox: Sandbox, fused: Store) -> None:
    with pytest.raises(NotSupportedError, match="mount program"):
        sandbox.open()


def test_a_mapping_and_a_missing_program_are_refused(sandbox: Sandbox, fused: Store) -> None:
    ctr_id = new_id()
    maps = IdMaps(uids=((0, 200000, 65536),), gids=((0, 200000, 65536),))
    fused.create_container(ctr_id, name="mapped", image_id=fused.images()[0].id, maps=maps)
    with pytest.raises(NotSupportedError, match="with other ids"):
        fused.mount(ctr_id)
    with pytest.raises(ProgramMissingError, match="mount layers"):
        sandbox.open(options=StoreOptions.parse(["mount_program=/nowhere/fuse"]))
