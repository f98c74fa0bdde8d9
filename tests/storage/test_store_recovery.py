"""What killed processes leave, and who cleans up: real processes, killed for good."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from libpod.define.ids import new_id
from libpod.linux import mounts
from libpod.storage import creator, recovery
from libpod.storage.check import Finding
from libpod.storage.recovery import Leftover, LeftoverKind
from libpod.storage.store import Store
from libpod.storage.stored import StoredImage
from tests.storage.store_sandbox import UPPER, Sandbox

pytestmark = pytest.mark.root

ROUNDS = 10

WORKER = """
import sys
from pathlib import Path
from libpod.define.ids import new_id
from libpod.storage.store import Store

store = Store.open(Path(sys.argv[1]), Path(sys.argv[2]), owner="test")
image = next(image for image in store.images() if sys.argv[3] in image.names)
print("ready", flush=True)
while True:
    ctr = new_id()
    store.create_container(ctr, name=ctr[:20], image_id=image.id)
    (store.mount(ctr) / "file").write_text("x")
    store.mount(ctr)
    store.unmount(ctr)
    store.unmount(ctr)
    store.delete_container(ctr)
"""

DIES_AT = """
import os, sys
from pathlib import Path
from libpod.define.ids import new_id
from libpod.storage.store import Store
from libpod.storage import containers, layers, mounting, overlay, records, short_links

store = Store.open(Path(sys.argv[1]), Path(sys.argv[2]), owner="test")
image = next(image for image in store.images() if sys.argv[3] in image.names)
where, ctr = sys.argv[4], sys.argv[5]

def die(*_, **__):
    os.kill(os.getpid(), 9)

if where == "before the directory":
    type(store.driver).create = die
elif where == "in the directory":
    overlay._write = die
elif where == "before the short link":
    short_links.make = die
elif where == "before the container record":
    containers._metadata = die
elif where == "before the userdata":
    containers.make_private_directory = die
elif where == "nowhere":
    pass
else:
    store.create_container(ctr, name="left", image_id=image.id)
    if where == "between mount and record":
        save = records.Table._save
        records.Table._save = lambda self, *a, **k: die() if self.kind == "mount" else save(self, *a, **k)
        store.mount(ctr)
    store.mount(ctr)
    if where == "between unmount and record":
        records.Table._save = die
        store.unmount(ctr)
    elif where == "before the layer is removed":
        type(store.driver).remove = die
        store.delete_container(ctr)
    elif where == "after the layer is removed":
        containers._remove_directories = die
        store.delete_container(ctr)
    elif where == "before the rename":
        os.rename = die
        store.delete_container(ctr)
    else:
        raise SystemExit(f"no place called {where}")
store.create_container(ctr, name="left", image_id=image.id)
die()
"""


def died_at(sandbox: Sandbox, where: str, ctr_id: str) -> None:
    """A process that makes a container, killed at one place."""
    result = subprocess.run(
        [sys.executable, "-c", DIES_AT, sandbox.graph, sandbox.run, UPPER, where, ctr_id],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == -signal.SIGKILL, result.stderr


@pytest.fixture
def ours(sandbox: Sandbox) -> Store:
    return sandbox.open(owner="test")


PLACES = [
    "before the directory",
    "in the directory",
    "before the short link",
    "before the container record",
    "before the userdata",
    "nowhere",
    "between mount and record",
    "between unmount and record",
    "before the layer is removed",
    "after the layer is removed",
    "before the rename",
]


@pytest.mark.parametrize("where", PLACES)
def test_nothing_is_left_after_a_kill_and_a_recovery(
    sandbox: Sandbox, ours: Store, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "_TEMPORARY_AGE", -1.0)
    before = inventory(sandbox)
    ctr_id = new_id()
    died_at(sandbox, where, ctr_id)
    ours.recover(list)
    assert ours.containers() == []
    assert ours.check() == []
    assert inventory(sandbox) == before
    assert [path for path in mounts.mounts_below(sandbox.graph) if path.endswith("merged")] == []
    assert ours.recover(list) == []


def inventory(sandbox: Sandbox) -> set[str]:
    """Every name in the store except what exists from the first use on."""
    found = {
        os.path.relpath(os.path.join(directory, name), sandbox.top)
        for root in ("G/overlay", "G/overlay-layers", "G/overlay-images", "G/overlay-containers", "R")
        for directory, directories, files in os.walk(sandbox.top / root)
        for name in [*directories, *files]
    }
    return {
        name
        for name in found
        if not name.endswith((".lock", "containers.json", "mountpoints.json")) and name.count("/") > 1
    }


@pytest.mark.podman
@pytest.mark.parametrize("where", PLACES)
def test_podman_works_on_after_a_kill(sandbox: Sandbox, where: str) -> None:
    sandbox.podman("ps")
    died_at(sandbox, where, new_id())
    sandbox.podman("ps", "-a", "--external")
    sandbox.podman("create", "--name", "theirs", UPPER, "sh")
    sandbox.podman("mount", "theirs")
    sandbox.podman("rm", "-f", "theirs")


@pytest.mark.podman
def test_writers_killed_at_random_cost_nobody_anything(sandbox: Sandbox, ours: Store) -> None:
    kept = ours.create_container(new_id(), name="kept", image_id=image_of(ours).id)
    root = ours.mount(kept.id)
    chance = random.Random(20240229)
    for round_number in range(ROUNDS):
        workers = [start_worker(sandbox) for _ in range(2)]
        time.sleep(
            chance.uniform(0.0, 0.06)
        )  # not a wait for anything: the instant of the kill is the experiment
        for worker in workers:
            worker.kill()
            worker.wait()
        if round_number % 5 == 0:
            name = f"theirs{round_number}"
            sandbox.podman("create", "--name", name, UPPER, "sh")
            sandbox.podman("rm", name)
    sandbox.podman("ps", "-a", "--external")
    ours.recover(lambda: [kept.id])
    assert [container.id for container in ours.containers()] == [kept.id]
    assert [str(finding) for finding in ours.check()] == []
    assert {layer.id for layer in ours.layers() if layer.diff_digest is None} == {kept.layer_id}
    assert (root / "etc/three").read_text() == "three\n"
    merged = [path for path in mounts.mounts_below(sandbox.graph) if path.endswith("/merged")]
    assert merged == [str(root)]


def start_worker(sandbox: Sandbox) -> subprocess.Popen[str]:
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, sandbox.graph, sandbox.run, UPPER], stdout=subprocess.PIPE, text=True
    )
    assert worker.stdout is not None
    assert worker.stdout.readline() == "ready\n"
    worker.stdout.close()
    return worker


def image_of(store: Store) -> StoredImage:
    return next(image for image in store.images() if UPPER in image.names)


# ---- what must not be collected -------------------------------------------------------------------------------


def test_what_the_engine_knows_stays(sandbox: Sandbox, ours: Store) -> None:
    ctr_id = new_id()
    died_at(sandbox, "nowhere", ctr_id)
    assert ours.recover(lambda: [ctr_id]) == []
    assert ours.container(ctr_id) is not None


def test_what_a_living_process_is_making_stays(ours: Store) -> None:
    ctr = ours.create_container(new_id(), name="new", image_id=None)
    assert ours.recover(list) == []
    assert ours.container(ctr.id) == ctr


def test_the_engine_is_asked_after_the_dead_have_been_found(sandbox: Sandbox, ours: Store) -> None:
    """A creator that tells the engine and ends while we look must not lose its container."""
    ctr = ours.create_container(new_id(), name="new", image_id=None)
    told: list[str] = []

    def known() -> list[str]:
        told.append(ctr.id)
        return told

    died_at(sandbox, "nowhere", new_id())
    assert [leftover.kind for leftover in ours.recover(known)] == [LeftoverKind.CONTAINER]
    assert told == [ctr.id]
    assert ours.container(ctr.id) is not None


def test_containers_of_others_stay(sandbox: Sandbox, ours: Store) -> None:
    ctr_id = new_id()
    died_at(sandbox, "nowhere", ctr_id)
    assert sandbox.open(owner="somebody else").recover(list) == []
    file = sandbox.graph / "overlay-containers/containers.json"
    records = json.loads(file.read_text())
    for record in records:
        del record["flags"][creator.FLAG]
    file.write_text(json.dumps(records))
    assert ours.recover(list) == []
    assert ours.container(ctr_id) is not None


def test_the_mark_tells_the_dead_from_the_living() -> None:
    mark = creator.mark("me")
    record = {"id": "a", "flags": mark}
    assert creator.made_by(record, "me")
    assert not creator.made_by(record, "you")
    assert not creator.is_dead(record)
    assert creator.made_by({"id": "a"}, "me") is False
    assert creator.is_dead({"id": "a"}) is False

    def changed(**changes: object) -> dict[str, object]:
        return {"id": "a", "flags": {creator.FLAG: {**mark[creator.FLAG], **changes}}}

    assert creator.is_dead(changed(boot="another"))
    assert creator.is_dead(changed(start=1))
    assert creator.is_dead(changed(pid=2**22 + 1))
    assert creator.is_dead(changed(pid="?"))
    assert not creator.is_dead(changed(pidns=1, pid=2**22 + 1))


def test_a_zombie_counts_as_dead() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    try:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert creator.start_time(child.pid) is None
    finally:
        child.wait()
    assert creator.start_time(os.getpid()) is not None


def test_young_temporary_files_stay(sandbox: Sandbox, ours: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    file = sandbox.graph / "overlay-layers/.tmp-layers.json.abc"
    ours.layers()
    file.write_text("half")
    assert ours.recover(list) == []
    os.utime(file, (0, 0))
    assert ours.recover(list) == [Leftover(LeftoverKind.TEMPORARY_FILE, str(file))]
    assert not file.exists()


def test_a_leftover_that_cannot_be_removed_hinders_nobody(
    sandbox: Sandbox, ours: Store, caplog: pytest.LogCaptureFixture
) -> None:
    died_at(sandbox, "nowhere", new_id())
    died_at_layer = ours.containers()[0].layer_id
    file = ours.driver.stack(died_at_layer, None).upper / "immutable"
    file.write_text("x")
    if subprocess.run(["chattr", "+i", file], check=False, capture_output=True).returncode:
        pytest.skip("this file system has no immutable files")
    try:
        assert ours.recover(list) == []
        assert "cannot be removed" in caplog.text
        ctr = ours.create_container(new_id(), name="next", image_id=image_of(ours).id)
        ours.mount(ctr.id)
        ours.delete_container(ctr.id)
    finally:
        subprocess.run(["chattr", "-i", file], check=True)
    assert [leftover.kind for leftover in ours.recover(list)] == [LeftoverKind.CONTAINER]
    assert ours.check() == []


# ---- check ----------------------------------------------------------------------------------------------------


def test_a_store_in_order_has_no_findings(ours: Store) -> None:
    assert ours.check() == []


def test_each_broken_rule_is_found(sandbox: Sandbox, ours: Store) -> None:
    image = image_of(ours)
    ctr = ours.create_container(new_id(), name="web", image_id=image.id)
    home = sandbox.graph / "overlay"
    orphan, lost = new_id(), "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    (home / orphan).mkdir()
    (home / "l" / lost).symlink_to(f"../{new_id()}/diff")
    (home / ctr.layer_id / "link").write_text("")
    (sandbox.graph / "overlay-containers" / orphan).mkdir()
    (sandbox.run / "overlay-layers/mountpoints.json").write_text(
        json.dumps([{"id": ctr.layer_id, "path": str(home / ctr.layer_id / "merged"), "count": 1}])
    )
    found = {(finding.subject, finding.name) for finding in ours.check()}
    assert found == {
        ("directory", orphan),
        ("short link", lost),
        ("layer", ctr.layer_id),
        ("mount", ctr.layer_id),
    }
    assert str(Finding("layer", "x", "it is gone")) == "layer x: it is gone"
    file = sandbox.graph / "overlay-layers/layers.json"
    file.write_text(json.dumps([r for r in json.loads(file.read_text()) if r["id"] != image.top_layer]))
    problems = [finding.problem for finding in ours.check()]
    assert f"its parent {image.top_layer} is missing" in problems
    assert f"its layer {image.top_layer} is missing" in problems


def test_an_incomplete_layer_is_invisible_work_for_the_next_writer(
    sandbox: Sandbox, ours: Store, made: Callable[[str], str]
) -> None:
    died_at(sandbox, "in the directory", new_id())
    (finding,) = [finding for finding in ours.check() if finding.subject == "layer"]
    assert "incomplete" in finding.problem
    directory = Path(sandbox.layer_directory(finding.name))
    assert directory.is_dir()
    made("next")
    assert not directory.exists()
    assert ours.check() == []
