"""What a reboot leaves, as podman's users see it: another boot id, or a run root that is gone.

The processes of the old boot are ended by hand first, mounts and namespaces too, as the kernel does; one test leaves
them there, as somebody does who deletes the run root of a living engine.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import libpod
from libpod import ContainerStatus as Status
from libpod.container_internal.exit_command import START
from libpod.container_internal.launching import bundle_of
from libpod.linux import cgroups, mounts
from libpod.linux.pidfd import ProcessIdentity
from libpod.oci.freezing import freezer
from tests.engines import COUNT, Engine, conmons_of, counts_on, last_count, until

pytestmark = pytest.mark.root
SLEEP = ("sleep", "1000")


class Host:
    """An engine whose host can go down and come up again."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._boot = 0

    def runtime(self, **settings) -> libpod.Runtime:
        return self.engine.runtime(boot_id=f"boot-{self._boot}", **settings)

    def go_down(self, *, run_root_too: bool = False) -> None:
        """Power off: every process, mount and namespace of the engine is gone at once."""
        runtime = self.runtime()
        rows = runtime._services.state.containers()
        for conmon in conmons_of(self.engine.root):
            os.kill(conmon, signal.SIGKILL)
        for exit_command in self._exit_commands():
            with contextlib.suppress(ProcessLookupError):
                os.kill(exit_command, signal.SIGKILL)
        assert until(lambda: not self._exit_commands())
        for config, state in rows:
            if state.status is Status.PAUSED:
                cgroups.thaw(freezer(bundle_of(runtime._services, config)))
            if state.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(state.pid, signal.SIGKILL)
        for _, state in rows:
            assert until(lambda pid=state.pid: not pid or not os.path.exists(f"/proc/{pid}"))
        runtime.close()
        places = (f"{self.engine.root}/", f"{self.engine.runroot}/")
        for info in reversed(mounts.read_mountinfo()):
            if info.target.startswith(places):
                mounts.unmount(info.target, mounts.MNT_DETACH)
        if run_root_too:
            until(
                lambda: [
                    shutil.rmtree(self.engine.runroot, ignore_errors=True),
                    not self.engine.runroot.exists(),
                ][1]
            )
        self._boot += 1

    def _exit_commands(self) -> list[int]:
        """One that outlived its boot would work on in it."""
        found = []
        for name in filter(str.isdecimal, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                line = Path(f"/proc/{name}/cmdline").read_bytes()
                if START.encode() in line.split(b"\0") and str(self.engine.root).encode() in line:
                    found.append(int(name))
        return found


@pytest.fixture
def host(other_engine: Engine) -> Iterator[Host]:
    machine = Host(other_engine)
    yield machine
    with machine.runtime() as runtime:
        for item in runtime.containers():
            runtime.container(item.id).remove(force=True, timeout=0, volumes=True)


@pytest.fixture(params=["another boot id", "no run root"])
def power_cut(host: Host, request: pytest.FixtureRequest):
    """Called, it reboots the host."""
    return lambda: host.go_down(run_root_too=request.param == "no run root")


def test_states_are_what_they_are_after_a_reboot(host, power_cut):
    with host.runtime() as runtime:
        made = runtime.create("bb:1", "true", name="made", network="none")
        initialized = runtime.create("bb:1", "true", name="initialized", network="none")
        initialized.init()
        runtime.run("bb:1", *SLEEP, name="running", network="none")
        runtime.run("bb:1", *SLEEP, name="paused", network="none").pause()
        over = runtime.run("bb:1", "sh", "-c", "exit 7", name="over", network="none")
        over.wait()
        until(lambda: over.status() is Status.EXITED)
        last = over.state()
    power_cut()
    with host.runtime() as runtime:
        states = {item.name: item.status for item in runtime.containers()}
        assert states == {
            "made": Status.CONFIGURED,
            "initialized": Status.CONFIGURED,
            "running": Status.EXITED,
            "paused": Status.EXITED,
            "over": Status.EXITED,
        }
        again = runtime.container("over").state()
        assert (again.exit_code, again.exited, again.finished_time) == (7, True, last.finished_time)
        running = runtime.container("running").state()
        assert (running.pid, running.conmon_pid, running.mounted, running.netns) == (0, 0, False, "")
        assert made.id == runtime.container("made").id
        assert [str(item) for item in runtime.check().findings] == []
        for name in states:
            runtime.container(name).start()
            runtime.container(name).wait(timeout=60) if name in {"made", "over"} else None


def test_locks_are_assigned_again(host, power_cut):
    with host.runtime() as runtime:
        first = runtime.create("bb:1", "true", network="none")
        volume = runtime.create_volume("kept")
    power_cut()
    with host.runtime() as runtime:
        second = runtime.create("bb:1", "true", network="none")
        assert len({first.config.lock_id, volume.config.lock_id, second.config.lock_id}) == 3
        assert not [lock for lock in runtime.locks() if lock.is_conflict]
        assert runtime.volume("kept").mount_point.is_dir()


def test_restart_policies_are_honoured(host, power_cut):
    with host.runtime() as runtime:
        for name, policy in (("a", "always"), ("u", "unless-stopped"), ("s", "unless-stopped"), ("n", "no")):
            runtime.run("bb:1", *SLEEP, name=name, network="none", restart_policy=policy)
        runtime.container("s").stop(timeout=0)
    power_cut()
    with host.runtime() as runtime:
        assert {item.status for item in runtime.containers()} == {Status.EXITED}
        started = runtime.start_all(libpod.should_start_on_boot)
        assert sorted(container.name for container in started) == ["a", "u"]
        running = {item.name for item in runtime.containers(all=False)}
        assert running == {"a", "u"}


def test_one_that_cannot_start_does_not_keep_the_others_from_it(host, power_cut):
    with host.runtime() as runtime:
        runtime.create("bb:1", "no-such-command", name="bad", network="none", restart_policy="always")
        runtime.create("bb:1", *SLEEP, name="good", network="none", restart_policy="always")
    power_cut()
    with host.runtime() as runtime:
        with pytest.raises(ExceptionGroup, match="1 of 2 containers cannot be started") as caught:
            runtime.start_all(libpod.should_start_on_boot)
        assert "no-such-command" in str(caught.value.exceptions[0])
        assert [item.name for item in runtime.containers(all=False)] == ["good"]


def test_containers_that_remove_themselves_are_removed(host, power_cut):
    with host.runtime() as runtime:
        runtime.run("bb:1", *SLEEP, name="fleeting", network="none", auto_remove=True, volumes=["/data"])
        runtime.create("bb:1", *SLEEP, name="never-ran", network="none", auto_remove=True)
    power_cut()
    with host.runtime() as runtime:
        assert [item.name for item in runtime.containers()] == ["never-ran"]
        assert runtime.volumes() == []


def test_an_interrupted_removal_is_finished(host, power_cut):
    import msgspec

    with host.runtime() as runtime:
        container = runtime.create("bb:1", "true", name="half", network="none")
        state = runtime._services.state
        state.save_container_state(
            container.id, msgspec.structs.replace(state.container_state(container.id), status=Status.REMOVING)
        )
    power_cut()
    with host.runtime() as runtime:
        assert runtime.containers() == []
        assert [str(item) for item in runtime.check().findings] == []


@pytest.mark.criu
def test_checkpoints_can_be_restored(host, power_cut):
    with host.runtime() as runtime:
        container = runtime.run("bb:1", "sh", "-c", COUNT, name="counter", network="none")
        counts_on(container, 2)
        container.checkpoint()
        reached = last_count(container)
    power_cut()
    with host.runtime() as runtime:
        container = runtime.container("counter")
        assert container.state().checkpointed
        container.restore()
        assert counts_on(container, reached) > reached


@pytest.mark.network
def test_networks_are_forgotten_and_made_again(host, power_cut):
    with host.runtime() as runtime:
        container = runtime.run("bb:1", *SLEEP, name="web", network="bridge")
        address = container.inspect()["NetworkSettings"]["Networks"]["podman"]["IPAddress"]
    power_cut()
    with host.runtime() as runtime:
        container = runtime.container("web")
        assert container.state().network_status == {}
        assert runtime._services.state.claims() == []
        container.start()
        assert container.inspect()["NetworkSettings"]["Networks"]["podman"]["IPAddress"] == address


def test_exec_sessions_are_forgotten(host, power_cut):
    with host.runtime() as runtime:
        container = runtime.run("bb:1", *SLEEP, name="c", network="none")
        container.exec(libpod.ExecOptions(command=("sleep", "1000"), detach=True)).close()
        assert runtime._services.state.exec_sessions(container.id)
    power_cut()
    with host.runtime() as runtime:
        assert runtime._services.state.exec_sessions(container.id) == []


def test_a_run_root_that_was_deleted_under_a_running_container_ends_it(other_engine):
    """Its records cannot be made again, and a second instance on the same files would be worse."""
    with other_engine.runtime() as runtime:
        container = runtime.run("bb:1", *SLEEP, name="c", network="none")
        state = container.state()
    shutil.rmtree(other_engine.runroot, ignore_errors=True)
    with other_engine.runtime() as runtime:
        assert runtime.container("c").status() is Status.EXITED
        assert until(lambda: not ProcessIdentity(state.pid, state.pid_start).alive())
        assert until(lambda: conmons_of(other_engine.root) == [])
        runtime.container("c").start()
        assert runtime.container("c").status() is Status.RUNNING


def test_two_processes_that_open_after_a_boot_refresh_once(host):
    from tests.state.children import Child

    with host.runtime() as runtime:
        runtime.create("bb:1", *SLEEP, name="c", network="none")
    host.go_down()

    def opens(say) -> None:
        with host.runtime() as own:
            own.container("c").state()
        say("opened")

    children = [Child(opens) for _ in range(4)]
    assert [child.finish() for child in children] == [["opened"]] * 4
    with host.runtime() as runtime:
        refreshes = [event for event in runtime.events() if event.status is libpod.EventStatus.REFRESH]
        assert len(refreshes) == 2, "one for each boot"
