"""Set-up and tear-down of one bridge container: our driver against the netavark process, in the same run.

    python benchmarks/network.py [rounds]

Runs in a network namespace of its own, as root. The first container brings the bridge up and the last takes it
down, unless another one keeps it; both cases are measured, with and without a published port. pyroute2 is imported
before the clock starts (its import is printed by itself); netavark's time includes its start, which is its way.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from libpod.define.ids import new_id
from libpod.linux.namespaces import create_network_namespace, delete_network_namespace, run_in_netns
from libpod.model.container_config import PortMapping
from libpod.network.base import ContainerNetwork, NetworkAttachment, NetworkBackend
from libpod.network.bridge import BridgeBackend
from libpod.network.creation import Occupied, default_definition
from libpod.network.definitions import NetworkDefinition
from libpod.network.netavark import NetavarkBackend, find_netavark

TARGET = 0.5


def milliseconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return (time.perf_counter() - start) * 1e3


def request(
    directory: Path, definition: NetworkDefinition, last: int, ports: tuple[PortMapping, ...]
) -> ContainerNetwork:
    container = new_id()
    namespace = directory / container
    create_network_namespace(namespace)
    return ContainerNetwork(
        container_id=container,
        container_name=f"c{last}",
        namespace=namespace,
        attachments=(
            NetworkAttachment(definition=definition, interface="eth0", addresses=(f"10.77.0.{last}",)),
        ),
        ports=ports,
    )


def measure(backend: NetworkBackend, directory: Path, rounds: int, *, ports: bool, kept: bool) -> list[float]:
    definition = default_definition("podman", [], Occupied())
    published = (PortMapping(container_port=80, host_port=8080),) if ports else ()
    keeper = request(directory, definition, 9, ())
    if kept:
        backend.setup(keeper)
    took = []
    for _ in range(rounds):
        one = request(directory, definition, 2, published)
        took.append(milliseconds(lambda one=one: (backend.setup(one), backend.teardown(one))))
        delete_network_namespace(one.namespace)
    if kept:
        backend.teardown(keeper)
    delete_network_namespace(keeper.namespace)
    return took


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    directory = Path(tempfile.mkdtemp(prefix="lpb-"))
    host = directory / "host"
    create_network_namespace(host)
    print(
        f"import of pyroute2: {milliseconds(lambda: __import__('pyroute2')):.0f} ms, once, with the first network"
    )
    program = find_netavark()
    failed = False
    try:
        for kept in (True, False):
            for ports in (False, True):
                what = f"{'bridge stays' if kept else 'bridge comes and goes'}, {'a port' if ports else 'no port'}"
                ours = BridgeBackend(directory / "ours")
                mine = run_in_netns(
                    host, lambda: statistics.median(measure(ours, directory, rounds, ports=ports, kept=kept))
                )
                line = f"{what}: {mine:.1f} ms"
                if program is not None:
                    theirs = NetavarkBackend(directory / "theirs", program=program)
                    other = run_in_netns(
                        host,
                        lambda: statistics.median(measure(theirs, directory, rounds, ports=ports, kept=kept)),
                    )
                    failed |= mine > TARGET * other
                    line += f", netavark {other:.1f} ms: {mine / other:.2f}×"
                print(line)
    finally:
        delete_network_namespace(host)
        shutil.rmtree(directory)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
