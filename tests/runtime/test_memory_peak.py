"""The library's own memory does not grow with the container that it moves."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.engines import Engine, until

SMALL, LARGE = 64, 512
"""MiB of memory that the container holds."""
TOLERANCE = 24 << 10
"""KiB by which two runs of the same work may differ."""

MOVE = """
import json, resource, sys
import libpod
engine, archive, compress = json.loads(sys.argv[1])
told = []
def progress(*call):
    told.append(call)
with libpod.Runtime(*engine, events_backend="file") as runtime:
    report = runtime.checkpoint("holder", export=archive, compress=compress, progress=progress)
    runtime.container("holder").remove()
    runtime.restore(import_=archive, progress=progress)
print(json.dumps({
    "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    "size": report.archive.content_size,
    "packed": [call[1:] for call in told if call[0] == "writing the archive"],
    "unpacked": [call[1:] for call in told if call[0] == "unpacking the archive"],
}))
"""


def moved(engine: Engine, archive: Path, mebibytes: int, compress: str) -> dict[str, Any]:
    """What moving a container that holds so much random memory needed, in a process of its own."""
    # dd keeps its whole buffer while nobody reads what it writes.
    hold = f"dd if=/dev/urandom bs={mebibytes}M count=1 iflag=fullblock 2>/dev/null | sleep 100000"
    with engine.runtime() as runtime:
        holder = runtime.run("bb:1", "sh", "-c", hold, name="holder", network="none")
        assert until(lambda: holder.stats().memory_usage >= mebibytes << 20, timeout=120), (
            "it fills its memory"
        )
    wish = json.dumps([[str(engine.root), str(engine.runroot)], str(archive), compress])
    done = subprocess.run([sys.executable, "-c", MOVE, wish], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with engine.runtime() as runtime:
        runtime.container("holder").remove(force=True, timeout=0)
    archive.unlink()
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["size"] > mebibytes << 20
    return found


@pytest.mark.parametrize("compress", ["gzip", "zstd"])
def test_the_peak_is_independent_of_the_archive_and_progress_tells_of_bytes(
    engine: Engine, tmp_path: Path, compress: str
) -> None:
    small = moved(engine, tmp_path / "small", SMALL, compress)
    large = moved(engine, tmp_path / "large", LARGE, compress)
    assert large["peak"] < small["peak"] + TOLERANCE
    for phase in ("packed", "unpacked"):
        calls = large[phase]
        assert calls[0] == [0, 0], "the beginning of a phase"
        assert len(calls) > 1
        assert all(0 < done <= total for done, total in calls[1:])
        assert calls == sorted(calls)
