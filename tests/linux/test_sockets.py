"""Packet sockets, under any path."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from libpod.linux.sockets import connect_packets, packet_pair


def test_packets_stay_apart_and_the_end_is_seen() -> None:
    ours, theirs = packet_pair()
    with ours:
        with theirs:
            theirs.send(b"one")
            theirs.send(b"two")
            assert not os.get_inheritable(theirs.fileno())
        assert [ours.recv(100), ours.recv(100), ours.recv(100)] == [b"one", b"two", b""]


def listener(path: Path) -> socket.socket:
    """A listening socket whose path may be longer than an address."""
    path.parent.mkdir(parents=True)
    served = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    directory = os.open(path.parent, os.O_PATH)
    served.bind(f"/proc/self/fd/{directory}/{path.name}")
    os.close(directory)
    served.listen()
    return served


def test_a_long_path_can_be_connected_to(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 90) / ("y" * 90) / "attach"
    before = len(os.listdir("/proc/self/fd"))
    with listener(path) as served, connect_packets(path) as client:
        accepted, _ = served.accept()
        with accepted:
            client.send(b"hello")
            assert accepted.recv(100) == b"hello"
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_socket_that_nobody_serves_and_one_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "d" / "attach"
    listener(path).close()
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(ConnectionRefusedError) as caught:
        connect_packets(path)
    assert caught.value.filename == str(path)
    with pytest.raises(FileNotFoundError):
        connect_packets(tmp_path / "none")
    assert len(os.listdir("/proc/self/fd")) == before
