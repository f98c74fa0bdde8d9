"""Device nodes of this machine.

Covers: pkg/util (DeviceFromPath, AddPrivilegedDevices, getDevices)
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec

_NEVER = frozenset({"pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev"})
"""Directories of /dev that each container has of its own."""
_CONSOLE = "console"


class DeviceNode(msgspec.Struct, frozen=True, kw_only=True):
    """A character or block device, or a FIFO."""

    path: str
    type: str
    """c, b or p, as the specification writes them."""
    major: int
    minor: int
    mode: int
    """Type and permissions, as in `st_mode`."""
    uid: int
    gid: int


def read_device(path: str) -> DeviceNode | None:
    """The device at *path*, links followed; None when there is no device. Raises OSError when there is nothing."""
    found = os.stat(path)
    kind = _kind(found.st_mode)
    if kind is None:
        return None
    return DeviceNode(
        path=path,
        type=kind,
        major=os.major(found.st_rdev),
        minor=os.minor(found.st_rdev),
        mode=found.st_mode,
        uid=found.st_uid,
        gid=found.st_gid,
    )


def devices_at(path: str) -> list[DeviceNode]:
    """The device at *path*, or all below it when it is a directory. Raises OSError when there is nothing."""
    target = os.path.realpath(path)
    if os.path.isdir(target):
        return list(_below(target))
    node = read_device(target)
    return [] if node is None else [node]


def host_devices() -> list[DeviceNode]:
    """All devices that a privileged container gets to see."""
    found = []
    with os.scandir("/dev") as entries:
        for entry in sorted(entries, key=lambda item: item.name):
            if entry.name in _NEVER or entry.is_symlink():
                continue
            if entry.is_dir():
                found += list(_below(entry.path))
            elif entry.name != _CONSOLE and (node := _quiet(entry.path)) is not None:
                found.append(node)
    return found


def _below(directory: str) -> Iterator[DeviceNode]:
    for parent, directories, names in os.walk(directory):
        directories.sort()
        for name in sorted(names):
            path = os.path.join(parent, name)
            if not Path(path).is_symlink() and (node := _quiet(path)) is not None:
                yield node


def _quiet(path: str) -> DeviceNode | None:
    try:
        return read_device(path)
    except FileNotFoundError:
        return None  # unplugged since the directory was read


def _kind(mode: int) -> str | None:
    if stat.S_ISCHR(mode):
        return "c"
    if stat.S_ISBLK(mode):
        return "b"
    return None
