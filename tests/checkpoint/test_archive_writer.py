"""An archive is written whole or not at all, and read back as it was."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from libpod.checkpoint import members
from libpod.checkpoint.codec import CompressionKind, compression_for, parse_compression, sniff
from libpod.checkpoint.frozen import freeze_tree
from libpod.checkpoint.reader import open_archive, read_head
from libpod.checkpoint.tarformat import END, TarKind
from libpod.checkpoint.writer import ArchiveSummary, ArchiveWriter, require_space
from libpod.define.errors import (
    ArchiveError,
    CheckpointArchiveChangedError,
    HostError,
    InvalidArgumentError,
    InvalidStateError,
)
from tests.checkpoint.archives import CONFIG, HEAD, IMAGES, SPEC, compressed, everything, member

WRITABLE = [kind for kind in CompressionKind if kind.can_write]
SUFFIX = {CompressionKind.NONE: ".tar", CompressionKind.GZIP: ".tar.gz", CompressionKind.ZSTD: ".tar.zst"}


def sample(root: Path) -> Path:
    """A checkpoint's images, a volume."""
    (root / "images").mkdir(parents=True)
    (root / "images/inventory.img").write_bytes(b"inventory")
    (root / "images/pages-1.img").write_bytes(os.urandom(3 << 20) + bytes(2 << 20))
    os.symlink("../pre-checkpoint", root / "images/parent")
    (root / "volume/d").mkdir(parents=True)
    (root / "volume/d/f").write_text("data")
    return root


def write(target: Path, source: Path) -> ArchiveSummary:
    with ArchiveWriter.open(target, compression_for(target)) as writer:
        writer.add_document("config.dump", CONFIG)
        writer.add_document("spec.dump", SPEC)
        writer.add_directory("checkpoint", source / "images")
        writer.add_tree_tar("volumes/v.tar", source / "volume")
        return writer.commit()


@pytest.mark.parametrize("kind", WRITABLE)
def test_what_was_written_is_read(kind: CompressionKind, tmp_path: Path) -> None:
    source = sample(tmp_path / "s")
    target = tmp_path / f"a{SUFFIX[kind]}"
    summary = write(target, source)
    assert summary.compression is kind
    assert summary.size == target.stat().st_size
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert {entry.name for entry in tmp_path.iterdir()} == {"s", target.name}
    staging = tmp_path / "t"
    staging.mkdir()
    with open_archive(target, staging=staging) as reader:
        head = reader.head()
        assert (head.config, head.spec) == (CONFIG, SPEC)
        assert not (staging / "checkpoint").exists(), "the head was given before the rest was read"
        unpacked = reader.unpack()
    assert unpacked.compression is kind
    assert unpacked.volumes == ("v",)
    assert unpacked.images == staging / "checkpoint"
    assert unpacked.sizes == {
        name.name: name.size for name in summary.members if not name.name.endswith(("/", "parent"))
    }
    for name in ("inventory.img", "pages-1.img"):
        assert (staging / "checkpoint" / name).read_bytes() == (source / "images" / name).read_bytes()
    assert os.readlink(staging / "checkpoint/parent") == "../pre-checkpoint"
    assert (staging / "volumes/v.tar").stat().st_size == freeze_tree(source / "volume").size
    for path in staging.rglob("*"):
        assert path.is_symlink() or stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


@pytest.mark.parametrize("kind", WRITABLE)
def test_tar_and_the_decompressors_of_the_host_read_it(kind: CompressionKind, tmp_path: Path) -> None:
    target = tmp_path / f"a{SUFFIX[kind]}"
    write(target, sample(tmp_path / "s"))
    listing = subprocess.run(
        ["tar", "tvf", target], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    names = [line.split(None, 5)[5] for line in listing]
    assert names == [
        "config.dump",
        "spec.dump",
        "checkpoint/",
        "checkpoint/inventory.img",
        "checkpoint/pages-1.img",
        "checkpoint/parent -> ../pre-checkpoint",
        "volumes/v.tar",
    ]


@pytest.mark.parametrize("kind", list(CompressionKind))
def test_the_content_decides_about_the_codec_and_not_the_name(kind: CompressionKind, tmp_path: Path) -> None:
    data = compressed(HEAD + IMAGES + END, kind)
    assert sniff(data) is kind
    (tmp_path / "a.tar.zst").write_bytes(data)
    (tmp_path / "t").mkdir()
    with open_archive(tmp_path / "a.tar.zst", staging=tmp_path / "t") as reader:
        assert reader.unpack().compression is kind


@pytest.mark.parametrize(
    ("name", "explicit", "expected"),
    [
        ("a.tar", None, "none"), ("a.tar.gz", None, "gzip"), ("a.tgz", None, "gzip"), ("a.TAR.GZ", None, "gzip"),
        ("a.tar.zst", None, "zstd"), ("a", None, "zstd"), ("a.ckpt", None, "zstd"), ("a.tar.gz", "none", "none"),
        ("a.tar", "zstd", "zstd"), ("a.tar", "GZIP", "gzip"),
    ],
)  # fmt: skip
def test_the_suffix_chooses_unless_told(name: str, explicit: str | None, expected: str) -> None:
    assert compression_for(Path(name), explicit) == expected


@pytest.mark.parametrize("word", ["bzip2", "xz", "lz4", ""])
def test_what_podman_cannot_write_is_refused(word: str) -> None:
    with pytest.raises(InvalidArgumentError):
        parse_compression(word)


# ---- other engines' archives ---------------------------------------------------------------------------------------


def test_an_archive_in_podmans_order_is_read_with_what_comes_before_the_head(tmp_path: Path) -> None:
    data = member("artifacts", kind=TarKind.DIRECTORY) + member("devshm-checkpoint.tar", b"shm") + HEAD
    data += member("network.status", b"[]") + IMAGES + member("deleted.files", b"[]") + END
    (tmp_path / "a").write_bytes(data)
    (tmp_path / "t").mkdir()
    with open_archive(tmp_path / "a", staging=tmp_path / "t") as reader:
        reader.head()
        assert everything(tmp_path / "t") == {
            "artifacts",
            "devshm-checkpoint.tar",
            "config.dump",
            "spec.dump",
        }
        reader.unpack()
    assert (tmp_path / "t/devshm-checkpoint.tar").read_bytes() == b"shm"


def test_names_with_a_leading_dot_and_missing_directory_entries_are_tolerated(tmp_path: Path) -> None:
    data = member("./", kind=TarKind.DIRECTORY) + HEAD + member("./pre-checkpoint/inventory.img", b"x") + END
    (tmp_path / "a").write_bytes(data + bytes(10240 - len(data) % 10240))
    (tmp_path / "t").mkdir()
    with open_archive(tmp_path / "a", staging=tmp_path / "t") as reader:
        unpacked = reader.unpack()
    assert unpacked.images is None
    assert unpacked.pre_images == tmp_path / "t/pre-checkpoint"


def test_a_consumer_takes_a_member_as_it_passes(tmp_path: Path) -> None:
    write(tmp_path / "a.tar.zst", sample(tmp_path / "s"))
    (tmp_path / "t").mkdir()
    taken: list[bytes] = []
    with open_archive(tmp_path / "a.tar.zst", staging=tmp_path / "t") as reader:
        unpacked = reader.unpack({"volumes/v.tar": lambda stream: taken.append(stream.read())})
    assert len(taken[0]) == freeze_tree(tmp_path / "s/volume").size
    assert unpacked.has("volumes/v.tar")
    assert not (tmp_path / "t/volumes").exists()


def test_the_writer_and_the_reader_may_live_in_other_threads(tmp_path: Path) -> None:
    target = tmp_path / "a.tar.gz"
    source = sample(tmp_path / "s")
    (tmp_path / "t").mkdir()
    writing = threading.Thread(target=write, args=(target, source))
    writing.start()
    writing.join(60)
    assert not writing.is_alive()
    with open_archive(target, staging=tmp_path / "t") as reader:
        heading = threading.Thread(target=reader.head)
        heading.start()
        heading.join(60)
        reader.unpack()
    assert threading.active_count() == 1


# ---- refusals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", WRITABLE)
@pytest.mark.parametrize("how", ["error", "no commit"])
def test_an_archive_that_is_not_committed_leaves_nothing(
    kind: CompressionKind, how: str, tmp_path: Path
) -> None:
    target = tmp_path / f"a{SUFFIX[kind]}"
    target.write_text("the old one")
    with pytest.raises(ZeroDivisionError), ArchiveWriter.open(target, kind) as writer:
        writer.add_document("config.dump", os.urandom(5 << 20))
        if how == "error":
            raise ZeroDivisionError
        writer.__exit__(None, None, None)
        raise ZeroDivisionError
    assert everything(tmp_path) == {target.name}
    assert target.read_text() == "the old one"
    assert threading.active_count() == 1, "the compressor's threads are gone"


@pytest.mark.processes
@pytest.mark.parametrize("kind", WRITABLE)
def test_a_kill_leaves_nothing(kind: CompressionKind, tmp_path: Path) -> None:
    program = f"""
import os, sys, time
from pathlib import Path
from libpod.checkpoint.writer import ArchiveWriter
from libpod.checkpoint.codec import CompressionKind
with ArchiveWriter.open(Path({str(tmp_path)!r}) / "a", CompressionKind({kind.value!r})) as writer:
    writer.add_document("config.dump", os.urandom(5 << 20))
    print("half", flush=True)
    time.sleep(600)
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, env={"PYTHONPATH": _root()}
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"half\n"
        child.send_signal(signal.SIGKILL)
    assert everything(tmp_path) == set()


def _root() -> str:
    return str(Path(__file__).parents[2])


def test_the_two_documents_come_first(tmp_path: Path) -> None:
    with ArchiveWriter.open(tmp_path / "a", CompressionKind.NONE) as writer:
        with pytest.raises(InvalidStateError):
            writer.add_document("network.status", b"{}")
        writer.add_document("config.dump", b"{}")
        with pytest.raises(InvalidStateError):
            writer.commit()


def test_a_member_is_added_once(tmp_path: Path) -> None:
    with ArchiveWriter.open(tmp_path / "a", CompressionKind.NONE) as writer:
        for name in members.HEAD:
            writer.add_document(name, b"{}")
        with pytest.raises(InvalidStateError):
            writer.add_document("spec.dump", b"{}")


@pytest.mark.parametrize("compression", [CompressionKind.GZIP, CompressionKind.ZSTD])
def test_another_thread_may_go_on_with_an_archive(compression: CompressionKind, tmp_path: Path) -> None:
    opened: list[ArchiveWriter] = []
    opening = threading.Thread(target=lambda: opened.append(ArchiveWriter.open(tmp_path / "a", compression)))
    opening.start()
    opening.join(60)
    with opened[0] as writer:
        for name in members.HEAD:
            writer.add_document(name, bytes(5 << 20))
        writer.commit()
    assert everything(tmp_path) == {"a"}
    assert threading.active_count() == 1


@pytest.mark.parametrize("what", ["directory", "fifo", "missing parent"])
def test_a_target_that_cannot_be_a_file_is_refused(what: str, tmp_path: Path) -> None:
    target = tmp_path / "a"
    if what == "directory":
        target.mkdir()
    elif what == "fifo":
        os.mkfifo(target)
    else:
        target = tmp_path / "no" / "a"
    with pytest.raises((InvalidArgumentError, HostError)):
        ArchiveWriter.open(target, CompressionKind.NONE)


def test_a_link_as_the_target_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    os.symlink("real/a.tar", tmp_path / "a.tar")
    write(tmp_path / "a.tar", sample(tmp_path / "s"))
    assert os.readlink(tmp_path / "a.tar") == "real/a.tar"
    assert read_head(tmp_path / "real/a.tar").config == CONFIG


def test_a_strange_link_among_the_images_is_refused(tmp_path: Path) -> None:
    source = sample(tmp_path / "s")
    os.symlink("/etc/passwd", source / "images/x")
    with pytest.raises(InvalidArgumentError):
        write(tmp_path / "a.tar", source)
    assert not (tmp_path / "a.tar").exists()


def test_a_file_that_changed_makes_no_archive_unless_that_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "v").mkdir()
    (tmp_path / "v/f").write_bytes(b"x" * 5000)
    tree = freeze_tree(tmp_path / "v")
    (tmp_path / "v/f").write_bytes(b"x")
    for allowed in (False, True):
        with ArchiveWriter.open(tmp_path / "a.tar", CompressionKind.NONE) as writer:
            for name in members.HEAD:
                writer.add_document(name, b"{}")
            writer.add_tree("volumes/v.tar", tree)
            if not allowed:
                with pytest.raises(CheckpointArchiveChangedError, match="/f became shorter"):
                    writer.commit()
            else:
                assert writer.commit(allow_changed=True).changed == (
                    "/f became shorter while it was written",
                )
    subprocess.run(["tar", "tf", tmp_path / "a.tar"], check=True, stdout=subprocess.DEVNULL)


# ---- a full disk ---------------------------------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path) -> object:
    """A file system of 8 MiB."""
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", place], check=True)
    yield place
    subprocess.run(["umount", place], check=True)


@pytest.mark.root
@pytest.mark.parametrize("kind", WRITABLE)
def test_a_full_disk_is_an_error_and_leaves_nothing(
    kind: CompressionKind, small: Path, tmp_path: Path
) -> None:
    (tmp_path / "big").write_bytes(os.urandom(20 << 20))
    with pytest.raises(HostError, match="No space left"), ArchiveWriter.open(small / "a", kind) as writer:
        for name in members.HEAD:
            writer.add_document(name, b"{}")
        writer.add_file("ctr.log", tmp_path / "big")
        writer.commit()
    assert everything(small) == set()
    assert os.statvfs(small).f_bavail == os.statvfs(small).f_blocks
    assert threading.active_count() == 1


@pytest.mark.root
def test_too_little_space_is_seen_before_anything_is_done(small: Path) -> None:
    with pytest.raises(HostError, match="MiB are free"):
        require_space(small / "a", 9 << 20, CompressionKind.NONE)
    require_space(small / "a", 9 << 20, CompressionKind.ZSTD)
    with pytest.raises(HostError):
        require_space(small / "a", 60 << 20, CompressionKind.ZSTD)


@pytest.mark.root
def test_unpacking_onto_a_full_disk_is_refused(small: Path, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(HEAD + member("checkpoint/pages-1.img", os.urandom(12 << 20)) + IMAGES + END)
    with pytest.raises(ArchiveError, match="are free"):
        with open_archive(tmp_path / "a", staging=small) as reader:
            reader.unpack()
