"""Control groups of this host, and files that look like those of others."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from libpod.linux import cgroup_stats, cgroups, pidfd
from libpod.linux.cgroups import CgroupMode, Hierarchy
from libpod.linux.pidfd import ProcessIdentity

needs_root = pytest.mark.root


@pytest.fixture
def group() -> Iterator[str]:
    """A path below which each test makes what it needs."""
    path = f"/libpod_test_cgroups-{secrets.token_hex(4)}"
    yield path
    cgroups.kill_all(path)
    assert cgroups.remove(path, timeout=30) == []


def make(path: str) -> list[Path]:
    """The group in the freezer's and the pids hierarchy, or in the one there is."""
    made = []
    for controller in ("freezer", "pids"):
        directory = cgroups.controller_directory(path, controller)
        assert directory is not None
        directory.mkdir(parents=True, exist_ok=True)
        made.append(directory)
    return made


@contextlib.contextmanager
def member(
    directories: list[Path], argv: tuple[str, ...] = ("sleep", "1000")
) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(argv, stdin=subprocess.PIPE) as child:
        try:
            for directory in directories:
                (directory / "cgroup.procs").write_text(str(child.pid))
            yield child
        finally:
            child.kill()
            for directory in directories:
                cgroups.thaw(directory)


def test_this_hosts_mode_fits_its_hierarchies() -> None:
    versions = {hierarchy.version for hierarchy in cgroups.hierarchies()}
    expected = {
        frozenset(): {CgroupMode.NONE},
        frozenset({1}): {CgroupMode.LEGACY},
        frozenset({2}): {CgroupMode.UNIFIED},
        frozenset({1, 2}): {CgroupMode.HYBRID, CgroupMode.UNIFIED},
    }
    assert cgroups.mode() in expected[frozenset(versions)]


def test_our_own_groups_are_known() -> None:
    paths = cgroups.paths_of(os.getpid())
    assert paths
    assert all(path.startswith("/") for path in paths.values())


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("/libpod_parent/libpod-x", "/libpod_parent/libpod-x"),
        ("libpod_parent/libpod-x/", "/libpod_parent/libpod-x"),
        ("machine.slice:libpod:x", "/machine.slice/libpod-x.scope"),
        ("a-b-c.slice:libpod:x", "/a.slice/a-b.slice/a-b-c.slice/libpod-x.scope"),
        ("-.slice:libpod:x", "/libpod-x.scope"),
        (":libpod:x", "/libpod-x.scope"),
        ("user.slice::x", "/user.slice/x.scope"),
        ("machine.slice::machine-pod.slice", "/machine.slice/machine-pod.slice"),
    ],
)
def test_cgroups_path_of_a_specification_as_a_directory(text: str, path: str) -> None:
    assert cgroups.group_path(text) == path


@needs_root
def test_a_group_is_frozen_and_thawed(group: str) -> None:
    directories = make(group)
    freezer = cgroups.freezer_directory(group)
    assert freezer is not None
    with member(directories):
        assert not cgroups.is_frozen(freezer)
        cgroups.freeze(freezer)
        cgroups.freeze(freezer)
        assert cgroups.is_frozen(freezer)
        cgroups.thaw(freezer)
        cgroups.thaw(freezer)
        assert not cgroups.is_frozen(freezer)


def test_a_group_that_is_gone_is_thawed_and_removed(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    cgroups.thaw(gone)
    assert not cgroups.is_frozen(gone)
    path = f"/libpod_test_gone-{secrets.token_hex(4)}"
    assert cgroups.freezer_directory(path) is None
    assert cgroups.remove(path) == []
    assert cgroups.processes(path) == []
    assert cgroups.kill_all(path) == 0


@needs_root
def test_everybody_below_is_listed_and_killed_also_when_frozen(group: str) -> None:
    top, below = make(group), make(f"{group}/sub/sub")
    with member(top) as one, member(below) as two:
        assert cgroups.processes(group) == sorted([one.pid, two.pid])
        freezer = cgroups.freezer_directory(group)
        assert freezer is not None
        cgroups.freeze(freezer)
        assert cgroups.kill_all(group) == 2
        assert one.wait(30) == two.wait(30) == -signal.SIGKILL


@needs_root
def test_other_signals_leave_a_paused_group_paused(group: str) -> None:
    directories = make(group)
    with member(directories) as child:
        freezer = cgroups.freezer_directory(group)
        assert freezer is not None
        cgroups.freeze(freezer)
        assert cgroups.kill_all(group, signal.SIGTERM) == 1
        assert cgroups.is_frozen(freezer)
        cgroups.thaw(freezer)
        assert child.wait(30) == -signal.SIGTERM


@needs_root
def test_a_forking_crowd_is_killed_whole(group: str) -> None:
    directories = make(group)
    # It begins when it is in the group: what forked before would be outside, and spin for ever.
    script = "read go; while :; do (while :; do (:); done) & [ $(jobs | wc -l) -gt 20 ] && wait; done"
    with member(directories, ("sh", "-c", script)) as crowd:
        assert crowd.stdin is not None
        crowd.stdin.write(b"go\n")
        crowd.stdin.flush()
        for _ in range(20):
            cgroups.kill_all(group)
            if not cgroups.processes(group):
                break
        assert cgroups.remove(group, timeout=30) == []


@needs_root
def test_a_group_in_use_is_not_removed_and_told(group: str) -> None:
    directories = make(f"{group}/sub")
    with member(directories) as child:
        left = cgroups.remove(group, timeout=0.05)
        assert left
        assert pidfd.send_signal(ProcessIdentity.of(child.pid), signal.SIGKILL)
        child.wait()
    assert cgroups.remove(group, timeout=30) == []


def test_the_root_of_the_hierarchies_is_never_removed() -> None:
    with pytest.raises(ValueError):
        cgroups.remove("/")


@needs_root
def test_use_is_counted(group: str) -> None:
    memory = cgroups.controller_directory(group, "memory")
    if memory is None or not cgroups.has_controller("memory"):
        pytest.skip("no memory controller")
    directories = make(group)
    memory.mkdir(exist_ok=True)
    with member([*directories, memory]):
        stats = cgroup_stats.read(group)
    assert stats.pids == 1
    assert stats.memory_limit is None or stats.memory_limit > 0
    with pytest.raises(FileNotFoundError):
        cgroup_stats.read(f"/libpod_test_gone-{secrets.token_hex(4)}")


def test_statistics_of_a_unified_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = tmp_path / "g"
    directory.mkdir()
    for name, text in {
        "cpu.stat": "usage_usec 3000\nuser_usec 2000\nsystem_usec 1000\nthrottled_usec 5\n",
        "memory.current": "4096\n",
        "memory.stat": "anon 1\ninactive_file 100\n",
        "memory.max": "max\n",
        "memory.events": "low 0\nmax 7\noom_kill 2\n",
        "memory.swap.current": "10\n",
        "pids.current": "3\n",
        "pids.max": "2048\n",
        "io.stat": "8:0 rbytes=10 wbytes=20 rios=1\n8:16 rbytes=1 wbytes=2\n",
    }.items():
        (directory / name).write_text(text)
    unified = Hierarchy(mount_point=tmp_path, controllers=frozenset(), version=2)
    monkeypatch.setattr(cgroups, "hierarchies", lambda: (unified,))
    monkeypatch.setattr(cgroups, "mode", lambda: CgroupMode.UNIFIED)
    stats = cgroup_stats.read("/g")
    assert (stats.cpu_ns, stats.cpu_user_ns, stats.cpu_throttled_ns) == (3_000_000, 2_000_000, 5_000)
    assert (stats.memory_usage, stats.memory_limit, stats.memory_inactive_file) == (4096, None, 100)
    assert (stats.memory_failures, stats.oom_kills, stats.swap_usage) == (7, 2, 10)
    assert (stats.pids, stats.pids_limit, stats.block_read, stats.block_written) == (3, 2048, 11, 22)
