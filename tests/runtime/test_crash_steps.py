"""Every step of both pipelines is killed -9, with a real container: the next process finds out and repairs.

A process is killed at the beginning of every phase, and somewhere within the long ones. Wherever that is: the container
runs and counts, or can be restored and counts then; of an import nothing is left.
"""

from __future__ import annotations

import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from libpod import ContainerStatus
from libpod.checkpoint import members
from libpod.container_internal import checkpointing, restoring
from libpod.linux import cgroups
from libpod.runtime_import import FILLING, UNPACKING
from tests.engines import COUNT, Engine, conmons_of, counts_on, last_count, until
from tests.runtime.moves import CHECKPOINTS, IMAGE, IMPORT, RESTORE, belongings, forget_image, kill_at

STOPPED = {ContainerStatus.STOPPED, ContainerStatus.EXITED}


def survives(engine: Engine, name: str, at: int, archive: Path | None = None) -> None:
    """With a new process: the container counts on from *at*, if need be after it was restored; nothing else is left.

    When the kill came after the last step, the archive or the image is its checkpoint and its own images may be gone.
    """
    with engine.runtime() as runtime:
        container = runtime.container(name)
        state = container.state()
        if state.status in STOPPED:
            assert state.checkpointed, "it ended, and there is no checkpoint of it"
            directory = runtime.root / "overlay-containers" / container.id / "userdata"
            if (directory / members.CHECKPOINT_DIR / members.INVENTORY).exists():
                runtime.restore(container)
            else:
                container.remove()
                if archive is not None and archive.exists():
                    container = runtime.restore(import_=archive)
                else:
                    assert any(IMAGE in image.names for image in runtime.images()), (
                        "its checkpoint is nowhere"
                    )
                    container = runtime.restore(image=IMAGE)
        assert container.status() is ContainerStatus.RUNNING
        assert not is_frozen(runtime, container)
        counts_on(container, max(at, last_count(container)))
        assert container.run("echo", "it answers").stdout == b"it answers\n"
        assert [listed.id for listed in runtime.containers()] == [container.id]
        assert belongings(runtime)["staging"] == []
        assert len(until(lambda: conmons_of(engine.root), lambda found: len(found) == 1)) == 1


def is_frozen(runtime: Any, container: Any) -> bool:
    directory = cgroups.freezer_directory(f"/libpod_parent/libpod-{container.id}")
    return directory is not None and cgroups.is_frozen(directory)


def is_whole_or_absent(path: Path) -> None:
    """An archive under the target name is complete; no other name was left."""
    assert set(os.listdir(path.parent)) <= {path.name}
    if path.exists():
        with tarfile.open(path) as archive:
            names = archive.getnames()
        assert "checkpoint/inventory.img" in names
        path.unlink()


@pytest.fixture
def counter(runtime):
    container = runtime.run("bb:1", "sh", "-c", COUNT, name="counter", network="none")
    counts_on(container, 2)
    return container


@pytest.fixture
def heavy(runtime, programs):
    options = {"network": "none", "name": "heavy", "volumes": [f"{programs}:/mnt:ro"]}
    container = runtime.run("bb:1", "/mnt/memory", "64", **options)
    counts_on(container, 1)
    return container


@pytest.mark.parametrize("way", CHECKPOINTS, ids=lambda way: way.name)
def test_a_checkpoint_that_is_killed_in_any_phase(engine: Engine, runtime, counter, tmp_path, way):
    options = dict(way.options, container="counter")
    if way.exports:
        options["export"] = tmp_path / "c.tar"
    for phase in way.phases:
        forget_image(runtime)
        at = last_count(counter)
        kill_at(engine, "checkpoint", phase, **options)
        survives(engine, "counter", at, tmp_path / "c.tar")
        is_whole_or_absent(tmp_path / "c.tar")


@pytest.mark.parametrize("way", CHECKPOINTS, ids=lambda way: way.name)
def test_a_checkpoint_that_is_killed_while_memory_is_dumped(engine: Engine, heavy, tmp_path, way):
    options = dict(way.options, container="heavy")
    if way.exports:
        options["export"] = tmp_path / "c.tar.gz"
    for delay in (0.01, 0.08, 0.3):
        at = last_count(heavy)
        kill_at(engine, "checkpoint", checkpointing.FREEZING, delay=delay, **options)
        survives(engine, "heavy", at, tmp_path / "c.tar.gz")
        is_whole_or_absent(tmp_path / "c.tar.gz")


@pytest.mark.parametrize("way", [way for way in CHECKPOINTS if way.exports], ids=lambda way: way.name)
def test_a_checkpoint_that_is_killed_while_the_archive_is_written(engine: Engine, heavy, tmp_path, way):
    for delay in (0.02, 0.2):
        at = last_count(heavy)
        options = dict(way.options, container="heavy", export=tmp_path / "c.tar.gz")
        kill_at(engine, "checkpoint", checkpointing.PACKING, delay=delay, **options)
        survives(engine, "heavy", at, tmp_path / "c.tar.gz")
        is_whole_or_absent(tmp_path / "c.tar.gz")


def test_a_listing_thaws_what_a_killed_checkpoint_left_frozen(engine: Engine, runtime, counter, tmp_path):
    """Also in a process that had opened the engine before."""
    kill_at(engine, "checkpoint", checkpointing.PACKING, container="counter", export=tmp_path / "c.tar")
    assert is_frozen(runtime, counter)
    assert [listed.status for listed in runtime.containers()] == [ContainerStatus.RUNNING]
    assert until(lambda: is_frozen(runtime, counter), lambda frozen: not frozen) is False
    counts_on(counter, last_count(counter))


def test_an_auto_remove_container_survives_the_kill_of_its_export(engine: Engine, runtime, tmp_path):
    container = runtime.run("bb:1", "sh", "-c", COUNT, name="gone", network="none", auto_remove=True)
    at = counts_on(container, 1)
    for options in ({}, {"tcp_established": True}):
        kill_at(
            engine, "checkpoint", checkpointing.PACKING, container="gone", export=tmp_path / "c.tar", **options
        )  # fmt: skip
        survives(engine, "gone", at, tmp_path / "c.tar")
        is_whole_or_absent(tmp_path / "c.tar")


def test_a_restore_in_place_that_is_killed(engine: Engine, runtime, heavy):
    at = last_count(heavy)
    kills = [(phase, None) for phase in RESTORE.phases]
    kills += [(restoring.PREPARING, 0.05)] + [(restoring.WAKING, delay) for delay in (0.02, 0.1, 0.3)]
    for phase, delay in kills:
        runtime.checkpoint("heavy")
        kill_at(engine, "restore", phase, delay=delay, container="heavy")
        survives(engine, "heavy", at)


@pytest.fixture
def archive(runtime, programs, tmp_path) -> Path:
    options = {
        "network": "none",
        "name": "traveller",
        "volumes": [f"{programs}:/mnt:ro", "bag:/bag", "/anonymous"],
    }
    container = runtime.run("bb:1", "/mnt/memory", "32", **options)
    container.run("sh", "-c", "echo x > /bag/x; head -c 20000000 /dev/urandom > /big")
    counts_on(container, 1)
    runtime.checkpoint(container, export=tmp_path / "t.tar.gz")
    return tmp_path / "t.tar.gz"


def test_an_import_that_is_killed_leaves_nothing(archive, other_engine: Engine):
    with other_engine.runtime() as other:
        before = belongings(other)
    kills: list[tuple[str, float | None]] = [(phase, None) for phase in IMPORT.phases]
    kills += [(UNPACKING, 0.1), (FILLING, 0.03), (restoring.WAKING, 0.03), (restoring.WAKING, 0.15)]
    for phase, delay in kills:
        kill_at(other_engine, "restore", phase, delay=delay, import_=archive)
        with other_engine.runtime() as other:
            woken = [listed for listed in other.containers() if listed.status is ContainerStatus.RUNNING]
            if woken and delay is not None:
                # The kill came when all was done.
                counts_on(other.container("traveller"), 1)
                other.container("traveller").remove(force=True, timeout=0, volumes=True)
                other.volume("bag").remove()
            assert belongings(other) == before, (phase, delay)
        assert other_engine.leftovers() == [], (phase, delay)
    with other_engine.runtime() as other:
        counts_on(other.restore(import_=archive), 1)


def test_opening_costs_two_looks_when_all_is_well(engine: Engine, counter, monkeypatch):
    from libpod import runtime_repair

    def never(*_: object) -> None:
        raise AssertionError("nobody was killed")

    monkeypatch.setattr(runtime_repair, "repair", never)
    with engine.runtime() as runtime:
        counts_on(runtime.container("counter"), 1)
