"""Threads, processes and podman on one store at once."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest

from libpod.define.ids import new_id
from libpod.linux import mounts
from libpod.storage.store import Store
from libpod.storage.stored import StoredImage
from tests.storage.store_sandbox import BASE, UPPER, Sandbox

pytestmark = [pytest.mark.root, pytest.mark.podman]

WORKER = """
import sys, threading, time
from pathlib import Path
from libpod.define.ids import new_id
from libpod.storage.store import Store

store = Store.open(Path(sys.argv[1]), Path(sys.argv[2]))
image = next(image for image in store.images() if sys.argv[3] in image.names)
deadline = time.monotonic() + float(sys.argv[4])
failures = []

def work():
    cycles = 0
    try:
        while time.monotonic() < deadline or not cycles:
            ctr = new_id()
            store.create_container(ctr, name=ctr[:20], image_id=image.id)
            root = store.mount(ctr)
            (root / "file").write_text(ctr)
            assert store.mount(ctr) == root
            assert store.unmount(ctr) is True
            assert (root / "file").read_text() == ctr
            assert [str(change) for change in store.changes(ctr)] == ["A /file"]
            store.rename_container(ctr, ctr[:21])
            assert store.unmount(ctr) is False
            store.delete_container(ctr)
            assert store.container(ctr) is None
            cycles += 1
    except BaseException as error:
        failures.append(error)
        raise
    print(cycles, flush=True)

threads = [threading.Thread(target=work) for _ in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
sys.exit(1 if failures else 0)
"""


def test_two_processes_of_two_threads_and_the_go_programs_leave_a_clean_store(
    sandbox: Sandbox, store: Store
) -> None:
    images = {image.id: image.names for image in store.images()}
    layers = {layer.id for layer in store.layers()}
    sandbox.podman("ps")
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, sandbox.graph, sandbox.run, UPPER, "3"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    rounds = 0
    while any(worker.poll() is None for worker in workers):
        name = f"theirs{rounds}"
        sandbox.podman("create", "--name", name, UPPER, "sh")
        sandbox.podman("mount", name)
        # The workers live and told nobody of their containers: recovery must leave them all.
        assert store.recover(list) == []
        sandbox.skopeo("copy", "-q", sandbox.reference(BASE), sandbox.reference("localhost/copy:1"))
        sandbox.podman("umount", name)
        sandbox.podman("rm", name)
        rounds += 1
    for worker in workers:
        out, err = worker.communicate()
        assert worker.returncode == 0, err
        assert all(int(count) > 0 for count in out.split())
    assert rounds > 0
    assert store.containers() == []
    assert {layer.id for layer in store.layers()} == layers
    assert store.check() == []
    assert {image.id for image in store.images()} == set(images)
    assert [path for path in mounts.mounts_below(sandbox.graph) if path.endswith("/merged")] == []
    assert len(os.listdir(sandbox.graph / "overlay/l")) == len(layers)


def test_of_many_threads_that_want_one_name_one_gets_it(store: Store, image: StoredImage) -> None:
    from libpod.define.errors import ContainerExistsError

    got: list[str] = []
    refused: list[str] = []

    def work() -> None:
        ctr_id = new_id()
        try:
            store.create_container(ctr_id, name="wanted", image_id=image.id)
        except ContainerExistsError:
            refused.append(ctr_id)
        else:
            got.append(ctr_id)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 1
    assert len(refused) == 7
    assert [container.id for container in store.containers()] == got
    assert store.check() == []


def test_a_reader_in_another_store_object_sees_every_change_at_once(
    sandbox: Sandbox, image: StoredImage
) -> None:
    writer, reader = sandbox.open(), sandbox.open()
    for number in range(5):
        ctr = writer.create_container(new_id(), name=f"n{number}", image_id=image.id)
        assert reader.container(ctr.id) == ctr
        reader.rename_container(ctr.id, f"m{number}")
        assert writer.container(ctr.id).name == f"m{number}"  # type: ignore[union-attr]
        assert reader.mount(ctr.id) == writer.mount(ctr.id)
        assert writer.mount_count(ctr.id) == 2
        writer.delete_container(ctr.id)
        assert reader.container(ctr.id) is None


def test_a_forked_child_and_its_parent_both_go_on(store: Store, image: StoredImage) -> None:
    store.create_container(new_id(), name="before", image_id=image.id)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            store.create_container(new_id(), name="child", image_id=image.id)
            status = 0
        finally:
            os._exit(status)
    store.create_container(new_id(), name="parent", image_id=image.id)
    assert os.waitpid(child, 0)[1] == 0
    assert {container.name for container in store.containers()} == {"before", "child", "parent"}


def test_a_cycle_does_not_become_slow(store: Store, image: StoredImage) -> None:
    """A guard against an accidental scan or sync, far above what is measured (about 11 ms)."""
    times = []
    for _ in range(10):
        begin = time.perf_counter()
        ctr_id = new_id()
        store.create_container(ctr_id, name=ctr_id, image_id=image.id)
        store.mount(ctr_id)
        store.unmount(ctr_id)
        store.delete_container(ctr_id)
        times.append(time.perf_counter() - begin)
    assert min(times) < 0.25
