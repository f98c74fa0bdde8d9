"""With leave_running, files, volumes, /dev/shm and log are of the same instant as the memory."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from tests.engines import Engine, counts_on, last_count, lines

BALLAST = 48 << 20
"""Bytes in the volume, so that packing takes long enough to be overtaken."""


def inner(archive: tarfile.TarFile, member: str, name: str) -> bytes:
    """A file in a tar in an archive."""
    stream = archive.extractfile(member)
    assert stream is not None
    with tarfile.open(fileobj=io.BytesIO(stream.read())) as tree:
        content = tree.extractfile(name)
        assert content is not None
        return content.read()


@pytest.fixture
def stepper(runtime, programs):
    options = {"network": "none", "name": "stepper", "volumes": [f"{programs}:/mnt:ro", "steps:/data"]}
    container = runtime.run("bb:1", "/mnt/stepper", **options)
    counts_on(container, 100)
    (runtime.volume("steps").mount_point / "ballast").write_bytes(os.urandom(BALLAST))
    return container


@pytest.mark.parametrize("suffix", ["tar", "tar.zst"])
def test_all_that_counts_agrees_within_one_step(runtime, stepper, other_engine: Engine, tmp_path, suffix):
    path = tmp_path / f"s.{suffix}"
    runtime.checkpoint(stepper, export=path, leave_running=True)
    root, volume, shm, logged = counts_in(path, tmp_path)
    assert root >= volume >= shm >= logged >= root - 1
    # The source went on, and lost nothing by it.
    counts_on(stepper, last_count(stepper) + 100)
    check_complete(stepper)
    with other_engine.runtime() as other:
        twin = other.restore(import_=path)
        # The memory is the number that the log goes on with.
        counts_on(twin, logged + 100)
        check_complete(twin)
        assert twin.run("test", "-s", "/data/ballast").exit_code == 0


def counts_in(path: Path, tmp_path: Path) -> tuple[int, int, int, int]:
    plain = path
    if path.suffix == ".zst":
        from backports import zstd

        plain = tmp_path / "plain.tar"
        with zstd.open(path, "rb") as stream:
            plain.write_bytes(stream.read())
    with tarfile.open(plain) as archive:
        log = archive.extractfile("ctr.log")
        assert log is not None
        return (
            int(inner(archive, "rootfs-diff.tar", "var/counter")),
            int(inner(archive, "volumes/steps.tar", "./counter")),
            int(inner(archive, "devshm-checkpoint.tar", "./counter")),
            int(log.read().decode().splitlines()[-1].split()[-1]),
        )


def check_complete(container) -> None:
    seen = [int(line) for line in lines(container)]
    assert seen == list(range(1, len(seen) + 1)), "a number was lost, or came twice"


def test_again_and_again_nothing_is_lost(runtime, stepper, tmp_path):
    """Ten copies of a container that runs on: each cut falls elsewhere in its step."""
    for number in range(10):
        path = tmp_path / f"{number}.tar"
        runtime.checkpoint(stepper, export=path, leave_running=True, ignore_volumes=True)
        with tarfile.open(path) as archive:
            root = int(inner(archive, "rootfs-diff.tar", "var/counter"))
            shm = int(inner(archive, "devshm-checkpoint.tar", "./counter"))
            log = archive.extractfile("ctr.log")
            assert log is not None
            logged = int(log.read().decode().splitlines()[-1].split()[-1])
        assert root >= shm >= logged >= root - 1
    check_complete(stepper)
