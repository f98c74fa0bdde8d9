"""A reboot: what is forgotten, what is kept, and how it is noticed."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest

from libpod.define import errors
from libpod.define.status import ContainerStatus
from libpod.model.container_state import ContainerState, ExitRecord
from libpod.model.pod import PodState
from libpod.model.volume import VolumeState
from libpod.state.base import Claim, State
from libpod.state.lmdb_state import LmdbState
from tests.state.conftest import Backend
from tests.state.samples import a_container, a_pod, a_session, a_volume, an_id, running

CTR = an_id("web")


def after_reboot(backend: Backend, state: ContainerState, *, refresh: bool = True) -> ContainerState:
    """The state in which a container that was in *state* begins the next boot."""
    backend.store.add_container(a_container("web"), ContainerState())
    backend.store.save_container_state(CTR, state)
    store = backend.reboot()
    if refresh:
        store.refresh()
    return store.container_state(CTR)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (ContainerStatus.UNKNOWN, ContainerStatus.CONFIGURED),
        (ContainerStatus.CONFIGURED, ContainerStatus.CONFIGURED),
        (ContainerStatus.CREATED, ContainerStatus.CONFIGURED),
        (ContainerStatus.RUNNING, ContainerStatus.EXITED),
        (ContainerStatus.PAUSED, ContainerStatus.EXITED),
        (ContainerStatus.STOPPING, ContainerStatus.EXITED),
        (ContainerStatus.STOPPED, ContainerStatus.EXITED),
        (ContainerStatus.EXITED, ContainerStatus.EXITED),
        (ContainerStatus.REMOVING, ContainerStatus.REMOVING),
    ],
)
def test_a_status_after_a_reboot_is_what_podman_shows(
    backend: Backend, before: ContainerStatus, after: ContainerStatus
) -> None:
    assert after_reboot(backend, running(status=before)).status is after


@pytest.mark.parametrize("refresh", [True, False])
def test_a_running_container_has_exited_without_anybody_knowing_how(backend: Backend, refresh: bool) -> None:
    state = after_reboot(backend, running(), refresh=refresh)
    assert state == ContainerState(
        status=ContainerStatus.EXITED, config_path="/bundle/config.json", started_time="2026-02-01T10:00:00Z"
    )


def test_how_a_container_ended_and_who_stopped_it_is_kept(backend: Backend) -> None:
    ended = running(
        status=ContainerStatus.EXITED,
        exited=True,
        exit_code=137,
        finished_time="2026-02-01T11:00:00Z",
        oom_killed=True,
        stopped_by_user=True,
        error="boom",
    )
    state = after_reboot(backend, ended)
    for name in (
        "exited",
        "exit_code",
        "finished_time",
        "oom_killed",
        "stopped_by_user",
        "error",
        "started_time",
    ):
        assert getattr(state, name) == getattr(ended, name), name


def test_a_recorded_exit_counts_even_if_the_state_was_never_saved(backend: Backend) -> None:
    backend.store.add_container(a_container("web"), ContainerState())
    backend.store.save_container_state(CTR, running())
    backend.store.record_exit(CTR, ExitRecord(code=3, finished="2026-02-01T11:00:00Z"))
    store = backend.reboot()
    state = store.container_state(CTR)
    assert (state.status, state.exited, state.exit_code) == (ContainerStatus.EXITED, True, 3)
    assert store.exit_record(CTR).code == 3


def test_an_exit_before_the_last_start_says_nothing_about_it(backend: Backend) -> None:
    backend.store.add_container(a_container("web"), ContainerState())
    backend.store.record_exit(CTR, ExitRecord(code=3, finished="2026-02-01T09:00:00Z"))
    backend.store.save_container_state(CTR, running())
    store = backend.reboot()
    assert not store.container_state(CTR).exited


def test_a_checkpoint_stays_restorable(backend: Backend) -> None:
    frozen = running(
        status=ContainerStatus.EXITED,
        checkpointed=True,
        checkpointed_time="2026-02-01T11:00:00Z",
        checkpoint_path="/bundle/checkpoint",
        checkpoint_log="/bundle/dump.log",
    )
    state = after_reboot(backend, frozen)
    assert state.checkpointed
    assert (state.checkpoint_path, state.checkpoint_log) == ("/bundle/checkpoint", "/bundle/dump.log")


def test_an_interrupted_removal_is_remembered_with_its_volumes(backend: Backend) -> None:
    state = after_reboot(backend, ContainerState(status=ContainerStatus.REMOVING, removing_volumes=True))
    assert (state.status, state.removing_volumes) == (ContainerStatus.REMOVING, True)


def test_processes_mounts_networks_sessions_and_claims_are_forgotten(backend: Backend) -> None:
    store = backend.store
    store.add_container(a_container("web", lock_id=store.allocate_lock()), running())
    store.add_exec_session(a_session(a_container("web"), "s"))
    store.claim([Claim(kind="port", key="tcp/80", owner=CTR)])
    store.allocate_lock()
    store = backend.reboot()
    store.refresh()
    state = store.container_state(CTR)
    for name in (
        "pid",
        "conmon_pid",
        "mounted",
        "mount_point",
        "netns",
        "network_status",
        "bind_mounts",
        "run_dir",
    ):
        assert not getattr(state, name), name
    assert store.exec_sessions(CTR) == []
    assert store.claims() == []
    assert [store.allocate_lock(), store.allocate_lock()] == [1, 2]


def test_a_pod_keeps_its_infra_container_and_a_volume_what_it_still_needs(backend: Backend) -> None:
    store = backend.store
    store.add_pod(a_pod("shop"), PodState())
    store.save_pod_state(an_id("shop"), PodState(cgroup_path="/libpod/x", infra_container_id="i"))
    store.add_volume(a_volume("data"), VolumeState(needs_copy_up=True, needs_chown=True))
    store.save_volume_state("data", VolumeState(mount_point="/m", mount_count=3, needs_chown=True))
    store = backend.reboot()
    for _ in range(2):
        assert store.pod_state(an_id("shop")) == PodState(infra_container_id="i")
        assert store.volume_state("data") == VolumeState(needs_chown=True)
        store.refresh()


def test_a_new_boot_is_noticed_until_it_is_refreshed(backend: Backend) -> None:
    assert not backend.store.needs_refresh()
    store = backend.reboot()
    assert store.needs_refresh()
    store.refresh()
    assert not store.needs_refresh()


def test_refreshing_twice_in_one_boot_undoes_nothing(backend: Backend) -> None:
    backend.store.add_container(a_container("web"), running())
    store = backend.reboot()
    store.refresh()
    store.save_container_state(CTR, running(pid=1))
    store.claim([Claim(kind="port", key="tcp/80", owner=CTR)])
    store.refresh()
    assert store.container_state(CTR).pid == 1
    assert len(store.claims()) == 1


def test_an_object_made_before_the_refresh_keeps_its_state(backend: Backend) -> None:
    store = backend.reboot()
    lock = store.allocate_lock()
    store.add_container(a_container("web", lock_id=lock), running())
    store.refresh()
    assert store.container_state(CTR) == running()
    assert store.allocate_lock() == lock + 1


# ---- LMDB only --------------------------------------------------------------------------------------------------


def opened(root: Path, boot_id: str) -> LmdbState:
    return LmdbState(root / "durable", root / "volatile", boot_id=boot_id)


def test_the_volatile_half_of_the_last_boot_is_deleted_by_the_refresh(tmp_path: Path) -> None:
    store = opened(tmp_path, "one")
    store.refresh()
    store.close()
    store = opened(tmp_path, "two")
    assert store.needs_refresh()
    assert sorted(path.name for path in (tmp_path / "volatile").iterdir()) == ["boot-one", "boot-two"]
    store.refresh()
    assert [path.name for path in (tmp_path / "volatile").iterdir()] == ["boot-two"]
    store.close()


def test_a_torn_volatile_half_of_the_last_boot_is_never_opened(tmp_path: Path) -> None:
    store = opened(tmp_path, "one")
    store.add_container(a_container("web"), running())
    store.close()
    (tmp_path / "volatile" / "boot-one" / "data.mdb").write_bytes(b"torn by a power cut" * 1000)
    store = opened(tmp_path, "two")
    store.refresh()
    assert store.container_state(CTR).status is ContainerStatus.EXITED
    store.close()


def test_a_volatile_directory_that_is_gone_is_a_new_boot(tmp_path: Path) -> None:
    store = opened(tmp_path, "one")
    store.refresh()
    store.add_container(a_container("web"), running())
    store.close()
    shutil.rmtree(tmp_path / "volatile")
    store = opened(tmp_path, "one")
    assert store.needs_refresh()
    store.refresh()
    assert store.container_state(CTR).status is ContainerStatus.EXITED
    store.close()


def test_a_volatile_directory_deleted_under_an_open_store_is_made_again_for_all(tmp_path: Path) -> None:
    first = opened(tmp_path, "one")
    first.refresh()
    first.add_container(a_container("web"), running())
    shutil.rmtree(tmp_path / "volatile")
    assert first.needs_refresh()
    assert first.container_state(CTR).status is ContainerStatus.EXITED
    first.save_container_state(CTR, running(pid=5))
    second = opened(tmp_path, "one")
    assert second.container_state(CTR).pid == 5
    second.close()
    first.close()


def test_a_start_is_flushed_to_disk_once_and_its_bookkeeping_not_at_all(lmdb_store: LmdbState) -> None:
    lmdb_store.add_container(a_container("web"), ContainerState())
    lmdb_store.save_container_state(CTR, running())
    before = lmdb_store.durable_commits()
    for pid in range(20):
        lmdb_store.save_container_state(CTR, running(pid=pid, mounted=bool(pid % 2)))
    assert lmdb_store.durable_commits() == before
    lmdb_store.record_exit(CTR, ExitRecord(code=0, finished="2026-02-01T11:00:00Z"))
    ended = msgspec.structs.replace(
        running(), status=ContainerStatus.STOPPED, exited=True, finished_time="2026-02-01T11:00:00Z"
    )
    lmdb_store.save_container_state(CTR, ended)
    assert lmdb_store.durable_commits() == before + 1


def test_a_store_without_any_refresh_serves_all_the_same(tmp_path: Path) -> None:
    store: State = opened(tmp_path, "one")
    store.add_container(a_container("web"), ContainerState())
    assert store.lookup_container("web") == CTR
    with pytest.raises(errors.NoSuchContainerError):
        store.lookup_container("nobody")
    store.close()
