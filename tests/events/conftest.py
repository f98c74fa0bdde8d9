"""Events to write, and a real journald in namespaces of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from libpod.events.base import EventBackend
from libpod.events.journald import JournaldEvents
from libpod.events.logfile import LogFileEvents
from libpod.model.event import Event, EventStatus, EventType
from libpod.model.times import now

JOURNALD = Path("/lib/systemd/systemd-journald")
NAMESPACE = "libpodtest"
PATIENCE = 60.0


def an_event(name: str = "web", **changes: Any) -> Event:
    """A start of a container, now."""
    settings: dict[str, Any] = {
        "type": EventType.CONTAINER,
        "status": EventStatus.START,
        "time": now(),
        "id": "0123456789abcdef" * 4,
        "name": name,
        "image": "docker.io/library/busybox:latest",
    }
    return Event(**settings | changes)


@contextlib.contextmanager
def journald() -> Iterator[tuple[Path, Path]]:
    """A systemd-journald in a mount namespace whose /run is empty: its socket and its directory, as seen from here."""
    if not JOURNALD.exists() or shutil.which("journalctl") is None:
        pytest.skip("systemd-journald is not installed")
    if os.geteuid() != 0 or not Path("/etc/machine-id").exists():
        pytest.skip("a journald needs root rights and a machine id")
    machine = Path("/etc/machine-id").read_text().strip()
    # A namespace instance of journald reads neither the kernel's messages nor the audit socket.
    script = (
        "mount --make-rprivate / && mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /var/log && "
        "mkdir -p /run/log/journal /run/systemd && "
        f"mkdir /run/systemd/journald@{NAMESPACE}.conf.d && "
        f"printf '[Journal]\\nStorage=volatile\\nRateLimitBurst=0\\n' "
        f"> /run/systemd/journald@{NAMESPACE}.conf.d/test.conf && "
        f"exec {JOURNALD} {NAMESPACE}"
    )
    with subprocess.Popen(["unshare", "--mount", "sh", "-c", script], stderr=subprocess.PIPE) as process:
        try:
            root = Path(f"/proc/{process.pid}/root")
            socket = root / f"run/systemd/journal.{NAMESPACE}/socket"
            deadline = time.monotonic() + PATIENCE
            while not JournaldEvents.available(socket):
                if process.poll() is not None or time.monotonic() > deadline:
                    assert process.stderr is not None
                    process.kill()
                    pytest.skip(f"systemd-journald does not start here: {process.stderr.read().decode()}")
                time.sleep(0.02)
            yield socket, root / f"run/log/journal/{machine}.{NAMESPACE}"
        finally:
            process.terminate()


@pytest.fixture(scope="session")
def journal() -> Iterator[tuple[Path, Path]]:
    with journald() as found:
        yield found


@pytest.fixture(params=["file", "journald"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EventBackend]:
    found: EventBackend
    if request.param == "file":
        found = LogFileEvents(tmp_path / "events" / "events.log")
    else:
        socket, directory = request.getfixturevalue("journal")
        found = JournaldEvents(socket_path=socket, directory=directory)
    yield found
    found.close()
