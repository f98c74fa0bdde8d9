"""What processes hold open: descriptors, sockets, file locks, mapped devices, read from /proc without disturbing them.

Everything here may be gone a moment later; what vanishes while we look is left out.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Collection, Iterator
from pathlib import Path

import attrs

ESTABLISHED = "01"
_CONNECTING = frozenset({"02", "03"})
_INET = ("tcp", "tcp6", "udp", "udp6", "raw", "raw6", "icmp", "icmp6", "udplite", "udplite6")
_SOCKET = re.compile(r"socket:\[(\d+)\]")
GONE = (FileNotFoundError, ProcessLookupError)


@attrs.frozen
class OpenFile:
    """One descriptor of a process."""

    pid: int
    descriptor: int
    target: str
    """What its link says: a path, `socket:[1]`, `anon_inode:[eventpoll]`, …"""
    status: os.stat_result

    @property
    def is_deleted(self) -> bool:
        return self.target.endswith(" (deleted)")

    @property
    def socket(self) -> int | None:
        """The socket's inode."""
        found = _SOCKET.fullmatch(self.target)
        return int(found[1]) if found else None

    @property
    def is_device(self) -> bool:
        return stat.S_ISCHR(self.status.st_mode) or stat.S_ISBLK(self.status.st_mode)


def open_files(pid: int) -> Iterator[OpenFile]:
    """The descriptors of a process."""
    directory = f"/proc/{pid}/fd"
    try:
        names = os.listdir(directory)
    except GONE:
        return
    for name in names:
        with contextlib.suppress(*GONE):
            path = f"{directory}/{name}"
            yield OpenFile(pid, int(name), os.readlink(path), os.stat(path))


def tcp_connections(pid: int) -> dict[int, str]:
    """Socket inode → what it is connected to, for established connections in the process's network namespace."""
    found = {}
    for table in ("tcp", "tcp6"):
        for words in _table(pid, table):
            if len(words) > 9 and words[3] in {ESTABLISHED, *_CONNECTING, "08"}:
                found[int(words[9])] = _port_of(words[2])
    return found


def known_sockets(pid: int) -> dict[int, str]:
    """Socket inode → family, of all families that have a table in the process's network namespace."""
    found: dict[int, str] = {}
    for table in _INET:
        found |= {int(words[9]): table for words in _table(pid, table) if len(words) > 9}
    found |= {int(words[6]): "unix" for words in _table(pid, "unix") if len(words) > 6}
    found |= {int(words[9]): "netlink" for words in _table(pid, "netlink") if len(words) > 9}
    found |= {int(words[8]): "packet" for words in _table(pid, "packet") if len(words) > 8}
    return found


def file_locks(pids: Collection[int], files: Collection[OpenFile]) -> list[str]:
    """The file locks of these processes, in words: by pid, or for locks without one by the file they have open."""
    identities = {
        (os.major(f.status.st_dev), os.minor(f.status.st_dev), f.status.st_ino): f.target for f in files
    }
    found = []
    for line in Path("/proc/locks").read_text().splitlines():
        words = [word for word in line.split() if word != "->"]
        if len(words) < 6 or not words[4].lstrip("-").isdecimal():
            continue
        major, minor, inode = words[5].split(":")
        file = identities.get((int(major, 16), int(minor, 16), int(inode)))
        if int(words[4]) in pids or (int(words[4]) <= 0 and file is not None):
            found.append(f"{words[1].lower()} on {file or f'inode {inode}'}")
    return found


def mapped_devices(pid: int) -> set[str]:
    """Device files in a process's memory, except the harmless /dev/zero."""
    found = set()
    with contextlib.suppress(*GONE), open(f"/proc/{pid}/maps", errors="surrogateescape") as lines:
        for line in lines:
            words = line.rstrip("\n").split(maxsplit=5)
            path = words[5] if len(words) > 5 else ""
            if path.startswith("/dev/") and not path.startswith(("/dev/zero", "/dev/shm/")):
                found.add(path)
    return found


def status_fields(pid: int) -> dict[str, str]:
    """/proc/<pid>/status; empty when the process is gone."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(errors="replace")
    except GONE:
        return {}
    return {key: value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}


def _table(pid: int, name: str) -> Iterator[list[str]]:
    with contextlib.suppress(*GONE):
        with open(f"/proc/{pid}/net/{name}", errors="replace") as lines:
            next(lines, None)
            for line in lines:
                yield line.split()


def _port_of(word: str) -> str:
    address, _, port = word.rpartition(":")
    if len(address) == 8:
        number = int(address, 16)
        shown = ".".join(str(number >> shift & 0xFF) for shift in (0, 8, 16, 24))
        return f"{shown}:{int(port, 16)}"
    return f"port {int(port, 16)}"
