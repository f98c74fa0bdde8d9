"""Every step of both pipelines fails once, with a real container: nothing is lost, and nothing is left."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import libpod
from libpod import ContainerStatus
from libpod.container_internal import checkpointing
from libpod.define.errors import last_lines
from tests.engines import COUNT, Engine, counts_on, last_count, until
from tests.network.conftest import containers, directory, host, machines  # noqa: F401
from tests.runtime.moves import (
    CHECKPOINTS,
    IMAGE,
    IMPORT,
    RESTORE,
    TO_IMAGE,
    WAYS,
    belongings,
    forget_image,
    is_woken_by_itself,
    phases_in_the_product,
    small_disk,
    small_engine,
)


class Stopped(Exception):
    """The fault: whoever asked does not want it any more."""


def failing_at(wanted: str) -> Any:
    def progress(phase: str, done: int, total: int) -> None:
        if phase == wanted:
            raise Stopped(phase)

    return progress


@pytest.fixture
def counter(runtime):
    forget_image(runtime)
    container = runtime.run("bb:1", "sh", "-c", COUNT, name="counter", network="none")
    counts_on(container, 2)
    return container


def test_every_phase_of_the_product_is_made_to_fail():
    """Who adds a phase adds it to the ways of tests/runtime/moves.py, and so to the tests of faults and of kills."""
    assert phases_in_the_product() == {phase for way in WAYS for phase in way.phases}


@pytest.mark.parametrize("way", CHECKPOINTS, ids=lambda way: way.name)
def test_a_checkpoint_that_fails_in_any_phase_leaves_the_container_running(runtime, counter, tmp_path, way):
    target = tmp_path / "c.tar.gz" if way.exports else None
    for phase in way.phases:
        if phase in way.over:
            continue
        at = last_count(counter)
        with pytest.raises(Stopped, match=phase):
            runtime.checkpoint(counter, export=target, progress=failing_at(phase), **way.options)
        assert counter.status() is ContainerStatus.RUNNING, phase
        counts_on(counter, at)
        assert os.listdir(tmp_path) == [], phase
        assert belongings(runtime)["staging"] == [], phase
        assert is_woken_by_itself(counter), phase
        assert counter.run("echo", "it answers").stdout == b"it answers\n"
        assert IMAGE not in [name for image in runtime.images() for name in image.names], phase
    # After all those failures it can still be done.
    runtime.checkpoint(counter, export=target, **way.options)
    forget_image(runtime)


@pytest.mark.parametrize("way", [way for way in CHECKPOINTS if way.over], ids=lambda way: way.name)
def test_once_it_is_made_a_checkpoint_is_kept_whatever_fails_afterwards(runtime, counter, tmp_path, way):
    target = tmp_path / "c.tar.gz" if way.exports else None
    at = last_count(counter)
    with pytest.raises(Stopped):
        runtime.checkpoint(counter, export=target, progress=failing_at(way.over[0]), **way.options)
    assert counter.state().checkpointed
    assert counter.status() in {ContainerStatus.STOPPED, ContainerStatus.EXITED}
    if way is TO_IMAGE:
        counter.remove()
        counter = runtime.restore(image=IMAGE)
        forget_image(runtime)
    elif target is None:
        runtime.restore(counter)
    else:
        counter.remove()
        counter = runtime.restore(import_=target)
    counts_on(counter, at)


def test_a_restore_in_place_that_fails_can_be_repeated(runtime, counter):
    at = last_count(counter)
    runtime.checkpoint(counter)
    for phase in RESTORE.phases:
        with pytest.raises(Stopped, match=phase):
            runtime.restore(counter, progress=failing_at(phase))
        state = counter.state()
        assert (state.status, state.checkpointed) == (ContainerStatus.EXITED, True), phase
        assert (state.pid, state.mounted, state.netns) == (0, False, ""), phase
    runtime.restore(counter)
    counts_on(counter, at)


def test_an_import_that_fails_in_any_phase_leaves_nothing(runtime, other_engine: Engine, tmp_path):
    container = runtime.run(
        "bb:1", "sh", "-c", COUNT, name="counter", network="none", volumes=["travels:/data", "/anonymous"]
    )
    container.run("sh", "-c", "echo x > /data/x; echo y > /new")
    at = counts_on(container, 2)
    runtime.checkpoint(container, export=tmp_path / "c.tar.gz")
    with other_engine.runtime() as other:
        before = belongings(other)
        for phase in IMPORT.phases:
            with pytest.raises(Stopped, match=phase):
                other.restore(import_=tmp_path / "c.tar.gz", progress=failing_at(phase))
            assert belongings(other) == before, phase
            assert other_engine.leftovers() == [], phase
        twin = other.restore(import_=tmp_path / "c.tar.gz")
        counts_on(twin, at)
        assert twin.run("cat", "/data/x", "/new").stdout == b"x\ny\n"


def test_an_auto_remove_container_survives_every_failure(runtime, tmp_path):
    container = runtime.run("bb:1", "sh", "-c", COUNT, name="gone", network="none", auto_remove=True)
    counts_on(container, 1)
    for options in ({}, {"tcp_established": True}):
        for phase in (checkpointing.FREEZING, checkpointing.PACKING):
            at = last_count(container)
            with pytest.raises(Stopped):
                runtime.checkpoint("gone", export=tmp_path / "c.tar", progress=failing_at(phase), **options)
            counts_on(container, at)
    assert os.listdir(tmp_path) == []


# ---- real causes ---------------------------------------------------------------------------------------------------


@pytest.fixture
def heavy(runtime, programs):
    """A container with 48 MiB that cannot be compressed."""
    options = {"network": "none", "name": "heavy", "volumes": [f"{programs}:/mnt:ro"]}
    container = runtime.run("bb:1", "/mnt/memory", "48", **options)
    counts_on(container, 1)
    return container


def test_the_disk_is_full_while_dumping(shared_engine: Engine, short_tmp: Path, programs):
    with small_engine(short_tmp / "full1", 32, shared_engine) as small, small.runtime() as runtime:
        options = {"network": "none", "volumes": [f"{programs}:/mnt:ro"]}
        container = runtime.run("bb:1", "/mnt/memory", "48", **options)
        at = counts_on(container, 1)
        for export in (None, short_tmp / "dumped.tar"):
            with pytest.raises(libpod.CheckpointError) as caught:
                runtime.checkpoint(container, export=export)
            assert "the disk is full" in caught.value.cause
            assert caught.value.resolution
            at = counts_on(container, at)
            assert is_woken_by_itself(container)
        assert not (short_tmp / "dumped.tar").exists()


@pytest.mark.parametrize("options", [{}, {"leave_running": True}, {"tcp_established": True}], ids=str)
@pytest.mark.parametrize("suffix", ["tar", "tar.zst"])
def test_the_disk_is_full_while_packing(runtime, heavy, short_tmp, options, suffix):
    at = last_count(heavy)
    with small_disk(short_tmp / "packing", 16) as disk:
        with pytest.raises(libpod.CheckpointError) as caught:
            runtime.checkpoint(heavy, export=disk / f"c.{suffix}", **options)
        assert "free some space" in str(caught.value)
        assert caught.value.step == checkpointing.PACKING
        assert os.listdir(disk) == []
    counts_on(heavy, at)
    assert heavy.status() is ContainerStatus.RUNNING
    assert is_woken_by_itself(heavy)


def test_the_disk_is_full_while_unpacking(runtime, heavy, shared_engine: Engine, short_tmp, tmp_path):
    runtime.checkpoint(heavy, export=tmp_path / "c.tar.zst", leave_running=True)
    with small_engine(short_tmp / "full2", 32, shared_engine) as small, small.runtime() as other:
        before = belongings(other)
        with pytest.raises(libpod.ArchiveError, match="free"):
            other.restore(import_=tmp_path / "c.tar.zst")
        assert belongings(other) == before
        assert small.leftovers() == []


def test_the_disk_is_full_while_files_are_put_in_place(
    runtime, counter, shared_engine: Engine, short_tmp, tmp_path
):
    counter.run("dd", "if=/dev/urandom", "of=/big", "bs=1M", "count=24")
    runtime.checkpoint(counter, export=tmp_path / "c.tar.zst", leave_running=True)
    with small_engine(short_tmp / "full3", 48, shared_engine) as small, small.runtime() as other:
        before = belongings(other)
        with pytest.raises(libpod.LibpodError, match="No space left"):
            other.restore(import_=tmp_path / "c.tar.zst")
        assert belongings(other) == before
        assert small.leftovers() == []


@pytest.fixture
def archive(runtime, counter, tmp_path) -> Path:
    counter.run("sh", "-c", "head -c 100000 /bin/busybox > /changed; rm /etc/image-file")
    runtime.checkpoint(counter, export=tmp_path / "good.tar", leave_running=True)
    return tmp_path / "good.tar"


def test_an_archive_that_is_cut_anywhere_leaves_nothing(archive, other_engine: Engine, tmp_path):
    data = archive.read_bytes()
    with other_engine.runtime() as other:
        before = belongings(other)
        for cut in range(1, len(data) - 1024, len(data) // 24):  # behind that are only the zeros of the end
            (tmp_path / "cut.tar").write_bytes(data[:cut])
            with pytest.raises(libpod.ArchiveError):
                other.restore(import_=tmp_path / "cut.tar")
            assert belongings(other) == before, cut
    assert other_engine.leftovers() == []


def test_images_that_were_tampered_with_are_refused_and_leave_nothing(
    archive, other_engine: Engine, tmp_path
):
    data = bytearray(archive.read_bytes())
    with other_engine.runtime() as other:
        before = belongings(other)
        for member in (b"checkpoint/pstree.img", b"checkpoint/core-1.img", b"checkpoint/inventory.img"):
            damaged = bytearray(data)
            start = damaged.index(member + b"\0") + 512
            damaged[start : start + 24] = bytes(24)
            (tmp_path / "bad.tar").write_bytes(damaged)
            with pytest.raises(libpod.LibpodError) as caught:
                other.restore(import_=tmp_path / "bad.tar")
            assert "errno 0" not in str(caught.value)
            assert belongings(other) == before, member
    assert other_engine.leftovers() == []


def test_the_image_is_missing(archive, empty_engine: Engine):
    with empty_engine.runtime() as other:
        before = belongings(other)
        with pytest.raises(libpod.RestoreError, match="localhost/bb:1"):
            other.restore(import_=archive)
        assert belongings(other) == before


def test_a_volume_exists_already_or_does_not_come_along(runtime, other_engine: Engine, tmp_path):
    container = runtime.run("bb:1", "sh", "-c", COUNT, network="none", volumes=["mine:/data"])
    counts_on(container, 1)
    runtime.checkpoint(container, export=tmp_path / "with.tar", leave_running=True)
    runtime.checkpoint(container, export=tmp_path / "without.tar", ignore_volumes=True)
    with other_engine.runtime() as other:
        before = belongings(other)
        with pytest.raises(libpod.ArchiveError, match="mine") as caught:
            other.restore(import_=tmp_path / "without.tar")
        assert "ignore_volumes" in str(caught.value)
        assert belongings(other) == before
        other.create_volume("mine")
        before = belongings(other)
        with pytest.raises(libpod.RestoreError, match="volume mine, which exists already"):
            other.restore(import_=tmp_path / "with.tar")
        assert belongings(other) == before
        counts_on(other.restore(import_=tmp_path / "without.tar", ignore_volumes=True), 1)


def test_the_source_of_a_bind_mount_is_missing(runtime, other_engine: Engine, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    container = runtime.run("bb:1", "sh", "-c", COUNT, network="none", volumes=[f"{source}:/data"])
    counts_on(container, 1)
    runtime.checkpoint(container, export=tmp_path / "c.tar")
    source.rmdir()
    with other_engine.runtime() as other:
        before = belongings(other)
        with pytest.raises(libpod.LibpodError, match=str(source)):
            other.restore(import_=tmp_path / "c.tar")
        assert belongings(other) == before
        source.mkdir()
        counts_on(other.restore(import_=tmp_path / "c.tar"), 1)


def test_a_name_or_id_is_taken(runtime, counter, archive):
    runtime.create("bb:1", "true", name="taken", network="none")
    before = belongings(runtime)
    for options in ({"name": "taken"}, {}):
        with pytest.raises(libpod.RestoreError):
            runtime.restore(import_=archive, **options)
        assert belongings(runtime) == before
    counts_on(counter, last_count(counter))


@pytest.mark.network
def test_a_port_or_address_is_taken(runtime, host, tmp_path):  # noqa: F811
    container = host.do(
        lambda: runtime.run("bb:1", "sh", "-c", COUNT, name="web", publish=["127.0.0.1:8080:80"])
    )
    counts_on(container, 1)
    host.do(lambda: runtime.checkpoint(container, export=tmp_path / "c.tar"))
    container.remove()
    taker = host.do(lambda: runtime.run("bb:1", "sleep", "1000", name="taker", publish=["127.0.0.1:8080:80"]))
    before = belongings(runtime)
    asked = (({}, "container taker"), ({"publish": ["127.0.0.1:8081:80"]}, "address 10.77.0.2"))
    for options, wanted in asked:
        with pytest.raises(libpod.RestoreError, match=f"container web failed.*{wanted}"):
            host.do(lambda options=options: runtime.restore(import_=tmp_path / "c.tar", **options))
        assert belongings(runtime) == before
    host.do(lambda: taker.remove(force=True, timeout=0))
    web = host.do(lambda: runtime.restore(import_=tmp_path / "c.tar"))
    counts_on(web, 1)
    host.do(lambda: web.remove(force=True, timeout=0))
    assert host.links() == {"lo"}


def test_what_criu_refuses_leaves_an_auto_remove_container_running(runtime, programs, tmp_path):
    options = {"network": "none", "volumes": [f"{programs}:/mnt:ro"], "auto_remove": True}
    container = runtime.run("bb:1", "/mnt/locker", **options)
    at = counts_on(container, 1)
    for more in ({}, {"tcp_established": True}, {"leave_running": True}):
        with pytest.raises(libpod.CheckpointError, match="file locks") as caught:
            runtime.checkpoint(container, export=tmp_path / "x.tar", **more)
        assert caught.value.log is not None
        assert last_lines(Path(caught.value.log).read_text())
        at = counts_on(container, at)
    assert os.listdir(tmp_path) == []


def test_an_export_whose_container_cannot_be_woken_again_keeps_its_images(
    runtime, counter, tmp_path, monkeypatch
):
    """The disk is full and then CRIU fails as well: the container is not lost, only stopped."""
    from libpod.container_internal import restoring

    at = last_count(counter)

    def fails(*_: object) -> None:
        raise libpod.RestoreError(container="counter", step="waking", cause="no luck today")

    monkeypatch.setattr(restoring, "wake_again", fails)
    with pytest.raises(Stopped) as caught:
        runtime.checkpoint(
            counter,
            export=tmp_path / "c.tar",
            tcp_established=True,
            progress=failing_at(checkpointing.PACKING),
        )
    assert "no luck today" in "".join(caught.value.__notes__)
    monkeypatch.undo()
    assert counter.state().checkpointed
    until(lambda: counter.status(), lambda status: status is ContainerStatus.EXITED)
    runtime.restore(counter)
    counts_on(counter, at)
