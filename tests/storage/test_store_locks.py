"""The locks of the store: order, exclusion, tokens."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from libpod.define.errors import LockError, StorageError
from libpod.storage.layout import StorePaths
from libpod.storage.locks import TOKEN_SIZE, StoreLocks


@pytest.fixture
def paths(tmp_path: Path) -> StorePaths:
    return StorePaths(tmp_path / "G", tmp_path / "R")


@pytest.fixture
def locks(paths: StorePaths) -> StoreLocks:
    return StoreLocks(paths)


def can_lock(path: Path, kind: int = fcntl.LOCK_EX) -> bool:
    """Whether another process could have the lock now, asked with the POSIX lock that the Go programs use."""
    program = (
        "import fcntl, sys\n"
        "with open(sys.argv[1], 'r+b') as file:\n"
        "    try:\n"
        "        fcntl.lockf(file, int(sys.argv[2]) | fcntl.LOCK_NB)\n"
        "    except OSError:\n"
        "        sys.exit(3)\n"
    )
    result = subprocess.run([sys.executable, "-c", program, path, str(kind)], check=False)
    assert result.returncode in (0, 3)
    return result.returncode == 0


def test_a_write_lock_keeps_other_processes_out_and_is_given_back(
    locks: StoreLocks, paths: StorePaths
) -> None:
    file = paths.layers / "layers.lock"
    with locks.unmounting():
        assert not can_lock(file)
        assert not can_lock(file, fcntl.LOCK_SH)
    assert can_lock(file)


def test_a_read_lock_lets_other_readers_in(locks: StoreLocks, paths: StorePaths) -> None:
    with locks.reading_layers():
        assert can_lock(paths.layers / "layers.lock", fcntl.LOCK_SH)
        assert not can_lock(paths.layers / "layers.lock")


def test_closing_another_descriptor_of_the_lock_file_does_not_lose_the_lock(
    locks: StoreLocks, paths: StorePaths
) -> None:
    with locks.changing_container():
        (paths.containers / "containers.lock").read_bytes()
        assert not can_lock(paths.containers / "containers.lock")


def test_a_forked_child_does_not_keep_the_lock(locks: StoreLocks, paths: StorePaths) -> None:
    release, wait = os.pipe()
    with locks.changing_container():
        child = os.fork()
        if child == 0:
            os.close(wait)
            os.read(release, 1)
            os._exit(0)
    try:
        assert can_lock(paths.containers / "containers.lock")
    finally:
        os.close(wait)
        os.close(release)
        os.waitpid(child, 0)


def test_two_threads_exclude_each_other(locks: StoreLocks) -> None:
    inside: list[int] = []
    overlaps: list[int] = []

    def work() -> None:
        for _ in range(50):
            with locks.changing_image():
                inside.append(1)
                overlaps.append(len(inside))
                time.sleep(0)
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(overlaps) == {1}


def test_asking_twice_in_one_thread_is_an_error_and_no_deadlock(locks: StoreLocks) -> None:
    with locks.changing_container():
        with pytest.raises(LockError, match="wrong order"):
            with locks.reading_containers():
                pass


def test_asking_for_an_earlier_lock_is_an_error(locks: StoreLocks) -> None:
    with locks.reading_containers():
        with pytest.raises(LockError, match=r"layers lock .* wrong order .*containers"):
            with locks.reading_layers():
                pass
    with locks.reading_layers():
        with locks.reading_containers():
            pass


def test_the_error_leaves_nothing_locked(locks: StoreLocks, paths: StorePaths) -> None:
    with locks.reading_containers(), pytest.raises(LockError):
        with locks.deleting():
            pass
    for file in (paths.layers / "layers.lock", paths.containers / "containers.lock"):
        if file.exists():
            assert can_lock(file)
    with locks.deleting():
        pass


def test_the_mount_table_is_locked_only_inside_the_layers(locks: StoreLocks) -> None:
    with locks.changing_container() as held, pytest.raises(LockError, match="does not hold the layers"):
        with locks.mountpoints_within(held):
            pass
    with locks.reading_layers() as held, pytest.raises(LockError, match="locked for writing"):
        with locks.mountpoints_within(held):
            pass
    with locks.deleting() as held:
        with locks.mountpoints_within(held):
            assert held.mountpoints.writable
        with pytest.raises(LockError):
            _ = held.mountpoints
        with locks.mountpoints_within(held):
            pass


def test_nothing_is_locked_while_the_mount_table_is(locks: StoreLocks) -> None:
    with locks.mounting(), pytest.raises(LockError, match="wrong order"):
        with locks.reading_containers():
            pass


def test_a_lock_that_the_operation_does_not_take_cannot_be_used(locks: StoreLocks) -> None:
    with locks.reading_images() as held, pytest.raises(LockError, match="does not hold the containers lock"):
        _ = held.containers


def test_two_stores_do_not_disturb_each_other(tmp_path: Path) -> None:
    one = StoreLocks(StorePaths(tmp_path / "a", tmp_path / "ar"))
    two = StoreLocks(StorePaths(tmp_path / "b", tmp_path / "br"))
    with one.reading_containers(), two.deleting():
        pass


def test_the_token_is_64_bytes_and_new_each_time(locks: StoreLocks, paths: StorePaths) -> None:
    with locks.changing_image() as held:
        assert held.images.token() == b""
        first = held.images.write_token()
        second = held.images.write_token()
        assert first != second == held.images.token()
    content = (paths.images / "images.lock").read_bytes()
    assert content == second
    assert len(content) == TOKEN_SIZE
    stamp, _, pid = struct.unpack("<QQI", content[:20])
    assert abs(stamp / 1e9 - time.time()) < 600
    assert pid == os.getpid()


def test_a_token_is_not_written_under_a_read_lock(locks: StoreLocks) -> None:
    with locks.reading_images() as held, pytest.raises(LockError, match="reading only"):
        held.images.write_token()


def test_the_lock_files_have_the_mode_that_the_go_programs_give_them(
    locks: StoreLocks, paths: StorePaths
) -> None:
    with locks.mounting():
        pass
    assert (paths.graph_root / "storage.lock").stat().st_mode & 0o777 == 0o644
    assert (paths.run_layers / "mountpoints.lock").stat().st_mode & 0o777 == 0o644


def test_a_lock_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "G").write_text("no directory")
    locks = StoreLocks(StorePaths(tmp_path / "G", tmp_path / "R"))
    with pytest.raises(StorageError, match=r"containers\.lock"):
        with locks.reading_containers():
            pass
