"""Holding up whoever opens a file."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from libpod.linux import pidfd
from libpod.linux.fanotify import OpenGate

pytestmark = pytest.mark.root
PATIENCE = 60.0


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_text("content")
    try:
        OpenGate(path).close()
    except OSError as error:
        pytest.skip(f"no permission events here: {error}")
    return path


def reader(path: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["cat", path], stdout=subprocess.PIPE)


def test_an_opener_waits_until_it_is_let_pass(file: Path) -> None:
    with OpenGate(file) as gate:
        assert gate.waiting() == []
        with reader(file) as process:
            assert pidfd.wait_readable([gate.fileno()], PATIENCE)
            (opener,) = gate.waiting()
            assert opener.pid == process.pid
            assert process.poll() is None
            gate.let_pass(opener)
            assert process.communicate(timeout=PATIENCE)[0] == b"content"


def test_closing_the_gate_lets_everybody_pass(file: Path) -> None:
    gate = OpenGate(file)
    with reader(file) as process:
        assert pidfd.wait_readable([gate.fileno()], PATIENCE)
        gate.close()
        gate.close()
        assert process.communicate(timeout=PATIENCE)[0] == b"content"


def test_a_gate_that_is_open_to_all_holds_nobody_up(file: Path) -> None:
    with OpenGate(file) as gate:
        gate.open_to_all()
        assert file.read_text() == "content"


def test_a_gate_before_nothing_is_refused(tmp_path: Path) -> None:
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(FileNotFoundError):
        OpenGate(tmp_path / "nothing")
    assert set(os.listdir("/proc/self/fd")) == before
