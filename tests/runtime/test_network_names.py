"""Who finds whom by name: by aardvark-dns, and by hosts files where it is not installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

import libpod
from libpod.container_internal import bridging
from libpod.network.aardvark import find_aardvark
from tests.engines import until
from tests.network.conftest import Machine

pytestmark = [pytest.mark.root, pytest.mark.network]

Run = Callable[..., libpod.Container]


@pytest.fixture(params=["server", "hosts files"])
def front(request, runtime, host, monkeypatch) -> Iterator[libpod.Network]:
    """A network on which names resolve in one of the two ways; its containers go with the test."""
    if request.param == "hosts files":
        monkeypatch.setattr(bridging, "find_aardvark", lambda: None)
    elif find_aardvark() is None:
        pytest.skip("aardvark-dns is not installed")
    network = runtime.create_network("front", subnets=["10.71.1.0/24", "fd00:71:1::/64"])
    yield network
    host.do(lambda: network.remove(force=True, timeout=0))
    assert host.links() == {"lo"}


@pytest.fixture
def run(runtime, host) -> Run:
    """Starts a container that sleeps, and is told at once that a name is not known."""

    def start(name: str, network: str = "front", **options) -> libpod.Container:
        if not network.startswith("container:"):
            options["dns"] = ["127.0.0.1"]
        return host.do(lambda: runtime.run("bb:1", "sleep", "1000", name=name, network=network, **options))

    return start


def finds(container: libpod.Container, name: str) -> bool:
    """Whether the container reaches another by that name."""
    return b"refused" in container.run("nc", "-w", "5", name, "99").stderr


def assert_finds(container: libpod.Container, *names: str) -> None:
    missing = until(lambda: [name for name in names if not finds(container, name)], lambda found: not found)
    assert not missing, f"{container.name} does not find {missing}"


def assert_finds_no_more(container: libpod.Container, name: str) -> None:
    assert not until(lambda: finds(container, name), lambda found: not found), f"{name} is still known"


def test_containers_find_each_other_as_long_as_they_are_there(front, run, host):
    first = run("first")
    second = run("second", "front:alias=db")
    assert_finds(first, "second", "db", second.id[:12], "first", first.id[:12])
    assert_finds(second, "first", first.id[:12])
    host.do(lambda: second.restart(timeout=0))
    assert_finds(first, "second", "db")
    assert_finds(second, "first")
    host.do(lambda: second.stop(timeout=0))
    assert_finds_no_more(first, "db")
    host.do(lambda: second.start())
    assert_finds(first, "second", "db")


def test_a_new_name_is_found_at_once_and_the_old_one_no_more(front, run, host):
    first, second = run("first"), run("second")
    host.do(lambda: second.rename("renamed"))
    assert_finds(first, "renamed")
    assert_finds(second, "renamed", "first")
    assert_finds_no_more(first, "second")
    host.do(lambda: second.restart(timeout=0))
    assert_finds(first, "renamed")


def test_names_follow_connecting_and_disconnecting(front, runtime, run, host):
    back = runtime.create_network("back", subnets=["10.71.2.0/24"])
    try:
        first, stranger = run("first"), run("stranger", "back")
        assert not finds(first, "stranger")
        host.do(lambda: front.connect("stranger", aliases=["guest"]))
        assert_finds(first, "stranger", "guest")
        assert_finds(stranger, "first")
        host.do(lambda: front.disconnect("stranger"))
        assert_finds_no_more(first, "guest")
        assert_finds_no_more(stranger, "first")
    finally:
        host.do(lambda: back.remove(force=True, timeout=0))


def test_a_pod_is_found_by_its_name_and_its_members_find_each_other(front, runtime, run, host):
    first = run("first")
    pod = host.do(lambda: runtime.create_pod(name="crew", infra_options={"network": "front"}))
    members = [
        host.do(lambda name=name: runtime.run("bb:1", "sleep", "1000", name=name, pod="crew"))
        for name in ("cook", "mate")
    ]
    assert_finds(first, "crew")
    assert_finds(members[0], "mate", "cook", "first", "crew")
    assert "127.0.0.1\tmate\n" in hosts_of(members[0])
    host.do(lambda: members[1].rename("captain"))
    assert_finds(members[0], "captain")
    host.do(lambda: members[1].remove(force=True, timeout=0))
    assert "captain" not in hosts_of(members[0])
    host.do(lambda: pod.remove(force=True, timeout=0))


def test_guests_stay_known_when_their_owner_changes_networks(front, runtime, run, host):
    owner = run("owner", "podman")
    guest = run("guest", "container:owner")
    assert_finds(owner, "guest")
    host.do(lambda: front.connect("owner"))
    assert_finds(owner, "guest", "owner")
    assert_finds(run("other"), "owner")
    host.do(lambda: guest.remove(force=True, timeout=0))
    assert "guest" not in hosts_of(owner)
    host.do(lambda: owner.remove(force=True, timeout=0))


def test_the_default_network_has_no_names(front, run, host):
    first, second = run("first", "podman"), run("second", "podman")
    assert not finds(first, "second")
    for container in (first, second):
        remove(container, host)


def hosts_of(container: libpod.Container) -> str:
    return container.run("cat", "/etc/hosts").stdout.decode()


def remove(container: libpod.Container, host: Machine) -> None:
    host.do(lambda: container.remove(force=True, timeout=0))
