"""Everything that a kill or a stranger can leave is found, said in a sentence, and put right.

Each test makes one kind of leftover by hand, as the docstrings of the code say that a kill leaves it. That kills really
leave nothing else is the business of test_kills.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

import libpod
from libpod import ContainerStatus
from libpod.container_internal.launching import bundle_of
from libpod.container_internal.monitors import monitors
from libpod.container_internal.undertakings import Kind
from libpod.define.ids import new_id
from libpod.linux import cgroups, mounts, namespaces
from libpod.linux.pidfd import ProcessIdentity
from libpod.lock.base import LockKind
from libpod.lock.presence import Presence
from libpod.model.container_state import ContainerState, ExecSession
from libpod.model.volume import VolumeState
from libpod.oci.freezing import freezer
from libpod.state.base import Claim
from tests.engines import Engine, conmons_of, counts_on, until

pytestmark = pytest.mark.root
REPOSITORY = Path(__file__).resolve().parents[2]
SLEEP = ("sleep", "1000")


def sentences(runtime: libpod.Runtime, **options) -> list[str]:
    return [str(finding) for finding in runtime.check(**options).findings]


def assert_found_and_repaired(runtime: libpod.Runtime, kind: str, words: str) -> None:
    """Found without being touched, repaired on request, and gone then."""
    first = runtime.check()
    assert any(item.kind == kind and words in item.sentence for item in first.findings), sentences(runtime)
    assert not any(item.repaired for item in first.findings)
    assert not runtime.check().is_clean
    second = runtime.check(repair=True)
    assert second.is_clean, [str(item) for item in second.findings]
    assert [str(item) for item in runtime.check().findings] == []


def a_dead_process() -> ProcessIdentity:
    """The identity of a process that was there."""
    child = subprocess.Popen(["sleep", "100"])
    identity = ProcessIdentity.of(child.pid)
    child.kill()
    child.wait()
    return identity


def killed_at_work(engine: Engine, script: str) -> None:
    """Run *script* in a process with a Runtime `rt` on the engine; it ends by killing itself."""
    program = (
        f"import os, signal, sys\nimport libpod\nfrom pathlib import Path\n"
        f"rt = libpod.Runtime({str(engine.root)!r}, {str(engine.runroot)!r}, events_backend='file')\n"
        f"services = rt._services\ndef die(*_, **__): os.kill(os.getpid(), signal.SIGKILL)\n{script}\ndie()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


def state_of(runtime, container) -> ContainerState:
    return runtime._services.state.container_state(container.id)


def save(runtime, container, **changes) -> None:
    state = runtime._services.state
    state.save_container_state(
        container.id, msgspec.structs.replace(state.container_state(container.id), **changes)
    )


# ---- containers that do not exist --------------------------------------------------------------------------------


def test_an_engine_in_order_has_no_findings(runtime):
    rested = runtime.create("bb:1", "true", network="none")
    running = runtime.run("bb:1", *SLEEP, network="none")
    over = runtime.run("bb:1", "true", network="none")
    over.wait()
    until(lambda: state_of(runtime, over).status is ContainerStatus.EXITED)
    runtime.create_volume("kept")
    assert sentences(runtime) == []
    assert rested.status() is ContainerStatus.CONFIGURED
    assert running.status() is ContainerStatus.RUNNING


def test_a_running_container_whose_record_was_lost_is_ended(engine, runtime):
    container = runtime.run("bb:1", *SLEEP, network="none")
    pid = container.state().pid
    runtime._services.state.remove_container(container.id)
    assert_found_and_repaired(runtime, "process", "monitor process")
    assert until(lambda: not os.path.exists(f"/proc/{pid}"))
    assert until(lambda: conmons_of(engine.root) == [])


def test_entries_of_the_oci_runtime_without_a_container_go(runtime):
    paths = runtime._services.paths
    stale = paths.oci_root(runtime._services.runtimes.default_name) / new_id()
    stale.mkdir(parents=True)
    (stale / "state.json").write_text("{")
    assert_found_and_repaired(runtime, "runtime entry", stale.name[:12])
    assert not stale.exists()


def test_namespaces_without_a_container_go(runtime):
    path = runtime._services.paths.netns(new_id())
    namespaces.create_network_namespace(path)
    assert_found_and_repaired(runtime, "network namespace", str(path))
    assert not path.exists()


@pytest.mark.parametrize("known", [True, False])
def test_an_exit_file_that_a_killed_conmon_has_half_written_goes(runtime, known):
    """glib writes it under another name first."""
    ctr_id = runtime.create("bb:1", "true", network="none").id if known else new_id()
    path = runtime._services.paths.exits / f"{ctr_id}.OS5GZ3"
    path.write_text("")
    assert_found_and_repaired(runtime, "exit file", str(path))
    assert not path.exists()


@pytest.mark.parametrize("place", ["exits", "persist", "sockets"])
def test_files_of_conmon_without_a_container_go(runtime, place):
    path = runtime._services.paths.volatile / place / new_id()
    if place == "exits":
        path.write_text("0")
    else:
        path.mkdir()
    kind = {"exits": "exit file", "persist": "persist directory", "sockets": "socket"}[place]
    assert_found_and_repaired(runtime, kind, str(path))
    assert not path.exists()


def test_directories_and_mounts_without_a_container_go(runtime):
    directory = runtime._services.bundle_directory(new_id())
    (directory / "shm").mkdir(parents=True)
    mounts.mount("shm", directory / "shm", "tmpfs")
    assert_found_and_repaired(runtime, "mount", str(directory / "shm"))
    assert not directory.parent.exists()


def test_a_cgroup_goes_with_the_other_traces_of_its_container_and_stays_without_any(runtime):
    ours, unknown = new_id(), new_id()
    for ctr_id in (ours, unknown):
        for hierarchy in cgroups.hierarchies():
            with contextlib.suppress(OSError):
                hierarchy.directory(f"/libpod_parent/libpod-{ctr_id}").mkdir(parents=True)
    (runtime._services.paths.exits / ours).write_text("0")
    try:
        assert_found_and_repaired(runtime, "cgroup", ours[:12])
        left = [h for h in cgroups.hierarchies() if h.directory(f"/libpod_parent/libpod-{unknown}").is_dir()]
        assert left, "a cgroup that may be another engine's must stay"
    finally:
        cgroups.remove(f"/libpod_parent/libpod-{unknown}")


def test_a_layer_whose_maker_died_before_the_record_goes(engine, runtime):
    killed_at_work(
        engine,
        "type(services.state).add_container = die\n"
        "rt.create('bb:1', 'true', name='unborn', network='none', volumes=['/data'])",
    )
    assert_found_and_repaired(runtime, "layer", "container that belongs to nobody")
    assert runtime._services.store.containers() == []
    assert runtime.volumes() == []


# ---- containers that are not what their record says --------------------------------------------------------------


def test_an_interrupted_removal_is_finished(runtime):
    container = runtime.create("bb:1", "true", network="none")
    save(runtime, container, status=ContainerStatus.REMOVING)
    assert_found_and_repaired(runtime, "removal", "was interrupted")
    assert not runtime.has_container(container.id)


def test_a_process_that_nobody_recorded_is_ended(engine, runtime):
    container = runtime.create("bb:1", *SLEEP, network="none")
    killed_at_work(
        engine,
        f"type(services.state).save_container_state = "
        f"(lambda original: lambda self, id, state: die() if state.pid else original(self, id, state))"
        f"(type(services.state).save_container_state)\nrt.container({container.id!r}).init()",
    )
    assert_found_and_repaired(runtime, "process", "it does not run, and has a monitor")
    assert container.status() is ContainerStatus.CONFIGURED
    assert until(lambda: conmons_of(engine.root) == [])


def test_a_start_that_nobody_recorded_is_recorded(engine, runtime):
    container = runtime.create("bb:1", *SLEEP, network="none")
    killed_at_work(
        engine,
        f"type(services.state).save_container_state = "
        f"(lambda original: lambda self, id, state: die() if state.status == 3 else original(self, id, state))"
        f"(type(services.state).save_container_state)\nrt.container({container.id!r}).start()",
    )
    assert_found_and_repaired(runtime, "start", "recorded as not started")
    assert container.status() is ContainerStatus.RUNNING


def test_a_freezer_that_nobody_recorded_is_thawed(runtime):
    container = runtime.run(
        "bb:1", "sh", "-c", "i=0; while true; do i=$((i+1)); echo $i; sleep 0.05; done", network="none"
    )
    counts_on(container, 0)
    directory = freezer(bundle_of(runtime._services, container.config))
    cgroups.freeze(directory)
    assert_found_and_repaired(runtime, "freezer", "stands still")
    counts_on(container, 1)


def test_a_pause_that_was_undone_is_recorded(runtime):
    container = runtime.run("bb:1", *SLEEP, network="none")
    container.pause()
    cgroups.thaw(freezer(bundle_of(runtime._services, container.config)))
    assert_found_and_repaired(runtime, "freezer", "recorded as paused")
    assert container.status() is ContainerStatus.RUNNING


def test_a_stop_whose_stopper_died_leaves_a_running_container(engine, runtime):
    container = runtime.run(
        "bb:1", "sh", "-c", "trap '' TERM; while true; do sleep 0.05; done", network="none"
    )
    save(runtime, container, status=ContainerStatus.STOPPING, stopped_by_user=True)
    assert_found_and_repaired(runtime, "stop", "was stopping it")
    assert container.status() is ContainerStatus.RUNNING


def test_a_stop_that_somebody_waits_for_is_left_alone(runtime):
    container = runtime.run("bb:1", *SLEEP, network="none")
    save(runtime, container, status=ContainerStatus.STOPPING, stopped_by_user=True)
    with runtime._services.presence.at_work("stop", container.id):
        assert sentences(runtime, repair=True) == []
        assert container.status() is ContainerStatus.STOPPING


def test_an_interrupted_checkpoint_lets_the_container_run_on(runtime):
    container = runtime.run("bb:1", *SLEEP, network="none")
    save(runtime, container, checkpointing=True)
    cgroups.freeze(freezer(bundle_of(runtime._services, container.config)))
    assert_found_and_repaired(runtime, "checkpoint", "its checkpoint was interrupted")
    assert not cgroups.is_frozen(freezer(bundle_of(runtime._services, container.config)))
    assert not state_of(runtime, container).checkpointing


def test_an_end_without_a_clean_up_is_cleaned_up(engine, runtime):
    container = runtime.run("bb:1", *SLEEP, network="none")
    state = container.state()
    os.kill(state.conmon_pid, signal.SIGKILL)
    os.kill(state.pid, signal.SIGKILL)
    assert until(lambda: not os.path.exists(f"/proc/{state.pid}"))
    assert_found_and_repaired(runtime, "clean-up", "nobody cleaned up")
    assert state_of(runtime, container).status is ContainerStatus.EXITED
    assert state_of(runtime, container).exit_code == -1


def test_an_end_without_a_clean_up_is_followed_by_the_restart_that_was_asked_for(runtime):
    container = runtime.run("bb:1", *SLEEP, network="none", restart_policy="always")
    state = container.state()
    os.kill(state.conmon_pid, signal.SIGKILL)
    os.kill(state.pid, signal.SIGKILL)
    assert until(lambda: not os.path.exists(f"/proc/{state.pid}"))
    runtime.check(repair=True)
    assert container.status() is ContainerStatus.RUNNING
    assert container.state().restart_count == 1


def test_an_end_without_a_clean_up_removes_a_container_that_asked_for_it(runtime):
    container = runtime.run("bb:1", *SLEEP, network="none", auto_remove=True)
    state = container.state()
    os.kill(state.conmon_pid, signal.SIGKILL)
    os.kill(state.pid, signal.SIGKILL)
    assert until(lambda: not os.path.exists(f"/proc/{state.pid}"))
    runtime.check(repair=True)
    assert not runtime.has_container(container.id)


def test_a_dead_monitor_is_reported_and_the_container_left_alone(runtime):
    container = runtime.run("bb:1", *SLEEP, network="none")
    state = container.state()
    os.kill(state.conmon_pid, signal.SIGKILL)
    assert until(lambda: not os.path.exists(f"/proc/{state.conmon_pid}"))
    report = runtime.check(repair=True)
    assert [(item.kind, item.repaired, item.resolution) for item in report.findings] == [
        ("monitor", False, "restart it")
    ]
    assert container.status() is ContainerStatus.RUNNING
    container.restart(timeout=0)
    assert sentences(runtime) == []


def test_exec_sessions_without_a_process_go(runtime):
    container = runtime.run("bb:1", *SLEEP, network="none")
    dead = a_dead_process()
    runtime._services.state.add_exec_session(
        ExecSession(id=new_id(), container_id=container.id, state=2, pid=dead.pid, pid_start=dead.start_time)
    )
    runtime._services.state.add_exec_session(ExecSession(id=new_id(), container_id=container.id, state=1))
    assert_found_and_repaired(runtime, "exec session", "has no process")
    assert runtime._services.state.exec_sessions(container.id) == []


def test_an_exec_session_that_somebody_follows_is_left_alone(runtime):
    container = runtime.run("bb:1", *SLEEP, network="none")
    with container.exec(libpod.ExecOptions(command=("true",))) as handle:
        assert until(lambda: not ProcessIdentity(handle.session.pid, handle.session.pid_start).alive())
        assert sentences(runtime, repair=True) == []
        assert handle.wait(20) == 0


def test_mounts_of_a_container_that_does_not_run_go(runtime):
    container = runtime.create("bb:1", "true", network="none")
    store = runtime._services.store
    store.mount(container.id)
    shm = runtime._services.bundle_directory(container.id) / "shm"
    mounts.mount("shm", shm, "tmpfs")
    assert_found_and_repaired(runtime, "mount", "it does not run")
    assert store.mount_count(container.id) == 0
    assert not mounts.is_mount_point(shm)


def test_a_mount_whose_maker_died_before_counting_it_goes(engine, runtime):
    container = runtime.create("bb:1", "true", network="none")
    killed_at_work(
        engine,
        "from libpod.storage import mounting\n"
        "from libpod.storage.records import Draft\n"
        "Draft.save = die\n"
        f"services.store.mount({container.id!r})",
    )
    assert runtime._services.store.mount_count(container.id) == 0
    assert_found_and_repaired(runtime, "mount", "/merged is mounted")
    assert not [i for i in mounts.read_mountinfo() if i.target.startswith(f"{engine.root}/overlay/")]


def test_a_mount_that_somebody_asked_for_is_left_alone(runtime):
    container = runtime.create("bb:1", "true", network="none")
    root = container.mount()
    assert sentences(runtime, repair=True) == []
    assert mounts.is_mount_point(root)
    container.unmount()
    assert not mounts.is_mount_point(root)


def test_a_namespace_of_a_container_that_does_not_run_goes(runtime):
    container = runtime.create("bb:1", "true", network="none")
    path = runtime._services.paths.netns(container.id)
    namespaces.create_network_namespace(path)
    assert_found_and_repaired(runtime, "network namespace", "it does not run")
    assert not path.exists()


def test_a_cgroup_of_a_container_that_does_not_run_goes(runtime):
    container = runtime.create("bb:1", "true", network="none")
    for hierarchy in cgroups.hierarchies():
        with contextlib.suppress(OSError):
            hierarchy.directory(f"/libpod_parent/libpod-{container.id}").mkdir(parents=True)
    assert_found_and_repaired(runtime, "cgroup", "it does not run")


def test_addresses_of_a_container_that_does_not_run_are_given_back(runtime):
    container = runtime.create("bb:1", "true", network="none")
    runtime._services.state.claim([Claim(kind="port", key="tcp/0.0.0.0/80/80", owner=container.id)])
    namespaces.create_network_namespace(runtime._services.paths.netns(container.id))
    assert_found_and_repaired(runtime, "network", "holds addresses or ports")
    assert runtime._services.state.claims() == []


def test_a_layer_that_somebody_else_removed_is_reported_and_the_container_can_be_removed(engine, runtime):
    container = runtime.create("bb:1", "true", network="none")
    runtime._services.store.delete_container(container.id)
    report = runtime.check(repair=True)
    assert [(item.kind, item.repaired) for item in report.findings] == [("layer", False)]
    assert "its layer is gone" in report.findings[0].sentence
    with pytest.raises(libpod.LibpodError) as caught:
        container.start()
    assert container.id[:12] in str(caught.value) or container.name in str(caught.value)
    container.remove()
    assert sentences(runtime) == []


def test_a_running_container_whose_layer_somebody_else_removed_can_be_removed_by_force(engine, runtime):
    container = runtime.run("bb:1", *SLEEP, network="none")
    mounts.unmount(container.config.shm_dir, mounts.MNT_DETACH)
    runtime._services.store.delete_container(container.id)
    assert any("its layer is gone" in text for text in sentences(runtime))
    container.remove(force=True, timeout=0)
    assert sentences(runtime) == []


# ---- records, locks, volumes, files ------------------------------------------------------------------------------


def test_rows_locks_and_claims_of_the_dead_go(engine, runtime):
    killed_at_work(
        engine,
        "from libpod.state.base import Claim\n"
        "services.state.allocate_lock()\n"
        "services.state.claim([Claim(kind='port', key='tcp/0.0.0.0/81/81', owner='0' * 64)])\n",
    )
    kinds = {item.kind for item in runtime.check().findings}
    assert {"lock", "claim"} <= kinds
    assert_found_and_repaired(runtime, "claim", "gave back port")
    assert runtime._services.state.claims() == []


def test_two_objects_with_one_lock_get_one_each(runtime):
    first = runtime.create("bb:1", "true", network="none")
    second = runtime.create("bb:1", "true", network="none")
    state = runtime._services.state
    state.rewrite_container_config(msgspec.structs.replace(second.config, lock_id=first.config.lock_id))
    assert [lock.is_conflict for lock in runtime.locks()] == [True]
    assert_found_and_repaired(runtime, "lock", "is shared by container")
    assert len({item.lock_id for item, _ in state.containers()}) == 2
    second.start()
    second.wait()


def test_a_directory_without_a_volume_goes(runtime):
    path = runtime._services.paths.volumes / "nobodys"
    (path / "_data").mkdir(parents=True)
    (path / "_data/file").write_text("x")
    assert_found_and_repaired(runtime, "volume directory", str(path))
    assert not path.exists()


def test_a_volume_without_a_directory_is_reported(runtime):
    volume = runtime.create_volume("gone")
    volume.mount_point.rmdir()
    report = runtime.check(repair=True)
    assert [(item.kind, item.repaired) for item in report.findings] == [("volume", False)]
    volume.remove()
    assert sentences(runtime) == []


def test_an_anonymous_volume_that_nothing_ever_used_goes(runtime):
    from libpod import runtime_volume

    runtime_volume.create_volume(runtime._services, None, anonymous=True)
    used = runtime_volume.create_volume(runtime._services, None, anonymous=True)
    runtime._services.state.save_volume_state(used.name, VolumeState())
    assert_found_and_repaired(runtime, "volume", "was never used")
    assert [volume.name for volume in runtime.volumes()] == [used.name]


def test_a_volume_that_is_mounted_for_nobody_is_unmounted(runtime):
    volume = runtime.create_volume("mounted", options={"type": "tmpfs", "device": "tmpfs"})
    mounts.mount("tmpfs", volume.mount_point, "tmpfs")
    assert_found_and_repaired(runtime, "volume mount", "nothing that runs uses it")
    assert not mounts.is_mount_point(volume.mount_point)


def test_half_copied_volumes_are_cleaned(runtime):
    volume = runtime.create_volume("half")
    growing = volume.mount_point.with_name(".tmp-growing")
    growing.mkdir()
    assert_found_and_repaired(runtime, "volume", "was never finished")
    assert not growing.exists()


def test_staging_directories_of_the_dead_go(runtime):
    dead = a_dead_process()
    paths = runtime._services.paths
    from libpod.container_internal.undertakings import _boot

    old = paths.staging / f"{Kind.IMPORT.value}.{_boot()}.{dead.pid}.{dead.start_time}.{new_id()}.0000"
    old.mkdir()
    (old / "pages").write_text("x")
    scratch = paths.staging / "libpod-image-0000"
    scratch.mkdir()
    assert_found_and_repaired(runtime, "staging", str(old))
    assert not old.exists()
    assert not scratch.exists()


def test_temporary_files_that_were_never_finished_go(runtime):
    path = runtime._services.paths.durable / ".tmp-something.0000"
    path.write_text("x")
    os.utime(path, (time.time() - 3600,) * 2)
    assert_found_and_repaired(runtime, "temporary file", str(path))
    assert not path.exists()


@pytest.mark.network
def test_network_devices_of_nobody_go(runtime):
    from libpod.container_internal import bridging
    from libpod.linux.links import links
    from libpod.network import wiring

    services = runtime._services
    backend = bridging.backend_of(services)
    (services.paths.volatile / "network.lock").touch()
    wiring.on_host(
        lambda host: host.add_bridge(
            "lpchk0", mac="02:00:00:00:00:01", group=backend.group, vlan_filtering=False
        )
    )
    try:
        assert_found_and_repaired(runtime, "network", "lpchk0")
        assert "lpchk0" not in {link.name for link in links()}
    finally:
        subprocess.run(["ip", "link", "delete", "lpchk0"], capture_output=True, check=False)


# ---- opening -----------------------------------------------------------------------------------------------------


def test_opening_repairs_what_a_killed_process_left(engine, runtime):
    container = runtime.create("bb:1", *SLEEP, network="none")
    killed_at_work(
        engine,
        f"type(services.state).save_container_state = "
        f"(lambda original: lambda self, id, state: die() if state.pid else original(self, id, state))"
        f"(type(services.state).save_container_state)\nrt.container({container.id!r}).init()",
    )
    assert runtime._services.presence.dead() != []
    with engine.runtime() as other:
        assert other._services.presence.dead() == []
        assert sentences(other) == []
    assert until(lambda: conmons_of(engine.root) == [])


def test_who_takes_the_lock_of_a_killed_process_puts_the_container_in_order(engine, runtime):
    """Without any opening: a process that has its Runtime open for years."""
    container = runtime.create("bb:1", *SLEEP, network="none")
    killed_at_work(
        engine,
        f"type(services.state).save_container_state = "
        f"(lambda original: lambda self, id, state: die() if state.pid else original(self, id, state))"
        f"(type(services.state).save_container_state)\nrt.container({container.id!r}).init()",
    )
    assert runtime._services.locks.abandoned() == [container.config.lock_id]
    assert container.status() is ContainerStatus.CONFIGURED
    assert runtime._services.locks.abandoned() == []
    assert until(lambda: conmons_of(engine.root) == [])
    container.start()
    container.remove(force=True, timeout=0)


def test_opening_does_what_a_killed_exit_command_should_have_done(engine, runtime):
    container = runtime.run("bb:1", *SLEEP, network="none")
    state = container.state()
    path = runtime._services.paths.exit_file(container.id)
    with runtime._services.locks.lock(container.config.lock_id, LockKind.CONTAINER):
        # The exit command waits for the lock, if it gets so far.
        os.kill(state.pid, signal.SIGKILL)
        assert until(path.exists)
        found = until(
            lambda: [item for item in monitors(runtime._services) if item.kind == "exit command"], timeout=30
        )
        for item in found:
            os.kill(item.process.pid, signal.SIGKILL)
        assert until(lambda: not os.path.exists(f"/proc/{state.conmon_pid}"))
    with engine.runtime():
        assert state_of(runtime, container).status is ContainerStatus.EXITED
    assert not path.exists()


def test_opening_looks_at_nothing_else_when_nobody_was_killed(engine, runtime, monkeypatch):
    from libpod import runtime_repair

    monkeypatch.setattr(runtime_repair, "repair", lambda services: pytest.fail("there was no sign"))
    with engine.runtime():
        pass


def test_a_check_does_not_touch_what_somebody_has_in_hand(runtime):
    container = runtime.create("bb:1", "true", network="none")
    save(runtime, container, status=ContainerStatus.REMOVING)
    with runtime._services.locks.lock(container.config.lock_id, LockKind.CONTAINER):
        assert sentences(runtime, repair=False) == []


def test_signs_say_who_is_at_work(short_tmp):
    directory = short_tmp / "signs"
    directory.mkdir()
    mine = Presence(directory)
    mine.announce()
    mine.announce()
    with mine.at_work("make", "a.b.c", notes=["one", "two"]):
        assert mine.living("make") == {"a.b.c"}
        assert {sign.word: sign.notes() for sign in mine.signs()} == {"open": [], "make": ["one", "two"]}
        assert mine.dead() == []
    mine.close()
    assert os.listdir(directory) == []
