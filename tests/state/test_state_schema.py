"""Older data is upgraded, newer data is refused; nothing half-known is touched."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from libpod.define.errors import StateStoreError
from libpod.linux.mounts import mount, unmount
from libpod.model.container_state import ContainerState
from libpod.state import keys
from libpod.state.lmdb_environment import Transaction
from libpod.state.lmdb_rows import delete_under
from libpod.state.lmdb_state import LmdbState
from libpod.state.lmdb_whole import SCHEMA_VERSION
from tests.state.samples import a_container, an_id


def opened(root: Path) -> LmdbState:
    return LmdbState(root / "d", root / "v")


def stamped(root: Path, version: bytes) -> None:
    """A store with one container, whose schema says *version* and which lacks what version 0 lacked."""
    store = opened(root)
    store.add_container(a_container("web"), ContainerState())

    def age(durable: Transaction) -> None:
        durable.put(keys.SCHEMA, version)
        delete_under(durable, keys.CTR_SUMMARY)

    store._write(age)
    store.close()


def test_a_new_store_is_stamped(tmp_path: Path) -> None:
    store = opened(tmp_path)
    assert store._read(lambda durable: durable.get(keys.SCHEMA)) == b"%d" % SCHEMA_VERSION
    store.close()


@pytest.mark.parametrize("version", [b"%d" % (SCHEMA_VERSION + 1), b"99", b"garbage", b""])
def test_newer_data_is_refused_with_both_versions_and_left_alone(tmp_path: Path, version: bytes) -> None:
    stamped(tmp_path, version)
    before = (tmp_path / "d" / "data.mdb").read_bytes()
    with pytest.raises(StateStoreError, match=f"knows {SCHEMA_VERSION}"):
        opened(tmp_path)
    assert (tmp_path / "d" / "data.mdb").read_bytes() == before


def test_older_data_is_upgraded_in_place(tmp_path: Path) -> None:
    stamped(tmp_path, b"0")
    store = opened(tmp_path)
    assert [summary.name for summary, _ in store.container_summaries()] == ["web"]
    assert store.lookup_container("web") == an_id("web")
    assert store._read(lambda durable: durable.get(keys.SCHEMA)) == b"%d" % SCHEMA_VERSION
    store.close()


def test_a_boot_that_a_newer_version_has_begun_is_refused(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store._write_volatile(lambda volatile: volatile.put(keys.REFRESHED, b"99"))
    with pytest.raises(StateStoreError, match="schema 99"):
        store.needs_refresh()
    store.close()


def test_a_file_that_is_no_database_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "data.mdb").write_bytes(b"this is a text" * 1000)
    with pytest.raises(StateStoreError, match="is damaged"):
        opened(tmp_path)


def test_a_directory_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "d").write_bytes(b"")
    with pytest.raises(StateStoreError, match="cannot be opened"):
        opened(tmp_path)


@pytest.mark.root
def test_a_full_file_system_is_a_sentence_and_nothing_is_lost(tmp_path: Path) -> None:
    home = tmp_path / "d"
    home.mkdir()
    mount("tmpfs", home, "tmpfs", data="size=512k")
    try:
        with contextlib.closing(LmdbState(home / "db", tmp_path / "v")) as store:
            added = []
            with pytest.raises(StateStoreError, match=r"cannot be written.*: free disk space"):
                for number in range(1000):
                    store.add_container(
                        a_container(f"n{number}", create_command=("x" * 4000,)), ContainerState()
                    )
                    added.append(f"n{number}")
            assert added
            assert [config.name for config, _ in store.containers()] == sorted(added, key=an_id)
            for name in added[:8]:
                store.remove_container(an_id(name))
            store.add_container(a_container("again"), ContainerState())
            # The volatile half of the one that did not fit is there still, as after a kill.
            assert len(store.repair()) == 1
            assert store.repair(thorough=True) == []
    finally:
        unmount(home)
