"""A tree becomes a tar of a known size and the same tree again."""

from __future__ import annotations

import io
import os
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from libpod.checkpoint.frozen import freeze_paths, freeze_tree
from libpod.checkpoint.rootfs import ChangeKind, PathChange, rootfs_diff
from libpod.checkpoint.tarformat import TarHeader, TarKind, TarStream, encode
from libpod.checkpoint.unpack import apply_rootfs_diff, remove_deleted, unpack_tree
from tests.checkpoint.trees import FEW_NAMES, TREES, Collected, build, look

pytestmark = pytest.mark.root
SLOW = settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))


def packed(root: Path) -> bytes:
    tree = freeze_tree(root)
    sink = Collected()
    assert tree.write(sink) == []
    assert len(sink.data) == tree.size
    return bytes(sink.data)


@SLOW
@given(tree=TREES)
def test_a_tree_survives_packing_and_unpacking_with_everything_an_image_may_hold(
    tree: dict[str, Any],
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        source, target = Path(directory, "s"), Path(directory, "t")
        source.mkdir()
        target.mkdir()
        build(source, tree)
        os.chmod(source, 0o1751)
        tar = packed(source)
        # Devices are for root file systems only; these names are a rootfs diff's.
        sink = Collected()
        diff = freeze_paths(source, (), recurse=os.listdir(source))
        diff.write(sink)
        assert len(sink.data) == diff.size
        apply_rootfs_diff(io.BytesIO(bytes(sink.data)), target)
        assert look(target) == look(source)
        volume = Path(directory, "v")
        volume.mkdir()
        report = unpack_tree(io.BytesIO(tar), volume, label="volume")
        assert os.stat(volume).st_mode == os.stat(source).st_mode
        expected = {path: facts for path, facts in look(source).items() if "device" not in facts}
        assert look(volume) == expected
        assert len(report.skipped) == len(look(source)) - len(expected)


@SLOW
@given(tree=TREES)
def test_gnu_tar_lists_and_unpacks_what_we_write(tree: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        source, target = Path(directory, "s"), Path(directory, "t")
        source.mkdir()
        target.mkdir()
        build(source, tree)
        subprocess.run(
            ["tar", "-xpf", "-", "--xattrs", "--xattrs-include=*", "--numeric-owner", "-C", target],
            input=packed(source),
            check=True,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
            capture_output=True,
        )
        assert _without_quirks(look(target)) == _without_quirks(look(source))


def _without_quirks(tree: dict[str, Any]) -> dict[str, Any]:
    """GNU tar reads neither attributes of every name nor times before 1970 exactly, and lets set-gid be inherited."""
    return {
        path: {key: value for key, value in facts.items() if key not in ("xattrs", "mtime")}
        | ({"mode": facts["mode"] & ~0o2000} if stat.S_ISDIR(facts["mode"]) else {})
        for path, facts in tree.items()
    }


@SLOW
@given(before=FEW_NAMES, after=FEW_NAMES, shared=FEW_NAMES)
def test_a_diff_applied_to_the_image_gives_the_container(
    before: dict[str, Any], after: dict[str, Any], shared: dict[str, Any]
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        image, container = Path(directory, "i"), Path(directory, "c")
        image.mkdir()
        container.mkdir()
        build(image, shared | before)
        build(container, shared | after)
        diff = rootfs_diff(compared(image, container), container)
        if diff.tree is not None:
            sink = Collected()
            assert diff.tree.write(sink) == []
            apply_rootfs_diff(io.BytesIO(bytes(sink.data)), image)
        if diff.deleted_document is not None:
            remove_deleted(diff.deleted_document, image)
        assert look(image) == look(container)


def compared(image: Path, container: Path) -> list[PathChange]:
    """What a driver would say: where something changed, every directory above it is changed too."""
    old, new = look(image), look(container)
    kinds = {path: "D" if path not in new else "A" for path in set(old) ^ set(new)}
    kinds |= {path: "C" for path in set(old) & set(new) if old[path] != new[path]}
    for path in list(kinds):
        while path := os.path.dirname(path):
            kinds.setdefault(path, "C")
    return [PathChange(cast(ChangeKind, kind), f"/{path}") for path, kind in sorted(kinds.items())]


# ---- headers -----------------------------------------------------------------------------------------------------


@given(
    name=st.text(
        alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=400
    ),
    size=st.one_of(st.integers(0, 10**6), st.integers(0, 2**59)),
    uid=st.integers(0, 2**32 - 2),
    mtime=st.integers(-(2**61), 2**61),
    value=st.binary(max_size=700),
)
def test_a_header_is_read_as_it_was_written(name: str, size: int, uid: int, mtime: int, value: bytes) -> None:
    name = name.strip("/") or "x"
    written = TarHeader(name=name, size=size, uid=uid, mtime_ns=mtime, xattrs={"user.x": value})
    read = TarStream(io.BytesIO(encode(written, nanoseconds=True))).next()
    assert read == written


@pytest.mark.parametrize("length", [1, 90, 99, 100, 101, 154, 155, 156, 200, 255, 256, 257, 300, 4000])
@pytest.mark.parametrize("shape", ["flat", "deep", "directory"])
def test_names_of_every_length_survive(length: int, shape: str) -> None:
    name = "n" * length if shape == "flat" else ("d" * 49 + "/") * (length // 50) + "n" * (length % 50 or 1)
    kind = TarKind.DIRECTORY if shape == "directory" else TarKind.FILE
    read = TarStream(io.BytesIO(encode(TarHeader(name=name, kind=kind)))).next()
    assert read is not None
    assert read.name.rstrip("/") == name


# ---- single properties -------------------------------------------------------------------------------------------


def test_hard_links_are_one_file_on_the_other_side(tmp_path: Path) -> None:
    source, target = tmp_path / "s", tmp_path / "t"
    (source / "d").mkdir(parents=True)
    target.mkdir()
    (source / "b").write_bytes(b"shared")
    os.link(source / "b", source / "d" / "a")
    os.link(source / "b", source / "z")
    unpack_tree(io.BytesIO(packed(source)), target, label="volume")
    assert os.stat(target / "b").st_ino == os.stat(target / "d/a").st_ino == os.stat(target / "z").st_ino
    assert os.stat(target / "z").st_nlink == 3


def test_a_hole_is_a_hole_again(tmp_path: Path) -> None:
    source, target = tmp_path / "s", tmp_path / "t"
    source.mkdir()
    target.mkdir()
    with open(source / "sparse", "wb") as stream:
        stream.write(b"begin")
        stream.truncate(40 << 20)
    with open(source / "end", "wb") as stream:
        stream.seek(40 << 20)
        stream.write(b"end")
    report = unpack_tree(io.BytesIO(packed(source)), target, label="volume")
    for name in ("sparse", "end"):
        assert os.stat(target / name).st_size == os.stat(source / name).st_size
        assert os.stat(target / name).st_blocks * 512 < 1 << 20
    assert (target / "end").read_bytes() == (source / "end").read_bytes()
    assert report.written < 1 << 20


def test_file_capabilities_survive_the_change_of_owner(tmp_path: Path) -> None:
    source, target = tmp_path / "s", tmp_path / "t"
    source.mkdir()
    target.mkdir()
    shutil.copy("/bin/true", source / "ping")
    os.chown(source / "ping", 12, 34)
    capability = bytes.fromhex("0100000200200000000000000000000000000000")
    os.setxattr(source / "ping", "security.capability", capability)
    apply_rootfs_diff(io.BytesIO(_diff_bytes(source, ["ping"])), target)
    assert os.getxattr(target / "ping", "security.capability") == capability
    assert os.stat(target / "ping").st_uid == 12


def _diff_bytes(root: Path, paths: list[str]) -> bytes:
    sink = Collected()
    freeze_paths(root, paths).write(sink)
    return bytes(sink.data)


def test_sockets_are_left_out(tmp_path: Path) -> None:
    import socket

    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "s.sock"))
        assert [entry.path for entry in freeze_tree(tmp_path).entries] == [""]


def test_a_file_that_shrinks_is_padded_and_reported(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"x" * 5000)
    tree = freeze_tree(tmp_path)
    (tmp_path / "log").write_bytes(b"y" * 10)
    sink = Collected()
    assert tree.write(sink) == ["/log became shorter while it was written"]
    assert len(sink.data) == tree.size


def test_a_file_that_grows_is_cut_and_reported(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"x" * 5000)
    tree = freeze_tree(tmp_path)
    (tmp_path / "log").write_bytes(b"y" * 6000)
    sink = Collected()
    assert tree.write(sink) == ["/log became longer while it was written"]
    assert len(sink.data) == tree.size


@pytest.mark.parametrize("how", ["gone", "link", "directory", "fifo", "parent is a link"])
def test_what_takes_a_files_place_is_never_read(tmp_path: Path, how: str) -> None:
    root = tmp_path / "r"
    (root / "d").mkdir(parents=True)
    (root / "d" / "f").write_bytes(b"x" * 1000)
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "f").write_bytes(b"secret" * 500)
    tree = freeze_tree(root)
    os.unlink(root / "d" / "f")
    if how == "link":
        os.symlink(tmp_path / "secret" / "f", root / "d" / "f")
    elif how == "directory":
        os.mkdir(root / "d" / "f")
    elif how == "fifo":
        os.mkfifo(root / "d" / "f")
    elif how == "parent is a link":
        os.rmdir(root / "d")
        os.symlink(tmp_path / "secret", root / "d")
    sink = Collected()
    assert len(tree.write(sink)) == 1
    assert len(sink.data) == tree.size
    assert b"secret" not in sink.data
