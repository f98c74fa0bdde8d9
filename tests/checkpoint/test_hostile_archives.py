"""Archives that want something they may not have: each is refused, and nothing outside the target changes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from libpod.checkpoint.codec import CompressionKind
from libpod.checkpoint.members import MAX_DOCUMENT
from libpod.checkpoint.reader import open_archive, read_head
from libpod.checkpoint.tarformat import END, TarHeader, TarKind, encode
from libpod.checkpoint.unpack import apply_rootfs_diff, remove_deleted, unpack_tree
from libpod.define.errors import ArchiveError, LibpodError
from tests.checkpoint.archives import (
    CONFIG,
    GOOD,
    HEAD,
    IMAGES,
    SPEC,
    compressed,
    directory,
    everything,
    member,
    resealed,
)  # fmt: skip
from tests.checkpoint.trees import look


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A directory beside the target that must be the same afterwards."""
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim/file").write_text("precious")
    os.symlink("file", tmp_path / "victim/link")
    before = look(tmp_path / "victim")
    yield tmp_path
    assert look(tmp_path / "victim") == before
    assert {entry.name for entry in tmp_path.iterdir()} <= {"victim", "target", "archive"}


def huge(name: str, size: int) -> bytes:
    return encode(TarHeader(name=name, size=size))


def pax(records: bytes, then: bytes = b"") -> bytes:
    block = resealed(encode(TarHeader(name="x", size=len(records))), {156: b"x"})
    return block + records + bytes(-len(records) % 512) + then


def gnu_long(name: bytes, then: bytes) -> bytes:
    block = resealed(encode(TarHeader(name="././@LongLink", size=len(name) + 1)), {156: b"L"})
    return block + name + bytes(512 - len(name) % 512) + then


CKPT = "checkpoint/"
OUTER: dict[str, bytes] = {
    "an absolute name": HEAD + IMAGES + member("/etc/passwd", b"x") + END,
    "an absolute name of a known member": HEAD + IMAGES + member("/checkpoint/x.img", b"x") + END,
    "a name that climbs": HEAD + IMAGES + member("../victim/file", b"x") + END,
    "a name that climbs out of a directory": HEAD + IMAGES + member(CKPT + "../../victim/file", b"x") + END,
    "a name that ends in dots": HEAD + IMAGES + member(CKPT + "..", b"x") + END,
    "a directory that climbs": HEAD + IMAGES + directory(CKPT + "../../victim/new") + END,
    "a link to outside": HEAD + member(CKPT + "l", kind=TarKind.SYMLINK, target="../../victim") + IMAGES + END,
    "a link in place of the images": HEAD + member("checkpoint", kind=TarKind.SYMLINK, target="../victim") + END,
    "a link and a file through it": (
        HEAD + member("artifacts", kind=TarKind.SYMLINK, target="../victim") + member("artifacts/file", b"x") + IMAGES
    ),
    "a parent link to elsewhere": (
        HEAD + IMAGES + member(CKPT + "parent", kind=TarKind.SYMLINK, target="../../victim") + END
    ),
    "a file below the parent link": (
        HEAD + IMAGES
        + member(CKPT + "parent", kind=TarKind.SYMLINK, target="../pre-checkpoint")
        + member(CKPT + "parent/file", b"x") + END
    ),
    "a hard link to a file outside": (
        HEAD + IMAGES + member(CKPT + "h", kind=TarKind.HARD_LINK, target="../victim/file") + END
    ),
    "a hard link to a member": HEAD + IMAGES + member(CKPT + "h", kind=TarKind.HARD_LINK, target="config.dump") + END,
    "a block device": HEAD + IMAGES + member(CKPT + "d", kind=TarKind.BLOCK_DEVICE, device=(8, 0)) + END,
    "a character device": HEAD + IMAGES + member(CKPT + "d", kind=TarKind.CHAR_DEVICE, device=(1, 1)) + END,
    "a FIFO": HEAD + IMAGES + member("ctr.log", kind=TarKind.FIFO) + END,
    "a member twice": HEAD + IMAGES + member("ctr.log", b"1") + member("ctr.log", b"2") + END,
    "a document twice": HEAD + member("config.dump", CONFIG) + IMAGES + END,
    "a member twice under two spellings": HEAD + IMAGES + member("ctr.log", b"1") + member("./ctr.log", b"2") + END,
    "a file that becomes a directory": HEAD + IMAGES + member("volumes/a", b"1") + member("volumes/a/b", b"2") + END,
    "a directory named as a document": HEAD + IMAGES + directory("deleted.files") + END,
    "a file named as a directory": HEAD + member("checkpoint", b"x") + END,
    "a document without end": HEAD + IMAGES + huge("deleted.files", MAX_DOCUMENT + 1) + END,
    "a configuration without end": huge("config.dump", MAX_DOCUMENT + 1),
    "a file larger than the disk": HEAD + IMAGES + huge(CKPT + "pages-1.img", 1 << 50),
    "a size beyond reason": HEAD + IMAGES + huge(CKPT + "pages-1.img", (1 << 60) + 1),
    "a negative size": HEAD + resealed(encode(TarHeader(name="ctr.log")), {124: b"\xff" * 12}) + IMAGES + END,
    "a size that is no number": HEAD + resealed(encode(TarHeader(name="ctr.log")), {124: b"zzzzzzzzzzz\0"}) + END,
    "a wrong checksum": HEAD + IMAGES + bytes(b"y" + member("ctr.log", b"x")[1:]) + END,
    "no checksum": HEAD + IMAGES + b"\1" * 512 + END,
    "an unknown type": HEAD + IMAGES + resealed(encode(TarHeader(name="ctr.log")), {156: b"Z"}) + END,
    "a sparse member": HEAD + IMAGES + resealed(encode(TarHeader(name="ctr.log")), {156: b"S"}) + END,
    "a sparse member by PAX": HEAD + IMAGES + pax(b"22 GNU.sparse.major=1\n", member("ctr.log", b"x")) + END,
    "an absolute name by PAX": HEAD + IMAGES + pax(b"20 path=/etc/passwd\n", member("x", b"x")) + END,
    "a climbing name by PAX": HEAD + IMAGES + pax(b"19 path=../../evil\n", member("x", b"x")) + END,
    "a zero byte in a name by PAX": HEAD + IMAGES + pax(b"17 path=ctr\0.log\n", member("x", b"x")) + END,
    "a record with a wrong length": HEAD + IMAGES + pax(b"99 path=x\n", member("x")) + END,
    "a record with length nought": HEAD + IMAGES + pax(b"0 path=x\n", member("x")) + END,
    "a record without a line end": HEAD + IMAGES + pax(b"10 path=xy", member("x")) + END,
    "an extended header without end": HEAD + resealed(huge("x", 1 << 21), {156: b"x"}) + bytes(1 << 21),
    "an extended header for nothing": HEAD + IMAGES + pax(b"10 path=x\n") + END,
    "a size by PAX that is no number": HEAD + IMAGES + pax(b"11 size=-1\n", member("ctr.log")) + END,
    "an absolute name by GNU": HEAD + IMAGES + gnu_long(b"/" + b"e" * 200, member("x", b"x")) + END,
    "a name with a line end": HEAD + IMAGES + member(CKPT + "a\nb", b"x") + END,
    "a name too long": HEAD + IMAGES + member(CKPT + "n" * 2000, b"x") + END,
    "a name too deep": HEAD + IMAGES + member(CKPT + "d/" * 20 + "f", b"x") + END,
    "something after the end": GOOD + b"more" * 200,
    "a second archive after the end": GOOD + GOOD,
    "zero bytes without end": GOOD + bytes(40 << 20),
    "no configuration": member("spec.dump", SPEC) + IMAGES + END,
    "no specification": member("config.dump", CONFIG) + IMAGES + END,
    "no images": HEAD + member("ctr.log", b"x") + END,
    "an empty image directory": HEAD + directory("checkpoint") + END,
    "nothing at all": b"",
    "only an end": END,
    "text": b"this is not an archive\n" * 100,
    "a directory with content": (
        HEAD + resealed(encode(TarHeader(name="checkpoint", kind=TarKind.DIRECTORY)), {124: b"00000000777\0"}) + END
    ),
    "an owner beyond reason": HEAD + IMAGES + pax(b"18 uid=4294967295\n", member("ctr.log")) + END,
}  # fmt: skip


@pytest.mark.parametrize("name", OUTER)
@pytest.mark.parametrize("codec", [CompressionKind.NONE, CompressionKind.ZSTD])
def test_an_archive_is_refused_with(name: str, codec: CompressionKind, outside: Path) -> None:
    (outside / "archive").write_bytes(compressed(OUTER[name], codec))
    target = outside / "target"
    target.mkdir()
    with pytest.raises(ArchiveError) as caught:
        with open_archive(outside / "archive", staging=target) as reader:
            reader.head()
            reader.unpack()
    assert str(outside / "archive") in str(caught.value)
    for path in target.rglob("*"):
        assert path.is_symlink() is (path.name == "parent")


@pytest.mark.parametrize("name", ["bomb.gz", "bomb.zst"])
def test_a_bomb_meets_the_declared_size(name: str, outside: Path) -> None:
    kind = CompressionKind.GZIP if name.endswith("gz") else CompressionKind.ZSTD
    data = HEAD + huge("config.dump2", 0) + huge("deleted.files", 1 << 40) + bytes(64 << 20)
    (outside / "archive").write_bytes(compressed(data, kind))
    (outside / "target").mkdir()
    with pytest.raises(ArchiveError, match=r"claims 1099511627776 bytes"):
        with open_archive(outside / "archive", staging=outside / "target") as reader:
            reader.unpack()


def test_unknown_members_are_skipped_and_named(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(HEAD + member("novelty", b"x" * 1000) + IMAGES + member("x", b"y") + END)
    (tmp_path / "t").mkdir()
    with open_archive(tmp_path / "a", staging=tmp_path / "t") as reader:
        unpacked = reader.unpack()
    assert unpacked.ignored == ("novelty", "x")
    assert everything(tmp_path / "t") == {
        "config.dump",
        "spec.dump",
        "checkpoint",
        "checkpoint/inventory.img",
    }


# ---- the tars inside ---------------------------------------------------------------------------------------------

INNER: dict[str, bytes] = {
    "an absolute name": member("/etc/x", b"x"),
    "a climbing name": member("../victim/file", b"x"),
    "a climbing name in the middle": member("a/../../victim/file", b"x"),
    "the root as a file": member(".", b"x"),
    "the root as a link": member("./", kind=TarKind.SYMLINK, target="/"),
    "a planted link": member("l", kind=TarKind.SYMLINK, target="../victim") + member("l/file", b"x"),
    "a planted absolute link": member("l", kind=TarKind.SYMLINK, target="/") + member("l/etc/x", b"x"),
    "a planted link below a directory": (
        member("d", kind=TarKind.DIRECTORY) + member("d/l", kind=TarKind.SYMLINK, target="../../victim")
        + member("d/l/file", b"x")
    ),
    "a directory through a planted link": (
        member("l", kind=TarKind.SYMLINK, target="../victim") + member("l/new", kind=TarKind.DIRECTORY)
    ),
    "a device through a planted link": (
        member("l", kind=TarKind.SYMLINK, target="../victim")
        + member("l/d", kind=TarKind.CHAR_DEVICE, device=(1, 3), mode=0o666)
    ),
    "a link named through a hard link": (
        member("l", kind=TarKind.SYMLINK, target="../victim") + member("h", kind=TarKind.HARD_LINK, target="l")
        + member("h/file", b"x")
    ),
    "a hard link to outside": member("h", kind=TarKind.HARD_LINK, target="../victim/file"),
    "a hard link to an absolute name": member("h", kind=TarKind.HARD_LINK, target="/etc/passwd"),
    "a hard link to what is not in the tar": member("h", kind=TarKind.HARD_LINK, target="present"),
    "a hard link through a planted link": (
        member("l", kind=TarKind.SYMLINK, target="../victim") + member("h", kind=TarKind.HARD_LINK, target="l/file")
    ),
    "a path below a file": member("f", b"x") + member("f/g", b"y"),
    "a mark of an overlay": member("w", kind=TarKind.CHAR_DEVICE, device=(0, 0)),
    "a name beyond the kernel": member("n" * 300, b"x"),
    "a path beyond the kernel": member("/".join(["d" * 200] * 30), b"x"),
    "a sparse member": resealed(encode(TarHeader(name="x")), {156: b"S"}),
    "a cut member": encode(TarHeader(name="x", size=5000)) + b"x" * 100,
    "no end": member("x", b"x"),
    "garbage after the end": member("x", b"x") + END + b"garbage",
}  # fmt: skip


@pytest.mark.root
@pytest.mark.parametrize(
    ("name", "rootfs"),
    [
        (name, rootfs)
        for name in INNER
        for rootfs in (True, False)
        if rootfs or name != "a mark of an overlay"
    ],
)
def test_a_tar_inside_is_refused_with(name: str, rootfs: bool, outside: Path) -> None:
    data = INNER[name]
    if not name.startswith(("no end", "a cut", "garbage")):
        data += END
    (outside / "archive").write_bytes(data)
    target = outside / "target"
    target.mkdir()
    (target / "present").write_text("x")
    with pytest.raises(ArchiveError):
        if rootfs:
            apply_rootfs_diff(outside / "archive", target)
        else:
            unpack_tree(outside / "archive", target, label="volumes/v.tar")


@pytest.mark.root
def test_a_link_that_is_in_the_volume_already_is_not_followed(outside: Path) -> None:
    (outside / "target").mkdir()
    os.symlink("../victim", outside / "target/l")
    (outside / "archive").write_bytes(member("l/file", b"x") + END)
    with pytest.raises(ArchiveError):
        unpack_tree(outside / "archive", outside / "target", label="volumes/v.tar")


@pytest.mark.root
def test_a_link_of_the_root_is_followed_inside_it_only(outside: Path) -> None:
    target = outside / "target"
    target.mkdir()
    os.symlink("/../../victim", target / "l")
    (outside / "archive").write_bytes(member("l/file", b"x") + END)
    with pytest.raises(LibpodError):
        apply_rootfs_diff(outside / "archive", target)
    (target / "victim").mkdir()
    apply_rootfs_diff(outside / "archive", target)
    assert (target / "victim/file").read_text() == "x"


@pytest.mark.root
def test_dangerous_attributes_are_not_set(outside: Path) -> None:
    target = outside / "target"
    target.mkdir()
    xattrs = {
        "trusted.overlay.opaque": b"y",
        "security.selinux": b"x",
        "user.overlay.opaque": b"y",
        "user.ok": b"1",
    }
    (outside / "archive").write_bytes(member("d", kind=TarKind.DIRECTORY, xattrs=xattrs, mode=0o755) + END)
    apply_rootfs_diff(outside / "archive", target)
    assert os.listxattr(target / "d") == ["user.ok"]


@pytest.mark.parametrize(
    "document",
    [b"", b"{}", b'"x"', b"[1]", b'["/"]', b'[""]', b'["/.."]', b'["/../victim"]', b'["a/../../victim"]', b'["."]',
     b'["/\\u0000"]', b"[", b'[["a"]]', b'[null]', b"\xff"],
)  # fmt: skip
def test_a_list_of_deleted_paths_is_refused_when_it_is(document: bytes, outside: Path) -> None:
    (outside / "target").mkdir()
    (outside / "target/kept").write_text("x")
    with pytest.raises(ArchiveError):
        remove_deleted(document, outside / "target")
    assert (outside / "target/kept").exists()


# ---- without openat2 ----------------------------------------------------------------------------------------------


@pytest.mark.root
@pytest.mark.parametrize("name", [name for name in INNER if "link" in name or "name" in name])
def test_the_walk_by_hand_refuses_as_much(name: str, outside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from libpod.linux import openat

    monkeypatch.setattr(openat, "_openat2", lambda *_: None)
    test_a_tar_inside_is_refused_with(name, True, outside)


# ---- archives that are cut ----------------------------------------------------------------------------------------

WHOLE = (
    HEAD
    + member("checkpoint/pages-1.img", os.urandom(3000))
    + member("n" * 120 + ".unknown", b"x")
    + IMAGES
    + member("ctr.log", b"line\n" * 200)
    + END
)


@pytest.mark.parametrize("codec", list(CompressionKind))
def test_an_archive_cut_anywhere_is_refused(codec: CompressionKind, tmp_path: Path) -> None:
    data = compressed(WHOLE, codec)
    # Every byte of the small codecs would take minutes: all places around block borders, and a spread of others.
    ends = {*range(0, len(data), 97), *range(len(data) - 20, len(data))}
    ends |= {border + shift for border in range(0, len(data), 512) for shift in (-1, 0, 1)}
    if codec is CompressionKind.NONE:
        # One zero block is enough of an end, as for every tar reader.
        ends = {end for end in ends if end < len(data) - 512}
    for end in sorted(end for end in ends if 0 <= end < len(data)):
        (tmp_path / "a").write_bytes(data[:end])
        target = tmp_path / f"t{end}"
        target.mkdir()
        with pytest.raises(ArchiveError):
            with open_archive(tmp_path / "a", staging=target) as reader:
                reader.unpack()


@pytest.mark.parametrize("codec", [kind for kind in CompressionKind if kind is not CompressionKind.NONE])
def test_a_flipped_bit_is_refused_or_changes_nothing(codec: CompressionKind, tmp_path: Path) -> None:
    """A bit of a code that is never used may flip unseen; one of the content may not."""
    data = compressed(WHOLE, codec)
    whole: dict[str, bytes] | None = None
    refused = 0
    for place in (0, *range(20, len(data) - 8, max(1, len(data) // 60))):
        changed = data[:place] + bytes([data[place] ^ (0x10 if place else 0)]) + data[place + 1 :]
        (tmp_path / "a").write_bytes(changed)
        target = tmp_path / f"t{place}"
        target.mkdir()
        try:
            with open_archive(tmp_path / "a", staging=target) as reader:
                reader.unpack()
        except ArchiveError:
            refused += 1
            continue
        found = {
            str(path.relative_to(target)): path.read_bytes() for path in target.rglob("*") if path.is_file()
        }
        whole = whole or found
        assert found == whole
    assert refused > 40


def test_the_head_is_read_without_the_rest(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(compressed(HEAD + b"the rest is broken", CompressionKind.NONE))
    assert read_head(tmp_path / "a").config == CONFIG
