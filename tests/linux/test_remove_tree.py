"""Removing trees, whatever somebody has put into them."""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path

import pytest

from libpod.linux.files import remove_tree


def test_a_tree_goes_with_all_that_is_in_it(tmp_path: Path) -> None:
    top = tmp_path / "top"
    (top / "a/b/c").mkdir(parents=True)
    (top / "a/file").write_text("x")
    (top / "a/b/link").symlink_to("/nowhere")
    os.mkfifo(top / "a/fifo")
    remove_tree(top)
    remove_tree(top)
    assert os.listdir(tmp_path) == []


def test_links_are_removed_and_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("x")
    top = tmp_path / "top"
    top.mkdir()
    (top / "way").symlink_to(precious)
    remove_tree(top)
    (tmp_path / "direct").symlink_to(precious)
    remove_tree(tmp_path / "direct")
    assert sorted(os.listdir(tmp_path)) == ["precious"]
    assert (precious / "file").exists()


def test_a_file_is_removed_too(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    remove_tree(tmp_path / "file")
    assert os.listdir(tmp_path) == []


def test_a_tree_deeper_than_any_stack_is_removed(tmp_path: Path) -> None:
    here = os.getcwd()
    top = tmp_path / "top"
    top.mkdir()
    try:
        os.chdir(top)
        for _ in range(3000):
            os.mkdir("d")
            os.chdir("d")
            Path("file").write_text("")
    finally:
        os.chdir(here)
    before = len(os.listdir("/proc/self/fd"))
    remove_tree(top)
    assert os.listdir(tmp_path) == []
    assert len(os.listdir("/proc/self/fd")) == before


def test_two_may_remove_one_tree_at_once(tmp_path: Path) -> None:
    top = tmp_path / "top"
    for number in range(40):
        (top / f"a{number}/b/c").mkdir(parents=True)
        (top / f"a{number}/b/file").write_text("x")
    failures: list[BaseException] = []

    def work() -> None:
        try:
            remove_tree(top)
        except BaseException as error:  # noqa: BLE001 – shown by the assertion
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert not top.exists()


@pytest.mark.root
def test_a_file_that_may_not_be_removed_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "top/inner/file"
    file.parent.mkdir(parents=True)
    file.write_text("x")
    if subprocess.run(["chattr", "+i", file], check=False, capture_output=True).returncode:
        pytest.skip("this file system has no immutable files")
    try:
        with pytest.raises(PermissionError):
            remove_tree(tmp_path / "top")
    finally:
        subprocess.run(["chattr", "-i", file], check=True)
    remove_tree(tmp_path / "top")
