"""Checkpoint with export and restore from an archive, against podman, for several sizes and codecs.

And how long a container that is left running stands still, against the frozen time that CRIU itself reports.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from benchmarks.hosts import IMAGE, Hosts
from benchmarks.life import LIMITS
from benchmarks.measure import Comparison, timed

CODECS = {"gzip": "tar.gz", "none": "tar", "zstd": "tar.zst"}
TARGETS = {
    (64, "zstd"): (0.8, 0.7),
    (64, "gzip"): (0.8, 0.7),
    (64, "none"): (0.8, 0.7),
    (1024, "gzip"): (0.55, 0.45),
    (1024, "none"): (0.7, 0.45),
    (1024, "zstd"): (0.6, 0.4),
}
"""Promised ratios of checkpoint -e and restore -i."""


def chapter(hosts: Hosts, rounds: int, *, sizes: tuple[int, ...] = (64, 1024)) -> Iterator[Comparison]:
    """Rows for each size and codec; zstd works on compressible memory, the others on random."""
    yield _standing_still(hosts, rounds)
    yield _copies(hosts, max(1, rounds // 2))
    for size in sizes:
        for codec in ("gzip", "none", "zstd"):
            yield from _pair(hosts, rounds, size, codec)


def _command(size: int, codec: str) -> tuple[str, ...]:
    return ("memory", str(size), *(("compressible",) if codec == "zstd" else ()))


def _pair(hosts: Hosts, rounds: int, size: int, codec: str) -> list[Comparison]:
    times: dict[str, list[float]] = {"ours out": [], "theirs out": [], "ours in": [], "theirs in": []}
    with hosts.runtime() as runtime:

        def ours() -> dict[str, float]:
            archive = hosts.directory / f"ours.{CODECS[codec]}"
            container = runtime.run(IMAGE, *_command(size, codec), network="none", name="mover")
            _ready(lambda: any(line.data == b"ready" for line in container.logs()))
            out = timed(lambda: runtime.checkpoint("mover", export=archive, compress=codec))
            container.remove()
            back = timed(lambda: runtime.restore(import_=archive))
            runtime.container("mover").remove(force=True, timeout=0)
            archive.unlink()
            return {"ours out": out, "ours in": back}

        def theirs() -> dict[str, float]:
            archive = str(hosts.directory / f"theirs.{CODECS[codec]}")
            hosts.podman(
                "run", "-d", "--name", "mover", "--network", "none", *LIMITS, IMAGE, *_command(size, codec)
            )
            _ready(lambda: "ready" in hosts.podman("logs", "mover"))
            out = timed(lambda: hosts.podman("container", "checkpoint", "-c", codec, "-e", archive, "mover"))
            hosts.podman("rm", "mover")
            back = timed(lambda: hosts.podman("container", "restore", "-i", archive))
            hosts.podman("rm", "-f", "-t", "0", "mover")
            os.unlink(archive)
            return {"theirs out": out, "theirs in": back}

        for number in range(rounds + 1):
            # Who comes second finds gigabytes that the other has just freed, and need not be asked of a machine's host.
            took: dict[str, float] = {}
            for side in (ours, theirs) if number % 2 else (theirs, ours):
                took |= side()
            if number:
                for key, value in took.items():
                    times[key].append(value)
    out, back = TARGETS.get((size, codec), (None, None))
    memory = f"{size} MiB" if size < 1024 else f"{size // 1024} GiB"
    return [
        Comparison(
            name=f"checkpoint -e {memory} {codec}",
            ours=tuple(times["ours out"]),
            theirs=tuple(times["theirs out"]),
            rival="podman container checkpoint -e",
            target=out,
        ),
        Comparison(
            name=f"restore -i {memory} {codec}",
            ours=tuple(times["ours in"]),
            theirs=tuple(times["theirs in"]),
            rival="podman container restore -i",
            target=back,
        ),
    ]


def _standing_still(hosts: Hosts, rounds: int) -> Comparison:
    """With leave_running and nothing changed on disk."""
    stood, frozen = [], []
    with hosts.runtime() as runtime:
        container = runtime.run(IMAGE, *_command(64, "none"), network="none", name="mover")
        _ready(lambda: any(line.data == b"ready" for line in container.logs()))
        for _ in range(rounds):
            archive = hosts.directory / "running.tar"
            report = runtime.checkpoint("mover", export=archive, leave_running=True)
            assert report.statistics is not None
            stood.append(report.downtime / 1e6)
            frozen.append(report.statistics.frozen_time / 1e6)
        container.remove(force=True, timeout=0)
        archive.unlink()
    return Comparison(
        name="standing still, 64 MiB left running",
        ours=tuple(stood),
        theirs=tuple(frozen),
        rival="the frozen time that CRIU reports",
        target=1.1,
    )


def _copies(hosts: Hosts, rounds: int, *, copies: int = 8) -> Comparison:
    """Many copies out of one archive of 64 MiB."""
    ours_times, theirs_times = [], []
    with hosts.runtime() as runtime:
        archive = hosts.directory / "many.tar"
        container = runtime.run(IMAGE, "memory", "64", network="none", name="many")
        _ready(lambda: any(line.data == b"ready" for line in container.logs()))
        runtime.checkpoint("many", export=archive)
        container.remove()
        for _ in range(rounds):
            ours_times.append(timed(lambda: runtime.restore_copies(archive, copies=copies, name="many")))
            for listed in runtime.containers():
                runtime.container(listed.id).remove(force=True, timeout=0)

            def theirs() -> None:
                for number in range(copies):
                    hosts.podman("container", "restore", "-i", str(archive), "-n", f"many-{number}")

            theirs_times.append(timed(theirs))
            hosts.podman("rm", "-f", "-a", "-t", "0")
        archive.unlink()
    return Comparison(
        name=f"{copies} copies of 64 MiB",
        ours=tuple(ours_times),
        theirs=tuple(theirs_times),
        rival=f"{copies} × podman container restore -i",
        target=0.35,
    )


def _ready(look: object) -> None:
    deadline = time.monotonic() + 120
    while not look():  # type: ignore[operator]
        if time.monotonic() > deadline:
            raise TimeoutError("the container does not get ready")
        time.sleep(0.02)
