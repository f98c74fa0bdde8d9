"""kill -9 at every moment: of conmon, of the runtime, of the program that drives them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from libpod.define.errors import CommandNotFoundError, InvalidStateError, OciRuntimeError
from libpod.linux import cgroups, pidfd
from libpod.linux.pidfd import ProcessIdentity
from libpod.oci import control
from libpod.oci.base import Bundle
from tests.oci.bundles import PATIENCE, Workshop

pytestmark = pytest.mark.root


def wait_until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.005)


def processes_of(bundle: Bundle, *, name: str = "") -> list[ProcessIdentity]:
    """Every live process whose command line names the container."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            named = entry.name.isdecimal() and bundle.id.encode() in (entry / "cmdline").read_bytes()
            if named and name in (entry / "comm").read_text():
                found.append(ProcessIdentity.of(int(entry.name)))
    return [process for process in found if process.alive() and process.pid != os.getpid()]


def no_cgroups(bundle: Bundle) -> bool:
    return not any(h.directory(bundle.cgroup_path).exists() for h in cgroups.hierarchies())


def nothing_left(shop: Workshop, bundle: Bundle) -> None:
    wait_until(lambda: not processes_of(bundle), "processes stay")
    assert shop.runtime.rediscover(bundle) is None
    assert no_cgroups(bundle)
    for name in ("attach", "ctl", "winsz"):
        assert not (bundle.directory / name).exists(), name


def works(shop: Workshop, bundle: Bundle) -> None:
    """The same container can be run afterwards."""
    bundle, launched = shop.shell("exit 21", bundle=bundle)
    assert shop.code(bundle, launched) == 21


def test_a_block_left_without_go_leaves_nothing(shop: Workshop) -> None:
    bundle = shop.bundle()
    with shop.runtime.launching(bundle):
        shop.write_config(bundle, ["true"])
        wait_until(lambda: processes_of(bundle, name="conmon"), "there is no conmon")
    nothing_left(shop, bundle)


def test_an_error_in_the_block_leaves_nothing_and_is_raised_itself(shop: Workshop) -> None:
    bundle = shop.bundle()
    with pytest.raises(ZeroDivisionError) as caught, shop.runtime.launching(bundle):
        shop.write_config(bundle, ["true"])
        1 / 0  # noqa: B018
    assert not getattr(caught.value, "__notes__", [])
    nothing_left(shop, bundle)


def test_without_a_configuration_the_runtime_refuses(shop: Workshop) -> None:
    bundle = shop.bundle()
    shop.write_config(bundle, ["true"])  # of an earlier life: removed when the launch begins
    with pytest.raises(OciRuntimeError, match="config"), shop.runtime.launching(bundle) as launch:
        launch.go()
    nothing_left(shop, bundle)


def test_a_conmon_that_cannot_begin_says_why(shop: Workshop) -> None:
    bundle = shop.bundle(log_path=Path("/nonexistent-directory/log"))
    with pytest.raises(OciRuntimeError, match="log file"):
        shop.create(["true"], bundle=bundle)


@pytest.mark.parametrize("missing", ["source", "rootfs"])
def test_a_missing_mount_is_not_taken_for_a_missing_command(shop: Workshop, missing: str) -> None:
    bundle = shop.bundle()
    with pytest.raises(OciRuntimeError) as caught, shop.runtime.launching(bundle) as launch:
        shop.write_config(bundle, ["true"])
        document = json.loads(bundle.config_file.read_bytes())
        if missing == "source":
            mount = {
                "destination": "/x",
                "type": "bind",
                "source": "/nonexistent-source",
                "options": ["bind"],
            }
            document["mounts"].append(mount)
        else:
            document["root"]["path"] = "/nonexistent-rootfs"
        bundle.config_file.write_text(json.dumps(document))
        launch.go()
    assert not isinstance(caught.value, CommandNotFoundError)
    assert f"nonexistent-{missing}" in str(caught.value)
    nothing_left(shop, bundle)


DRIVER = """
import sys, time
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from tests.oci.bundles import Workshop
from libpod.oci.conmon import ConmonRuntime
import attrs, pickle
moment, base, rootfs, programs, bundle = pickle.loads(sys.stdin.buffer.read())
runtime = ConmonRuntime(conmon=programs.conmon, runtime=programs.runtime)
shop = Workshop(base=base, rootfs=rootfs, runtime=runtime)
def now(this):
    if this == moment:
        print("now", flush=True)
        time.sleep(1000)
with runtime.launching(bundle) as launch:
    now("held")
    shop.write_config(bundle, ["sh", "-c", "sleep 1000"])
    now("written")
    launch.release()
    now("released")
    launched = launch.finish()
    now("created")
runtime.start(bundle, launched)
now("started")
"""


def kill_driver(shop: Workshop, bundle: Bundle, moment: str) -> None:
    """Run a driver in a process of its own and kill it at *moment*."""
    import pickle

    root = str(Path(__file__).parents[2])
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(DRIVER), root],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": root},
    ) as driver:
        assert driver.stdin is not None
        assert driver.stdout is not None
        driver.stdin.write(pickle.dumps((moment, shop.base, shop.rootfs, shop.runtime.programs, bundle)))
        driver.stdin.close()
        assert driver.stdout.readline() == b"now\n"
        driver.kill()


def test_a_driver_killed_before_the_configuration_creates_nothing(shop: Workshop) -> None:
    bundle = shop.bundle()
    kill_driver(shop, bundle, "held")
    wait_until(lambda: not processes_of(bundle), "conmon does not give up")
    assert shop.runtime.rediscover(bundle) is None
    assert no_cgroups(bundle)
    works(shop, bundle)


@pytest.mark.parametrize("moment", ["written", "released", "created"])
def test_what_a_killed_driver_created_is_found_and_replaced(shop: Workshop, moment: str) -> None:
    bundle = shop.bundle()
    kill_driver(shop, bundle, moment)
    wait_until(lambda: shop.runtime.rediscover(bundle), "nothing was created")
    found = shop.runtime.rediscover(bundle)
    assert found is not None
    works(shop, bundle)
    assert not found.init.alive()


@pytest.mark.parametrize("moment", ["held", "written", "released", "created"])
def test_a_container_can_be_run_at_once_after_its_driver_was_killed(shop: Workshop, moment: str) -> None:
    """Whoever waited for the lock of a killed driver gets it while conmon is still creating."""
    bundle = shop.bundle()
    kill_driver(shop, bundle, moment)
    works(shop, bundle)
    shop.runtime.delete(bundle)
    wait_until(lambda: not processes_of(bundle), "processes stay")
    assert no_cgroups(bundle)


@pytest.mark.parametrize("moment", ["held", "written", "released", "created"])
def test_a_container_can_be_deleted_at_once_after_its_driver_was_killed(shop: Workshop, moment: str) -> None:
    bundle = shop.bundle()
    kill_driver(shop, bundle, moment)
    shop.runtime.delete(bundle, force=True)
    shop.runtime.remove_leftovers(bundle)
    nothing_left(shop, bundle)


def test_a_conmon_that_failed_for_a_dead_driver_and_waits_for_its_exit_command_is_no_obstacle(
    shop: Workshop,
) -> None:
    gate = shop.base / f"gate-{os.urandom(4).hex()}"
    os.mkfifo(gate)
    bundle = shop.bundle(exit_command=("/bin/sh", "-c", f"read x < {gate}"))
    kill_driver(shop, bundle, "held")
    bundle = msgspec.structs.replace(bundle, exit_command=())
    began = time.monotonic()
    works(shop, bundle)
    assert time.monotonic() - began < PATIENCE / 2
    # For reading and writing: then it opens at once, whether or not the exit command waits at the other end.
    with open(os.open(gate, os.O_RDWR | os.O_NONBLOCK), "wb") as opened:
        opened.write(b"go on\n")


def test_what_a_killed_driver_started_runs_on_and_is_not_started_twice(shop: Workshop) -> None:
    bundle = shop.bundle()
    kill_driver(shop, bundle, "started")
    found = shop.runtime.rediscover(bundle)
    assert found is not None
    assert shop.runtime.monitor_alive(bundle, found.conmon)
    with pytest.raises(InvalidStateError, match="runs already"):
        shop.create(["true"], bundle=bundle)
    assert control.listening(bundle.control_fifo)
    assert shop.runtime.stop(bundle, found, signal=9, timeout=PATIENCE).code == 137
    works(shop, bundle)


def test_a_conmon_killed_while_it_runs_leaves_an_unmonitored_container(shop: Workshop) -> None:
    bundle, launched = shop.shell("sleep 1000")
    pidfd.send_signal(launched.conmon, signal.SIGKILL)
    pidfd.wait_end(launched.conmon, PATIENCE)
    assert launched.init.alive()
    assert not shop.runtime.monitor_alive(bundle, launched.conmon)
    assert not control.listening(bundle.control_fifo)
    with pytest.raises(InvalidStateError):
        shop.runtime.attach(bundle)
    found = shop.runtime.rediscover(bundle)
    assert found is not None
    assert found.init == launched.init
    assert found.conmon.start_time == 0
    assert shop.runtime.wait_exit(bundle, launched, 0.1) is None
    assert shop.runtime.stop(bundle, launched, signal=9, timeout=PATIENCE).code in (-1, 137)
    shop.runtime.delete(bundle)
    works(shop, bundle)


def test_the_code_of_a_container_that_ended_unmonitored_is_unknown(shop: Workshop) -> None:
    bundle, launched = shop.shell("sleep 1000")
    pidfd.send_signal(launched.conmon, signal.SIGKILL)
    pidfd.wait_end(launched.conmon, PATIENCE)
    pidfd.send_signal(launched.init, signal.SIGKILL)
    assert shop.code(bundle, launched) == -1


def test_a_conmon_killed_between_create_and_start_is_noticed(shop: Workshop) -> None:
    bundle, launched = shop.create(["sleep", "1000"])
    pidfd.send_signal(launched.conmon, signal.SIGKILL)
    pidfd.wait_end(launched.conmon, PATIENCE)
    assert not shop.runtime.monitor_alive(bundle, launched.conmon)
    works(shop, bundle)
    assert not launched.init.alive()


@pytest.mark.parametrize("victim", ["conmon", "runc", "runc:["])
def test_a_create_that_is_killed_leaves_nothing(shop: Workshop, victim: str) -> None:
    """A hook that waits holds the runtime in the middle of create, with all cgroups made."""
    bundle = shop.bundle()
    marker = shop.base / f"hook-{bundle.id[:12]}"
    with pytest.raises(OciRuntimeError), shop.runtime.launching(bundle) as launch:
        shop.write_config(bundle, ["true"])
        document = json.loads(bundle.config_file.read_bytes())
        script = f"echo $$ > {marker}; exec sleep 1000"
        document["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", script]}]}
        bundle.config_file.write_text(json.dumps(document))
        launch.release()
        wait_until(lambda: marker.exists() and marker.read_text().strip(), "the hook does not run")
        assert not no_cgroups(bundle)
        if victim == "runc:[":
            victims = [ProcessIdentity.of(pid) for pid in cgroups.processes(bundle.cgroup_path)]
        else:
            victims = processes_of(bundle, name=victim)
        assert victims
        for process in victims:
            pidfd.send_signal(process, signal.SIGKILL)
        pidfd.send_signal(ProcessIdentity.of(int(marker.read_text())), signal.SIGKILL)
        launch.finish()
    nothing_left(shop, bundle)
    works(shop, bundle)


def test_an_interrupt_during_create_leaves_nothing(shop: Workshop) -> None:
    bundle = shop.bundle()
    with pytest.raises(KeyboardInterrupt), shop.runtime.launching(bundle) as launch:
        shop.write_config(bundle, ["true"])
        launch.release()
        raise KeyboardInterrupt
    nothing_left(shop, bundle)
    works(shop, bundle)


def test_the_exit_command_runs_after_the_exit_file_and_is_not_waited_for(shop: Workshop) -> None:
    gate, proof = (shop.base / f"{name}-{os.urandom(4).hex()}" for name in ("gate", "proof"))
    os.mkfifo(gate)
    bundle = shop.bundle()
    script = f"read x < {gate}; test -e {bundle.exit_file} && echo $x > {proof}"
    bundle = msgspec.structs.replace(bundle, exit_command=("/bin/sh", "-c", script))
    bundle, launched = shop.shell("exit 6", bundle=bundle)
    assert shop.code(bundle, launched) == 6
    assert launched.conmon.alive()
    # While the exit command still runs, the container can be run again: a restart policy does that.
    shop.runtime.delete(bundle)
    works(shop, msgspec.structs.replace(bundle, exit_command=()))
    shop.runtime.delete(bundle)
    with shop.runtime.launching(msgspec.structs.replace(bundle, exit_command=())):
        pass
    bundle.exit_file.write_text("0")
    gate.write_text("finished\n")
    assert pidfd.wait_end(launched.conmon, PATIENCE)
    assert proof.read_text() == "finished\n"
