"""The processes of a container: ps of the host tells, and process ids are those that the container sees.

Covers: libpod/container_top_linux.go
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from libpod.container_internal import lifecycle
from libpod.container_internal.held import LockedContainer
from libpod.container_internal.launching import bundle_for
from libpod.define.errors import CommandError, InvalidArgumentError
from libpod.define.status import Operation
from libpod.linux.process import require_program, run

COLUMNS: dict[str, tuple[str, str]] = {
    "args": ("args", "COMMAND"), "comm": ("comm", "COMMAND"), "etime": ("etime", "ELAPSED"),
    "group": ("group", "GROUP"), "hgroup": ("group", "HGROUP"), "hpid": ("pid", "HPID"), "huser": ("user", "HUSER"),
    "nice": ("ni", "NI"), "pcpu": ("pcpu", "%CPU"), "pgid": ("pgid", "PGID"), "pid": ("pid", "PID"),
    "ppid": ("ppid", "PPID"), "rss": ("rss", "RSS"), "state": ("state", "STATE"), "stime": ("start", "STIME"),
    "time": ("time", "TIME"), "tty": ("tty", "TTY"), "uid": ("uid", "UID"), "user": ("user", "USER"),
    "vsz": ("vsz", "VSZ"),
}  # fmt: skip
"""podman's descriptors: the column of ps that answers, and the heading."""
DEFAULT = ("user", "pid", "ppid", "pcpu", "etime", "tty", "time", "args")
_INNER = frozenset({"pid", "ppid", "pgid"})
"""Columns whose numbers are those of the container's PID namespace."""


def top(held: LockedContainer, descriptors: Sequence[str]) -> list[list[str]]:
    """See `Container.top`."""
    held.require(Operation.TOP)
    wanted = [word for text in descriptors for word in text.split(",")] or list(DEFAULT)
    unknown = [word for word in wanted if word not in COLUMNS]
    if unknown:
        raise InvalidArgumentError(
            f'there is no process column "{unknown[0]}"', resolution=f"use {', '.join(sorted(COLUMNS))}"
        )
    rows = [[COLUMNS[word][1] for word in wanted]]
    pids = lifecycle.runtime_of(held).processes(bundle_for(held))
    if not pids:
        return rows
    ps = require_program("ps", purpose="list the processes of a container", resolution="install procps")
    columns = [
        argument
        for name in ("pid", *(COLUMNS[word][0] for word in wanted))
        for argument in ("-o", f"{name}=")
    ]
    try:
        listed = run([ps, "-ww", "-p", ",".join(map(str, pids)), *columns], accept=(0, 1))
    except CommandError as error:
        error.add_note(f"while listing the processes of container {held.name}")
        raise
    inner = inner_pids(pids)
    found: dict[int, list[str]] = {}
    for line in listed.stdout.decode(errors="replace").splitlines():
        host_pid, *cells = line.split(None, len(wanted))
        if host_pid in inner:  # else it has ended meanwhile
            shown = [inner.get(cell, "0") if word in _INNER else cell for word, cell in zip(wanted, cells)]
            found[int(inner[host_pid])] = shown
    return rows + [found[pid] for pid in sorted(found)]


def inner_pids(pids: Iterable[int]) -> dict[str, str]:
    """What each process is called in its own PID namespace; one that has ended is left out."""
    found = {}
    for pid in pids:
        try:
            with open(f"/proc/{pid}/status") as status:
                names = next((line.split()[1:] for line in status if line.startswith("NSpid:")), [])
        except (FileNotFoundError, ProcessLookupError):
            continue
        if names:
            found[str(pid)] = names[-1]
    return found
