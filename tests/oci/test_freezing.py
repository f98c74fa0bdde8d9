"""Pause, limits, memory, checkpoint and restore: with a real conmon, runtime and CRIU."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from libpod.define.errors import CheckpointError, InvalidStateError, RestoreError
from libpod.linux import cgroups, pidfd
from libpod.oci.base import Bundle, DumpRequest, Launched, RestoreRequest
from tests.oci.bundles import PATIENCE, Workshop

pytestmark = pytest.mark.root

CRIU = Path("/opt/libpod-criu/bin/criu")
COUNT = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done"


def wait_until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.005)


def counted(bundle: Bundle) -> int:
    """The last number in the log."""
    assert bundle.log_path is not None
    lines = bundle.log_path.read_bytes().splitlines()
    return int(lines[-1].split()[-1]) if lines else 0


def await_progress(bundle: Bundle) -> None:
    before = counted(bundle)
    wait_until(lambda: counted(bundle) > before + 2, "the container does not count")


def await_more(bundle: Bundle, than: int) -> None:
    wait_until(lambda: counted(bundle) > than, "it does not count on")


def freezer_of(bundle: Bundle) -> Path:
    directory = cgroups.freezer_directory(bundle.cgroup_path)
    assert directory is not None
    return directory


def test_a_paused_container_stands_still_until_it_is_resumed(shop: Workshop) -> None:
    bundle, launched = shop.shell(COUNT)
    await_progress(bundle)
    shop.runtime.pause(bundle)
    shop.runtime.pause(bundle)
    assert cgroups.is_frozen(freezer_of(bundle))
    stood = counted(bundle)
    time.sleep(0.2)
    assert counted(bundle) <= stood + 1  # one line may have been in conmon's pipe
    shop.runtime.resume(bundle)
    shop.runtime.resume(bundle)
    await_progress(bundle)
    assert launched.init.alive()


def test_a_paused_container_can_be_killed(shop: Workshop) -> None:
    bundle, launched = shop.shell(COUNT)
    shop.runtime.pause(bundle)
    assert shop.runtime.signal(bundle, launched.init, signal.SIGKILL)
    assert shop.code(bundle, launched) == 137


def test_a_paused_container_can_be_stopped_and_deleted(shop: Workshop) -> None:
    bundle, launched = shop.shell("trap 'exit 12' TERM; while :; do sleep 0.05; done")
    await_trap(bundle, launched)
    shop.runtime.pause(bundle)
    assert shop.runtime.stop(bundle, launched, signal=signal.SIGTERM, timeout=PATIENCE).code == 12
    bundle, launched = shop.shell(COUNT)
    shop.runtime.pause(bundle)
    shop.runtime.delete(bundle, force=True)
    assert not launched.init.alive()


def await_trap(bundle: Bundle, launched: Launched) -> None:
    """Until the shell, no longer the runtime's init, catches TERM: bit 14 of SigCgt (or ignores it: SigIgn)."""

    def caught() -> bool:
        text = Path(f"/proc/{launched.init.pid}/status").read_text()
        masks = [int(text.split(name)[1].split()[0], 16) for name in ("SigCgt:", "SigIgn:")]
        return text.startswith("Name:\tsh\n") and any(mask & (1 << 14) for mask in masks)

    wait_until(caught, "the trap is not set")


def test_stop_asks_first_and_kills_after_the_timeout(shop: Workshop) -> None:
    bundle, launched = shop.shell("trap 'exit 12' TERM; while :; do sleep 0.05; done")
    await_trap(bundle, launched)
    assert shop.runtime.stop(bundle, launched, signal=signal.SIGTERM, timeout=PATIENCE).code == 12
    bundle, launched = shop.shell("trap '' TERM; while :; do sleep 0.05; done")
    await_trap(bundle, launched)
    began = time.monotonic()
    assert shop.runtime.stop(bundle, launched, signal=signal.SIGTERM, timeout=0.3).code == 137
    assert time.monotonic() - began >= 0.3
    assert shop.runtime.stop(bundle, launched, signal=signal.SIGTERM, timeout=0.3).code == 137


def test_a_signal_right_after_start_reaches_the_command(shop: Workshop) -> None:
    for _ in range(5):
        bundle, launched = shop.run(["sleep", "1000"])  # pid 1 without a handler: USR1 is ignored, not deadly
        assert shop.runtime.signal(bundle, launched.init, signal.SIGUSR1)
        assert pidfd.process_name(launched.init.pid) == "sleep"
        shop.runtime.delete(bundle, force=True)


def test_everyone_is_signalled_in_a_container_without_its_own_pid_namespace(shop: Workshop) -> None:
    bundle = shop.bundle()
    shared = {"namespaces": [{"type": name} for name in ("ipc", "uts", "mount")]}
    bundle, launched = shop.shell("sleep 1001 & sleep 1002 & wait", bundle=bundle, linux=shared)
    wait_until(lambda: len(shop.runtime.processes(bundle)) == 3, "the children do not run")
    members = [pidfd.ProcessIdentity.of(pid) for pid in shop.runtime.processes(bundle)]
    shop.runtime.stop(bundle, launched, signal=signal.SIGTERM, timeout=0.1, everyone=True)
    shop.runtime.delete(bundle, force=True)
    assert all(pidfd.wait_end(member, PATIENCE) for member in members)


def test_orphans_in_a_shared_pid_namespace_end_when_the_container_is_deleted(shop: Workshop) -> None:
    shared = {"namespaces": [{"type": name} for name in ("ipc", "uts", "mount")]}
    bundle, launched = shop.shell("sleep 1001 & exit 3", linux=shared)
    assert shop.code(bundle, launched) == 3
    members = [pidfd.ProcessIdentity.of(pid) for pid in shop.runtime.processes(bundle)]
    assert len(members) == 1
    shop.runtime.delete(bundle, force=True)
    assert pidfd.wait_end(members[0], PATIENCE)
    assert not any(h.directory(bundle.cgroup_path).exists() for h in cgroups.hierarchies())


def test_a_container_that_eats_too_much_memory_is_marked(shop: Workshop) -> None:
    if not cgroups.has_controller("memory"):
        pytest.skip("no memory controller")
    limit = {"resources": {"memory": {"limit": 16 << 20, "swap": 16 << 20}}}
    bundle, launched = shop.shell("x=a; while :; do x=$x$x; done", linux=limit)
    status = shop.runtime.wait_exit(bundle, launched, PATIENCE)
    assert status is not None
    assert (status.code, status.oom_killed) == (137, True)
    bundle, launched = shop.run(["true"])
    status = shop.runtime.wait_exit(bundle, launched, PATIENCE)
    assert status is not None
    assert not status.oom_killed


def test_limits_can_be_changed_and_use_is_counted(shop: Workshop) -> None:
    bundle, _launched = shop.shell(COUNT, linux={"resources": {"pids": {"limit": 50}}})
    assert shop.runtime.stats(bundle).pids_limit == 50
    shop.runtime.update(bundle, {"pids": {"limit": 60}, "memory": {"limit": 64 << 20}})
    await_progress(bundle)
    stats = shop.runtime.stats(bundle)
    assert (stats.pids_limit, stats.memory_limit) == (60, 64 << 20)
    assert stats.cpu_ns > 0
    assert stats.pids >= 1
    assert stats.memory_usage > 0


# ---- checkpoint -------------------------------------------------------------------------------------------------


@pytest.fixture
def images(shop: Workshop) -> Path:
    if not CRIU.exists() or subprocess.run([CRIU, "check"], capture_output=True).returncode != 0:
        pytest.skip("needs a CRIU that works on this kernel")
    path = Path(shop.base) / f"images-{time.monotonic_ns()}"
    path.mkdir()
    return path


def request(images: Path, bundle: Bundle, **options: Any) -> DumpRequest:
    return DumpRequest(image_dir=images, work_dir=bundle.directory, **options)


def restore(shop: Workshop, bundle: Bundle, images: Path, **options: Any) -> Launched:
    with shop.runtime.launching(bundle, RestoreRequest(image_dir=images, **options)) as launch:
        shop.write_config(bundle, ["sh", "-c", COUNT])
        return launch.go()


@pytest.mark.criu
def test_a_container_goes_on_where_it_was_dumped(shop: Workshop, images: Path) -> None:
    bundle, launched = shop.shell(COUNT)
    for number in range(2):
        await_progress(bundle)
        target = images / str(number)
        target.mkdir()
        with shop.runtime.freezing(bundle) as frozen:
            assert frozen.by_us
            took = shop.runtime.checkpoint(bundle, request(target, bundle), launched)
        assert 0 < took < 60_000_000
        assert not launched.init.alive()
        assert shop.runtime.exit_status(bundle) is None
        stood = counted(bundle)
        launched = restore(shop, bundle, target)
        await_more(bundle, stood)
        assert shop.runtime.monitor_alive(bundle, launched.conmon)
    assert bundle.log_path is not None
    numbers = [int(line.split()[-1]) for line in bundle.log_path.read_bytes().splitlines()]
    assert numbers == list(range(1, len(numbers) + 1))
    assert shop.runtime.stop(bundle, launched, signal=9, timeout=PATIENCE).code == 137


@pytest.mark.criu
def test_a_client_attached_while_restoring_misses_nothing(shop: Workshop, images: Path) -> None:
    bundle, launched = shop.shell(COUNT)
    await_progress(bundle)
    with shop.runtime.freezing(bundle):
        shop.runtime.checkpoint(bundle, request(images, bundle), launched)
    stood = counted(bundle)
    with shop.runtime.launching(bundle, RestoreRequest(image_dir=images)) as launch:
        shop.write_config(bundle, ["sh", "-c", COUNT])
        launch.release()
        stream = launch.attach()
        launched = launch.finish()
    assert stream is not None
    with stream:
        packet = stream.receive()
    assert packet is not None
    assert int(packet[1].split()[0]) == stood + 1


@pytest.mark.criu
def test_a_client_of_a_restore_that_fails_is_told_by_its_error(shop: Workshop, images: Path) -> None:
    bundle = shop.bundle()
    with (
        pytest.raises(RestoreError),
        shop.runtime.launching(bundle, RestoreRequest(image_dir=images)) as launch,
    ):
        shop.write_config(bundle, ["sh", "-c", COUNT])
        launch.release()
        stream = launch.attach()
        if stream is not None:
            assert stream.receive() is None
            stream.close()
        launch.finish()
    assert not bundle.attach_socket.exists()


@pytest.mark.criu
def test_left_running_it_stands_still_until_the_block_ends(shop: Workshop, images: Path) -> None:
    bundle, launched = shop.shell(COUNT)
    await_progress(bundle)
    with shop.runtime.freezing(bundle):
        shop.runtime.checkpoint(bundle, request(images, bundle, leave_running=True), launched)
        assert cgroups.is_frozen(freezer_of(bundle))
    assert not cgroups.is_frozen(freezer_of(bundle))
    assert launched.init.alive()
    await_progress(bundle)


@pytest.mark.criu
def test_it_stands_still_no_earlier_than_criu_wants_it(shop: Workshop, images: Path) -> None:
    bundle, launched = shop.shell(COUNT)
    with shop.runtime.freezing(bundle) as frozen:
        await_progress(bundle)
        assert frozen.duration == 0
        still: list[bool] = []
        frozen.when_still(lambda: still.append(cgroups.is_frozen(freezer_of(bundle))))
        took = shop.runtime.checkpoint(bundle, request(images, bundle, leave_running=True), launched)
        assert still == [True]
        assert not frozen.missed
        assert 0 < frozen.duration < took + 1_000_000
        stood = counted(bundle)
        time.sleep(0.2)
        assert counted(bundle) <= stood + 1  # one line may have been in conmon's pipe
    await_progress(bundle)


def test_where_nobody_can_be_held_up_it_stands_still_at_once(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    from libpod.oci import freezing

    def refused(path: Path) -> None:
        raise PermissionError(1, "Operation not permitted", str(path))

    monkeypatch.setattr(freezing, "OpenGate", refused)
    bundle, _launched = shop.shell(COUNT)
    await_progress(bundle)
    with shop.runtime.freezing(bundle) as frozen:
        assert cgroups.is_frozen(freezer_of(bundle))
        assert frozen.duration > 0
    await_progress(bundle)


@pytest.mark.criu
def test_a_failed_dump_tells_why_and_the_container_runs_on(shop: Workshop, images: Path) -> None:
    bundle, launched = shop.shell(COUNT)
    await_progress(bundle)
    with pytest.raises(CheckpointError) as caught:
        with shop.runtime.freezing(bundle):
            shop.runtime.checkpoint(bundle, request(images / "nowhere", bundle, parent_path="../x"), launched)
    assert bundle.name in str(caught.value)
    assert launched.init.alive()
    await_progress(bundle)


@pytest.mark.criu
def test_a_failed_restore_tells_why_and_leaves_nothing(shop: Workshop, images: Path) -> None:
    bundle, launched = shop.shell(COUNT)
    await_progress(bundle)
    with shop.runtime.freezing(bundle):
        shop.runtime.checkpoint(bundle, request(images, bundle), launched)
    kept = shutil.copytree(images, images.with_name(images.name + "-kept"))
    next(images.glob("core-*.img")).write_bytes(b"damaged")
    with pytest.raises(RestoreError) as caught:
        restore(shop, bundle, images)
    assert caught.value.log is not None
    assert bundle.name in str(caught.value)
    assert not bundle.attach_socket.exists()
    assert shop.runtime.rediscover(bundle) is None
    assert not any(h.directory(bundle.cgroup_path).exists() for h in cgroups.hierarchies())
    launched = restore(shop, bundle, kept)
    assert launched.init.alive()


@pytest.mark.criu
def test_the_images_of_one_container_restore_as_another(shop: Workshop, images: Path) -> None:
    bundle, launched = shop.shell(COUNT)
    await_progress(bundle)
    with shop.runtime.freezing(bundle):
        shop.runtime.checkpoint(bundle, request(images, bundle, leave_running=True), launched)
    other = shop.bundle()
    twin = restore(shop, other, images)
    await_progress(other)
    assert twin.init.alive()
    assert launched.init.alive()


@pytest.mark.criu
def test_a_running_container_is_not_restored_over(shop: Workshop, images: Path) -> None:
    bundle, launched = shop.shell(COUNT)
    await_progress(bundle)
    shop.runtime.checkpoint(bundle, request(images, bundle, leave_running=True), launched)
    with pytest.raises(InvalidStateError):
        restore(shop, bundle, images)
    await_progress(bundle)
    with shop.runtime.attach(bundle) as stream:
        assert stream.receive() is not None


@pytest.mark.criu
def test_a_terminal_survives(shop: Workshop, images: Path) -> None:
    bundle, launched = shop.shell(COUNT, bundle=shop.bundle(terminal=True))
    await_progress(bundle)
    with shop.runtime.freezing(bundle):
        shop.runtime.checkpoint(bundle, request(images, bundle), launched)
    launched = restore(shop, bundle, images)
    await_progress(bundle)
    with shop.runtime.attach(bundle) as stream:
        packet = stream.receive()
    assert packet is not None
    assert packet[1].endswith(b"\r\n")


@pytest.mark.criu
def test_a_checkpoint_does_not_wait_for_the_exit_command(shop: Workshop, images: Path) -> None:
    gate = shop.base / f"gate-{time.monotonic_ns()}"
    os.mkfifo(gate)
    bundle = shop.bundle(exit_command=("/bin/sh", "-c", f"read x < {gate}"))
    bundle, launched = shop.shell(COUNT, bundle=bundle)
    await_progress(bundle)
    with shop.runtime.freezing(bundle):
        shop.runtime.checkpoint(bundle, request(images, bundle), launched)
    assert launched.conmon.alive()
    twin = restore(shop, msgspec.structs.replace(bundle, exit_command=()), images)
    assert twin.init.alive()
    gate.write_text("go on\n")
    assert pidfd.wait_end(launched.conmon, PATIENCE)
    assert shop.runtime.exit_status(bundle) is None
    assert shop.runtime.monitor_alive(bundle, twin.conmon)
    await_progress(bundle)
