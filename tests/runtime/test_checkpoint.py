"""Freeze and wake: in place and through an archive. CRIU is real in every test."""

from __future__ import annotations

import json
import stat
import tarfile

import pytest

import libpod
from libpod import ContainerStatus
from libpod.checkpoint.criu import find_criu
from libpod.checkpoint.criu_images import decode, require_decoder
from tests.engines import COUNT, Engine, conmons_of, counts_on, last_count, lines, until


@pytest.fixture
def counter(runtime):
    container = runtime.run("bb:1", "sh", "-c", COUNT, name="counter", network="none")
    counts_on(container, 2)
    return container


def test_in_place_it_goes_on_where_it_stood(runtime, counter):
    report = runtime.checkpoint("counter")
    assert counter.status() is ContainerStatus.EXITED
    assert counter.state().checkpointed
    assert report.statistics.pages_written > 0
    stood = last_count(counter)
    runtime.restore("counter")
    assert counter.status() is ContainerStatus.RUNNING
    counts_on(counter, stood)
    seen = [int(line) for line in lines(counter)]
    assert seen == list(range(1, len(seen) + 1)), "a number was lost, or came twice"


def test_it_can_be_done_again_and_again(runtime, counter):
    for _ in range(3):
        runtime.checkpoint("counter")
        runtime.restore("counter")
        counts_on(counter, last_count(counter))


def test_leave_running_leaves_it_running(runtime, counter, tmp_path):
    pid = counter.state().pid
    report = runtime.checkpoint("counter", export=tmp_path / "c.tar.gz", leave_running=True)
    assert counter.status() is ContainerStatus.RUNNING
    assert counter.state().pid == pid
    counts_on(counter, last_count(counter))
    assert report.path.stat().st_size == report.archive.size


def test_an_archive_wakes_on_another_host(runtime, counter, other_engine: Engine, tmp_path):
    counter.run("sh", "-c", "echo kept > /kept; rm /etc/image-file; echo shm > /dev/shm/file")
    runtime.checkpoint("counter", export=tmp_path / "c.tar.gz")
    stood = last_count(counter)
    counter.remove()
    with other_engine.runtime() as other:
        twin = other.restore(import_=tmp_path / "c.tar.gz")
        assert (twin.id, twin.name) == (counter.id, "counter")
        counts_on(twin, stood)
        assert twin.run("cat", "/kept", "/dev/shm/file").stdout == b"kept\nshm\n"
        assert twin.run("test", "-e", "/etc/image-file").exit_code == 1
        twin.stop(timeout=0)
        twin.start()
        assert twin.status() is ContainerStatus.RUNNING


def test_another_name_gives_a_new_container(runtime, counter, tmp_path):
    runtime.checkpoint("counter", export=tmp_path / "c.tar", leave_running=True)
    twin = runtime.restore(import_=tmp_path / "c.tar", name="counter-2")
    assert twin.id != counter.id
    counts_on(twin, 1)
    counts_on(counter, last_count(counter))


def test_the_archive_is_podmans(runtime, counter, tmp_path):
    path = tmp_path / "c.tar.gz"
    counter.run("sh", "-c", "echo kept > /kept; rm /etc/image-file")
    runtime.checkpoint("counter", export=path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_bytes()[:3] == b"\x1f\x8b\x08"
    with tarfile.open(path) as archive:
        names = archive.getnames()
        assert names[:2] == ["config.dump", "spec.dump"]
        for name in ("network.status", "checkpoint", "checkpoint/inventory.img", "checkpoint/descriptors.json",
                     "ctr.log", "rootfs-diff.tar", "deleted.files", "devshm-checkpoint.tar", "stats-dump"):  # fmt: skip
            assert name in names, name
        config = json.load(archive.extractfile("config.dump"))
        spec = json.load(archive.extractfile("spec.dump"))
        assert json.load(archive.extractfile("deleted.files")) == ["/etc/image-file"]
    assert (config["id"], config["name"], config["runtime"]) == (counter.id, "counter", "runc")
    assert config["rootfsImageName"] == "localhost/bb:1"
    assert config["rootfsImageID"] == counter.config.rootfs_image_id
    assert config["Dependencies"] is None
    assert spec["annotations"]["io.container.manager"] == "libpod"


@pytest.mark.parametrize(
    ("suffix", "magic"),
    [("tar", b"config.dump"), ("tar.gz", b"\x1f\x8b\x08"), ("tar.zst", b"\x28\xb5\x2f\xfd")],
)
def test_the_suffix_chooses_the_compression_and_the_content_is_believed(
    runtime, counter, tmp_path, suffix, magic
):
    path = tmp_path / f"c.{suffix}"
    runtime.checkpoint("counter", export=path)
    assert path.read_bytes().startswith(magic)
    counter.remove()
    renamed = tmp_path / "whatever.bin"
    path.rename(renamed)
    counts_on(runtime.restore(import_=renamed), 2)


def test_an_auto_remove_container_is_exported_and_then_goes(runtime, other_engine: Engine, tmp_path):
    container = runtime.run("bb:1", "sh", "-c", COUNT, name="gone", network="none", auto_remove=True)
    counts_on(container, 1)
    with pytest.raises(libpod.InvalidStateError, match="export"):
        runtime.checkpoint("gone")
    runtime.checkpoint("gone", export=tmp_path / "c.tar")
    assert until(lambda: runtime.has_container("gone"), lambda there: not there) is False
    with other_engine.runtime() as other:
        counts_on(other.restore(import_=tmp_path / "c.tar"), 1)


def test_volumes_travel_with_their_content(runtime, other_engine: Engine, tmp_path):
    container = runtime.run(
        "bb:1", "sh", "-c", COUNT, name="keeper", network="none", volumes=["travels:/data"]
    )
    container.run("sh", "-c", "echo precious > /data/file; ln /data/file /data/link")
    runtime.checkpoint("keeper", export=tmp_path / "c.tar.zst")
    with other_engine.runtime() as other:
        twin = other.restore(import_=tmp_path / "c.tar.zst")
        assert twin.run("cat", "/data/link").stdout == b"precious\n"
        assert (other.volume("travels").mount_point / "file").stat().st_nlink == 2


def test_a_checkpoint_of_a_terminal_wakes_with_one(runtime):
    container = runtime.run(
        "bb:1",
        "sh",
        "-c",
        "i=0; while true; do i=$((i+1)); echo $i; sleep 0.1; done",
        tty=True,
        network="none",
    )
    until(lambda: lines(container))
    runtime.checkpoint(container)
    runtime.restore(container)
    before = len(lines(container))
    assert until(lambda: len(lines(container)), lambda count: count > before) > before


def test_no_conmon_stays_after_a_round_trip(engine: Engine, runtime, counter):
    runtime.checkpoint("counter")
    runtime.restore("counter")
    assert len(until(lambda: conmons_of(engine.root), lambda found: len(found) == 1)) == 1


def test_a_container_that_was_checkpointed_can_simply_be_started(runtime, counter):
    runtime.checkpoint("counter")
    counter.start()
    assert until(lambda: lines(counter)[-1], lambda line: line in {"1", "2", "3"}) in {"1", "2", "3"}
    assert counter.status() is ContainerStatus.RUNNING


SKIPPED = 2
"""CRIU's number for a network that was not locked."""


@pytest.mark.parametrize(
    ("options", "has_guest", "locked"),
    [({}, False, False), ({"tcp_established": True}, False, True), ({}, True, True)],
    ids=["alone", "connections", "guest"],
)
def test_the_network_is_locked_where_anything_can_come(runtime, counter, options, has_guest, locked):
    """Locking costs a tenth of a second each way: where nobody can send anything, nothing is locked."""
    if has_guest:
        runtime.create("bb:1", "true", name="guest", network="container:counter")
    runtime.checkpoint("counter", keep=True, **options)
    images = runtime.root / "overlay-containers" / counter.id / "userdata/checkpoint"
    entries = decode(require_decoder(find_criu()), images / "inventory.img", archive="counter")
    assert (entries[0].get("network_lock_method", 0) != SKIPPED) is locked
    assert not (images.parent / "criu.conf").exists()
    stood = last_count(counter)
    runtime.restore("counter", **options)
    counts_on(counter, stood)
    if has_guest:
        runtime.container("guest").remove()
