"""Our bridges on a host that has the rules of docker or of firewalld, as those load them, made by the same tools."""

from __future__ import annotations

import re
import subprocess

import pytest

from libpod.model.container_config import PortMapping
from libpod.network.bridge import BridgeBackend
from libpod.network.creation import Occupied, default_definition
from tests.network.conftest import Machine, cable

pytestmark = [pytest.mark.root, pytest.mark.network]

DOCKER = """
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:DOCKER - [0:0]
:DOCKER-ISOLATION-STAGE-1 - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-ISOLATION-STAGE-1
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER-ISOLATION-STAGE-1 -j RETURN
-A DOCKER-USER -j RETURN
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A DOCKER -i docker0 -j RETURN
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 9090 -j DNAT --to-destination 172.17.0.2:80
COMMIT
"""
FIREWALLD = """
table inet firewalld {
    chain filter_FORWARD_ZONES {
        iifname "up0" oifname "up0" accept
    }
    chain filter_FORWARD {
        type filter hook forward priority filter + 10; policy accept;
        ct state established,related accept
        ct status dnat accept
        iifname "lo" accept
        jump filter_FORWARD_ZONES
        reject with icmpx admin-prohibited
    }
}
"""


@pytest.fixture
def far(host: Machine, machines) -> Machine:
    """Another machine on the host's cable."""
    machine: Machine = machines("far")
    cable(host, machine, left_address="192.0.2.1/24", right_address="192.0.2.2/24")
    return machine


def fed(host: Machine, words: list[str], text: str) -> None:
    host.do(lambda: subprocess.run(words, input=text, text=True, check=True))


def test_dockers_rules_stay_and_its_own_chain_opens_the_way(host, far, directory, containers):
    def rules() -> list[str]:
        """What docker made, without counters and comments."""
        saved = host.sh("iptables-save")
        return [re.sub(r"\[\d+:\d+\]", "", line) for line in saved.splitlines() if not line.startswith("#")]

    fed(host, ["iptables-restore"], DOCKER)
    before = rules()
    backend, network = BridgeBackend(directory / "run"), default_definition("podman", [], Occupied())
    server = containers("server")
    port = PortMapping(container_port=80, host_port=8080)
    request = server.request((network, ("10.77.0.2",)), ports=(port,))
    host.do(lambda: backend.setup(request))
    server.serve_tcp(80, answer=b"served ")
    assert host.ask("127.0.0.1", 8080) == b"served hello"
    assert rules() == before
    assert not far.reaches("192.0.2.1", 8080), (
        "docker drops what it does not know, as docs/networking.md says"
    )
    for direction in ("-i", "-o"):
        host.sh("iptables", "-I", "DOCKER-USER", direction, network.network_interface, "-j", "ACCEPT")
    assert far.ask("192.0.2.1", 8080) == b"served hello"
    for direction in ("-i", "-o"):
        host.sh("iptables", "-D", "DOCKER-USER", direction, network.network_interface, "-j", "ACCEPT")
    host.do(lambda: backend.teardown(request))
    assert rules() == before


def test_firewallds_table_stays_and_published_ports_pass_it(host, far, directory, containers):
    fed(host, ["nft", "-f", "-"], FIREWALLD)
    before = host.ruleset()
    backend, network = BridgeBackend(directory / "run"), default_definition("podman", [], Occupied())
    server = containers("server")
    request = server.request(
        (network, ("10.77.0.2",)), ports=(PortMapping(container_port=80, host_port=8080),)
    )
    host.do(lambda: backend.setup(request))
    assert host.sh("nft", "list", "table", "inet", "firewalld") == before
    server.serve_tcp(80, answer=b"served ")
    far.serve_tcp(81, answer=b"far ")
    assert far.ask("192.0.2.1", 8080) == b"served hello"
    assert not server.reaches("192.0.2.2", 81), "what is in no zone is rejected, as docs/networking.md says"
    zone = f'insert rule inet firewalld filter_FORWARD_ZONES iifname "{network.network_interface}" accept'
    fed(host, ["nft", "-f", "-"], zone)
    theirs = host.sh("nft", "list", "table", "inet", "firewalld")
    assert server.ask("192.0.2.2", 81) == b"far hello"
    host.do(lambda: backend.teardown(request))
    assert host.ruleset() == theirs
