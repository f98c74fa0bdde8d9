"""Mount calls on real mounts in a private directory."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from libpod.linux import mounts

pytestmark = pytest.mark.root


@pytest.fixture
def place() -> Iterator[Path]:
    top = Path(tempfile.mkdtemp(prefix="lpm-", dir="/tmp"))
    (top / "at").mkdir()
    yield top
    for target in mounts.mounts_below(top):
        mounts.unmount(target, mounts.MNT_DETACH)
    shutil.rmtree(top)


def test_a_tmpfs_is_mounted_seen_and_unmounted(place: Path) -> None:
    assert not mounts.is_mount_point(place / "at")
    mounts.mount("tmpfs", place / "at", "tmpfs", mounts.MS_NODEV | mounts.MS_NOSUID, "size=1m,mode=700")
    assert mounts.is_mount_point(place / "at")
    entry = next(entry for entry in mounts.read_mountinfo() if entry.target == str(place / "at"))
    assert (entry.fstype, entry.source) == ("tmpfs", "tmpfs")
    assert {"nodev", "nosuid"} <= set(entry.options)
    assert "size=1024k" in entry.data
    mounts.unmount(place / "at")
    assert not mounts.is_mount_point(place / "at")


def test_a_bind_mount_of_a_directory_on_itself_is_a_mount_point(place: Path) -> None:
    mounts.bind(place / "at", place / "at")
    assert mounts.is_mount_point(place / "at")
    mounts.set_propagation(place / "at", mounts.MS_PRIVATE)
    entry = next(entry for entry in mounts.read_mountinfo() if entry.target == str(place / "at"))
    assert entry.propagation == ()


def test_what_does_not_exist_is_no_mount_point(place: Path) -> None:
    assert not mounts.is_mount_point(place / "missing/deeper")


def test_a_link_to_a_mount_point_is_none(place: Path) -> None:
    mounts.mount("tmpfs", place / "at", "tmpfs")
    (place / "link").symlink_to("at")
    assert not mounts.is_mount_point(place / "link")
    assert mounts.is_mount_point(place / "at")


def test_unmounting_what_is_not_mounted_raises_einval_with_the_path(place: Path) -> None:
    with pytest.raises(OSError) as caught:
        mounts.unmount(place / "at")
    assert caught.value.errno == errno.EINVAL
    assert caught.value.filename == str(place / "at")


def test_data_of_a_page_is_refused_instead_of_cut(place: Path) -> None:
    with pytest.raises(OSError, match="longer than a page") as caught:
        mounts.mount("tmpfs", place / "at", "tmpfs", 0, "x" * mounts.PAGE)
    assert caught.value.errno == errno.E2BIG


def test_mounts_below_come_deepest_and_latest_first_and_spare_the_neighbours(place: Path) -> None:
    (place / "at-neighbour").mkdir()
    mounts.mount("tmpfs", place / "at-neighbour", "tmpfs")
    mounts.mount("tmpfs", place / "at", "tmpfs")
    (place / "at/inner").mkdir()
    mounts.mount("tmpfs", place / "at/inner", "tmpfs")
    mounts.mount("tmpfs", place / "at/inner", "tmpfs")
    assert mounts.mounts_below(place / "at") == [str(place / "at/inner")] * 2 + [str(place / "at")]


def test_names_with_blanks_and_bytes_survive_mountinfo(place: Path) -> None:
    odd = place / os.fsdecode("a b\t\\c\né\xff".encode("latin-1"))
    odd.mkdir()
    mounts.mount("tmpfs", odd, "tmpfs")
    assert mounts.mounts_below(odd) == [str(odd)]


def test_a_line_of_mountinfo_is_taken_apart() -> None:
    entry = mounts.parse_mountinfo(
        "36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 shared:7 - ext3 /dev/root rw,errors=continue\n"
    )
    assert (entry.mount_id, entry.parent_id, entry.root, entry.target) == (36, 35, "/mnt1", "/mnt 2")
    assert entry.options == ("rw", "noatime")
    assert entry.propagation == ("master:1", "shared:7")
    assert (entry.fstype, entry.source, entry.data) == ("ext3", "/dev/root", ("rw", "errors=continue"))


def test_a_detached_mount_can_be_read_and_is_gone_with_its_descriptor(place: Path) -> None:
    filesystem = mounts.open_filesystem("tmpfs")
    try:
        mounts.configure(filesystem, "size", "1m")
        tree = mounts.create_mount(filesystem)
    finally:
        os.close(filesystem)
    before = {info.mount_id for info in mounts.read_mountinfo() if info.fstype == "tmpfs"}
    Path(f"/proc/self/fd/{tree}/file").write_text("here")
    directory = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=tree)
    assert os.listdir(directory) == ["file"]
    os.close(directory)
    os.close(tree)
    left = {info.mount_id for info in mounts.read_mountinfo() if info.fstype == "tmpfs"} - before
    assert not left


def test_a_detached_mount_can_be_attached(place: Path) -> None:
    mounts.mount("tmpfs", place / "at", "tmpfs")
    (place / "at/file").write_text("x")
    (place / "second").mkdir()
    tree = mounts.clone_tree(place / "at")
    try:
        mounts.move_mount(tree, place / "second")
    finally:
        os.close(tree)
    assert (place / "second/file").read_text() == "x"


def test_an_unknown_option_of_a_file_system_is_named_in_the_error() -> None:
    filesystem = mounts.open_filesystem("tmpfs")
    try:
        with pytest.raises(OSError, match="no-such-option") as caught:
            mounts.configure(filesystem, "no-such-option", "1")
        assert caught.value.errno == errno.EINVAL
    finally:
        os.close(filesystem)
