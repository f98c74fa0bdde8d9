"""A container's life: create, run, exec, stop, remove; the library in this process against podman's own."""

from __future__ import annotations

import itertools
import os

import libpod
from benchmarks.hosts import IMAGE, Hosts
from benchmarks.measure import Comparison, compare, timed

_number = itertools.count()


def chapter(hosts: Hosts, rounds: int) -> list[Comparison]:
    """All rows."""
    rows = []
    with hosts.runtime() as runtime:
        rows += [
            compare(
                "create + remove",
                lambda: runtime.create(IMAGE, "true", network="none").remove(),
                lambda: hosts.podman(
                    "rm", hosts.podman("create", "--network", "none", IMAGE, "true").strip()
                ),
                rounds=rounds,
                rival="podman create; podman rm",
            ),
            _create_and_remove(hosts, runtime, rounds),
            _run_to_first_output(hosts, rounds),
        ]
        ours = runtime.run(IMAGE, "sleep", "100000", network="none")
        theirs = hosts.podman("run", "-d", "--network", "none", *LIMITS, IMAGE, "sleep", "100000").strip()
        rows.append(
            compare(
                "attached exec of true",
                lambda: ours.run("true"),
                lambda: hosts.podman("exec", theirs, "true"),
                rounds=rounds,
                target=0.3,
            )
        )
        ours.remove(force=True, timeout=0)
        hosts.podman("rm", "-f", "-t", "0", theirs)
        rows.append(_stop_and_remove(hosts, rounds))
    rows.append(
        compare(
            "run --rm true as a whole process",
            lambda: hosts.libpod("run", "--rm", "--network", "none", IMAGE, "true"),
            lambda: hosts.podman("run", "--rm", "--network", "none", *LIMITS, IMAGE, "true"),
            rounds=rounds * 2,
            target=0.8,
        )
    )
    return rows


def _create_and_remove(hosts: Hosts, runtime: libpod.Runtime, rounds: int) -> Comparison:
    with hosts.service() as client:
        return compare(
            "create + remove",
            lambda: runtime.create(IMAGE, "true", network="none").remove(),
            lambda: client.containers.create(IMAGE, ["true"], network_mode="none").remove(),
            rounds=rounds * 3,
            rival="podman-py create, remove",
            target=0.35,
        )


LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096")
"""podman asks for more than a host without CAP_SYS_RESOURCE grants; ours clamps by itself."""


def _run_to_first_output(hosts: Hosts, rounds: int) -> Comparison:
    """From the call to the first byte of output; removal is not timed."""
    ours_times, theirs_times = [], []
    with hosts.runtime() as runtime:
        for number in range(rounds + 1):
            container = None

            def ours() -> None:
                nonlocal container
                container = runtime.create(IMAGE, "sh", "-c", "echo ready; exec sleep 1000", network="none")
                stream = container.start_and_attach()
                assert stream.receive() is not None
                stream.close()

            took = timed(ours)
            assert container is not None
            container.remove(force=True, timeout=0)
            name = f"first{next(_number)}"

            def theirs(name: str = name) -> None:
                log = hosts.directory / f"{name}.log"
                words = [
                    "run",
                    "-d",
                    "--name",
                    name,
                    "--network",
                    "none",
                    *LIMITS,
                    "--log-opt",
                    f"path={log}",
                ]
                hosts.podman(*words, IMAGE, "sh", "-c", "echo ready; exec sleep 1000")
                while not log.exists() or log.stat().st_size == 0:
                    os.sched_yield()

            rival = timed(theirs)
            hosts.podman("rm", "-f", "-t", "0", name)
            if number:
                ours_times.append(took)
                theirs_times.append(rival)
    return Comparison(
        name="run -d to the first output",
        ours=tuple(ours_times),
        theirs=tuple(theirs_times),
        rival="podman run -d",
        target=0.5,
    )


def _stop_and_remove(hosts: Hosts, rounds: int) -> Comparison:
    ours_times, theirs_times = [], []
    with hosts.runtime() as runtime:
        for number in range(rounds + 1):
            container = runtime.run(IMAGE, "sleep", "1000", network="none")

            def ours() -> None:
                container.stop(timeout=0)
                container.remove()

            took = timed(ours)
            theirs = hosts.podman("run", "-d", "--network", "none", *LIMITS, IMAGE, "sleep", "1000").strip()

            def rival() -> None:
                hosts.podman("stop", "-t", "0", theirs)
                hosts.podman("rm", theirs)

            rival_took = timed(rival)
            if number:
                ours_times.append(took)
                theirs_times.append(rival_took)
    return Comparison(
        name="stop -t 0 + rm",
        ours=tuple(ours_times),
        theirs=tuple(theirs_times),
        rival="podman stop; podman rm",
        target=0.35,
    )
