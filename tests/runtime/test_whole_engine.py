"""The engine as a whole: new lock numbers, moved directories, another OCI runtime, everything removed."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest

import libpod
from libpod import ContainerStatus as Status
from libpod.linux import mounts
from tests.engines import COUNT, Engine, conmons_of, counts_on, last_count, lines, remove_engine, until

pytestmark = pytest.mark.root
SLEEP = ("sleep", "1000")


@pytest.fixture
def moving(short_tmp: Path, shared_engine: Engine):
    """An engine that a test moves about."""
    engine = Engine.make(Path(tempfile.mkdtemp(prefix="m", dir=short_tmp)))
    shared_engine.copy_image("bb:1", engine)
    yield engine
    remove_engine(engine)


def moved_to(engine: Engine, name: str) -> Engine:
    """Everything of the engine under another directory."""
    for info in reversed(mounts.read_mountinfo()):
        if info.target.startswith(f"{engine.root}/"):
            mounts.unmount(info.target)
    new = Engine.make(engine.root.parent / name)
    new.root.parent.mkdir()
    os.rename(engine.root, new.root)
    return new


# ---- locks --------------------------------------------------------------------------------------------------------


def test_renumbering_gives_everything_a_new_lock_and_nothing_else_changes(runtime):
    container = runtime.run("bb:1", *SLEEP, network="none")
    volume = runtime.create_volume("kept")
    before = {container.config.lock_id, volume.config.lock_id}
    changed = runtime.renumber(everything=True)
    assert set(changed) == {f"container {container.id}", f"volume {volume.name}"}
    assert len(set(changed.values())) == 2
    assert changed[f"container {container.id}"] not in before
    assert container.status() is Status.RUNNING  # an old handle finds the new lock
    container.stop(timeout=0)
    assert runtime.renumber() == {}, "nothing is shared"
    assert any(event.status is libpod.EventStatus.RENUMBER for event in runtime.events())


def test_who_waits_for_the_old_lock_goes_on_with_the_new_one(engine, runtime):
    from libpod.lock.base import LockKind
    from tests.state.children import Child

    container = runtime.create("bb:1", "true", network="none")
    other = runtime.create("bb:1", "true", network="none")
    lock = runtime._services.locks.lock(container.config.lock_id, LockKind.CONTAINER)
    lock.acquire()

    def waits(say) -> None:
        with engine.runtime() as own:
            handle = own.container(container.id)
            say("waiting")
            say(handle.status().word)

    child = Child(waits)
    child.wait_for("waiting")
    import msgspec

    number = runtime._services.state.allocate_lock()
    runtime._services.state.rewrite_container_config(
        msgspec.structs.replace(container.config, lock_id=number)
    )
    lock.release()
    assert child.finish()[-1] == "created"
    assert other.status() is Status.CONFIGURED


# ---- moving -------------------------------------------------------------------------------------------------------


def test_a_graph_root_that_was_moved_is_refused_until_it_is_migrated(moving):
    with moving.runtime() as runtime:
        container = runtime.run(
            "bb:1",
            "sh",
            "-c",
            "echo one >> /data/file; echo out",
            name="c",
            network="none",
            volumes=["vol:/data"],
        )
        container.wait()
        until(lambda: container.status() is Status.EXITED)
    new = moved_to(moving, "new")
    with pytest.raises(libpod.ConfigError, match="system migrate"):
        new.runtime()
    report = libpod.Runtime.migrate(new.root, new.runroot, events_backend="file")
    assert report.containers == ("c",)
    assert report.volumes == ("vol",)
    assert report.moved["graph root"] == (str(moving.root), str(new.root))
    with new.runtime() as runtime:
        container = runtime.container("c")
        assert str(moving.root) not in json.dumps(container.inspect())
        container.start()
        assert container.wait(timeout=60) == 0
        assert (runtime.volume("vol").mount_point / "file").read_text() == "one\none\n"
        assert lines(container).count("out") >= 1
        assert [str(item) for item in runtime.check().findings] == []
        container.remove(volumes=True)
        runtime.reset()


@pytest.mark.criu
def test_a_checkpoint_wakes_where_its_engine_was_moved_to(moving):
    with moving.runtime() as runtime:
        container = runtime.run("bb:1", "sh", "-c", COUNT, name="counter", network="none")
        counts_on(container, 2)
        container.checkpoint()
        reached = last_count(container)
    new = moved_to(moving, "new")
    libpod.Runtime.migrate(new.root, new.runroot, events_backend="file")
    with new.runtime() as runtime:
        container = runtime.container("counter")
        container.restore()
        assert counts_on(container, reached) > reached
        runtime.reset()


def test_migrating_is_refused_while_a_container_runs(engine, runtime):
    runtime.run("bb:1", *SLEEP, name="busy", network="none")
    with pytest.raises(libpod.ContainerStateError, match=r"cannot migrate container busy.*running"):
        libpod.Runtime.migrate(engine.root, engine.runroot, new_runtime="runc", events_backend="file")


def test_all_containers_get_another_oci_runtime(engine, runtime, short_tmp):
    container = runtime.create("bb:1", "true", name="c", network="none")
    place = shutil.which("runc", path="/usr/sbin:/usr/bin:/usr/local/bin")
    other = short_tmp / "runc-other"
    other.symlink_to(place)
    report = libpod.Runtime.migrate(
        engine.root, engine.runroot, new_runtime=str(other), events_backend="file"
    )
    assert report.containers == ("c",)
    assert runtime.container("c").config.runtime == str(other)
    with pytest.raises(libpod.LibpodError, match="no-such"):
        libpod.Runtime.migrate(engine.root, engine.runroot, new_runtime="no-such", events_backend="file")
    container.remove()


# ---- removing all of it -------------------------------------------------------------------------------------------


def test_a_reset_removes_everything_of_ours_and_nothing_else(moving):
    outside = moving.root.parent / "outside"
    outside.mkdir()
    (outside / "file").write_text("mine")
    with moving.runtime() as runtime:
        base = runtime.run(
            "bb:1", *SLEEP, name="base", network="none", volumes=["vol:/data", f"{outside}:/host"]
        )
        runtime.run("bb:1", *SLEEP, name="on-top", network="container:base")
        assert base.status() is Status.RUNNING
        images = [image.id for image in runtime.images()]
        runtime.reset()
        with pytest.raises(libpod.RuntimeClosedError):
            runtime.containers()
    assert until(lambda: conmons_of(moving.root) == [])
    assert not (moving.root / "libpod-py").exists()
    assert not (moving.runroot / "libpod-py").exists()
    assert moving.leftovers() == []
    assert (outside / "file").read_text() == "mine"
    with moving.runtime() as runtime:
        assert runtime.containers() == []
        assert runtime.volumes() == []
        assert [image.id for image in runtime.images()] == images
