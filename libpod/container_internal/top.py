"""The processes of a container, as ps of the host shows them.

Covers: libpod/container_top_linux.go
"""

from __future__ import annotations

from collections.abc import Sequence

from libpod.container_internal import lifecycle
from libpod.container_internal.held import LockedContainer
from libpod.container_internal.launching import bundle_for
from libpod.define.errors import CommandError, InvalidArgumentError
from libpod.define.status import Operation
from libpod.linux.process import require_program, run

_COLUMNS = {
    "user": "user", "pid": "pid", "ppid": "ppid", "pcpu": "pcpu", "etime": "etime", "tty": "tty", "time": "time",
    "args": "args", "comm": "comm", "vsz": "vsz", "rss": "rss", "nice": "ni", "pgid": "pgid", "uid": "uid",
    "group": "group", "state": "state", "hpid": "pid", "huser": "user", "hgroup": "group",
}  # fmt: skip
DEFAULT = ("user", "pid", "ppid", "pcpu", "etime", "tty", "time", "args")


def top(held: LockedContainer, descriptors: Sequence[str]) -> list[list[str]]:
    """See `Container.top`."""
    held.require(Operation.TOP)
    wanted = [word for text in descriptors for word in text.split(",")] or list(DEFAULT)
    unknown = [word for word in wanted if word not in _COLUMNS]
    if unknown:
        raise InvalidArgumentError(
            f'there is no process column "{unknown[0]}"', resolution=f"use {', '.join(sorted(_COLUMNS))}"
        )
    pids = lifecycle.runtime_of(held).processes(bundle_for(held))
    rows = [[word.upper() for word in wanted]]
    if not pids:
        return rows
    ps = require_program("ps", purpose="list the processes of a container", resolution="install procps")
    columns = [argument for word in wanted for argument in ("-o", f"{_COLUMNS[word]}=")]
    try:
        listed = run([ps, "-ww", "-p", ",".join(map(str, pids)), *columns], accept=(0, 1))
    except CommandError as error:
        error.add_note(f"while listing the processes of container {held.name}")
        raise
    printed = listed.stdout.decode(errors="replace").splitlines()
    return rows + [line.split(None, len(wanted) - 1) for line in printed]
