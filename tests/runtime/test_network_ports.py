"""Published ports as the rest of the host sees them: held while the container lives, named when taken, free after."""

from __future__ import annotations

import contextlib
import socket

import pytest

import libpod
from tests.engines import until
from tests.network.conftest import Machine
from tests.runtime.test_networks import SERVE, answer_of

pytestmark = [pytest.mark.root, pytest.mark.network]


def listens(machine: Machine, address: str, port: int, kind: int = socket.SOCK_STREAM) -> bool:
    """Whether a program of the machine can have the port."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with machine.do(lambda: socket.socket(family, kind)) as program:
        program.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            program.bind((address, port))
            if kind == socket.SOCK_STREAM:
                program.listen(1)
        except OSError:
            return False
    return True


@pytest.mark.parametrize("backend", ["bridge", "netavark"])
def test_a_published_port_answers_over_either_back_end(engine, host, backend):
    with engine.runtime(network_backend=backend) as runtime:
        container = host.do(
            lambda: runtime.run("bb:1", "sh", "-c", SERVE, hostname="web", publish=["8080:80"])
        )
        assert until(lambda: answer_of(host, 8080)) == b"served by web\n"
        host.do(lambda: container.restart(timeout=0))
        assert until(lambda: answer_of(host, 8080)) == b"served by web\n"
        host.do(lambda: container.remove(force=True, timeout=0))
    assert host.links() == {"lo"}


def test_an_unknown_back_end_is_refused(engine):
    with pytest.raises(libpod.ConfigError, match="network_backend"):
        engine.runtime(network_backend="pigeons")


def test_nobody_else_can_listen_on_a_published_port_while_the_container_lives(runtime, host):
    container = host.do(
        lambda: runtime.run(
            "bb:1", "sleep", "1000", publish=["8080:80", "127.0.0.1:8081-8082:81-82", "53:53/udp"]
        )
    )
    assert not listens(host, "0.0.0.0", 8080)
    assert not listens(host, "127.0.0.1", 8080)
    assert not listens(host, "::", 8080)
    assert not listens(host, "127.0.0.1", 8082)
    assert not listens(host, "0.0.0.0", 53, socket.SOCK_DGRAM)
    assert listens(host, "0.0.0.0", 53)
    host.do(lambda: container.pause())
    assert not listens(host, "0.0.0.0", 8080)
    host.do(lambda: container.unpause())
    host.do(lambda: container.stop(timeout=0))
    assert listens(host, "0.0.0.0", 8080)
    assert listens(host, "127.0.0.1", 8082)
    host.do(lambda: container.remove())


def test_a_program_that_has_the_port_is_named(runtime, host):
    container = runtime.create("bb:1", "true", publish=["8080:80"])
    host.serve_tcp(8080)
    with pytest.raises(libpod.NetworkError, match=r"8080/tcp is in use by \S+ \(process \d+\)"):
        host.do(container.start)
    assert host.links() == {"lo"}
    assert runtime._services.state.claims(owner=container.id) == []
    container.remove()


def test_a_start_that_fails_leaves_the_port_free(runtime, host):
    container = runtime.create("bb:1", "/bin/there-is-none", publish=["8080:80"])
    with pytest.raises(libpod.CommandNotFoundError):
        host.do(container.start)
    assert listens(host, "0.0.0.0", 8080)
    assert host.links() == {"lo"}
    assert runtime._services.state.claims(owner=container.id) == []
    container.remove()


def test_a_container_that_restarts_itself_has_its_port_again(runtime, host):
    script = "echo once more | nc -l -p 80; exit 1"
    container = host.do(
        lambda: runtime.run("bb:1", "sh", "-c", script, publish=["8080:80"], restart_policy="always")
    )
    for _ in range(3):
        assert until(lambda: answer_of(host, 8080)) == b"once more\n"
    # It has ended after the third answer, and its port is free until it runs again.
    assert until(lambda: not listens(host, "0.0.0.0", 8080))
    host.do(lambda: container.remove(force=True, timeout=0))
    assert listens(host, "0.0.0.0", 8080)
    assert host.links() == {"lo"}


def test_a_port_follows_to_the_network_that_remains(runtime, host):
    front = runtime.create_network("front", dns=False)
    container = host.do(lambda: runtime.run("bb:1", "sh", "-c", SERVE, hostname="web", publish=["8080:80"]))
    try:
        host.do(lambda: front.connect(container))
        host.do(lambda: runtime.disconnect_network("podman", container))
        assert until(lambda: answer_of(host, 8080)) == b"served by web\n"
        assert not listens(host, "0.0.0.0", 8080)
    finally:
        host.do(lambda: container.remove(force=True, timeout=0))
        front.remove()


def test_ports_of_a_container_that_shares_a_network_are_those_of_its_owner(runtime, host):
    owner = host.do(lambda: runtime.run("bb:1", "sleep", "1000", name="owner", publish=["8080:80"]))
    guest = host.do(
        lambda: runtime.run("bb:1", "sh", "-c", SERVE, network="container:owner", uts="container:owner")
    )
    assert until(lambda: answer_of(host, 8080)).startswith(b"served by")
    with contextlib.suppress(libpod.NoSuchContainerError):
        host.do(lambda: guest.remove(force=True, timeout=0))
    host.do(lambda: owner.remove(force=True, timeout=0))
    assert host.links() == {"lo"}
