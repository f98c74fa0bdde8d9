"""Who made a record: the mark by which recovery tells a leftover from work in progress.

A process that creates a container writes its owner (which engine, with which state), boot id, pid namespace, pid and
start time into the `flags` of the layer and of the container; all versions of podman keep flags. A record is a leftover
only when its creator is certainly dead: another boot, or no process of that pid and start time. A creator in another
pid namespace of this boot cannot be judged and counts as alive.

Covers: nothing in podman, which collects nothing.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from libpod.storage.records import Record

FLAG = "libpod.creator"
CONTAINER_FLAG = "libpod.container"
"""In a layer's flags: the id of the container it is made for."""


def mark(owner: str) -> dict[str, Any]:
    """The mark of this process."""
    return {
        FLAG: {
            "owner": owner,
            "boot": boot_id(),
            "pidns": _pid_namespace(),
            "pid": os.getpid(),
            "start": start_time(os.getpid()),
        }
    }


def of(record: Record) -> Mapping[str, Any] | None:
    """The mark in a record, if it is one of ours."""
    found = (record.get("flags") or {}).get(FLAG)
    return found if isinstance(found, dict) else None


def made_by(record: Record, owner: str) -> bool:
    """Whether *owner* made the record."""
    found = of(record)
    return found is not None and found.get("owner") == owner


def is_dead(record: Record) -> bool:
    """Whether the process that made the record has certainly ended. False for a record without a mark."""
    found = of(record)
    if found is None:
        return False
    if found.get("boot") != boot_id():
        return True
    if found.get("pidns") != _pid_namespace():
        return False
    pid = found.get("pid")
    return not isinstance(pid, int) or start_time(pid) != found.get("start")


def start_time(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None when there is none, or only its zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command name may hold spaces and parentheses; the fields after the last one are plain.
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


@functools.cache
def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _pid_namespace() -> int:
    return os.stat("/proc/self/ns/pid").st_ino
