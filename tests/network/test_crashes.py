"""kill -9 at every step, many at once, and what belongs to nobody."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from libpod.define.ids import new_id
from libpod.model.container_config import PortMapping
from libpod.network.base import Stray
from libpod.network.bridge import BridgeBackend
from libpod.network.creation import Occupied, default_definition
from libpod.network.ipam import choose
from tests.network.conftest import wait_until

pytestmark = [pytest.mark.root, pytest.mark.network]
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("scenario", ["clean-up", "again", "strays", "teardown"])
def test_a_kill_at_any_step_leaves_nothing_after_the_repair(host, directory, scenario):
    """Repairs: the container's clean-up; another set-up and clean-up; collection of strays; another tear-down."""
    argv = [sys.executable, "-m", "tests.network.killed", scenario, str(directory)]
    result = host.do(lambda: subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False))
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["problems"] == []
    assert report["steps"] > 5


def test_thirty_set_ups_at_once_share_a_bridge_without_a_doubled_address(host, directory, containers):
    backend = BridgeBackend(directory / "run")
    net = default_definition("podman", [], Occupied())
    book: list[str] = []
    lock = threading.Lock()

    def start(number: int):
        container = containers(f"c{number}")
        with lock:  # the engine's state transaction
            addresses = choose(net, book)
            book.extend(addresses)
        port = PortMapping(container_port=80, host_port=8000 + number)
        request = container.request((net, addresses), ports=(port,))
        status = host.do(lambda: backend.setup(request))
        return container, request, status["podman"].interfaces["eth0"]

    with ThreadPoolExecutor(10) as pool:
        started = list(pool.map(start, range(30)))
    assert len({interface.subnets[0].ipnet for _, _, interface in started}) == 30
    assert len({interface.mac_address for _, _, interface in started}) == 30
    for number in (0, 13, 29):
        started[number][0].serve_tcp(80, answer=b"%d " % number)
        assert host.ask("127.0.0.1", 8000 + number) == b"%d hello" % number
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda item: host.do(lambda: backend.teardown(item[1])), started))
    assert host.links() == {"lo"}
    assert host.ruleset() == ""


def test_strays_are_told_from_what_lives(host, directory, containers):
    backend = BridgeBackend(directory / "run")
    net = default_definition("podman", [], Occupied())
    living, dead = containers("living"), containers("dead")
    port = PortMapping(container_port=80, host_port=8080)
    host.do(lambda: backend.setup(living.request((net, ("10.77.0.2",)))))
    host.do(lambda: backend.setup(dead.request((net, ("10.77.0.3",)), ports=(port,))))
    assert host.do(lambda: backend.strays([living.id, dead.id], [net])) == []
    found = host.do(lambda: backend.strays([living.id], [net]))
    assert {(stray.kind, stray.container_id) for stray in found} == {("link", dead.id), ("rule", dead.id)}
    host.do(lambda: backend.remove_strays(found))
    assert host.do(lambda: backend.strays([living.id], [net])) == []
    living.serve_tcp(80)
    assert host.ask("10.77.0.2", 80) == b"hello"


def test_what_is_in_use_again_when_it_is_to_be_removed_stays(host, directory, containers):
    backend = BridgeBackend(directory / "run")
    net = default_definition("podman", [], Occupied())
    dead, living = containers("dead"), containers("living")
    host.do(lambda: backend.setup(dead.request((net, ("10.77.0.2",)))))
    dead.close()
    wait_until(lambda: len(host.links()) == 2, "the kernel takes the pair away")
    found = host.do(lambda: backend.strays([], [net]))
    assert {stray.kind for stray in found} == {"bridge"}
    port = PortMapping(container_port=80, host_port=8080)
    host.do(lambda: backend.setup(living.request((net, ("10.77.0.3",)), ports=(port,))))
    host.do(lambda: backend.remove_strays(found))
    living.serve_tcp(80)
    assert host.ask("127.0.0.1", 8080) == b"hello"


def test_another_installation_on_the_same_host_is_left_alone(host, directory, containers):
    ours, theirs = BridgeBackend(directory / "ours"), BridgeBackend(directory / "theirs")
    net = default_definition("podman", [], Occupied())
    other = default_definition("podman", [net], Occupied())
    one, two = containers("one"), containers("two")
    host.do(lambda: ours.setup(one.request((net, ("10.77.0.2",)))))
    host.do(lambda: theirs.setup(two.request((other, ("10.76.0.2",)))))
    assert all(isinstance(stray, Stray) for stray in host.do(lambda: ours.strays([], [net])))
    host.do(lambda: ours.remove_strays(ours.strays([new_id()], [net])))
    assert host.do(lambda: theirs.strays([two.id], [other])) == []
    two.serve_tcp(80)
    assert host.ask("10.76.0.2", 80) == b"hello"
