"""What `sync_tree` hands to the disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from libpod.linux.files import sync_tree


def test_every_file_and_directory_below_and_nothing_that_a_link_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    top, outside = tmp_path / "top", tmp_path / "outside"
    outside.mkdir()
    (outside / "file").touch()
    (top / "deep").mkdir(parents=True)
    for name in ("file", "deep/file"):
        (top / name).write_text(name)
    os.mkfifo(top / "fifo")
    (top / "link").symlink_to(outside)
    (top / "dangling").symlink_to("nowhere")
    synced: set[int] = set()
    really = os.fsync

    def fsync(descriptor: int) -> None:
        synced.add(os.fstat(descriptor).st_ino)
        really(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    sync_tree(top)
    assert synced == {(top / name).stat().st_ino for name in ("", "deep", "file", "deep/file")}
