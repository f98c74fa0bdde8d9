"""The life of a container on the real parts: conmon, runc, overlay, LMDB."""

from __future__ import annotations

import signal
import subprocess
import threading
from pathlib import Path

import pytest

import libpod
from libpod import ContainerStatus
from libpod.container_internal.exit_command import exit_command
from tests.engines import Engine, cgroup_gone, counts_on, lines, until


def test_a_container_runs_its_command_and_leaves_its_exit_code(runtime):
    container = runtime.run("bb:1", "sh", "-c", "echo out; echo err >&2; exit 7", network="none")
    assert container.wait() == 7
    assert {line.stream: line.data for line in container.logs()} == {"stdout": b"out", "stderr": b"err"}
    state = container.state()
    assert (state.exit_code, state.exited, state.pid) == (7, True, 0)


def test_the_exit_command_cleans_up_without_anybody_looking(runtime):
    container = runtime.run("bb:1", "true", network="none")
    settled = until(
        lambda: runtime._services.state.container_state(container.id).status,
        lambda status: status is ContainerStatus.EXITED,
    )
    assert settled is ContainerStatus.EXITED


def test_the_exit_command_leaves_at_once_when_the_directory_of_the_container_is_gone(runtime, tmp_path):
    """Before it loads anything: there are no modules where it is told to look for them."""
    *start, _, settings = runtime._services.exit_program
    program = (*start, str(tmp_path), settings)

    def code(directory: Path) -> int:
        words = exit_command(program, "c" * 64, directory)
        return subprocess.run(words, check=False, stderr=subprocess.DEVNULL).returncode

    assert code(tmp_path / "gone") == 0
    assert code(tmp_path) == 1


def test_one_that_its_starter_wants_to_remove_goes_by_itself_when_the_starter_does_not(runtime):
    container = runtime.create("bb:1", "true", network="none", auto_remove=True)
    with container.start_and_attach(will_remove=True) as stream:
        while stream.receive() is not None:
            pass
    assert until(lambda: not runtime.has_container(container.id))


def test_only_what_removes_itself_is_left_to_its_starter(runtime):
    container = runtime.create("bb:1", "true", network="none")
    with container.start_and_attach(will_remove=True) as stream:
        conmon = runtime._services.state.container_state(container.id).conmon_pid
        assert b"--exit-delay" not in Path(f"/proc/{conmon}/cmdline").read_bytes().split(b"\0")
        while stream.receive() is not None:
            pass


def test_states_follow_each_other(runtime):
    container = runtime.create("bb:1", "sleep", "1000", network="none")
    assert container.status() is ContainerStatus.CONFIGURED
    container.init()
    assert container.status() is ContainerStatus.CREATED
    container.start()
    assert container.status() is ContainerStatus.RUNNING
    container.pause()
    assert container.status() is ContainerStatus.PAUSED
    container.unpause()
    container.stop(timeout=0)
    assert until(container.status, lambda status: status is ContainerStatus.EXITED) is ContainerStatus.EXITED
    assert container.state().exit_code == 137


def test_stop_sends_the_stop_signal_and_waits(runtime):
    script = "trap 'echo bye; exit 3' USR1; echo ready; while true; do sleep 0.05; done"
    container = runtime.run("bb:1", "sh", "-c", script, network="none", stop_signal=signal.SIGUSR1)
    until(lambda: lines(container))
    container.stop(timeout=30)
    assert container.state().exit_code == 3
    assert lines(container)[-1] == "bye"


def test_stop_kills_after_its_timeout(runtime):
    container = runtime.run(
        "bb:1", "sh", "-c", "trap '' TERM; while true; do sleep 0.05; done", network="none"
    )
    container.stop(timeout=0.3)
    assert container.state().exit_code == 137


def test_other_calls_go_through_while_a_stop_waits(runtime):
    script = "trap '' TERM; echo ready; while true; do sleep 0.05; done"
    container = runtime.run("bb:1", "sh", "-c", script, network="none")
    until(lambda: lines(container))
    stopping = threading.Thread(target=container.stop, args=(120,))
    stopping.start()
    assert until(container.status, lambda s: s is ContainerStatus.STOPPING) is ContainerStatus.STOPPING
    assert container.inspect()["State"]["Status"] == "stopping"
    container.kill("KILL")
    stopping.join(60)
    assert not stopping.is_alive()


def test_restart_runs_it_again(runtime):
    container = runtime.run("bb:1", "sh", "-c", "echo run; sleep 1000", network="none")
    until(lambda: lines(container))
    container.restart(timeout=0)
    assert until(lambda: lines(container), lambda seen: len(seen) == 2) == ["run", "run"]
    assert container.status() is ContainerStatus.RUNNING


def test_a_restart_policy_revives_it_and_a_stop_does_not(runtime):
    container = runtime.run(
        "bb:1", "sh", "-c", "echo run; exit 1", network="none", restart_policy="on-failure:2"
    )
    assert until(lambda: lines(container), lambda seen: len(seen) >= 3) == ["run"] * 3
    assert until(container.status, lambda s: s is ContainerStatus.EXITED) is ContainerStatus.EXITED
    assert container.state().restart_count == 2
    other = runtime.run("bb:1", "sleep", "1000", network="none", restart_policy="always")
    other.stop(timeout=0)
    assert until(other.status, lambda s: s is ContainerStatus.EXITED) is ContainerStatus.EXITED


def test_auto_remove_takes_it_away_and_the_exit_code_stays(runtime):
    container = runtime.run("bb:1", "sh", "-c", "exit 9", network="none", auto_remove=True)
    assert until(lambda: runtime.has_container(container.id), lambda there: not there) is False
    assert container.wait() == 9


def test_a_missing_command_is_said_so_and_leaves_nothing(runtime):
    with pytest.raises(libpod.CommandNotFoundError) as caught:
        runtime.run("bb:1", "no-such-program", name="wrong", network="none")
    assert "no-such-program" in str(caught.value)
    assert not runtime.has_container("wrong")


def test_a_file_that_is_no_program_is_said_so(runtime):
    with pytest.raises(libpod.CommandNotExecutableError):
        runtime.run("bb:1", "/etc/image-file", network="none")


def test_out_of_memory_is_recorded(runtime):
    container = runtime.run(
        "bb:1",
        "sh",
        "-c",
        "x=$(yes | head -c 100000000)",
        network="none",
        memory=16 << 20,
        memory_swap=16 << 20,
    )
    container.wait()
    assert container.state().oom_killed
    assert container.state().exit_code == 137


def test_removal_needs_force_while_it_runs(runtime):
    container = runtime.run("bb:1", "sleep", "1000", network="none", name="busy")
    with pytest.raises(libpod.ContainerStateError, match="stop it first"):
        container.remove()
    with cgroup_gone(f"/libpod_parent/libpod-{container.id}"):
        container.remove(force=True, timeout=0)
    with pytest.raises(libpod.NoSuchContainerError):
        container.status()


def test_a_name_is_used_once(runtime):
    runtime.create("bb:1", "true", name="only", network="none")
    with pytest.raises(libpod.ContainerExistsError, match="only"):
        runtime.create("bb:1", "true", name="only", network="none")
    assert [listed.name for listed in runtime.containers()] == ["only"]


def test_look_up_by_name_id_and_prefix(runtime):
    container = runtime.create("bb:1", "true", name="findme", network="none")
    for wanted in ("findme", container.id, container.id[:12], container.id[:20]):
        assert runtime.container(wanted) == container
    with pytest.raises(libpod.NoSuchContainerError, match="nowhere-to-be-found"):
        runtime.container("nowhere-to-be-found")


def test_rename_moves_the_name(runtime):
    container = runtime.create("bb:1", "true", name="before", network="none")
    container.rename("after")
    assert runtime.container("after").id == container.id
    assert not runtime.has_container("before")
    runtime.create("bb:1", "true", name="before", network="none")


def test_a_dependency_must_run_first(runtime):
    first = runtime.create("bb:1", "sleep", "1000", name="first", network="none")
    second = runtime.create("bb:1", "sleep", "1000", name="second", network="container:first")
    with pytest.raises(libpod.InvalidStateError, match="first"):
        second.start()
    second.start(recursive=True)
    assert first.status() is ContainerStatus.RUNNING
    with pytest.raises(libpod.ContainerInUseError):
        first.remove(force=True)
    second.remove(force=True, timeout=0)


def test_the_image_decides_what_is_not_said(engine: Engine, busybox_rootfs, runtime):
    image = runtime.import_image(
        busybox_rootfs,
        "settings:1",
        changes=[
            'ENTRYPOINT ["/bin/sh", "-c"]',
            'CMD ["env; pwd; id -u"]',
            "ENV COLOUR=blue",
            "WORKDIR /made/for/it",
            "USER someone",
            "LABEL who=us",
            "STOPSIGNAL USR1",
        ],
    )
    container = runtime.run("settings:1", network="none")
    assert container.wait() == 0
    seen = lines(container)
    assert "COLOUR=blue" in seen
    assert "HOME=/home/someone" in seen
    assert seen[-2:] == ["/made/for/it", "1000"]
    assert container.labels == {"who": "us"}
    assert container.config.stop_signal == signal.SIGUSR1
    container.remove()
    assert image.name == "localhost/settings:1"


def test_a_container_goes_on_when_its_runtime_is_closed(engine: Engine):
    with engine.runtime() as runtime:
        container = runtime.run(
            "bb:1", "sh", "-c", "i=0; while true; do i=$((i+1)); echo $i; sleep 0.05; done", network="none"
        )
        at = counts_on(container, 0)
    with engine.runtime() as runtime:
        counts_on(runtime.container(container.id), at)


def test_a_closed_runtime_says_so(engine: Engine):
    runtime = engine.runtime()
    runtime.close()
    runtime.close()
    with pytest.raises(libpod.RuntimeClosedError):
        runtime.containers()


def test_events_tell_the_story(runtime):
    container = runtime.run("bb:1", "true", name="told", network="none")
    container.wait()
    until(container.status, lambda s: s is ContainerStatus.EXITED)
    container.remove()
    story = [event.status.value for event in runtime.events() if event.id == container.id]
    assert story == ["create", "init", "start", "died", "cleanup", "remove"]


def test_stopping_and_removing_one_that_removes_itself_is_no_error(runtime):
    """Its exit command may remove it before whoever stopped it looks again."""
    for verb in ("stop", "remove", "kill", "wait") * 2:
        container = runtime.run("bb:1", "sleep", "1000", network="none", auto_remove=True)
        if verb == "stop":
            container.stop(timeout=0)
        elif verb == "remove":
            container.remove(force=True, timeout=0)
        else:
            container.kill()
            assert container.wait(timeout=60) == 137
        assert until(lambda own=container.id: not runtime.has_container(own))


def test_one_that_removes_itself_stays_whole_while_another_depends_on_it(runtime):
    base = runtime.run("bb:1", "sleep", "1000", network="none", auto_remove=True)
    dependent = runtime.create("bb:1", "true", network=f"container:{base.id}")
    base.stop(timeout=0)
    assert until(lambda: base.status() is ContainerStatus.EXITED)
    assert until(lambda: not runtime.check().findings)
    base.start()
    assert base.status() is ContainerStatus.RUNNING
    dependent.remove()
    base.stop(timeout=0)
    assert until(lambda: not runtime.has_container(base.id))
