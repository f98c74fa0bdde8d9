"""Files copied between containers and the host: running and stopped, with volumes, hostile links and odd names."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from pathlib import Path

import pytest

import libpod
from tests.engines import until

SLEEP = ("sleep", "1000")


@pytest.fixture(params=["running", "stopped"])
def container(request, runtime):
    made = runtime.create("bb:1", *SLEEP, name=f"copy-{request.param}")
    if request.param == "running":
        made.start()
    return made


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A directory of the host with something of every kind in it."""
    top = tmp_path / "src"
    (top / "inner").mkdir(parents=True)
    (top / "file").write_text("text\n")
    (top / "inner/deep").write_text("deep\n")
    os.chown(top / "file", 33, 34)
    os.chmod(top / "file", 0o640)
    os.utime(top / "file", (1_600_000_000, 1_600_000_000))
    os.link(top / "file", top / "twin")
    (top / "link").symlink_to("file")
    (top / "abroad").symlink_to("/etc/passwd")
    (top / b"\xff odd\nname".decode(errors="surrogateescape")).write_text("odd\n")
    os.setxattr(top / "inner/deep", "user.mark", b"\x00\xff")
    return top


def names(tar: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        return archive.getnames()


def out(container: libpod.Container, path: str) -> bytes:
    sink = io.BytesIO()
    container.copy_out(path, sink)
    return sink.getvalue()


def content(container: libpod.Container, path: str) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(out(container, path))) as archive:
        stream = archive.extractfile(archive.next())
        assert stream is not None
        return stream.read()


def tar_of(*entries: tarfile.TarInfo, data: bytes = b"") -> io.BytesIO:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        for entry in entries:
            entry.size = len(data) if entry.isreg() else 0
            archive.addfile(entry, io.BytesIO(data))
    return io.BytesIO(sink.getvalue())


def entry(name: str, kind: bytes = tarfile.REGTYPE, target: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.mode = kind, target, mode
    return made


def test_a_tree_goes_in_and_comes_out_unchanged(runtime, container, host, tmp_path):
    runtime.copy(host, f"{container.name}:/var/there", archive=False)
    runtime.copy(f"{container.name}:/var/there", tmp_path / "back")
    back = tmp_path / "back"
    assert sorted(os.listdir(back)) == sorted(os.listdir(host))
    assert (back / "file").read_text() == "text\n"
    assert (back / "file").stat().st_ino == (back / "twin").stat().st_ino
    assert os.readlink(back / "abroad") == "/etc/passwd"
    assert os.getxattr(back / "inner/deep", "user.mark") == b"\x00\xff"
    assert stat.S_IMODE((back / "file").stat().st_mode) == 0o640
    assert (back / "file").stat().st_mtime == 1_600_000_000
    assert (back / "file").stat().st_uid == 0, "on the host everything belongs to the caller"
    with tarfile.open(fileobj=io.BytesIO(out(container, "/var/there/file"))) as archive:
        member = archive.next()
        assert member is not None
        assert (member.name, member.uid, member.gid) == ("file", 33, 34)


def test_files_that_are_copied_in_belong_to_the_containers_user(runtime, host, tmp_path):
    container = runtime.create("bb:1", *SLEEP, name="owned", user="someone")
    runtime.copy(host, "owned:/home/someone/")
    sink = io.BytesIO()
    container.copy_out("/home/someone/src/file", sink)
    sink.seek(0)
    with tarfile.open(fileobj=sink) as archive:
        member = archive.next()
        assert member is not None
        assert (member.uid, member.gid) == (1000, 1000)


def test_names_follow_the_rules_of_cp(runtime, container, host, tmp_path):
    name = container.name
    runtime.copy(host / "file", f"{name}:/tmp")
    runtime.copy(host / "file", f"{name}:/tmp/renamed")
    runtime.copy(f"{host}/.", f"{name}:/home")
    runtime.copy(host, f"{name}:/home")
    assert container.stat("/tmp/file").size == container.stat("tmp/renamed").size == 5
    assert container.stat("/home/inner/deep").size == container.stat("/home/src/inner/deep").size == 5
    (tmp_path / "new").write_text("newer text\n")
    runtime.copy(tmp_path / "new", f"{name}:/tmp/renamed")
    assert content(container, "/tmp/renamed") == b"newer text\n"
    target = tmp_path / "target"
    target.mkdir()
    runtime.copy(f"{name}:/home/inner", target)
    runtime.copy(f"{name}:/home/inner/.", target / "only")
    assert sorted(os.listdir(target)) == ["inner", "only"]
    assert os.listdir(target / "only") == ["deep"]


@pytest.mark.parametrize(
    ("source", "destination", "words"),
    [
        ("{c}:/nowhere", "{h}/x", '"/nowhere" could not be found on container'),
        ("{h}/nowhere", "{c}:/tmp", "could not be found on the host"),
        ("{h}/file", "{c}:/tmp/missing/", '"/tmp/missing/" could not be found on container'),
        ("{h}/file", "{c}:/missing/x", "could not be found on container"),
        ("{h}", "{c}:/etc/passwd", "destination must be a directory"),
        ("{c}:/etc", "{h}/file", "destination must be a directory"),
        ("{c}:/etc/passwd", "{h}/missing/x", "could not be found on the host"),
        ("{h}/file", "{h}/other", "neither side is in a container"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(runtime, host, source, destination, words):
    runtime.create("bb:1", *SLEEP, name="refusing")
    filled = [text.format(c="refusing", h=host) for text in (source, destination)]
    with pytest.raises(libpod.LibpodError, match=words):
        runtime.copy(*filled)


def test_links_of_the_container_never_lead_out_of_it(runtime, container, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret\n")
    depth = "/".join([".."] * 20)
    container.copy_in(
        tar_of(
            entry("tmp/out", tarfile.SYMTYPE, str(outside)),
            entry("tmp/up", tarfile.SYMTYPE, f"{depth}{outside}"),
        )
    )
    for path in ("/tmp/out/secret", "/tmp/up/secret", f"/tmp/{depth}{outside}/secret"):
        with pytest.raises(libpod.NoSuchPathError):
            out(container, path)
    with pytest.raises(libpod.LibpodError):
        container.copy_in(tar_of(entry("x"), data=b"!"), "/tmp/out")
    assert os.listdir(outside) == ["secret"]


@pytest.mark.parametrize(
    "entries",
    [
        (entry("../../escape"),),
        (entry("a/../../escape"),),
        (entry("l", tarfile.SYMTYPE, "/"), entry("l/escape")),
        (entry("h", tarfile.LNKTYPE, "../../../etc/passwd"),),
    ],
    ids=["up", "up later", "through its own link", "hard link"],
)
def test_a_hostile_tar_is_refused(runtime, container, entries):
    with pytest.raises(libpod.InvalidArgumentError):
        container.copy_in(tar_of(*entries), "/tmp")
    with pytest.raises(libpod.NoSuchPathError):
        container.stat("/escape")


def test_links_of_the_image_are_followed_inside(runtime, container):
    container.copy_in(tar_of(entry("var/link", tarfile.SYMTYPE, "/home"), entry("home/file"), data=b"1"))
    container.copy_in(tar_of(entry("var/link/second"), data=b"22"), "/")
    assert container.stat("/home/second").size == 2
    found = container.stat("/var/link/file")
    assert (found.name, found.path) == ("file", "/var/link/file")
    container.copy_in(tar_of(entry("tmp/to-file", tarfile.SYMTYPE, "/home/file")))
    assert container.stat("/tmp/to-file").path == "/home/file"
    assert names(out(container, "/tmp/to-file")) == ["file"]


def test_a_file_is_written_through_a_link_as_a_process_inside_would(runtime, container, tmp_path):
    container.copy_in(tar_of(entry("tmp/lf", tarfile.SYMTYPE, "../etc/image-file")))
    (tmp_path / "f").write_text("through\n")
    runtime.copy(tmp_path / "f", f"{container.name}:/tmp/lf")
    assert content(container, "/etc/image-file") == b"through\n"


def test_directories_and_files_replace_each_other_only_when_asked(runtime, container):
    container.copy_in(tar_of(entry("tmp/d", tarfile.DIRTYPE, mode=0o755), entry("tmp/f"), data=b"f"))
    with pytest.raises(libpod.InvalidArgumentError, match="does not take the place"):
        container.copy_in(tar_of(entry("d"), data=b"x"), "/tmp")
    with pytest.raises(libpod.InvalidArgumentError, match="does not take the place"):
        container.copy_in(tar_of(entry("f", tarfile.DIRTYPE)), "/tmp")
    container.copy_in(tar_of(entry("d"), data=b"x"), "/tmp", overwrite=True)
    assert not container.stat("/tmp/d").is_directory


def test_volumes_and_binds_are_part_of_the_container(runtime, tmp_path):
    (tmp_path / "bound").mkdir()
    (tmp_path / "fixed").mkdir()
    container = runtime.create(
        "bb:1", *SLEEP, name="vols",
        volumes=("vol:/data", f"{tmp_path}/bound:/data/bound", f"{tmp_path}/fixed:/fixed:ro"),
    )  # fmt: skip
    container.copy_in(tar_of(entry("a"), entry("bound/b"), data=b"here"), "/data")
    assert (Path(runtime.volume("vol").mount_point) / "a").read_bytes() == b"here"
    assert (tmp_path / "bound/b").read_bytes() == b"here"
    with pytest.raises(libpod.LibpodError, match="Read-only"):
        container.copy_in(tar_of(entry("c"), data=b"no"), "/fixed")
    assert sorted(names(out(container, "/data/."))) == ["a", "bound", "bound/b"]
    container.start()
    assert sorted(names(out(container, "/data"))) == ["data", "data/a", "data/bound", "data/bound/b"]


def test_a_tmpfs_is_seen_while_the_container_runs(runtime):
    container = runtime.create("bb:1", "sh", "-c", "echo hi > /dev/shm/f; sleep 1000", name="tm")
    container.start()
    until(lambda: _has(container, "/dev/shm/f"))
    assert content(container, "/dev/shm/f") == b"hi\n"


def _has(container: libpod.Container, path: str) -> bool:
    try:
        return container.stat(path).size > 0
    except libpod.NoSuchPathError:
        return False


def test_containers_copy_to_each_other_and_to_themselves(runtime, host):
    runtime.create("bb:1", *SLEEP, name="one")
    two = runtime.create("bb:1", *SLEEP, name="two")
    two.start()
    runtime.copy(host, "one:/tmp/tree")
    runtime.copy("one:/tmp/tree", "two:/tmp/tree")
    runtime.copy("two:/tmp/tree", "two:/home/twice")
    assert two.stat("/home/twice/inner/deep").size == 5


def test_nothing_of_the_containers_rights_reaches_the_host(runtime, tmp_path):
    container = runtime.create("bb:1", *SLEEP, name="rights")
    device = entry("tmp/dev", tarfile.CHRTYPE)
    device.devmajor, device.devminor = 1, 3
    container.copy_in(tar_of(entry("tmp/suid", mode=0o6755), device, data=b"#!"))
    assert stat.S_IMODE(container.stat("/tmp/suid").mode) == 0o6755
    runtime.copy("rights:/tmp", tmp_path / "out")
    assert stat.S_IMODE((tmp_path / "out/suid").stat().st_mode) == 0o755
    assert not (tmp_path / "out/dev").exists()


def test_the_whole_root_comes_without_the_kernels_file_systems(runtime, container):
    found = names(out(container, "/"))
    assert "bin/busybox" in found
    assert not [name for name in found if name.split("/")[0] in ("proc", "sys", "dev")]


def test_compressed_tars_are_unpacked_too(runtime, container):
    import gzip

    packed = gzip.compress(tar_of(entry("zipped"), data=b"z").getvalue())
    container.copy_in(io.BytesIO(packed), "/tmp")
    assert content(container, "/tmp/zipped") == b"z"


def test_a_damaged_tar_is_said_to_be_one(runtime, container):
    with pytest.raises(libpod.LibpodError, match="the tar for /tmp"):
        container.copy_in(io.BytesIO(b"x" * 2048), "/tmp")


def test_a_container_can_be_started_after_a_copy_into_it(runtime, host):
    container = runtime.create("bb:1", "cat", "/tmp/file", name="later")
    runtime.copy(host / "file", "later:/tmp")
    container.start()
    assert container.wait(timeout=60) == 0
