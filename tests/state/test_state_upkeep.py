"""What an engine asks its records for besides keeping them: looking without repairing, paths, a file to watch."""

from __future__ import annotations

import time
from pathlib import Path

from libpod.linux.inotify import IN_MODIFY, Inotify
from libpod.model.container_state import ContainerState
from libpod.state.base import Claim, State
from libpod.state.lmdb_state import LmdbState
from tests.state.children import Child
from tests.state.samples import a_container, running


def test_a_repair_can_be_pretended(lmdb_store: LmdbState, tmp_path: Path) -> None:
    def leave_something(say) -> None:
        lmdb_store.allocate_lock()
        lmdb_store.claim([Claim(kind="port", key="tcp/0.0.0.0/80/80", owner="0" * 64)])
        say("left")
        time.sleep(60)

    child = Child(leave_something)
    child.wait_for("left")
    child.kill()
    found = lmdb_store.repair(thorough=True, pretend=True)
    assert len(found) == 2
    assert lmdb_store.repair(thorough=True, pretend=True) == found, "nothing was changed"
    assert lmdb_store.repair(thorough=True) == found
    assert lmdb_store.repair(thorough=True, pretend=True) == []


def test_recorded_paths_are_told(store: State) -> None:
    assert dict(store.recorded_paths()) == {}
    store.check_paths({"graph root": "/a"})
    store.rewrite_paths({"graph root": "/b", "volume path": "/c"})
    assert dict(store.recorded_paths()) == {"graph root": "/b", "volume path": "/c"}


def test_every_change_of_a_state_is_seen_on_the_watched_file(lmdb_store: LmdbState) -> None:
    container = a_container("web")
    with Inotify() as watch:
        for path in lmdb_store.change_files():
            watch.watch(path, IN_MODIFY)
        for state in (ContainerState(), running(), ContainerState(pid=7)):
            if lmdb_store.has_container(container.id):
                lmdb_store.save_container_state(container.id, state)
            else:
                lmdb_store.add_container(container, state)
            assert watch.read() != []
        lmdb_store.container_state(container.id)
        assert watch.read() == []
