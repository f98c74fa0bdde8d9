"""Bad input gives one clear sentence and leaves everything as it was."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import libpod
from libpod import ContainerStatus
from tests.engines import COUNT, Engine, counts_on, last_count


@pytest.fixture
def counter(runtime):
    container = runtime.run("bb:1", "sh", "-c", COUNT, name="counter", network="none")
    counts_on(container, 1)
    return container


@pytest.fixture
def archive(runtime, counter, tmp_path):
    runtime.checkpoint("counter", export=tmp_path / "good.tar.gz", leave_running=True)
    return tmp_path / "good.tar.gz"


def sentence(error: BaseException) -> str:
    text = str(error)
    assert text
    assert "\n" not in text, "an error is one line"
    return text


def test_no_such_container(runtime):
    with pytest.raises(libpod.NoSuchContainerError) as caught:
        runtime.checkpoint("xyzzy")
    assert "xyzzy" in sentence(caught.value)


def test_a_container_that_does_not_run(runtime, tmp_path):
    runtime.create("bb:1", "true", name="still", network="none")
    with pytest.raises(libpod.ContainerStateError) as caught:
        runtime.checkpoint("still", export=tmp_path / "x.tar")
    assert (
        sentence(caught.value)
        == "cannot checkpoint container still: it is created, must be running: start it first"
    )
    assert not (tmp_path / "x.tar").exists()


def test_a_restore_without_a_checkpoint(runtime):
    runtime.create("bb:1", "true", name="still", network="none")
    with pytest.raises(libpod.InvalidStateError, match="no checkpoint of container still"):
        runtime.restore("still")


@pytest.mark.parametrize(
    "content", [b"", b"this is no archive", b"\x1f\x8b\x08junk", b"\x28\xb5\x2f\xfdjunk", b"\0" * 4096]
)
def test_a_file_that_is_no_archive(engine: Engine, runtime, tmp_path, content):
    (tmp_path / "no.tar").write_bytes(content)
    with pytest.raises(libpod.ArchiveError) as caught:
        runtime.restore(import_=tmp_path / "no.tar")
    assert "no.tar" in sentence(caught.value)
    assert runtime.containers() == []


def test_a_file_that_does_not_exist(runtime, tmp_path):
    with pytest.raises(libpod.LibpodError, match=r"absent\.tar"):
        runtime.restore(import_=tmp_path / "absent.tar")


@pytest.mark.parametrize("part", [0.02, 0.3, 0.7, 0.98])
def test_a_truncated_archive_leaves_nothing_behind(archive, other_engine: Engine, tmp_path, part):
    data = archive.read_bytes()
    (tmp_path / "cut.tar.gz").write_bytes(data[: int(len(data) * part)])
    with other_engine.runtime() as other:
        with pytest.raises(libpod.ArchiveError) as caught:
            other.restore(import_=tmp_path / "cut.tar.gz")
        sentence(caught.value)
        assert other.containers() == []
    assert other_engine.leftovers() == []


def test_an_image_that_is_missing_on_the_destination(archive, empty_engine: Engine):
    with empty_engine.runtime() as other:
        with pytest.raises(libpod.LibpodError) as caught:
            other.restore(import_=archive)
        assert "localhost/bb:1" in sentence(caught.value)
        assert "pull, load or import" in sentence(caught.value)
        assert other.containers() == []


def test_a_name_in_use(runtime, counter, archive):
    runtime.create("bb:1", "true", name="taken", network="none")
    with pytest.raises(libpod.LibpodError, match="taken"):
        runtime.restore(import_=archive, name="taken")
    with pytest.raises(libpod.LibpodError, match="counter"):
        runtime.restore(import_=archive)
    assert counter.status() is ContainerStatus.RUNNING
    assert len(runtime.containers()) == 2


def test_a_criu_that_cannot_work(engine: Engine, counter, tmp_path):
    broken = tmp_path / "criu"
    broken.write_text("#!/bin/sh\necho 'Version: 3.10'\nexit 1\n")
    broken.chmod(0o755)
    with engine.runtime(criu_path=str(broken)) as runtime:
        with pytest.raises(libpod.LibpodError) as caught:
            runtime.checkpoint("counter", export=tmp_path / "x.tar")
        assert "criu" in sentence(caught.value).lower()
    assert not (tmp_path / "x.tar").exists()
    counts_on(counter, last_count(counter))


def test_an_export_into_a_directory_that_does_not_exist(runtime, counter, tmp_path):
    with pytest.raises(libpod.InvalidArgumentError, match="does not exist"):
        runtime.checkpoint("counter", export=tmp_path / "nowhere" / "x.tar")
    counts_on(counter, last_count(counter))


def test_no_root_rights(short_tmp):
    code = (
        "import os, sys; sys.path.insert(0, sys.argv[1])\n"
        "import libpod\n"
        "os.setuid(65534)\n"
        "try:\n    libpod.Runtime(sys.argv[2], sys.argv[2])\n"
        "except libpod.NotPrivilegedError as error:\n    print(error)\n"
    )
    package = os.path.dirname(os.path.dirname(os.path.abspath(libpod.__file__)))
    done = subprocess.run(
        [sys.executable, "-c", code, package, f"{short_tmp}/unprivileged"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "root" in done.stdout, done.stderr
    assert done.stdout.count("\n") == 1


def test_a_process_that_criu_refuses_runs_on(runtime, tmp_path, programs):
    # A file lock without --file-locks is the classic.
    container = runtime.run(
        "bb:1", "/mnt/locker", network="none", name="locked", volumes=[f"{programs}:/mnt:ro"]
    )
    counts_on(container, 1)
    with pytest.raises(libpod.CheckpointError) as caught:
        runtime.checkpoint("locked", export=tmp_path / "x.tar")
    text = sentence(caught.value)
    assert "locked" in text
    assert "lock" in caught.value.cause
    assert "errno 0" not in text
    assert caught.value.log is not None
    assert os.path.exists(caught.value.log)
    counts_on(container, last_count(container))
    assert not (tmp_path / "x.tar").exists()
