"""Watching files and directories."""

from __future__ import annotations

from pathlib import Path

import pytest

from libpod.linux import inotify, pidfd
from libpod.linux.inotify import Inotify


def test_a_rename_into_a_directory_is_seen_with_its_name(tmp_path: Path) -> None:
    watched = tmp_path / "exits"
    watched.mkdir()
    with Inotify() as watch:
        number = watch.watch(watched, inotify.IN_MOVED_TO)
        assert watch.read() == []
        (watched / "name.tmp").write_text("0")
        assert watch.read() == []
        (watched / "name.tmp").rename(watched / "name")
        assert pidfd.wait_readable([watch.fileno()], 30)
        (event,) = watch.read()
        assert (event.watch, event.mask, event.name) == (number, inotify.IN_MOVED_TO, "name")
        watch.unwatch(number)
        assert [event.mask for event in watch.read()] == [inotify.IN_IGNORED]


def test_many_events_are_read_together(tmp_path: Path) -> None:
    with Inotify() as watch:
        watch.watch(tmp_path, inotify.IN_CREATE)
        names = [f"file-{number}" * (number % 9 + 1) for number in range(200)]
        for name in names:
            (tmp_path / name).touch()
        found: list[str] = []
        while events := watch.read():
            found += [event.name for event in events]
        assert found == names


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    with Inotify() as watch, pytest.raises(FileNotFoundError) as caught:
        watch.watch(tmp_path / "none", inotify.IN_CREATE)
    assert caught.value.filename == str(tmp_path / "none")


def test_closing_twice_is_fine() -> None:
    watch = Inotify()
    watch.close()
    watch.close()
