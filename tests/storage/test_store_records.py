"""The JSON files: loading, change detection, drafts, atomic saving."""

from __future__ import annotations

import functools
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from libpod.define.errors import LockError, StorageError
from libpod.storage import records
from libpod.storage.layout import StorePaths
from libpod.storage.locks import HeldLock, StoreLocks
from libpod.storage.records import Table, snapshot_of


@pytest.fixture
def paths(tmp_path: Path) -> StorePaths:
    return StorePaths(tmp_path / "G", tmp_path / "R")


@pytest.fixture
def lock(paths: StorePaths) -> Iterator[HeldLock]:
    with StoreLocks(paths).changing_container() as held:
        yield held.containers


@pytest.fixture
def table(paths: StorePaths) -> Table:
    return Table(
        "container",
        [paths.containers / "containers.json", paths.containers / "volatile-containers.json"],
        durable=[True, False],
    )


def write(table: Table, records: object, file: int = 0) -> None:
    table.files[file].write_text(json.dumps(records))


@pytest.mark.parametrize("content", [None, "", " \n", "null", "[]"])
def test_a_missing_or_empty_file_is_the_empty_list(table: Table, lock: HeldLock, content: str | None) -> None:
    if content is not None:
        table.files[0].write_text(content)
    assert len(table.read(lock)) == 0


@pytest.mark.parametrize("content", ["{", '{"id": "a"}', '[{"name": "a"}]', "[3]", '[{"id": 3}]'])
def test_a_damaged_file_is_an_error_that_names_it(table: Table, lock: HeldLock, content: str) -> None:
    table.files[0].write_text(content)
    with pytest.raises(StorageError, match=r"containers\.json is damaged"):
        table.read(lock)


def test_go_escapes_are_understood(table: Table, lock: HeldLock) -> None:
    table.files[0].write_text(r'[{"id":"a","metadata":"\u003c\u0026\u003e"}]')
    assert table.read(lock).by_id["a"]["metadata"] == "<&>"


def test_what_did_not_change_is_not_loaded_again(table: Table, lock: HeldLock) -> None:
    write(table, [{"id": "a"}])
    assert table.read(lock) is table.read(lock)


def test_a_new_token_causes_a_reload(table: Table, lock: HeldLock) -> None:
    write(table, [{"id": "a"}])
    before = table.read(lock)
    lock.write_token()
    assert table.read(lock) is not before


def test_a_file_replaced_without_a_token_is_noticed(table: Table, lock: HeldLock) -> None:
    """A writer of c/storage up to 1.46 that died between replacing the file and writing the token."""
    write(table, [{"id": "a"}])
    table.read(lock)
    status = table.files[0].stat()
    other = table.files[0].with_name("other")
    other.write_text(json.dumps([{"id": "b"}]))
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.rename(table.files[0])
    assert list(table.read(lock).by_id) == ["b"]


def test_a_save_writes_the_token_before_the_file(
    table: Table, lock: HeldLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bytes] = []
    rename = os.rename

    def watched(source: str, target: str) -> None:
        seen.append(lock.token())
        rename(source, target)

    before = lock.token()
    draft = table.edit(lock)
    draft.add({"id": "a"})
    monkeypatch.setattr(os, "rename", watched)
    draft.save()
    assert seen == [lock.token()]
    assert seen != [before]


def test_a_save_is_remembered_and_not_loaded_again(table: Table, lock: HeldLock) -> None:
    draft = table.edit(lock)
    draft.add({"id": "a"})
    saved = draft.save()
    assert table.read(lock) is saved


def test_a_save_without_changes_writes_nothing(table: Table, lock: HeldLock) -> None:
    write(table, [{"id": "a"}])
    before = table.files[0].stat()
    draft = table.edit(lock)
    draft.remove("missing")
    draft.save()
    assert table.files[0].stat().st_ino == before.st_ino
    assert lock.token() == b""


def test_unknown_keys_and_the_order_survive_a_change(table: Table, lock: HeldLock) -> None:
    records: list[dict[str, object]] = [
        {"id": "c", "future": {"deep": [1, 2.5, None]}},
        {"id": "a", "names": ["x"], "created": "2020-01-01T00:00:00.123456789+02:00"},
        {"id": "b"},
    ]
    write(table, records)
    draft = table.edit(lock)
    draft.change("a", lambda record: {**record, "metadata": "new"})
    draft.add({"id": "d"})
    draft.save()
    assert json.loads(table.files[0].read_text()) == [
        records[0],
        {**records[1], "metadata": "new"},
        records[2],
        {"id": "d"},
    ]
    assert table.files[0].stat().st_mode & 0o777 == 0o600


def test_the_text_of_records_that_did_not_change_stays_to_the_byte(table: Table, lock: HeldLock) -> None:
    """Go's escapes, its numbers, spaces, and numbers that no float holds."""
    kept = [
        r'{"id":"a","metadata":"\u003c\u0026\u003e \u2028","size":1e21}',
        r'{ "id": "b", "names": ["x"], "big": 123456789012345678901234567890, "future": {"z":1.0,"a":[ ]} }',
    ]
    table.files[0].write_text("[" + kept[0] + ',{"id":"c","metadata":"old"},' + kept[1] + "]\n")
    draft = table.edit(lock)
    draft.change("c", lambda record: {**record, "metadata": "new"})
    draft.add({"id": "d"})
    draft.save()
    draft.remove("d")
    draft.save()
    text = table.files[0].read_text()
    assert text == "[" + kept[0] + ',{"id":"c","metadata":"new"},' + kept[1] + "]"


def test_only_what_changed_is_encoded(table: Table, lock: HeldLock, monkeypatch: pytest.MonkeyPatch) -> None:
    write(table, [{"id": f"{number:03}", "names": [f"name{number}"]} for number in range(100)])
    encoded: list[object] = []
    encoder = records._encoder

    class Watched:
        def encode(self, record: object) -> bytes:
            encoded.append(record)
            return encoder.encode(record)

    monkeypatch.setattr(records, "_encoder", Watched())
    for number in (200, 201):
        draft = table.edit(lock)
        draft.add({"id": str(number)})
        draft.save()
    assert encoded == [{"id": "200"}, {"id": "201"}]
    assert len(json.loads(table.files[0].read_text())) == 102


def test_what_another_program_wrote_between_two_saves_is_kept(table: Table, lock: HeldLock) -> None:
    draft = table.edit(lock)
    draft.add({"id": "a", "names": ["mine"]})
    draft.save()
    theirs = table.files[0].with_name("theirs")
    theirs.write_text('[{"id":"a","names":["changed"],"theirs":true},{"id":"b","names":["mine"]}]')
    lock.write_token()
    theirs.rename(table.files[0])
    draft = table.edit(lock)
    draft.add({"id": "c"})
    assert draft.save().by_name["mine"]["id"] == "b"
    assert json.loads(table.files[0].read_text()) == [
        {"id": "a", "names": ["changed"], "theirs": True},
        {"id": "b", "names": ["mine"]},
        {"id": "c"},
    ]


def test_a_snapshot_does_not_change_with_the_drafts_made_of_it(table: Table, lock: HeldLock) -> None:
    write(table, [{"id": "a", "names": ["x"]}])
    before = table.read(lock)
    draft = table.edit(lock)
    draft.add({"id": "b", "names": ["x"]})
    draft.remove("a")
    draft.save()
    assert list(before) == [{"id": "a", "names": ["x"]}]
    assert before.by_name["x"]["id"] == "a"
    assert list(table.read(lock)) == [{"id": "b", "names": ["x"]}]


def test_a_draft_that_is_not_saved_leaves_no_trace(table: Table, lock: HeldLock) -> None:
    write(table, [{"id": "a"}])
    table.edit(lock).remove("a")
    draft = table.edit(lock)
    draft.add({"id": "b"})
    draft.save()
    assert json.loads(table.files[0].read_text()) == [{"id": "a"}, {"id": "b"}]


def test_a_record_that_is_there_cannot_be_added(table: Table, lock: HeldLock) -> None:
    write(table, [{"id": "a"}])
    with pytest.raises(StorageError, match="already"):
        table.edit(lock).add({"id": "a"})


def test_of_two_records_with_one_id_in_a_file_the_first_is_the_only_one(table: Table, lock: HeldLock) -> None:
    write(table, [{"id": "a", "names": ["x"]}, {"id": "a", "names": ["y"]}, {"id": "b"}])
    draft = table.edit(lock)
    assert "y" not in draft.now.by_name
    draft.remove("b")
    draft.save()
    assert json.loads(table.files[0].read_text()) == [{"id": "a", "names": ["x"]}]


@pytest.mark.parametrize(("source", "target"), [(0, 1), (1, 0)])
def test_a_record_that_moves_is_never_in_neither_file(
    table: Table, lock: HeldLock, monkeypatch: pytest.MonkeyPatch, source: int, target: int
) -> None:
    for number in (source, target):
        write(table, [{"id": "a", "names": ["x"]}] if number == source else [{"id": "b"}], file=number)
    rename = os.rename
    written: list[str] = []

    def watched(old: str, new: Path) -> None:
        written.append(new.name)
        rename(old, new)

    monkeypatch.setattr(os, "rename", watched)
    draft = table.edit(lock)
    draft.move({"id": "a", "names": ["x"], "metadata": "new"}, file=target)
    saved = draft.save()
    assert written == [table.files[target].name, table.files[source].name]
    assert json.loads(table.files[source].read_text()) == []
    assert [record["id"] for record in json.loads(table.files[target].read_text())] == ["b", "a"]
    assert saved.by_name["x"]["metadata"] == "new"
    assert {record["id"] for record in saved} == {"a", "b"}


def test_a_record_behind_one_with_the_same_id_shows_when_that_is_gone(table: Table, lock: HeldLock) -> None:
    write(table, [{"id": "a", "names": ["first"]}])
    write(table, [{"id": "a", "names": ["second"]}], file=1)
    snapshot = table.read(lock)
    assert list(snapshot.by_name) == ["first"]
    uncovered = snapshot.edited(0, "a", None, None)
    assert uncovered.get("a") == {"id": "a", "names": ["second"]}
    assert list(uncovered.by_name) == ["second"]
    covered = snapshot.edited(1, "a", {"id": "a", "names": ["third"]}, None)
    assert list(covered.by_name) == ["first"]


def test_a_table_remembers_the_records_it_is_to_take_note_of(paths: StorePaths, lock: HeldLock) -> None:
    table = Table("layer", [paths.containers / "l.json"], note=lambda record: bool(record.get("odd")))
    write(table, [{"id": "a", "odd": True}, {"id": "b"}])
    draft = table.edit(lock)
    assert draft.now.noted == {"a"}
    draft.change("a", lambda record: {"id": record["id"]})
    draft.add({"id": "c", "odd": True})
    assert draft.now.noted == {"c"}
    draft.save()
    assert table.read(lock).noted == {"c"}
    lock.write_token()
    assert table.read(lock).noted == {"c"}


def test_a_removable_file_is_there_only_with_records_in_it(paths: StorePaths, lock: HeldLock) -> None:
    table = Table("layer", [paths.containers / "stable", paths.containers / "removable"], removable=1)
    draft = table.edit(lock)
    draft.add({"id": "a"}, file=1)
    draft.save()
    assert json.loads(table.files[1].read_text()) == [{"id": "a"}]
    before = lock.token()
    draft.move({"id": "a"}, file=0)
    saved = draft.save()
    assert not table.files[1].exists()
    assert lock.token() != before
    assert table.read(lock) is saved
    draft.remove("a")
    draft.save()
    assert json.loads(table.files[0].read_text()) == []


def test_drafts_say_what_a_plain_list_would(table: Table, lock: HeldLock) -> None:
    """Many changes at random, each compared with the file and with what a fresh reader makes of it."""
    chance = random.Random(7)
    ids = [f"id{number}" for number in range(8)]
    for _ in range(200):
        draft = table.edit(lock)
        for _ in range(chance.randint(1, 4)):
            record_id = chance.choice(ids)
            record = {"id": record_id, "value": chance.randint(0, 3)}
            if names := chance.sample(["n1", "n2", "n3", "n4"], chance.randint(0, 2)):
                record["names"] = names
            file = chance.randint(0, 1)
            if draft.get(record_id) is None:
                draft.add(record, file=file)
            else:
                change = chance.choice(
                    [
                        draft.replace,
                        functools.partial(draft.move, file=file),
                        functools.partial(_removed_from, draft),
                    ]
                )
                change(record)
        saved = draft.save()
        fresh = Table(table.kind, table.files).read(lock)
        assert saved.files == fresh.files
        assert [list(file) for file in saved.files] == [list(file) for file in fresh.files]
        assert saved.by_id == fresh.by_id
        assert saved.by_name == fresh.by_name


def _removed_from(draft: records.Draft, record: dict[str, object]) -> None:
    draft.remove(str(record["id"]))


def test_only_the_file_that_changed_is_written(table: Table, lock: HeldLock) -> None:
    write(table, [{"id": "a"}])
    write(table, [{"id": "v"}], file=1)
    inode = table.files[0].stat().st_ino
    draft = table.edit(lock)
    draft.remove("v")
    draft.save()
    assert table.files[0].stat().st_ino == inode
    assert json.loads(table.files[1].read_text()) == []


def test_an_id_in_two_files_belongs_to_the_first(table: Table, lock: HeldLock) -> None:
    write(table, [{"id": "a", "metadata": "stable"}])
    write(table, [{"id": "a", "metadata": "volatile"}, {"id": "v"}], file=1)
    snapshot = table.read(lock)
    assert snapshot.by_id["a"]["metadata"] == "stable"
    assert [record["id"] for record in snapshot] == ["a", "v"]


def test_of_two_records_with_one_name_the_later_keeps_it_and_the_next_save_says_so(
    table: Table, lock: HeldLock
) -> None:
    write(table, [{"id": "a", "names": ["one", "two"]}, {"id": "b", "names": ["one"]}])
    snapshot = table.read(lock)
    assert snapshot.by_name["one"]["id"] == "b"
    assert snapshot.by_id["a"]["names"] == ["two"]
    draft = table.edit(lock)
    draft.add({"id": "c"})
    draft.save()
    assert json.loads(table.files[0].read_text())[0] == {"id": "a", "names": ["two"]}


def test_a_record_that_gets_a_name_takes_it_from_the_holder_wherever_that_is(
    table: Table, lock: HeldLock
) -> None:
    write(table, [{"id": "a"}, {"id": "b", "names": ["x", "y"]}])
    write(table, [{"id": "v", "names": ["z"]}], file=1)
    draft = table.edit(lock)
    draft.replace({"id": "a", "names": ["x", "z"]})
    snapshot = draft.save()
    assert snapshot.by_id["a"]["names"] == ["x", "z"]
    assert snapshot.by_id["b"]["names"] == ["y"]
    assert "names" not in snapshot.by_id["v"]


def test_a_draft_needs_the_write_lock_to_save(table: Table, paths: StorePaths) -> None:
    with StoreLocks(paths).reading_containers() as held:
        draft = table.edit(held.containers)
        draft.add({"id": "a"})
        with pytest.raises(LockError, match="reading only"):
            draft.save()
    assert not table.files[0].exists()


def test_looking_up_takes_an_id_a_name_or_a_prefix_of_one_record() -> None:
    snapshot = snapshot_of([[{"id": "abc", "names": ["abd"]}, {"id": "abd"}, {"id": "xyz"}]])
    assert snapshot.find("abd") == {"id": "abd"}
    assert snapshot.find("abc") == {"id": "abc", "names": ["abd"]}
    assert snapshot.find("x") == {"id": "xyz"}
    assert snapshot.find("ab") is None
    assert snapshot.find("") is None
    assert snapshot.find("q") is None


def test_a_failed_write_leaves_the_old_file_and_no_litter(
    table: Table, lock: HeldLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(table, [{"id": "a"}])
    draft = table.edit(lock)
    draft.add({"id": "b"})

    def refuse(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fdatasync", refuse)
    with pytest.raises(StorageError, match="No space left"):
        draft.save()
    assert json.loads(table.files[0].read_text()) == [{"id": "a"}]
    assert [name for name in os.listdir(table.files[0].parent) if name.startswith(".tmp-")] == []
    assert list(table.read(lock).by_id) == ["a"]
