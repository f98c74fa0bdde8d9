"""Connections of a frozen container: dropped, not refused, and never for ever."""

from __future__ import annotations

import pytest

from libpod.model.container_config import PortMapping
from libpod.network.hold import Holds, hold_namespace, release_namespace
from tests.network.conftest import cable, wait_until

pytestmark = [pytest.mark.root, pytest.mark.network]


@pytest.fixture
def pair(host, machines):
    far = machines("far")
    cable(host, far, left_address="192.0.2.1/24", right_address="192.0.2.2/24")
    return host, far


def refused(asker, address, port) -> bool:
    """Whether the connection is answered with a reset."""
    try:
        asker.connect(address, port, timeout=0.3).close()
    except ConnectionRefusedError:
        return True
    except TimeoutError:
        return False
    raise AssertionError("somebody listens")


def is_refused(asker, address, port) -> bool:
    wait_until(lambda: refused(asker, address, port), "a refusal")
    return True


def test_inside_a_held_namespace_nothing_is_refused(pair):
    host, far = pair
    assert is_refused(far, "192.0.2.1", 80)
    hold_namespace(host.path)
    hold_namespace(host.path)
    assert not refused(far, "192.0.2.1", 80)
    assert is_refused(host, "127.0.0.1", 80)
    release_namespace(host.path)
    release_namespace(host.path)
    assert is_refused(far, "192.0.2.1", 80)
    assert host.ruleset() == ""


def test_a_connection_outlives_the_hold(pair):
    host, far = pair
    host.serve_tcp(80)
    with far.connect("192.0.2.1", 80, timeout=30) as client:
        client.sendall(b"a")
        assert client.recv(1) == b"a"
        hold_namespace(host.path)
        client.sendall(b"b")
        client.settimeout(0.5)
        with pytest.raises(TimeoutError):
            client.recv(1)
        release_namespace(host.path)
        client.settimeout(30)
        assert client.recv(1) == b"b"


def test_a_hold_ends_by_itself(pair):
    host, far = pair
    hold_namespace(host.path, seconds=1)
    wait_until(lambda: refused(far, "192.0.2.1", 80), "the hold ends")


def test_the_host_holds_published_ports_and_addresses_of_one_container(pair):
    host, far = pair
    holds = Holds("12345678")
    ports = [PortMapping(container_port=80, host_port=8080, range=2)]
    host.do(lambda: holds.hold("a" * 64, addresses=["10.77.0.2", "fd00::2"], ports=ports))
    host.do(lambda: holds.hold("b" * 64, ports=[PortMapping(container_port=80, host_port=9090)]))
    assert not refused(far, "192.0.2.1", 8081)
    assert not refused(far, "192.0.2.1", 9090)
    assert is_refused(far, "192.0.2.1", 8082)
    assert host.do(holds.held) == {"a" * 64, "b" * 64}
    host.do(lambda: holds.release("a" * 64))
    assert is_refused(far, "192.0.2.1", 8081)
    assert not refused(far, "192.0.2.1", 9090)
    host.do(lambda: holds.release("b" * 64))
    assert host.ruleset() == ""
    host.do(lambda: holds.release("b" * 64))


def test_a_hold_that_ended_leaves_a_table_that_tidying_removes(pair):
    host, _ = pair
    holds = Holds("12345678")
    host.do(lambda: holds.hold("a" * 64, addresses=["10.77.0.2"], seconds=1))
    wait_until(lambda: not host.do(holds.held), "the hold ends")
    host.do(holds.tidy)
    assert host.ruleset() == ""
