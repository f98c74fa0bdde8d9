"""The conmon processes of an engine, found by their command lines: for whom no record knows them any more.

A walk through /proc takes milliseconds, so that only repairs come here.

Covers: nothing upstream
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import attrs

from libpod.container_internal.exit_command import START
from libpod.container_internal.services import Services
from libpod.define.ids import is_full_id
from libpod.linux import pidfd
from libpod.linux.pidfd import ProcessIdentity

PATIENCE = 10.0
MOMENT = 1.0
"""Seconds that a monitor may take to end by itself."""


@attrs.frozen
class Monitor:
    """One process: conmon of a container, of an exec session in it, or the exit command that conmon runs."""

    kind: str
    """monitor, exec monitor or exit command."""
    container: str
    process: ProcessIdentity


def monitors(services: Services) -> Iterator[Monitor]:
    """All of this engine."""
    exits, run_root = os.fsencode(services.paths.exits), os.fsencode(services.paths.run_root) + b"/"
    start, graph_root = START.encode(), os.fsencode(services.paths.graph_root)
    for name in os.listdir("/proc"):
        if not name.isdecimal():
            continue
        try:
            words = Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0")[:-1]
        except OSError:
            continue  # it ended
        if start in words and graph_root in b" ".join(words):
            kind, own = "exit command", next((word for word in words[-2:] if len(word) == 64), b"")
        elif b"--exit-dir" in words and b"-c" in words:
            place = words[words.index(b"--exit-dir") + 1]
            if place != exits and not place.startswith(run_root):
                continue
            kind = "exec monitor" if b"-e" in words else "monitor"
            own = words[words.index(b"-c") + 1]
        else:
            continue
        ctr_id = own.decode(errors="replace")
        if is_full_id(ctr_id):
            yield Monitor(kind, ctr_id, ProcessIdentity.of(int(name)))


def end_monitor(monitor: ProcessIdentity) -> None:
    """Kill what it watches; it ends by itself then, or is killed too."""
    for child in pidfd.children(monitor):
        pidfd.send_signal(child, signal.SIGKILL)
        pidfd.wait_end(child, PATIENCE)
    if not pidfd.wait_end(monitor, MOMENT):
        pidfd.send_signal(monitor, signal.SIGKILL)
        pidfd.wait_end(monitor, PATIENCE)
