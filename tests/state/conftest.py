"""Both stores under one name: what a test demands, it demands of each."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from libpod.state.base import State
from libpod.state.lmdb_state import LmdbState
from libpod.state.memory_state import MemoryState


class Backend:
    """A store and its next boots."""

    def __init__(self, kind: str, root: Path) -> None:
        self.kind = kind
        self._root = root
        self._boot = 0
        self.store: State = self._lmdb() if kind == "lmdb" else MemoryState()

    def _lmdb(self) -> LmdbState:
        return LmdbState(self._root / "durable", self._root / "volatile", boot_id=f"boot {self._boot}")

    def reboot(self) -> State:
        """The machine goes down and comes up; the store is opened again."""
        self._boot += 1
        if isinstance(self.store, MemoryState):
            self.store = self.store.reboot()
        else:
            self.store.close()
            self.store = self._lmdb()
        return self.store


@pytest.fixture(params=["memory", "lmdb"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    found = Backend(request.param, tmp_path)
    with contextlib.closing(found.store):
        found.store.refresh()
        yield found
    found.store.close()


@pytest.fixture
def store(backend: Backend) -> State:
    return backend.store


@pytest.fixture
def lmdb_store(tmp_path: Path) -> Iterator[LmdbState]:
    with contextlib.closing(LmdbState(tmp_path / "durable", tmp_path / "volatile")) as found:
        found.refresh()
        yield found
