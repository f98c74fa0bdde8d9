"""What it costs to begin: importing, the smallest command, the program that conmon runs."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.hosts import IMAGE, Hosts, run
from benchmarks.measure import Comparison, compare, cpu_of, measured

BARE = (sys.executable, "-c", "pass")


def chapter(hosts: Hosts, rounds: int) -> list[Comparison]:
    """All rows."""
    return [
        compare(
            "python -c 'import libpod'",
            lambda: run([sys.executable, "-c", "import libpod"]),
            lambda: run(list(BARE)),
            rounds=rounds * 3,
            rival="python -c pass",
            target=6,
        ),
        compare(
            "python -c 'import libpod; libpod.Runtime'",
            lambda: run([sys.executable, "-c", "import libpod; libpod.Runtime"]),
            lambda: run(list(BARE)),
            rounds=rounds * 3,
            rival="python -c pass",
        ),
        compare(
            "libpod version",
            lambda: hosts.libpod("version"),
            lambda: hosts.podman("version"),
            rounds=rounds * 3,
            rival="podman version",
            target=2.5,
        ),
        _exit_command(hosts, rounds),
    ]


def _exit_command(hosts: Hosts, rounds: int) -> Comparison:
    """Processor time of a whole clean-up, the runtime's part in it included."""
    with _weighed(hosts.directory / "weighed") as weights, hosts.runtime() as runtime:

        def clean_up() -> float:
            container = runtime.run(IMAGE, "true", network="none")
            deadline = time.monotonic() + 60
            while not (found := list(weights.glob("*.cpu"))):
                if time.monotonic() > deadline:
                    raise TimeoutError("the exit command does not come to its end")
                time.sleep(0.01)
            took = float(found[0].read_text())
            found[0].unlink()
            container.remove()
            return took

        return compare(
            "conmon's exit command, CPU time",
            clean_up,
            lambda: cpu_of(BARE),
            rounds=rounds * 2,
            rival="python -c pass, CPU time",
            target=10,
            clock=measured,
        )


@contextlib.contextmanager
def _weighed(directory: Path) -> Iterator[Path]:
    """Have exit commands run by a script that writes down what they used; the argv is theirs."""
    directory.mkdir()
    script = directory / "weigh"
    script.write_text(
        f"#!{sys.executable} -IS\n"
        "import os, sys\n"
        f"child = os.posix_spawn({sys.executable!r}, [{sys.executable!r}, *sys.argv[1:]], os.environ)\n"
        "_, status, used = os.wait4(child, 0)\n"
        f"name = {str(directory)!r} + f'/{{child}}'\n"
        "with open(name, 'w') as stream:\n"
        "    stream.write(str(used.ru_utime + used.ru_stime))\n"
        "os.rename(name, name + '.cpu')\n"
    )
    script.chmod(0o755)
    own = sys.executable
    sys.executable = os.fspath(script)
    try:
        yield directory
    finally:
        sys.executable = own
