"""Networks: our driver against the netavark process, and whole runs on a bridge against podman's.

Everything happens in a network namespace of its own. The first container brings the bridge up and the last takes it
down, unless another one keeps it; both cases are measured, with and without a published port. The messages of pyroute2
are loaded before the clock of the driver starts; netavark's time includes its start, which is its way. The whole runs
include everything, on both sides.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.hosts import IMAGE, Hosts
from benchmarks.life import LIMITS
from benchmarks.measure import Comparison, compare, in_blocks, timed
from libpod.define.ids import new_id
from libpod.linux.namespaces import create_network_namespace, delete_network_namespace, run_in_netns
from libpod.model.container_config import PortMapping
from libpod.network.base import ContainerNetwork, NetworkAttachment, NetworkBackend
from libpod.network.bridge import BridgeBackend
from libpod.network.creation import Occupied, default_definition
from libpod.network.definitions import NetworkDefinition
from libpod.network.netavark import NetavarkBackend, find_netavark

DRIVER_TARGET = 0.5
RUN_TARGET = 1.0


def chapter(hosts: Hosts, rounds: int) -> list[Comparison]:
    """All rows; those of the driver only where netavark is installed."""
    directory = Path(tempfile.mkdtemp(prefix="lpb-"))
    place = directory / "host"
    create_network_namespace(place)
    try:
        rows = []
        program = find_netavark()
        if program is not None:
            rows += [
                run_in_netns(
                    place,
                    lambda kept=kept, ports=ports: _driver(
                        directory, program, rounds, kept=kept, ports=ports
                    ),
                )
                for kept in (True, False)
                for ports in (False, True)
            ]
        return rows + [_whole(hosts, place, rounds, ports=ports) for ports in (False, True)]
    finally:
        delete_network_namespace(place)
        shutil.rmtree(directory)


# ---- whole runs ---------------------------------------------------------------------------------------------------


def _whole(hosts: Hosts, place: Path, rounds: int, *, ports: bool) -> Comparison:
    publish = ("-p", "8080:80") if ports else ()
    backend = ("--network-backend", "netavark", "--network-config-dir", str(hosts.directory / "networks"))

    def there(work: Callable[..., str], *words: str) -> Callable[[], str]:
        return lambda: run_in_netns(place, lambda: work(*words))

    return compare(
        f"run --rm true on a bridge{', a port published' if ports else ''}",
        there(hosts.libpod, "run", "--rm", *publish, IMAGE, "true"),
        there(hosts.podman, *backend, "run", "--rm", *publish, *LIMITS, IMAGE, "true"),
        rounds=rounds,
        target=RUN_TARGET,
    )


# ---- the driver alone ---------------------------------------------------------------------------------------------


def _driver(directory: Path, program: str, rounds: int, *, kept: bool, ports: bool) -> Comparison:
    ours = BridgeBackend(directory / "ours")
    theirs = NetavarkBackend(directory / "theirs", program=program)
    # In blocks: the two bridges would have the same addresses.
    mine = _times(ours, directory, rounds, kept=kept, ports=ports)
    rival = _times(theirs, directory, rounds, kept=kept, ports=ports)
    where = "a bridge that stays" if kept else "a bridge that comes and goes"
    return in_blocks(
        f"set-up + tear-down on {where}{', a port' if ports else ''}",
        mine,
        rival,
        rival="netavark",
        target=DRIVER_TARGET,
    )


def _times(backend: NetworkBackend, directory: Path, rounds: int, *, kept: bool, ports: bool) -> list[float]:
    definition = default_definition("podman", [], Occupied())
    published = (PortMapping(container_port=80, host_port=8080),) if ports else ()
    keeper = _request(directory, definition, 9, ())
    if kept:
        backend.setup(keeper)
    took = []
    for number in range(rounds + 1):
        one = _request(directory, definition, 2, published)
        seconds = timed(lambda one=one: (backend.setup(one), backend.teardown(one)))
        delete_network_namespace(one.namespace)
        if number:
            took.append(seconds)
    if kept:
        backend.teardown(keeper)
    delete_network_namespace(keeper.namespace)
    return took


def _request(
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
