"""Many containers on one network, started and removed at once by threads of several processes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from libpod.network.ipam import split_address_key
from tests.network.conftest import Machine

pytestmark = [pytest.mark.root, pytest.mark.network]

PROCESSES, THREADS, EACH = 4, 3, 25


@pytest.mark.timeout(600)
def test_a_hundred_containers_at_once_have_a_hundred_addresses(engine, runtime, host):
    runtime.create_network("crowd", subnets=["10.71.0.0/24"], dns=False)
    argv = [sys.executable, "-m", "tests.runtime.network_crowd", str(engine.root), str(engine.runroot)]
    argv += [str(EACH), str(THREADS)]
    children = host.do(
        lambda: [
            subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path.cwd())
            for _ in range(PROCESSES)
        ]
    )
    try:
        found: dict[str, str] = {}
        tell(children)
        for child in children:
            assert child.stdout is not None
            found |= json.loads(child.stdout.readline())
        assert len(found) == PROCESSES * EACH
        assert len(set(found.values())) == len(found)
        claims = runtime._services.state.claims(kind="address")
        assert {claim.owner: split_address_key(claim.key)[1] for claim in claims} == found
        assert_all_answer(host, set(found.values()))
        tell(children)
        assert [child.wait(timeout=500) for child in children] == [0] * PROCESSES
    finally:
        for child in children:
            child.kill()
            child.communicate()
    assert runtime._services.state.claims() == []
    assert host.links() == {"lo"}
    assert host.ruleset() == ""
    runtime.remove_network("crowd")


def tell(children: list[subprocess.Popen[str]]) -> None:
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()


def assert_all_answer(host: Machine, addresses: set[str]) -> None:
    """Each address is that of one interface of the network, which says so itself."""
    script = f"for a in {' '.join(sorted(addresses))}; do ping -c 1 -W 10 $a > /dev/null || echo $a; done"
    assert host.sh("busybox", "sh", "-c", script) == ""
    neighbours = host.sh("ip", "neigh", "show", "nud", "reachable", "nud", "stale", "nud", "delay")
    macs = {line.split()[0]: line.split()[4] for line in neighbours.splitlines() if "lladdr" in line}
    assert set(macs) >= addresses
    assert len({macs[address] for address in addresses}) == len(addresses)
