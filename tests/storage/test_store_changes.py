"""Changes and diffs: against podman, and by putting a diff into an image and looking at it again."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from libpod.define.errors import StorageError
from libpod.define.ids import new_id
from libpod.storage.changes import ChangeKind, same_directory
from libpod.storage.store import Store
from tests.storage.store_sandbox import UPPER, Sandbox, oci_layout

pytestmark = pytest.mark.root


def edit(root: Path) -> None:
    """Everything a container can do to its files."""
    (root / "etc/one").unlink()
    (root / "etc/three").write_text("more\n")
    subprocess.run(["rm", "-r", root / "opt/gone", root / "opt/old"], check=True)
    (root / "opt/old/inner").mkdir(parents=True)
    (root / "opt/old/file").write_text("again\n")
    (root / "opt/old/fresh").write_text("fresh\n")
    (root / "opt/old/inner/other").write_text("other\n")
    os.utime(root / "var/log/messages")
    (root / "brand/new").mkdir(parents=True)
    (root / "brand/new/file").write_text("x" * 100_000)
    (root / "usr").chmod(0o700)
    (root / "etc/deep/er").mkdir(parents=True)
    (root / "etc/deep/er/file").write_text("y")
    os.link(root / "etc/three", root / "etc/hard")
    os.mkfifo(root / "fifo")
    os.mknod(root / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    (root / "bin/sh").unlink()
    (root / "bin/sh").symlink_to("/bin/busybox")
    os.chown(root / "brand/new/file", 1000, 1001)
    (root / os.fsdecode(b"not-utf8-\xff")).write_text("z")
    (root / "umlaut-\u00e4").write_text("z")
    os.setxattr(root / "brand/new/file", "user.note", b"kept\x00\xff")
    subprocess.run(["rm", "-r", root / "var/log"], check=True)
    (root / "var/log").write_text("a file now")


def test_changes_are_those_of_podman(sandbox: Sandbox) -> None:
    ctr_id = sandbox.podman("create", "--name", "theirs", UPPER, "sh").strip()
    store = sandbox.open()
    edit(store.mount(ctr_id))
    theirs = sandbox.podman("diff", "theirs").splitlines()
    ours = [str(change) for change in store.changes(ctr_id)]
    assert ours == theirs
    assert "D /opt/old" in ours
    assert len(ours) > 25
    store.unmount(ctr_id)
    assert [str(change) for change in store.changes(ctr_id)] == ours


def test_changes_of_an_image_layer_are_those_of_podman(sandbox: Sandbox) -> None:
    store = sandbox.open()
    image = store.find_image(UPPER)
    assert image is not None
    theirs = sandbox.podman("diff", UPPER).splitlines()
    assert [str(change) for change in store.layer_changes(str(image.top_layer))] == theirs
    assert "D /etc/two" in theirs


def test_an_untouched_container_has_no_changes(store: Store, made: Callable[[str], str]) -> None:
    ctr_id = made("web")
    assert store.changes(ctr_id) == []
    os.listdir(store.mount(ctr_id) / "etc")
    assert store.changes(ctr_id) == []
    assert store.container_size(ctr_id) == 0


def test_a_directory_in_the_place_of_another_is_marked_as_replaced(
    store: Store, made: Callable[[str], str]
) -> None:
    ctr_id = made("web")
    root = store.mount(ctr_id)
    subprocess.run(["rm", "-r", root / "opt/old"], check=True)
    (root / "opt/old").mkdir()
    (root / "lib").unlink()
    (root / "lib").mkdir()
    (root / "etc/one").unlink()
    changes = {change.path: change for change in store.changes(ctr_id)}
    assert changes["/opt/old"].replaced
    assert changes["/lib"].replaced
    assert changes["/lib"].kind is ChangeKind.DELETED
    assert not changes["/etc/one"].replaced


def test_links_of_the_image_lead_nowhere(sandbox: Sandbox, store: Store, made: Callable[[str], str]) -> None:
    """podman follows them, out of the layer and onto the host: a link to /etc makes /etc/passwd a changed file."""
    ctr_id = made("web")
    root = store.mount(ctr_id)
    (root / "lib").unlink()
    (root / "lib").mkdir()
    (root / "lib/so").write_text("x")
    (root / "dangling").unlink()
    (root / "dangling").write_text("x")
    assert [str(change) for change in store.changes(ctr_id)] == ["C /dangling", "D /lib", "A /lib/so"]


def test_the_size_counts_every_inode_once(store: Store, made: Callable[[str], str]) -> None:
    ctr_id = made("web")
    root = store.mount(ctr_id)
    (root / "file").write_bytes(b"x" * 1000)
    os.link(root / "file", root / "again")
    (root / "directory").mkdir()
    (root / "directory/link").symlink_to("123456")
    assert store.container_size(ctr_id) == 1006


def test_a_diff_in_an_image_shows_the_same_tree(
    sandbox: Sandbox, store: Store, made: Callable[[str], str]
) -> None:
    ctr_id = made("web")
    root = store.mount(ctr_id)
    edit(root)
    sink = io.BytesIO()
    store.diff_tar(ctr_id, sink)
    image = store.image(str(store.container(ctr_id).image_id))  # type: ignore[union-attr]
    assert image is not None
    below = [read_layer(sandbox, layer) for layer in reversed(chain(store, str(image.top_layer)))]
    source = oci_layout(sandbox.top / "layout", [*below, sink.getvalue()], "x")
    sandbox.skopeo("copy", "-q", source, sandbox.reference("localhost/committed:1"))
    committed = store.find_image("localhost/committed:1")
    assert committed is not None
    copy = store.create_container(new_id(), name="copy", image_id=committed.id)
    assert listing(store.mount(copy.id)) == listing(root)
    assert store.changes(copy.id) == []


def chain(store: Store, top: str) -> list[str]:
    layers = {layer.id: layer for layer in store.layers()}
    found = []
    current: str | None = top
    while current:
        found.append(current)
        current = layers[current].parent
    return found


def read_layer(sandbox: Sandbox, layer_id: str) -> bytes:
    """The layer's own tar, as skopeo rebuilds it, out of a copy of the image."""
    layout = sandbox.top / "copied"
    if not layout.exists():
        sandbox.skopeo("copy", "-q", sandbox.reference(UPPER), f"dir:{layout}")
    store = sandbox.open()
    digest = next(layer.diff_digest for layer in store.layers() if layer.id == layer_id)
    return (layout / str(digest).partition(":")[2]).read_bytes()


def listing(root: Path) -> dict[str, tuple[object, ...]]:
    """Everything below *root* that an image can hold."""
    found: dict[str, tuple[object, ...]] = {}
    inodes: dict[int, list[str]] = {}
    for directory, directories, files in os.walk(root):
        for name in [*directories, *files]:
            path = Path(directory, name)
            status = path.lstat()
            relative = str(path.relative_to(root))
            content: object = None
            if stat.S_ISREG(status.st_mode):
                content = path.read_bytes()
            elif stat.S_ISLNK(status.st_mode):
                content = os.readlink(path)
            elif stat.S_ISCHR(status.st_mode):
                content = status.st_rdev
            note = b""
            if "user.note" in os.listxattr(path, follow_symlinks=False):
                note = os.getxattr(path, "user.note")
            found[relative] = (
                status.st_mode,
                status.st_uid,
                status.st_gid,
                int(status.st_mtime),
                content,
                note,
            )
            if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
                inodes.setdefault(status.st_ino, []).append(relative)
    for names in inodes.values():
        for name in names:
            found[name] = (*found[name], tuple(sorted(names)))
    return found


def test_a_diff_has_whiteouts_opaque_marks_and_hard_links(store: Store, made: Callable[[str], str]) -> None:
    ctr_id = made("web")
    edit(store.mount(ctr_id))
    sink = io.BytesIO()
    store.diff_tar(ctr_id, sink)
    sink.seek(0)
    with tarfile.open(fileobj=sink, errors="surrogateescape") as archive:
        members = {member.name: member for member in archive.getmembers()}
        names = archive.getnames()
    assert members["etc/.wh.one"].size == 0
    assert names.index("opt/old") + 1 == names.index("opt/old/.wh..wh..opq")
    assert "brand/.wh..wh..opq" not in names
    assert members["etc/three"].islnk() != members["etc/hard"].islnk()
    assert members["brand/new/file"].pax_headers["SCHILY.xattr.user.note"].encode(
        "utf-8", "surrogateescape"
    ) == (b"kept\x00\xff")
    assert not any("overlay" in key for member in members.values() for key in member.pax_headers)
    assert os.fsdecode(b"not-utf8-\xff") in names
    assert len(names) == len(set(names))


def test_a_file_named_like_a_whiteout_is_refused_in_a_diff(store: Store, made: Callable[[str], str]) -> None:
    ctr_id = made("web")
    root = store.mount(ctr_id)
    (root / "etc/.wh.passwd").write_text("trap")
    with pytest.raises(StorageError, match=r"/etc/\.wh\.passwd"):
        store.diff_tar(ctr_id, io.BytesIO())


def test_marks_that_the_container_itself_writes_mean_nothing(
    store: Store, made: Callable[[str], str]
) -> None:
    ctr_id = made("web")
    root = store.mount(ctr_id)
    os.setxattr(root / "etc", "user.overlay.opaque", b"y")
    os.setxattr(root / "etc/one", "user.overlay.metacopy", b"")
    (root / "etc/new").write_text("x")
    assert [str(change) for change in store.changes(ctr_id)] == ["C /etc", "A /etc/new", "C /etc/one"]
    sink = io.BytesIO()
    store.diff_tar(ctr_id, sink)
    assert b"overlay" not in sink.getvalue()
    assert b".wh." not in sink.getvalue()


def test_links_that_the_container_makes_are_not_followed(
    sandbox: Sandbox, store: Store, made: Callable[[str], str]
) -> None:
    ctr_id = made("web")
    root = store.mount(ctr_id)
    secret = sandbox.top / "secret"
    secret.mkdir()
    (secret / "key").write_text("k")
    (root / "way").symlink_to(secret)
    assert [str(change) for change in store.changes(ctr_id)] == ["A /way"]
    assert store.container_size(ctr_id) == len(str(secret))


def test_a_very_deep_tree_is_refused_in_a_sentence(store: Store, made: Callable[[str], str]) -> None:
    ctr_id = made("web")
    here = os.getcwd()
    try:
        os.chdir(store.mount(ctr_id))
        for _ in range(450):
            os.mkdir("d")
            os.chdir("d")
    finally:
        os.chdir(here)
    with pytest.raises(StorageError, match="nested deeper"):
        store.changes(ctr_id)


def test_a_time_without_nanoseconds_matches_one_with() -> None:
    def status(mtime_ns: int, *, size: int = 4096, mode: int = 0o40755) -> os.stat_result:
        return os.stat_result((mode, 1, 1, 2, 0, 0, size, 0, 0, 0, 0.0, 0.0, 0.0, 0, mtime_ns, 0))

    assert same_directory(status(5 * 10**9), status(5 * 10**9 + 7))
    assert not same_directory(status(5 * 10**9 + 1), status(5 * 10**9 + 7))
    assert not same_directory(status(5 * 10**9), status(6 * 10**9))
    assert not same_directory(status(5), status(5, mode=0o40700))
