"""The same store used by us, podman, buildah and skopeo at once."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.parse
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from libpod.define.errors import ContainerExistsError, ImageInUseError
from libpod.define.ids import new_id
from libpod.linux import mounts
from libpod.storage.store import Store
from libpod.storage.stored import StoredImage
from tests.storage.store_sandbox import BASE, UPPER, Sandbox

pytestmark = [pytest.mark.root, pytest.mark.podman]


def test_a_mounted_container_of_ours_survives_everything_podman_does_beside_it(
    sandbox: Sandbox, store: Store, image: StoredImage, made: Callable[[str], str]
) -> None:
    ctr_id = made("ours")
    root = store.mount(ctr_id)
    (root / "file").write_text("x")
    assert "ours" in sandbox.podman("ps", "-a", "--external")
    assert "ours" not in sandbox.podman("ps", "-a")
    assert str(root) in sandbox.podman("mount")
    assert UPPER.rpartition(":")[0] in sandbox.podman("images")
    assert ctr_id in sandbox.podman_result("rmi", UPPER, accept=(2,)).stderr
    assert "mounted" in sandbox.podman_result("rm", "ours", accept=(1, 2)).stderr
    assert "in use" in sandbox.podman_result("create", "--name", "ours", UPPER, accept=(125,)).stderr
    run = ["run", "--rm", "--net=none", "--ulimit=nofile=1000:1000", "--ulimit=nproc=50:50", UPPER]
    assert sandbox.podman(*run, "/bin/busybox", "cat", "/etc/three") == "three\n"
    sandbox.podman("image", "prune", "-a", "-f")
    assert "ours" in sandbox.buildah("containers", "--all")
    sandbox.buildah("rm", "--all")
    assert json.loads(sandbox.skopeo("inspect", "--config", sandbox.reference(UPPER)))["os"] == "linux"
    assert (root / "file").read_text() == "x"
    assert mounts.is_mount_point(root)
    assert store.mount_count(ctr_id) == 1
    assert store.unmount(ctr_id) is False
    store.delete_container(ctr_id)
    assert store.check() == []
    assert "ours" not in sandbox.podman("ps", "-a", "--external")


def test_counts_are_shared_with_podman_both_ways(
    sandbox: Sandbox, store: Store, made: Callable[[str], str]
) -> None:
    ctr_id = made("ours")
    root = store.mount(ctr_id)
    assert sandbox.podman("mount", "ours").strip() == str(root)
    assert store.mount_count(ctr_id) == 2
    assert store.unmount(ctr_id) is True
    sandbox.podman("umount", "ours")
    assert store.mount_count(ctr_id) == 0
    assert store.unmount(ctr_id) is False
    assert store.mount(ctr_id) == root


def test_a_container_of_podman_is_mounted_by_us_and_refused_by_name(sandbox: Sandbox, store: Store) -> None:
    ctr_id = sandbox.podman("create", "--name", "theirs", UPPER, "sh").strip()
    with pytest.raises(ContainerExistsError, match="theirs"):
        store.create_container(new_id(), name="theirs", image_id=None)
    root = store.mount(ctr_id)
    (root / "file").write_text("x")
    assert sandbox.podman("diff", "theirs") == "A /file\n"
    store.unmount(ctr_id)
    sandbox.podman("rm", "theirs")
    assert store.container(ctr_id) is None
    assert store.check() == []


def test_what_podman_removes_by_force_is_gone_for_us_without_an_error(
    sandbox: Sandbox, store: Store, made: Callable[[str], str]
) -> None:
    ctr_id = made("ours")
    store.mount(ctr_id)
    sandbox.podman("rm", "-f", "ours")
    assert store.container(ctr_id) is None
    assert store.unmount(ctr_id, force=True) is False
    store.delete_container(ctr_id)
    assert store.check() == []


def test_podman_keeps_our_flags_and_we_keep_its_containers(
    sandbox: Sandbox, store: Store, made: Callable[[str], str]
) -> None:
    made("ours")
    (before,) = store.containers()
    layer = next(layer for layer in store.layers() if layer.id == before.layer_id)
    assert layer.flags
    theirs = sandbox.podman("create", "--name", "theirs", UPPER, "sh").strip()
    made("more")
    sandbox.podman("rename", "theirs", "renamed")
    by_id = {container.id: container for container in store.containers()}
    assert by_id[before.id].flags == before.flags
    assert layer.flags in [other.flags for other in store.layers() if other.id == before.layer_id]
    assert by_id[theirs].name == "renamed"
    assert len(by_id) == 3


def test_an_image_of_buildah_is_seen_and_used(sandbox: Sandbox, store: Store) -> None:
    working = sandbox.buildah("from", "--pull-never", BASE).strip()
    root = Path(sandbox.buildah("mount", working).strip())
    (root / "built").write_text("by buildah")
    sandbox.buildah("commit", "-q", working, "localhost/built:1")
    sandbox.buildah("rm", working)
    image = store.find_image("localhost/built:1")
    assert image is not None
    ctr = store.create_container(new_id(), name="ours", image_id=image.id)
    assert (store.mount(ctr.id) / "built").read_text() == "by buildah"
    store.delete_container(ctr.id)
    store.delete_image(image.id)
    assert store.check() == []


def test_skopeo_refuses_to_delete_an_image_that_a_container_of_ours_uses(
    sandbox: Sandbox, store: Store, image: StoredImage, made: Callable[[str], str]
) -> None:
    ctr_id = made("ours")
    reference = f"containers-storage:[{store.specifier()}]{UPPER}"
    sandbox.skopeo("delete", reference, accept=(1,))
    with pytest.raises(ImageInUseError):
        store.delete_image(image.id)
    store.delete_container(ctr_id)
    sandbox.skopeo("delete", reference)
    assert store.image(image.id) is None
    assert store.check() == []


def test_lost_short_links_are_made_again(sandbox: Sandbox, store: Store, made: Callable[[str], str]) -> None:
    ctr_id = made("ours")
    links = sandbox.graph / "overlay/l"
    for name in os.listdir(links):
        (links / name).unlink()
    links.rmdir()
    assert len(store.check()) == 3
    assert (store.mount(ctr_id) / "etc/three").exists()
    assert store.check() == []
    for name in os.listdir(links):
        (links / name).unlink()
    assert len(store.repair()) == 3
    assert store.repair() == []
    for name in os.listdir(links):
        (links / name).unlink()
    assert store.lower_directories(ctr_id)[0].is_dir()
    made("another")
    assert store.check() == []
    sandbox.podman("create", "--name", "theirs", UPPER, "sh")


# ---- a process that keeps its lists in memory -----------------------------------------------------------------


class UnixConnection(HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(str(self._path))


class Service:
    def __init__(self, path: Path) -> None:
        self.path = path

    def request(self, method: str, where: str, body: object = None) -> Any:
        connection = UnixConnection(self.path)
        try:
            content = None if body is None else json.dumps(body)
            connection.request(
                method, f"/v4.0.0/libpod{where}", content, {"Content-Type": "application/json", "Host": "d"}
            )
            answer = connection.getresponse().read()
            return json.loads(answer) if answer.strip() else None
        finally:
            connection.close()

    def names(self) -> set[str]:
        query = urllib.parse.quote(json.dumps({}))
        found = self.request("GET", f"/containers/json?all=true&external=true&filters={query}")
        return {name for container in found or [] for name in container["Names"]}


@pytest.fixture
def service(sandbox: Sandbox) -> Iterator[Service]:
    """podman's API service on the store."""
    path = sandbox.top / "p.sock"
    process = subprocess.Popen(
        [
            "podman", "--root", sandbox.graph, "--runroot", sandbox.run, "--storage-driver", "overlay",
            "--tmpdir", sandbox.top / "T", "system", "service", "--time", "0", f"unix://{path}",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        found = Service(path)
        while True:
            try:
                found.names()
                break
            except OSError:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
        yield found
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def test_a_process_with_a_list_in_memory_sees_our_changes_and_overwrites_none(
    store: Store, made: Callable[[str], str], service: Service
) -> None:
    """Without a new token podman's service writes its old list over ours, and the record is lost."""
    assert service.names() == set()
    first = made("first")
    assert service.names() == {"first"}
    service.request("POST", "/containers/create", {"name": "theirs", "image": UPPER, "command": ["sh"]})
    second = made("second")
    service.request("POST", "/containers/create", {"name": "more", "image": UPPER, "command": ["sh"]})
    assert service.names() == {"first", "second", "theirs", "more"}
    store.rename_container(first, "renamed")
    service.request("DELETE", "/containers/theirs?force=true")
    assert service.names() == {"renamed", "second", "more"}
    store.delete_container(second)
    assert service.names() == {"renamed", "more"}
    assert {container.name for container in store.containers()} == {"renamed", "more"}
    assert store.check() == []
