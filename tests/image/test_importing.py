"""Root file systems become images: tars, directories, streams."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import signal
import socket
import stat
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from libpod.define.errors import ImageError, InvalidArgumentError
from libpod.image.importing import ImportOptions, import_rootfs
from libpod.image.scratch import sweep
from libpod.image.tree_tar import write_tree
from tests.image.image_sandbox import CREATED, ImageSandbox, rootfs_tar

pytestmark = [pytest.mark.root]
FIXED = ImportOptions(created=CREATED)


def zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-qc"], input=data, capture_output=True, check=True).stdout


COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "none": bytes,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstd,
}


@pytest.mark.parametrize("kind", COMPRESSIONS)
def test_the_same_root_file_system_is_the_same_image_however_it_comes(
    box: ImageSandbox, tmp_path: Path, kind: str
) -> None:
    content = rootfs_tar({"etc/motd": "equal\n"})
    path = tmp_path / "rootfs"  # the name says nothing
    path.write_bytes(COMPRESSIONS[kind](content))
    expected = import_rootfs(box.skopeo, io.BytesIO(content), "plain", FIXED)
    assert import_rootfs(box.skopeo, path, f"from-{kind}", FIXED) == expected
    with path.open("rb") as stream:
        assert import_rootfs(box.skopeo, stream, None, FIXED) == expected
    assert f"localhost/from-{kind}:latest" in box.images.find("plain").names
    assert box.leftovers() == []


def tree(root: Path) -> Path:
    """A tree with everything that a file system can hold."""
    root.mkdir()
    (root / "dir").mkdir(mode=0o750)
    (root / "dir/file").write_bytes(b"content")
    os.chmod(root / "dir/file", 0o4711)
    os.chown(root / "dir/file", 1234, 5678)
    os.link(root / "dir/file", root / "hard")
    os.symlink("../outside", root / "dir/link")
    os.mkfifo(root / "fifo", 0o600)
    os.mknod(root / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.setxattr(root / "dir/file", "user.note", b"\x00\xff binary")
    os.setxattr(
        root / "dir/file", "security.capability", bytes.fromhex("0100000200040000000000000000000000000000")
    )
    os.setxattr(root / "dir", "user.dir", b"yes")
    Path(os.fsdecode(os.fsencode(root) + b"/odd \xff\n\xc3\xa4")).write_text("odd")
    (root / ("long" * 60)).write_text("long")
    (root / "empty").mkdir()
    for path in (root / "dir/file", root / "dir", root / "empty", root / "null"):
        os.utime(path, (1_600_000_000, 1_600_000_000), follow_symlinks=False)
    return root


def facts(root: Path) -> dict[bytes, tuple[object, ...]]:
    found: dict[bytes, tuple[object, ...]] = {}
    first: dict[int, bytes] = {}
    for folder, directories, files in os.walk(os.fsencode(root)):
        for name in sorted(directories + files):
            path = os.path.join(folder, name)
            status = os.lstat(path)
            relative = os.path.relpath(path, os.fsencode(root))
            content: object = None
            # A whiteout has the time at which it was unpacked.
            timeless = stat.S_ISLNK(status.st_mode) or (stat.S_ISCHR(status.st_mode) and not status.st_rdev)
            if stat.S_ISREG(status.st_mode):
                content = Path(os.fsdecode(path)).read_bytes()
            elif stat.S_ISLNK(status.st_mode):
                content = os.readlink(path)
            names = [] if stat.S_ISLNK(status.st_mode) else os.listxattr(path)
            xattrs = {key: os.getxattr(path, key) for key in names if not key.startswith("trusted.")}
            found[relative] = (
                status.st_mode, status.st_uid, status.st_gid, status.st_rdev, content, xattrs,
                0 if timeless else int(status.st_mtime),
                first.setdefault(status.st_ino, relative) if status.st_nlink > 1 and content is not None else None,
            )  # fmt: skip
    return found


def test_a_directory_keeps_owners_modes_times_links_devices_xattrs_and_odd_names(
    box: ImageSandbox, tmp_path: Path
) -> None:
    source = tree(tmp_path / "tree")
    image_id = import_rootfs(box.skopeo, source, "tree", FIXED)
    assert facts(box.layer_files(image_id)) == facts(source)


def test_sockets_are_left_out_and_links_are_never_followed(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (tmp_path / "root/link").symlink_to(secret)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "root/sock"))
        buffer = io.BytesIO()
        write_tree(tmp_path / "root", buffer)
    with tarfile.open(fileobj=io.BytesIO(buffer.getvalue())) as tar:
        assert [(member.name, member.type) for member in tar] == [("link", tarfile.SYMTYPE)]


def test_a_tree_that_is_nested_beyond_all_measure_is_one_sentence(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=descriptor)
        inner = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = inner
    os.close(descriptor)
    try:
        with pytest.raises(ImageError, match="cannot be read completely"):
            write_tree(tmp_path, io.BytesIO())
    finally:
        subprocess.run(["rm", "-rf", tmp_path / "d"], check=True)


def test_equal_trees_give_equal_tars(tmp_path: Path) -> None:
    tars = []
    for name, order in (("one", ["a", "b", "c"]), ("two", ["c", "a", "b"])):
        root = tmp_path / name
        root.mkdir()
        for letter in order:
            (root / letter).write_text(letter)
            os.utime(root / letter, (1_600_000_000, 1_600_000_000))
        buffer = io.BytesIO()
        write_tree(root, buffer)
        tars.append(buffer.getvalue())
    assert tars[0] == tars[1]


@pytest.mark.podman
def test_podman_sees_what_was_imported(box: ImageSandbox) -> None:
    image_id = box.make(
        "shown", None, 'CMD ["sh"]', "ENV A=1", "EXPOSE 80", "VOLUME /v", "WORKDIR /w", "USER 1", "LABEL x=y"
    )
    document = box.podman_json("image", "inspect", "shown")[0]
    assert document["Id"] == image_id
    assert document["RepoTags"] == ["localhost/shown:latest"]
    assert document["Config"] == {
        "User": "1",
        "ExposedPorts": {"80/tcp": {}},
        "Env": ["A=1"],
        "Cmd": ["sh"],
        "Volumes": {"/v": {}},
        "WorkingDir": "/w",
        "Labels": {"x": "y"},
    }
    assert box.images.settings(box.images.find("shown")).env == ("A=1",)


def test_a_name_moves_to_the_newer_image(box: ImageSandbox) -> None:
    first = box.make("moving", {"a": "1"})
    second = box.make("moving", {"a": "2"})
    assert first != second
    assert box.images.find("moving").id == second
    assert box.images.find(first).names == ()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "empty"),
        (b"no tar at all " * 100, "not a tar"),
        (rootfs_tar({"a": "x" * 100_000})[:50_000], "unexpected EOF"),
        (gzip.compress(rootfs_tar({"a": os.urandom(5000).hex()}))[:3000], "damaged"),
        (b"\x1f\x8b" + b"nonsense" * 10, "damaged"),
        (b"\x28\xb5\x2f\xfd" + b"nonsense" * 10, "damaged"),
        (b"\xfd7zXZ\x00" + b"nonsense" * 10, "damaged"),
    ],
)
def test_damaged_sources_are_refused_in_one_sentence_and_leave_nothing(
    box: ImageSandbox, tmp_path: Path, content: bytes, why: str
) -> None:
    before = [image.id for image in box.images.all()]
    path = tmp_path / "rootfs.tar"
    path.write_bytes(content)
    for source in (path, io.BytesIO(content)):
        with pytest.raises(ImageError, match=why) as caught:
            import_rootfs(box.skopeo, source, "damaged", FIXED)
        assert "\n" not in str(caught.value)
    assert [image.id for image in box.images.all()] == before
    assert box.leftovers() == []


def evil_tar(*members: tuple[str, bytes, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, kind, target in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            if kind == tarfile.REGTYPE:
                info.size = 4
                tar.addfile(info, io.BytesIO(b"evil"))
            else:
                tar.addfile(info)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "members",
    [
        [("../../../../../../escaped", tarfile.REGTYPE, "")],
        [("/escaped", tarfile.REGTYPE, "")],
        [("up", tarfile.SYMTYPE, "../../../../../../.."), ("up/escaped", tarfile.REGTYPE, "")],
        [("hard", tarfile.LNKTYPE, "../../../../../../etc/passwd")],
    ],
)
def test_a_tar_cannot_write_outside_of_its_layer(
    box: ImageSandbox, members: list[tuple[str, bytes, str]]
) -> None:
    passwd = Path("/etc/passwd").stat()
    try:
        import_rootfs(box.skopeo, io.BytesIO(evil_tar(*members)), None, FIXED)
    except ImageError:
        pass
    outside = [Path("/escaped"), *(parent / "escaped" for parent in box.graph.parents)]
    assert not any(path.exists() for path in outside)
    assert Path("/etc/passwd").stat() == passwd


def test_wrong_requests_are_refused_before_anything_is_read(box: ImageSandbox, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError):
        import_rootfs(box.skopeo, tmp_path / "none", "Bad Name")
    with pytest.raises(InvalidArgumentError):
        import_rootfs(box.skopeo, tmp_path / "none", "x", ImportOptions(changes=["NONSENSE"]))
    with pytest.raises(ImageError, match="No such file"):
        import_rootfs(box.skopeo, tmp_path / "none", "x")
    fifo_parent = tmp_path / "file"
    fifo_parent.write_text("x")
    with pytest.raises(ImageError):
        import_rootfs(box.skopeo, fifo_parent / "below", "x")


def test_a_full_disk_is_told_and_leaves_nothing(box: ImageSandbox, top: Path) -> None:
    import attrs

    small = top / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", small], check=True)
    try:
        cramped = attrs.evolve(box.skopeo, tmpdir=small)
        with pytest.raises(ImageError, match=r"[Nn]o space left") as caught:
            import_rootfs(cramped, io.BytesIO(rootfs_tar({"a": "x" * 500_000})), "toobig", FIXED)
        assert caught.value.resolution
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", small], check=True)


IMPORTER = """
import io, os, sys
from pathlib import Path
from libpod.image.importing import import_rootfs
from tests.image.image_sandbox import ImageSandbox
box = ImageSandbox(Path(sys.argv[1]))
print("ready", flush=True)
import_rootfs(box.skopeo, Path(sys.argv[2]), "killed")
print("done", flush=True)
"""


def test_an_import_killed_at_any_moment_can_be_repeated(fresh: ImageSandbox, tmp_path: Path) -> None:
    fresh.make("first")  # a store that is killed while it is made keeps the directories of skopeo's tests
    source = tmp_path / "rootfs.tar"
    with tarfile.open(source, "w") as tar:
        info = tarfile.TarInfo("random")
        info.size = 24 << 20
        tar.addfile(info, io.BytesIO(os.urandom(info.size)))
    for attempt in range(6):
        with subprocess.Popen(
            [sys.executable, "-c", IMPORTER, str(fresh.top), str(source)],
            stdout=subprocess.PIPE, cwd=Path(__file__).parents[2], process_group=0,
        ) as child:  # fmt: skip
            assert child.stdout is not None
            assert child.stdout.readline() == b"ready\n"
            time.sleep(attempt * 0.06)  # another moment each time; none of them may matter
            os.killpg(child.pid, signal.SIGKILL)
    image_id = import_rootfs(fresh.skopeo, source, "killed", FIXED)
    assert fresh.images.find("killed").id == image_id
    assert (fresh.layer_files(image_id) / "random").stat().st_size == 24 << 20
    end = time.monotonic() + 60
    while fresh.leftovers() and time.monotonic() < end:
        sweep(fresh.tmp)
        time.sleep(0.01)
    assert fresh.leftovers() == []
    assert fresh.store.check() == []
