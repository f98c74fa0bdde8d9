"""Create, start, end, delete: with a real conmon and runtime."""

from __future__ import annotations

import json
import os
import threading

import pytest

from libpod.define.errors import CommandNotExecutableError, CommandNotFoundError, InvalidStateError
from libpod.linux import cgroups, pidfd
from libpod.oci.conmon import ConmonRuntime
from tests.oci.bundles import PATIENCE, Workshop

pytestmark = pytest.mark.root


@pytest.mark.parametrize("code", [0, 7, 255])
def test_the_exit_code_is_the_commands(shop: Workshop, code: int) -> None:
    bundle, launched = shop.shell(f"exit {code}")
    assert shop.code(bundle, launched) == code


def test_death_by_a_signal_is_128_and_the_signal(shop: Workshop) -> None:
    bundle, launched = shop.shell("trap 'exit 3' USR1; while :; do sleep 1; done")
    assert shop.runtime.signal(bundle, launched.init, 9)
    assert shop.code(bundle, launched) == 137
    assert not shop.runtime.signal(bundle, launched.init, 15)


def test_nothing_runs_before_start(shop: Workshop) -> None:
    bundle, launched = shop.create(["sh", "-c", "echo ran"])
    assert launched.init.alive()
    assert launched.conmon.alive()
    assert bundle.log_path is not None
    assert bundle.log_path.read_bytes() == b""
    shop.runtime.start(bundle, launched)
    assert shop.code(bundle, launched) == 0
    assert bundle.log_path.read_bytes().endswith(b" stdout F ran\n")


def test_a_missing_command_is_told_when_creating_and_leaves_nothing(shop: Workshop) -> None:
    bundle = shop.bundle()
    with pytest.raises(CommandNotFoundError) as caught:
        shop.create(["no-such-command"], bundle=bundle)
    assert bundle.name in str(caught.value)
    assert caught.value.exit_code == 127
    assert not bundle.attach_socket.exists()
    assert shop.runtime.rediscover(bundle) is None
    assert not any(h.directory(bundle.cgroup_path).exists() for h in cgroups.hierarchies())


def test_a_file_that_is_no_program_may_not_be_executed(shop: Workshop) -> None:
    with pytest.raises(CommandNotExecutableError):
        shop.create(["/etc/plain"])


def test_delete_is_refused_while_it_runs_and_repeatable_afterwards(shop: Workshop) -> None:
    bundle, launched = shop.shell("sleep 1000")
    with pytest.raises(InvalidStateError):
        shop.runtime.delete(bundle, init=launched.init)
    shop.runtime.delete(bundle, init=launched.init, force=True)
    assert not launched.init.alive()
    assert shop.code(bundle, launched) == 137
    shop.runtime.delete(bundle)
    assert not any(h.directory(bundle.cgroup_path).exists() for h in cgroups.hierarchies())


def test_an_ended_container_is_deleted_without_starting_the_runtime(shop: Workshop) -> None:
    bundle, launched = shop.shell("exit 0")
    shop.code(bundle, launched)
    programs = shop.runtime.programs
    runtimeless = ConmonRuntime(
        conmon=programs.conmon, runtime=bundle.directory / "missing" / programs.runtime_name
    )
    runtimeless.delete(bundle, init=launched.init)
    assert not (shop.base / "rt" / bundle.id).exists()
    assert not any(h.directory(bundle.cgroup_path).exists() for h in cgroups.hierarchies())


def test_hooks_after_the_end_run_when_the_container_is_deleted(shop: Workshop) -> None:
    bundle = shop.bundle()
    mark = bundle.directory / "mark"
    with shop.runtime.launching(bundle) as launch:
        shop.write_config(bundle, ["true"])
        document = json.loads(bundle.config_file.read_bytes())
        document["hooks"] = {"poststop": [{"path": "/bin/sh", "args": ["sh", "-c", f"cat > {mark}"]}]}
        bundle.config_file.write_text(json.dumps(document))
        launched = launch.go()
    shop.runtime.start(bundle, launched)
    shop.code(bundle, launched)
    assert not mark.exists()
    shop.runtime.delete(bundle, init=launched.init)
    assert json.loads(mark.read_text())["id"] == bundle.id


def test_the_wait_ends_at_its_timeout(shop: Workshop) -> None:
    bundle, launched = shop.shell("sleep 1000")
    assert shop.runtime.wait_exit(bundle, launched, 0.05) is None
    assert shop.runtime.stop(bundle, launched, signal=9, timeout=PATIENCE).code == 137


def test_preserved_descriptors_are_the_containers_3_and_4(shop: Workshop) -> None:
    bundle = shop.bundle()
    pipes = [os.pipe() for _ in range(2)]
    with shop.runtime.launching(bundle, preserve_fds=[writing for _, writing in pipes]) as launch:
        shop.write_config(bundle, ["sh", "-c", "echo three >&3; echo four >&4"])
        launched = launch.go()
    for _, writing in pipes:
        os.close(writing)
    shop.runtime.start(bundle, launched)
    assert shop.code(bundle, launched) == 0
    for (reading, _), text in zip(pipes, (b"three\n", b"four\n")):
        with open(reading, "rb") as source:
            assert source.read() == text


def test_passed_descriptors_stay_open_as_long_as_the_container_runs(shop: Workshop) -> None:
    bundle = shop.bundle()
    reading, writing = os.pipe()
    with shop.runtime.launching(bundle, pass_fds=[writing]) as launch:
        shop.write_config(bundle, ["sh", "-c", "ls /proc/self/fd; sleep 1000"])
        launched = launch.go()
    os.close(writing)
    shop.runtime.start(bundle, launched)
    with open(reading, "rb") as source:
        assert pidfd.wait_readable([source.fileno()], 0.1) == []
        shop.runtime.stop(bundle, launched, signal=9, timeout=PATIENCE)
        assert source.read() == b""


def test_many_threads_launch_at_once(shop: Workshop) -> None:
    codes: dict[int, int] = {}

    def one(number: int) -> None:
        bundle, launched = shop.shell(f"exit {number}")
        codes[number] = shop.code(bundle, launched)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert codes == {number: number for number in range(10)}


def test_conmons_timeout_ends_a_container_without_a_code_of_its_own(shop: Workshop) -> None:
    bundle, launched = shop.shell("sleep 1000", bundle=shop.bundle(timeout=1))
    assert shop.code(bundle, launched) == -1
