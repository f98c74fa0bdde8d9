"""Helper of test_network_crowd: one of several processes that start containers on one network at once.

    python -m tests.runtime.network_crowd <root> <runroot> <containers> <threads>

waits for a line on standard input, starts the containers, prints what addresses they got as one line of JSON, waits for
another line and removes them.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import libpod
from tests.engines import Engine


def addresses_of(container: libpod.Container) -> dict[str, str]:
    """Network → the address in the container's state."""
    status = container.state().network_status
    return {
        name: str(interface["subnets"][0]["ipnet"]).partition("/")[0]
        for name, network in status.items()
        for interface in network["interfaces"].values()
    }


def main() -> None:
    root, runroot, count, threads = sys.argv[1:]
    with Engine(Path(root), Path(runroot)).runtime() as runtime, ThreadPoolExecutor(int(threads)) as crew:

        def start(_number: int) -> libpod.Container:
            return runtime.run("bb:1", "sleep", "10000", network="crowd")

        def remove(container: libpod.Container) -> None:
            container.remove(force=True, timeout=0)

        sys.stdin.readline()
        containers = list(crew.map(start, range(int(count))))
        sys.stdout.write(json.dumps({item.id: addresses_of(item)["crowd"] for item in containers}) + "\n")
        sys.stdout.flush()
        sys.stdin.readline()
        list(crew.map(remove, containers))


if __name__ == "__main__":
    main()
