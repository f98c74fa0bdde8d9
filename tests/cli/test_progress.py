"""Progress on a terminal, and silence elsewhere."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

CODE = """
import time
from libpod_cli.progress import drawn, phases
with drawn() as bars:
    tell = phases(bars)
    if tell is None:
        print("nobody looks")
    else:
        tell("packing memory", 0, 4 << 20)
        time.sleep(1.5)
        tell("packing memory", 3 << 20, 4 << 20)
        time.sleep(0.3)
"""


def test_a_pipe_sees_nothing():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("nobody looks\n", "")


def test_a_terminal_sees_phase_bytes_and_rate():
    master, slave = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-c", CODE],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
    )
    os.close(slave)
    seen = b""
    while True:
        try:
            data = os.read(master, 4096)
        except OSError:
            break
        if not data:
            break
        seen += data
    os.close(master)
    assert child.wait(60) == 0
    text = seen.decode(errors="replace")
    assert "packing memory" in text
    assert "MiB" in text
