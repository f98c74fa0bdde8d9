"""Checkpoints as images: stored, carried through a registry, woken elsewhere, and handed over to podman."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import libpod
from libpod.checkpoint import criu
from tests.engines import COUNT, Engine, counts_on, last_count, until
from tests.image.registry_server import RegistryServer, have_registry
from tests.network.conftest import Machine
from tests.podmans import PODMAN_5, Side, podman_side
from tests.runtime.test_network_moves import mac_of
from tests.runtime.test_networks import address_of

pytestmark = [pytest.mark.root, pytest.mark.criu]
IMAGE = "localhost/frozen:1"


@pytest.fixture(autouse=True)
def _no_image_left(engine: Engine) -> Iterator[None]:
    yield
    with engine.runtime() as runtime, contextlib.suppress(libpod.NoSuchImageError):
        runtime.remove_image(IMAGE, force=True)


@pytest.fixture
def counter(runtime: libpod.Runtime) -> libpod.Container:
    container = runtime.run(
        "bb:1", "sh", "-c", COUNT, name="counter", network="none", volumes=["travels:/data"]
    )
    container.run(
        "sh", "-c", "echo kept > /kept; echo precious > /data/file; echo s > /dev/shm/s; rm /etc/group"
    )
    counts_on(container, 2)
    return container


def assert_same(twin: libpod.Container, stood: int) -> None:
    counts_on(twin, stood)
    assert twin.run("cat", "/kept", "/data/file", "/dev/shm/s").stdout == b"kept\nprecious\ns\n"
    assert twin.run("test", "-e", "/etc/group").exit_code == 1


def test_a_container_wakes_from_its_image_with_everything(runtime, counter):
    report = runtime.checkpoint("counter", create_image=IMAGE)
    assert (report.image, report.archive) == (IMAGE, None)
    assert counter.status() is libpod.ContainerStatus.EXITED
    stood = last_count(counter)
    counter.remove()
    runtime.volume("travels").remove()
    twin, waking = runtime.restore_with_report(image=IMAGE)
    assert twin.name == "counter"
    assert waking.content_size > 0
    assert_same(twin, stood)


def test_an_image_wakes_many_times_and_stays_what_it_is(runtime, counter):
    runtime.checkpoint("counter", create_image=IMAGE, leave_running=True, ignore_volumes=True)
    for name in ("one", "two"):
        twin = runtime.restore(image=IMAGE, name=name, ignore_volumes=True)
        counts_on(twin, last_count(twin))
    counts_on(counter, last_count(counter))


def test_the_manifest_speaks_three_dialects(runtime, counter):
    runtime.checkpoint("counter", create_image=IMAGE, leave_running=True)
    image = runtime.image(IMAGE)
    annotations = runtime.image(IMAGE).inspect()["Annotations"]
    podman, crio, neutral = (
        "io.podman.annotations.checkpoint.",
        "io.kubernetes.cri-o.annotations.checkpoint.",
        "org.criu.checkpoint.",
    )
    assert annotations[f"{podman}name"] == annotations[f"{crio}name"] == "counter"
    assert annotations[f"{neutral}container.name"] == "counter"
    assert annotations[f"{podman}runtime.name"] == "runc"
    assert annotations[f"{podman}rootfsImageName"] == "localhost/bb:1"
    assert annotations[f"{podman}criu.version"].isdecimal()
    assert image.config()["rootfs"]["type"] == "layers"


def test_an_ordinary_image_is_no_checkpoint(runtime):
    with pytest.raises(libpod.ArchiveError, match="not a checkpoint"):
        runtime.restore(image="bb:1")
    with pytest.raises(libpod.NoSuchImageError):
        runtime.restore(image="localhost/nowhere:1")
    assert runtime.containers() == []


def test_when_the_image_cannot_be_stored_the_container_runs_on(runtime, engine, counter, monkeypatch):
    from libpod.container_internal import checkpoint_images

    def full(*_):
        raise libpod.ImageError("there is no room for the image")

    monkeypatch.setattr(checkpoint_images, "store_image", full)
    for options in ({}, {"tcp_established": True}, {"leave_running": True}):
        stood = last_count(counter)
        with pytest.raises(libpod.CheckpointError, match="no room for the image"):
            runtime.checkpoint("counter", create_image=IMAGE, **options)
        counts_on(counter, stood)


@pytest.mark.network
def test_address_mac_and_log_are_kept(runtime, host):
    container = host.do(lambda: runtime.run("bb:1", "sh", "-c", COUNT, name="counter"))
    counts_on(container, 2)
    before = address_of(container), mac_of(container)
    host.do(lambda: runtime.checkpoint("counter", create_image=IMAGE))
    stood = last_count(container)
    host.do(container.remove)
    twin = host.do(lambda: runtime.restore(image=IMAGE))
    assert (address_of(twin), mac_of(twin)) == before
    counts_on(twin, stood)
    assert next(iter(twin.logs())).data == b"1"
    host.do(lambda: twin.remove(force=True, timeout=0))


@pytest.mark.skipif(not have_registry(), reason="needs docker-registry")
def test_it_survives_a_registry_and_wakes_on_the_other_side(runtime, counter, other_engine: Engine):
    with tempfile.TemporaryDirectory(prefix="lpr-") as directory:
        registry = RegistryServer(Path(directory) / "registry")
        try:
            place = f"{registry.host}/team/frozen:1"
            runtime.checkpoint("counter", create_image=IMAGE)
            stood = last_count(counter)
            runtime.push(IMAGE, place, tls_verify=False)
            with other_engine.runtime() as other:
                other.pull(place, tls_verify=False)
                assert_same(other.restore(image=place), stood)
        finally:
            registry.stop()


# ---- podman ---------------------------------------------------------------------------------------------------------

PODMANS = pytest.mark.parametrize(
    "program", [Path("/usr/bin/podman"), PODMAN_5], ids=["podman 4", "podman 5"]
)
needs_podmans = pytest.mark.skipif(
    shutil.which("podman") is None or not PODMAN_5.exists() or not criu.PREFIX.exists(),
    reason="needs podman, podman 5 and the set-up's CRIU",
)


@pytest.fixture
def podman(program: Path, shared_engine: Engine) -> Iterator[Side]:
    directory = Path(tempfile.mkdtemp(prefix="lpi-"))
    with podman_side(program, directory / "p", shared_engine) as side:
        yield side
    shutil.rmtree(directory, ignore_errors=True)


def copied(source: Path, runroot: Path, target: Path, target_runroot: Path) -> None:
    from libpod.linux.process import run

    run(
        [
            "skopeo", "copy", "-q",
            f"containers-storage:[overlay@{source}+{runroot}]{IMAGE}",
            f"containers-storage:[overlay@{target}+{target_runroot}]{IMAGE}",
        ]
    )  # fmt: skip


@needs_podmans
@pytest.mark.podman
@pytest.mark.parametrize(
    ("program", "words"),
    [
        pytest.param(Path("/usr/bin/podman"), ("container", "restore"), id="podman 4 restore"),
        pytest.param(PODMAN_5, ("container", "restore"), id="podman 5 restore"),
        pytest.param(PODMAN_5, ("run", "--detach"), id="podman 5 run"),
    ],
)
def test_podman_wakes_our_image(
    runtime, engine, counter, podman: Side, host: Machine, words: tuple[str, ...]
):
    runtime.checkpoint("counter", create_image=IMAGE)
    counter.remove()
    runtime.volume("travels").remove()
    copied(engine.root, engine.runroot, podman.root, podman.runroot)
    podman(*words, IMAGE, inside=host.do)
    document = podman.inspect("counter")
    assert document["State"]["Restored"]
    root = Path(f"/proc/{document['State']['Pid']}/root")
    assert (root / "kept").read_text() == "kept\n"
    assert (root / "data/file").read_text() == "precious\n"
    assert not (root / "etc/group").exists()


@needs_podmans
@PODMANS
@pytest.mark.podman
def test_we_wake_podmans_image(runtime, engine, podman: Side, host: Machine):
    podman(
        "run", "-d", "--name", "theirs", "--network", "none", *podman.create_flags, "localhost/bb:1",
        "sh", "-c", f"echo kept > /kept; {COUNT}", inside=host.do,
    )  # fmt: skip
    until(lambda: podman("logs", "theirs"))
    podman("container", "checkpoint", "--create-image", IMAGE, "theirs", inside=host.do)
    copied(podman.root, podman.runroot, engine.root, engine.runroot)
    document = json.loads(podman("inspect", "--type", "image", IMAGE))[0]
    assert document["Annotations"]["io.podman.annotations.checkpoint.name"] == "theirs"
    twin = runtime.restore(image=IMAGE)
    assert twin.name == "theirs"
    assert twin.run("cat", "/kept").stdout == b"kept\n"
    counts_on(twin, 1)
