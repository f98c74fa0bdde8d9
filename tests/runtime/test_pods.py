"""Pods: shared namespaces, order, partial failure, removal."""

from __future__ import annotations

import os

import pytest

import libpod
from libpod import ContainerStatus
from tests.engines import COUNT, cgroup_gone, counts_on, last_count, lines, until


@pytest.fixture
def pod(runtime):
    made = runtime.create_pod(name="crew", infra_options={"network": "none"})
    yield made
    if runtime.has_pod(made.id):
        made.remove(force=True, timeout=0)


def test_members_share_network_hostname_and_memory(runtime, pod):
    first = runtime.run("bb:1", "sh", "-c", "echo here > /dev/shm/note; sleep 1000", pod="crew", name="first")
    second = runtime.run("bb:1", "sleep", "1000", pod="crew", name="second")
    until(lambda: second.run("cat", "/dev/shm/note").stdout)
    assert second.run("cat", "/dev/shm/note").stdout == b"here\n"
    assert first.run("hostname").stdout == second.run("hostname").stdout == b"crew\n"
    identities = {container.run("readlink", "/proc/self/ns/net").stdout for container in (first, second)}
    assert len(identities) == 1
    assert pod.status() == "Running"
    assert {container.name for container in pod.containers()} == {"first", "second", f"{pod.id[:12]}-infra"}


def test_a_pod_is_started_and_stopped_as_one(runtime, pod):
    members = [
        runtime.create("bb:1", "sleep", "1000", pod="crew", name=f"member{number}") for number in range(3)
    ]
    assert pod.status() == "Created"
    pod.start()
    assert all(container.status() is ContainerStatus.RUNNING for container in members)
    pod.pause()
    assert pod.status() == "Paused"
    pod.unpause()
    pod.stop(timeout=0)
    assert until(pod.status, lambda word: word == "Exited") == "Exited"
    pod.restart(timeout=0)
    assert pod.status() == "Running"


def test_one_that_fails_does_not_hold_up_the_others(runtime, pod):
    good = runtime.create("bb:1", "sleep", "1000", pod="crew", name="good")
    bad = runtime.create("bb:1", "no-such-program", pod="crew", name="bad")
    with pytest.raises(libpod.PodPartialError, match="no-such-program") as caught:
        pod.start()
    assert list(caught.value.errors) == [bad.id]
    assert good.status() is ContainerStatus.RUNNING
    assert pod.status() == "Degraded"


def test_removal_needs_force_and_takes_everything(runtime, pod):
    container = runtime.run("bb:1", "sleep", "1000", pod="crew", name="inside")
    with pytest.raises(libpod.InvalidStateError, match="inside"):
        pod.remove()
    with cgroup_gone(f"/libpod_parent/{pod.id}"):
        pod.remove(force=True, timeout=0)
    assert not runtime.has_container(container.id)
    assert not runtime.has_pod("crew")


def test_the_infra_container_stays_while_others_need_it(runtime, pod):
    runtime.create("bb:1", "true", pod="crew", name="needs-it")
    with pytest.raises(libpod.ContainerInUseError):
        runtime.container(pod.infra_id).remove(force=True)


def test_names_are_shared_with_containers(runtime, pod):
    with pytest.raises(libpod.ContainerExistsError):
        runtime.create("bb:1", "true", name="crew", network="none")
    runtime.create("bb:1", "true", name="taken", network="none")
    with pytest.raises(libpod.PodExistsError):
        runtime.create_pod(name="taken")


def test_inspect_and_look_up(runtime, pod):
    document = runtime.pod(pod.id[:12]).inspect()
    assert (document["Name"], document["NumContainers"], document["SharedNamespaces"]) == (
        "crew",
        1,
        ["ipc", "net", "uts"],
    )
    assert document["InfraContainerID"] == pod.infra_id
    assert runtime.pods() == [pod]
    with pytest.raises(libpod.NoSuchPodError, match="xyzzy"):
        runtime.pod("xyzzy")


def test_a_pod_without_infra_is_only_a_group(runtime):
    pod = runtime.create_pod(name="loose", infra=False)
    container = runtime.run("bb:1", "true", pod="loose", network="none")
    container.wait()
    assert [member.id for member in pod.containers()] == [container.id]
    pod.remove(force=True)


def test_prune_takes_what_does_not_run(runtime, pod):
    idle = runtime.create_pod(name="idle", infra_options={"network": "none"})
    runtime.run("bb:1", "sleep", "1000", pod="crew")
    assert runtime.prune_pods() == [idle.id]


def test_a_member_is_exported_and_woken_in_another_pod(runtime, pod, other_engine, tmp_path):
    container = runtime.run("bb:1", "sh", "-c", COUNT, pod="crew", name="traveller")
    counts_on(container, 1)
    runtime.checkpoint("traveller", export=tmp_path / "member.tar")
    stood = last_count(container)
    with other_engine.runtime() as other:
        new = other.create_pod(name="new-crew", infra_options={"network": "none"})
        with pytest.raises(libpod.LibpodError, match="pod"):
            other.restore(import_=tmp_path / "member.tar")
        twin = other.restore(import_=tmp_path / "member.tar", pod="new-crew")
        counts_on(twin, stood)
        assert twin.config.pod == new.id
        infra = other.container(new.infra_id).state().pid
        for kind in ("net", "ipc", "uts"):
            shared = os.readlink(f"/proc/{infra}/ns/{kind}")
            assert os.readlink(f"/proc/{twin.state().pid}/ns/{kind}") == shared
        new.remove(force=True, timeout=0)
    assert lines(container)
