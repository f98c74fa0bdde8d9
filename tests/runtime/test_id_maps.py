"""Containers with ids of their own: what they are inside, on the host, in an image made of them, for podman."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile

import pytest

import libpod
from tests.engines import Engine, lines

MAP = ("0:200000:65536",)


@pytest.fixture
def mapped(runtime):
    """Makes a container with the ids 200000 and up, without a network."""

    def make(*command: str, **options):
        given = {"network": "none", "uid_map": MAP, **options}
        return runtime.create("bb:1", *command, **given)

    return make


def run(container: libpod.Container) -> list[str]:
    container.start()
    assert container.wait(timeout=60) == 0, lines(container)
    return lines(container)


def host_uid(container: libpod.Container, path: str) -> tuple[int, int]:
    root = container.mount()
    try:
        found = os.lstat(root / path)
        return found.st_uid, found.st_gid
    finally:
        container.unmount()


def test_it_is_root_inside_and_nobody_on_the_host(mapped):
    container = mapped(
        "sh",
        "-c",
        "id -u; stat -c %u:%g /bin/busybox /home/someone /; cat /proc/self/uid_map;"
        "touch /made; chown 5:6 /made",
        name="m1",
    )  # fmt: skip
    said = run(container)
    assert said[:4] == ["0", "0:0", "1000:1000", "0:0"]
    assert said[4].split() == ["0", "200000", "65536"]
    assert host_uid(container, "made") == (200005, 200006)
    assert host_uid(container, "home/someone") == (201000, 201000)


def test_the_image_keeps_its_ids_and_gets_back_what_was_written(runtime, mapped):
    container = mapped("sh", "-c", "touch /made; chown 1000:1000 /made; chmod 600 /etc/image-file", name="m2")
    run(container)
    container.commit("mapped:1")
    try:
        plain = runtime.create("bb:1", name="plain", network="none")
        assert host_uid(plain, "etc/image-file") == (0, 0)
        from_it = runtime.create("mapped:1", name="fromit", network="none")
        assert host_uid(from_it, "made") == (1000, 1000)
        assert host_uid(from_it, "etc/image-file") == (0, 0)
        sink = io.BytesIO()
        container.export(sink)
        with tarfile.open(fileobj=io.BytesIO(sink.getvalue())) as archive:
            member = archive.getmember("made")
            assert (member.uid, member.gid) == (1000, 1000)
        from_it.remove()
        plain.remove()
    finally:
        runtime.remove_image("mapped:1", force=True)


def test_volumes_shm_and_generated_files_belong_to_its_root(mapped):
    said = run(
        mapped(
            "sh",
            "-c",
            "stat -c %u:%g /data /dev/shm /etc/hostname; echo x > /data/f; echo x > /dev/shm/f; cat /data/f",
            name="m3", volumes=("mapvol:/data",), workdir="/new/place",
        )
    )  # fmt: skip
    assert said == ["0:0", "0:0", "0:0", "x"]


def test_files_are_copied_with_the_containers_ids(runtime, mapped, tmp_path):
    container = mapped("stat", "-c", "%u:%g", "/tmp/f", name="m4", user="someone")
    (tmp_path / "f").write_text("x")
    runtime.copy(tmp_path / "f", "m4:/tmp/f")
    assert host_uid(container, "tmp/f") == (201000, 201000)
    assert run(container) == ["1000:1000"]
    sink = io.BytesIO()
    container.copy_out("/tmp/f", sink)
    with tarfile.open(fileobj=io.BytesIO(sink.getvalue())) as archive:
        member = archive.next()
        assert member is not None
        assert (member.uid, member.gid) == (1000, 1000)


def test_podman_sees_the_mapping_and_mounts_the_same(engine: Engine, runtime, mapped):
    container = mapped("true", name="m5")
    records = json.loads((engine.root / "overlay-containers/containers.json").read_text())
    record = next(each for each in records if each["id"] == container.id)
    assert record["uidmap"] == [{"container_id": 0, "host_id": 200000, "size": 65536}]
    where = ["--root", str(engine.root), "--runroot", str(engine.runroot), "--storage-driver", "overlay"]
    place = subprocess.run(
        ["buildah", *where, "mount", container.id], capture_output=True, text=True, check=False
    )
    if place.returncode == 0:
        assert os.stat(f"{place.stdout.strip()}/bin/busybox").st_uid == 200000


def test_nothing_stays_mounted_below_the_layer(engine: Engine, mapped):
    container = mapped("true", name="m6")
    container.mount()
    assert not list(engine.root.glob("overlay/*/mapped"))
    container.unmount()


def test_bad_mappings_are_refused(runtime):
    for words in (("x:1:1",), ("0:100:10", "5:500:10"), ("0:1:0",), ("0:1:2:3",)):
        with pytest.raises(libpod.InvalidArgumentError):
            runtime.create("bb:1", uid_map=words)
    with pytest.raises(libpod.InvalidArgumentError, match="not part of the"):
        runtime.create("bb:1", uid_map=("1:1000:10",), network="none")


def test_the_vfs_driver_refuses_a_mapping(empty_engine, busybox_rootfs):
    with empty_engine.runtime(storage_driver="vfs") as runtime:
        runtime.import_image(busybox_rootfs, "bb:1")
        with pytest.raises(libpod.NotSupportedError, match="vfs driver does not map"):
            runtime.create("bb:1", "true", uid_map=MAP)
        assert runtime.containers() == []
