"""Every kind of change that a container can make to its files arrives on the other host.

One container makes all of them; then the whole tree is compared, name for name, with what woke elsewhere.
"""

from __future__ import annotations

import os
import socket
import stat
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.engines import COUNT, Engine, busybox_root, counts_on, remove_engine

T1, T2, T3 = 1_000_000_000_123_456_789, 1_500_000_000_987_654_321, 1_700_000_000_000_000_001
"""Times with nanoseconds, long ago."""
CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)
"""cap_net_bind_service=ep as the kernel stores it."""
LATIN = b"caf\xe9"
"""A name that is not UTF-8."""
LONG = "/".join(["n" * 100] * 4)
"""A path of 403 bytes."""
HOLE = 64 << 20

ENGINES_OWN = frozenset(
    {b"/dev", b"/proc", b"/sys", b"/run/.containerenv", b"/etc/hosts", b"/etc/hostname", b"/etc/resolv.conf"}
)
"""Made anew by every engine."""


IMAGE_FILES = """
    plain owner mode time attributes capable grown shrunk gone again to-dir to-link to-fifo linked renamed replaced
    emptied lost-attribute
"""


# ---- the image -------------------------------------------------------------------------------------------------


def furnish(root: Path) -> None:
    """What the image has, so that there is something to change."""
    (root / "files").mkdir()
    for name in IMAGE_FILES.split():
        (root / "files" / name).write_text(f"{name} of the image\n" * 10)
    os.link(root / "files/linked", root / "files/linked-too")
    os.setxattr(root / "files/lost-attribute", "user.old", b"1")
    for name in (
        "owner",
        "mode",
        "time",
        "attributes",
        "gone",
        "again",
        "to-file",
        "to-link",
        "renamed",
        "emptied",
    ):
        directory = root / "dirs" / name
        (directory / "inner/deep").mkdir(parents=True)
        (directory / "file").write_text(name)
        (directory / "inner/deep/file").write_text(name)
    (root / "links").mkdir()
    (root / "links/gone").symlink_to("nowhere")
    (root / "links/retargeted").symlink_to("/files/plain")
    (root / "links/to-directory").symlink_to("/dirs/mode")
    (root / "links/to-file").symlink_to("/files/plain")
    (root / "names").mkdir()
    for name in (LATIN, LATIN + b"-gone", LATIN + b"-changed"):
        Path(os.fsdecode(os.fsencode(root / "names") + b"/" + name)).write_text("latin")
    (root / "long" / LONG).mkdir(parents=True)
    (root / "long" / LONG / "file").write_text("deep in the image")
    (root / "long" / LONG / "gone").write_text("deep in the image")
    (root / "var/empty").mkdir()
    os.chown(root / "files/owner", 7, 8)


# ---- the changes -----------------------------------------------------------------------------------------------

Change = Callable[[Path], None]
CHANGES: dict[str, Change] = {}


def change(name: str) -> Callable[[Change], Change]:
    def register(function: Change) -> Change:
        CHANGES[name] = function
        return function

    return register


@change("files added")
def _(root: Path) -> None:
    (root / "new").mkdir(mode=0o2751)
    (root / "new").chmod(0o2751)
    (root / "new/file").write_bytes(os.urandom(300_000))
    (root / "new/empty").write_bytes(b"")
    (root / "new/set-user-id").write_text("x")
    os.chown(root / "new/set-user-id", 12, 34)
    (root / "new/set-user-id").chmod(0o6755)
    (root / "new/no-rights").write_text("x")
    (root / "new/no-rights").chmod(0)
    os.chown(root / "new/file", 3_000_000_000, 4_000_000_000)
    os.utime(root / "new/file", ns=(T1, T1))
    os.utime(root / "new/empty", ns=(-5_000_000_000, -5_000_000_000))


@change("files changed in every part")
def _(root: Path) -> None:
    files = root / "files"
    os.chown(files / "owner", 1234, 5678)
    (files / "mode").chmod(0o4711)
    os.utime(files / "time", ns=(T2, T2))
    os.setxattr(files / "attributes", "user.note", b"\x00binary\xff")
    os.setxattr(files / "attributes", "user.empty", b"")
    os.removexattr(files / "lost-attribute", "user.old")
    os.chown(files / "capable", 1000, 1000)
    os.setxattr(files / "capable", "security.capability", CAPABILITY)
    with (files / "grown").open("a") as stream:
        stream.write("more\n" * 1000)
    os.truncate(files / "shrunk", 3)
    os.truncate(files / "emptied", 0)
    (files / ".replaced").write_text("another")
    (files / ".replaced").rename(files / "replaced")


@change("files deleted, made again, turned into something else")
def _(root: Path) -> None:
    files = root / "files"
    (files / "gone").unlink()
    (files / "again").unlink()
    (files / "again").write_text("again")
    (files / "to-dir").unlink()
    (files / "to-dir").mkdir()
    (files / "to-dir/inner").write_text("a directory now")
    (files / "to-link").unlink()
    (files / "to-link").symlink_to("plain")
    (files / "to-fifo").unlink()
    os.mkfifo(files / "to-fifo", 0o640)
    (files / "renamed").rename(files / "renamed-elsewhere")


@change("hard links")
def _(root: Path) -> None:
    files = root / "files"
    with (files / "linked").open("a") as stream:
        stream.write("both names see this\n")
    # An overlay breaks the link of the image when it copies up: what is there now counts.
    (root / "new/one").write_text("one inode")
    for name in ("two", "three"):
        os.link(root / "new/one", root / "new" / name)
    os.setxattr(root / "new/one", "user.shared", b"all names")
    (root / "new/target-of-link").symlink_to("one")
    os.link(root / "new/target-of-link", root / "new/linked-link", follow_symlinks=False)


@change("directories changed in owner, mode, time, attributes")
def _(root: Path) -> None:
    dirs = root / "dirs"
    os.chown(dirs / "owner", 77, 88)
    (dirs / "mode").chmod(0o1700)
    os.setxattr(dirs / "attributes", "user.note", b"of a directory")
    os.utime(dirs / "time", ns=(T3, T3))


@change("directories deleted, made again, turned into something else")
def _(root: Path) -> None:
    import shutil

    dirs = root / "dirs"
    shutil.rmtree(dirs / "gone")
    shutil.rmtree(dirs / "again")
    (dirs / "again/inner").mkdir(parents=True)
    (dirs / "again/fresh").write_text("fresh")
    shutil.rmtree(dirs / "emptied")
    (dirs / "emptied").mkdir(mode=0o711)
    for name in ("to-file", "to-link"):
        shutil.rmtree(dirs / name)
    (dirs / "to-file").write_text("a file now")
    (dirs / "to-link").symlink_to("/dirs/mode")
    shutil.copytree(dirs / "renamed", dirs / "moved")
    shutil.rmtree(dirs / "renamed")


@change("links deleted, pointed elsewhere, replaced")
def _(root: Path) -> None:
    links = root / "links"
    (links / "gone").unlink()
    targets = {"retargeted": "/etc", "dangling": "/no/such", "absolute": "/files/plain", "up": "../../.."}
    for name, target in targets.items():
        (links / name).unlink(missing_ok=True)
        (links / name).symlink_to(target)
    (links / "to-directory").unlink()
    (links / "to-directory").mkdir()
    (links / "to-directory/file").write_text("was a link")
    (links / "to-file").unlink()
    (links / "to-file").write_text("was a link")
    os.chown(links / "dangling", 5, 6, follow_symlinks=False)
    os.utime(links / "absolute", ns=(T1, T1), follow_symlinks=False)
    (links / ("l" * 200)).symlink_to("/" + "t" * 900)


@change("devices, fifos and a socket")
def _(root: Path) -> None:
    (root / "nodes").mkdir()
    os.mknod(root / "nodes/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(root / "nodes/loop", stat.S_IFBLK | 0o660, os.makedev(7, 200))
    os.mknod(root / "nodes/big", stat.S_IFCHR | 0o600, os.makedev(300, 70000))
    os.chown(root / "nodes/loop", 0, 6)
    os.mkfifo(root / "nodes/fifo", 0o622)
    os.utime(root / "nodes/fifo", ns=(T2, T2))
    with socket.socket(socket.AF_UNIX) as unconnected:
        here = os.getcwd()
        os.chdir(root / "nodes")
        try:
            unconnected.bind("socket")
        finally:
            os.chdir(here)


@change("sparse files")
def _(root: Path) -> None:
    (root / "sparse").mkdir()
    with (root / "sparse/only-hole").open("wb") as stream:
        stream.truncate(HOLE)
    with (root / "sparse/middle").open("wb") as stream:
        stream.seek(HOLE // 2)
        stream.write(b"data" * 1024)
        stream.truncate(HOLE)
    with (root / "sparse/end").open("wb") as stream:
        stream.seek(HOLE)
        stream.write(b"the end")


@change("names that are not UTF-8, with strange characters, and long")
def _(root: Path) -> None:
    names = os.fsencode(root / "names")
    os.unlink(names + b"/" + LATIN + b"-gone")
    with open(names + b"/" + LATIN + b"-changed", "ab") as stream:
        stream.write(b"changed")
    os.mkdir(names + b"/dir\xff\xfe")
    plain = (
        b"new line\n",
        b"tab\t",
        b" space ",
        b"-dash",
        b"back\\slash",
        b"quote\"'",
        b"=equals",
        b"*",
        b".wh",
        b"%41",
    )
    for name in (*plain, b"dir\xff\xfe/in\xe4", "ümläut€".encode(), b"x" * 255, b"\x01\x7f"):
        with open(names + b"/" + name, "wb") as stream:
            stream.write(name)
    os.symlink(b"to \xff raw", names + b"/raw-link")
    os.link(names + b"/" + b"x" * 255, names + b"/linked-\xff")
    (root / "long" / LONG / "added").write_text("x")
    (root / "long" / LONG / "gone").unlink()
    (root / "long" / LONG / "link").symlink_to("/long/" + LONG)
    os.link(root / "long" / LONG / "added", root / "long" / LONG / "added-too")


@change("access lists")
def _(root: Path) -> None:
    acl = struct.pack("<I", 2) + b"".join(
        struct.pack("<HHI", tag, perm, who)
        for tag, perm, who in (
            (1, 6, 0xFFFFFFFF), (2, 4, 1000), (4, 4, 0xFFFFFFFF), (0x10, 4, 0xFFFFFFFF), (0x20, 0, 0xFFFFFFFF)
        )
    )  # fmt: skip
    (root / "new/listed").write_text("x")
    os.setxattr(root / "new/listed", "system.posix_acl_access", acl)
    (root / "new/listed-dir").mkdir()
    os.setxattr(root / "new/listed-dir", "system.posix_acl_default", acl)


@change("the root itself")
def _(root: Path) -> None:
    root.chmod(0o711)
    os.chown(root, 3, 4)


@change("a chain: made, filled, moved over, deleted below")
def _(root: Path) -> None:
    (root / "var/empty").rmdir()
    (root / "var/empty").symlink_to("/tmp")
    (root / "opt/a/b/c").mkdir(parents=True)
    (root / "opt/a/b/c/d").write_text("x")
    (root / "opt/a/b").rename(root / "opt/b")
    (root / "opt/a").rmdir()
    (root / "opt/b/c/d").unlink()


# ---- comparing -------------------------------------------------------------------------------------------------


@attrs.frozen
class Entry:
    """All that a name means."""

    kind: str
    mode: str
    owner: tuple[int, int]
    mtime: int
    size: int
    content: bytes
    target: bytes
    rdev: tuple[int, int]
    xattrs: tuple[tuple[str, bytes], ...]
    links: tuple[bytes, ...]
    allocated: int = attrs.field(eq=False)


def snapshot(root: Path) -> dict[bytes, Entry]:
    """Everything below *root* by name, without what engines make anew."""
    names: dict[tuple[int, int], list[bytes]] = {}
    top = os.fsencode(root)
    found: dict[bytes, os.stat_result] = {b"/": os.stat(top)}
    for path, status in _walk(top, b""):
        found[path] = status
        if not stat.S_ISDIR(status.st_mode):
            names.setdefault((status.st_dev, status.st_ino), []).append(path)
    return {
        path: Entry(
            kind=stat.filemode(status.st_mode)[0],
            mode=oct(stat.S_IMODE(status.st_mode)),
            owner=(status.st_uid, status.st_gid),
            mtime=status.st_mtime_ns,
            size=0 if stat.S_ISDIR(status.st_mode) else status.st_size,
            content=_content(top + path, status),
            target=os.readlink(top + path) if stat.S_ISLNK(status.st_mode) else b"",
            rdev=(os.major(status.st_rdev), os.minor(status.st_rdev)),
            xattrs=tuple(sorted(_xattrs(top + path).items())),
            links=tuple(sorted(names.get((status.st_dev, status.st_ino), ()))),
            allocated=status.st_blocks * 512,
        )
        for path, status in found.items()
    }


def _walk(top: bytes, path: bytes) -> Iterator[tuple[bytes, os.stat_result]]:
    with os.scandir(top + path or b"/") as entries:
        for entry in entries:
            inner = path + b"/" + entry.name
            if inner in ENGINES_OWN:
                continue
            status = entry.stat(follow_symlinks=False)
            if stat.S_ISSOCK(status.st_mode):
                continue  # a tar has no form for one; CRIU makes anew those in use
            yield inner, status
            if stat.S_ISDIR(status.st_mode):
                yield from _walk(top, inner)


def _content(path: bytes, status: os.stat_result) -> bytes:
    import hashlib

    if not stat.S_ISREG(status.st_mode):
        return b""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()


def _xattrs(path: bytes) -> dict[str, bytes]:
    return {
        name: os.getxattr(path, name, follow_symlinks=False)
        for name in os.listxattr(path, follow_symlinks=False)
        if not name.startswith("trusted.")
    }


def differences(before: dict[bytes, Entry], after: dict[bytes, Entry]) -> list[str]:
    """One line for each name that is not what it was."""
    lines = [f"lost {path!r} ({before[path].kind})" for path in before.keys() - after.keys()]
    lines += [f"came from nowhere {path!r}" for path in after.keys() - before.keys()]
    for path in before.keys() & after.keys():
        one, two = attrs.asdict(before[path]), attrs.asdict(after[path])
        lines += [
            f"{path!r}: {field} was {one[field]!r}, is {two[field]!r}"
            for field in one
            if one[field] != two[field] and field != "allocated"
        ]
    return sorted(lines)


# ---- the test --------------------------------------------------------------------------------------------------


@attrs.frozen
class Trees:
    before: dict[bytes, Entry]
    after: dict[bytes, Entry]
    again: dict[bytes, Entry]
    """After a second journey, back to the first host."""


@pytest.fixture(scope="module")
def trees(short_tmp: Path, shared_engine: Engine) -> Iterator[Trees]:
    rootfs = busybox_root(short_tmp / "matrix-rootfs")
    furnish(rootfs)
    one, two = Engine.make(short_tmp / "m1"), Engine.make(short_tmp / "m2")
    with one.runtime() as here, two.runtime() as there:
        here.import_image(rootfs, "matrix:1")
        one.copy_image("matrix:1", two)
        source = here.run("matrix:1", "sh", "-c", COUNT, name="matrix", network="none")
        counted = counts_on(source, 1)
        root = Path(source.state().mount_point)
        for make in CHANGES.values():
            make(root)
        here.checkpoint(source, export=short_tmp / "m.tar.zst")
        before = snapshot(source.mount())
        source.unmount()
        source.remove()
        twin = there.restore(import_=short_tmp / "m.tar.zst")
        counts_on(twin, counted)
        after = snapshot(Path(twin.state().mount_point))
        there.checkpoint(twin, export=short_tmp / "m2.tar.gz")
        twin.remove()
        back = here.restore(import_=short_tmp / "m2.tar.gz")
        again = snapshot(Path(back.state().mount_point))
        back.remove(force=True, timeout=0)
    yield Trees(before, after, again)
    for engine in (one, two):
        assert engine.leftovers() == []
        remove_engine(engine)


def test_the_whole_tree_arrives(trees):
    assert not (wrong := differences(trees.before, trees.after)), "\n".join(wrong)


def test_a_second_journey_changes_nothing(trees):
    assert not (wrong := differences(trees.before, trees.again)), "\n".join(wrong)


def test_the_changes_are_really_in_the_tree(trees):
    """Lest an empty comparison passes."""
    before = trees.before
    assert dict(before[b"/files/capable"].xattrs)["security.capability"] == CAPABILITY
    assert dict(before[b"/files/attributes"].xattrs)["user.note"] == b"\x00binary\xff"
    assert before[b"/new/file"].owner == (3_000_000_000, 4_000_000_000)
    assert before[b"/new/file"].mtime == T1
    assert before[b"/dirs/time"].mtime == T3
    assert before[b"/nodes/big"].rdev == (300, 70000)
    assert len(before[b"/new/one"].links) == 3
    assert b"/names/" + LATIN + b"-gone" not in before
    assert b"/dirs/again/file" not in before
    assert len(before) > 600 or len(before) > len(CHANGES) * 10


@pytest.mark.parametrize("name", ["only-hole", "middle", "end"])
def test_sparse_files_stay_sparse(trees, name):
    path = b"/sparse/" + name.encode()
    assert trees.before[path].size >= HOLE
    assert trees.after[path].allocated <= trees.before[path].allocated + (256 << 10)
    assert trees.again[path].allocated <= trees.before[path].allocated + (256 << 10)


def test_names_are_what_they_were_byte_for_byte(trees):
    names = {path for path in trees.after if path.startswith((b"/names/", b"/long/"))}
    assert b"/names/" + LATIN in names
    assert b"/names/dir\xff\xfe/in\xe4" in names
    assert max(len(path) for path in names) > 400


def test_nobody_unpacks_into_the_mount_points(trees: Any):
    """/dev, /proc and /sys of the host side stay as the image has them."""
    assert all(not path.startswith((b"/proc/", b"/sys/")) for path in trees.after)
