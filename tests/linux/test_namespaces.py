"""Network namespaces that are kept by path."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from libpod.linux.links import links
from libpod.linux.namespaces import (
    create_network_namespace,
    delete_network_namespace,
    is_network_namespace,
    keep_network_namespace,
    namespace_inode,
    run_in_netns,
)

pytestmark = [pytest.mark.root, pytest.mark.network]


@pytest.fixture
def path(tmp_path):
    target = tmp_path / "netns" / "one"
    yield target
    delete_network_namespace(target)


def test_a_namespace_is_made_with_loopback_up_and_kept(path):
    mine = namespace_inode(Path("/proc/thread-self/ns/net"))
    inode = create_network_namespace(path)
    assert inode == namespace_inode(path) != mine
    assert is_network_namespace(path)
    assert [link.name for link in run_in_netns(path, links)] == ["lo"]

    def speak() -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname(), timeout=10).close()

    run_in_netns(path, speak)


def test_the_callers_thread_does_not_move(path):
    before = os.readlink("/proc/thread-self/ns/net")
    create_network_namespace(path)
    with pytest.raises(ZeroDivisionError):
        run_in_netns(path, lambda: 1 // 0)
    assert os.readlink("/proc/thread-self/ns/net") == before
    assert (
        run_in_netns(path, lambda: os.readlink("/proc/thread-self/ns/net"))
        == f"net:[{namespace_inode(path)}]"
    )


def test_children_started_inside_are_inside(path):
    inode = create_network_namespace(path)
    words = [sys.executable, "-c", "import os; print(os.readlink('/proc/self/ns/net'))"]
    output = run_in_netns(path, lambda: subprocess.run(words, check=True, capture_output=True).stdout)
    assert output.decode().strip() == f"net:[{inode}]"


def test_a_second_creation_is_refused_and_an_empty_file_is_used(path):
    path.parent.mkdir(parents=True)
    path.touch()
    assert not is_network_namespace(path)
    create_network_namespace(path)
    with pytest.raises(FileExistsError):
        create_network_namespace(path)


def test_deleting_is_repeatable_and_undoes_doubled_mounts(path, tmp_path):
    create_network_namespace(path)
    other = tmp_path / "two"
    assert keep_network_namespace(path, other) == namespace_inode(path)
    subprocess.run(["mount", "--bind", str(other), str(path)], check=True)
    assert delete_network_namespace(path)
    assert not delete_network_namespace(path)
    assert not path.exists()
    assert is_network_namespace(other)
    assert delete_network_namespace(other)
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()


def test_something_else_is_no_namespace(tmp_path):
    file = tmp_path / "file"
    file.touch()
    os.mkfifo(tmp_path / "fifo")
    assert not is_network_namespace(file)
    assert not is_network_namespace(tmp_path / "fifo")
    assert not is_network_namespace(tmp_path / "missing")
    assert not is_network_namespace(Path("/proc/self/ns/mnt"))
    with pytest.raises(OSError, match="not a network namespace"):
        run_in_netns(file, lambda: None)


def test_a_failed_creation_leaves_nothing(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        create_network_namespace(tmp_path / "file" / "ns")
    assert sorted(os.listdir(tmp_path)) == ["file"]


def test_many_threads_make_many_namespaces(tmp_path):
    paths = [tmp_path / str(number) for number in range(16)]
    threads = [threading.Thread(target=create_network_namespace, args=(path,)) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    try:
        assert len({namespace_inode(path) for path in paths}) == 16
    finally:
        for path in paths:
            delete_network_namespace(path)
