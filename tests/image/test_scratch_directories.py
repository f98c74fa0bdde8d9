"""Private directories that killed processes leave and others sweep."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from libpod.define.errors import ImageError
from libpod.image.scratch import PREFIX, scratch, sweep

HOLDER = """
import sys, time
from pathlib import Path
from libpod.image.scratch import scratch
with scratch(Path(sys.argv[1])) as work:
    (work.path / "file").write_text("x")
    print(work.path, flush=True)
    time.sleep(600)
"""


def holder(parent: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(parent)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )


def test_it_is_private_and_gone_afterwards(tmp_path: Path) -> None:
    with scratch(tmp_path) as work:
        assert work.path.stat().st_mode & 0o777 == 0o700
        (work.path / "sub").mkdir()
        (work.path / "sub/file").write_text("x")
    assert list(tmp_path.iterdir()) == []


def test_it_is_gone_after_an_exception_too(tmp_path: Path) -> None:
    with pytest.raises(KeyError), scratch(tmp_path):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_what_a_living_process_uses_stays_and_what_a_killed_one_left_goes(tmp_path: Path) -> None:
    with holder(tmp_path) as child:
        assert child.stdout is not None
        path = Path(child.stdout.readline().decode().strip())
        assert sweep(tmp_path) == []
        with scratch(tmp_path):
            assert (path / "file").exists()
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert path.exists()
    with scratch(tmp_path):
        assert not path.exists()


def test_a_child_that_inherited_the_lock_keeps_the_directory_of_its_dead_parent(tmp_path: Path) -> None:
    script = HOLDER.replace(
        "    time.sleep(600)",
        "    import subprocess\n"
        "    child = subprocess.Popen(['sleep', '600'], pass_fds=[work.lock], stdout=subprocess.DEVNULL)\n"
        "    print(child.pid, flush=True)\n"
        "    time.sleep(600)",
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    ) as parent:
        assert parent.stdout is not None
        path = Path(parent.stdout.readline().decode().strip())
        grandchild = int(parent.stdout.readline())
        descriptor = os.pidfd_open(grandchild)
        parent.kill()
        parent.wait()
    try:
        assert sweep(tmp_path) == []
        assert path.exists()
    finally:
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        import select

        select.select([descriptor], [], [], 60)
        os.close(descriptor)
    assert sweep(tmp_path) == [path]


def test_links_and_files_of_that_name_are_left_alone(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (tmp_path / f"{PREFIX}link").symlink_to(victim)
    (tmp_path / f"{PREFIX}file").write_text("x")
    assert sweep(tmp_path) == []
    assert victim.exists()
    assert len(list(tmp_path.iterdir())) == 3


def test_a_missing_parent_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no temporary directory"), scratch(tmp_path / "none"):
        pass
