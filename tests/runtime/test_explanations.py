"""Real failures of CRIU with real containers, each with its cause in plain words and a cure."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

import libpod
from libpod.checkpoint.explain import CATALOGUE
from libpod.linux.host import read_host_facts
from libpod.model.import_policy import ImportPolicy
from tests.engines import COUNT, Engine, counts_on, last_count


def explained(error: pytest.ExceptionInfo[Any], *words: str) -> None:
    """Cause, cure, one line, the log where it says – and never what podman shows."""
    failure = error.value
    text = str(failure)
    assert "\n" not in text
    assert "errno 0" not in text
    assert "CRIU says" not in failure.cause, failure.details
    for word in words:
        assert word in failure.cause, (failure.cause, failure.details)
    assert failure.resolution
    assert failure.log is not None
    if isinstance(failure, libpod.CheckpointError):
        assert Path(failure.log).read_text(errors="replace")


@pytest.fixture
def holding(runtime, programs):
    def start(what: str, **options: Any) -> Any:
        options = {"network": "none", "security_opt": ["seccomp=unconfined"], **options}
        options["volumes"] = [f"{programs}:/mnt:ro", *options.get("volumes", [])]
        container = runtime.run("bb:1", "/mnt/holder", what, **options)
        container.wait(timeout=0.3, or_none=True)
        if container.status() is not libpod.ContainerStatus.RUNNING:
            pytest.skip(f"kernel: it has no {what} for containers here")
        counts_on(container, 1)
        return container

    return start


DUMPS: dict[str, tuple[str, dict[str, Any]]] = {
    "tcp": ("established TCP connection", {}),
    "io_uring": ("io_uring", {}),
    "ghost": ("deleted file", {}),
    "unlinked": ("name", {}),
    "traced": ("traced", {}),
    "perf": ("perf_event", {"privileged": True}),
    "userfaultfd": ("userfaultfd", {"privileged": True}),
    "vsock": ("socket of a kind", {"privileged": True}),
}


@pytest.mark.parametrize("what", DUMPS)
def test_a_dump_that_criu_refuses(runtime, holding, what):
    said, options = DUMPS[what]
    container = holding(what, **options)
    at = last_count(container)
    with pytest.raises(libpod.CheckpointError) as caught:
        runtime.checkpoint(container)
    explained(caught, said)
    counts_on(container, at)


def test_a_dump_of_file_locks(runtime, programs):
    options = {"network": "none", "volumes": [f"{programs}:/mnt:ro"]}
    container = runtime.run("bb:1", "/mnt/locker", **options)
    counts_on(container, 1)
    with pytest.raises(libpod.CheckpointError) as caught:
        runtime.checkpoint(container)
    explained(caught, "file locks")


def test_a_dump_of_a_process_of_another_user(runtime):
    if read_host_facts().may_raise_limits:
        pytest.skip("kernel: it grants CAP_SYS_RESOURCE, and then this works")
    container = runtime.run("bb:1", "sh", "-c", COUNT, network="none", user="someone")
    counts_on(container, 1)
    with pytest.raises(libpod.CheckpointError) as caught:
        runtime.checkpoint(container)
    explained(caught, "CAP_SYS_RESOURCE")
    counts_on(container, last_count(container))


def test_a_dump_of_a_connection_to_a_socket_outside(runtime, holding, short_tmp):
    outside = short_tmp / "outside"
    outside.mkdir(exist_ok=True)
    (outside / "socket").unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(outside / "socket"))
        server.listen()
        container = holding("unix", volumes=[f"{outside}:/outside"])
        with pytest.raises(libpod.CheckpointError) as caught:
            runtime.checkpoint(container)
        explained(caught, "Unix socket outside")
        counts_on(container, last_count(container))


# ---- restores -------------------------------------------------------------------------------------------------------


def test_a_restore_with_a_file_of_another_size(runtime, holding):
    volume = runtime.create_volume("sized")
    (volume.mount_point / "sized").write_text("as it was")
    container = holding("open", volumes=["sized:/var"])
    runtime.checkpoint(container)
    (volume.mount_point / "sized").write_text("somebody changed it meanwhile")
    with pytest.raises(libpod.RestoreError) as caught:
        runtime.restore(container)
    explained(caught, "bytes here and had 9")
    (volume.mount_point / "sized").write_text("as it was")
    runtime.restore(container)
    counts_on(container, 1)


def test_a_restore_with_a_file_missing(runtime, holding):
    volume = runtime.create_volume("gone")
    (volume.mount_point / "sized").write_text("x")
    container = holding("open", volumes=["gone:/var"])
    runtime.checkpoint(container)
    (volume.mount_point / "sized").unlink()
    with pytest.raises(libpod.RestoreError) as caught:
        runtime.restore(container)
    explained(caught, "missing here")


def test_a_restore_of_connections_that_nobody_asked_for(runtime, holding):
    container = holding("tcp")
    runtime.checkpoint(container, tcp_established=True)
    with pytest.raises(libpod.RestoreError) as caught:
        runtime.restore(container)
    explained(caught, "established TCP connections")
    runtime.restore(container, tcp_established=True)
    counts_on(container, 1)


def test_a_restore_of_damaged_images(runtime):
    container = runtime.run("bb:1", "sh", "-c", COUNT, network="none")
    counts_on(container, 1)
    runtime.checkpoint(container)
    image = Path(container.state().checkpoint_path) / "pstree.img"
    good = image.read_bytes()
    image.write_bytes(bytes(8) + good[8:])
    with pytest.raises(libpod.RestoreError) as caught:
        runtime.restore(container)
    explained(caught, "damaged")
    image.write_bytes(good)
    runtime.restore(container)
    counts_on(container, 1)


def test_a_restore_of_process_ids_that_are_taken(runtime, tmp_path):
    """Without a PID namespace of its own a copy needs the very numbers that the original has."""
    container = runtime.run("bb:1", "sh", "-c", COUNT, network="none", pid="host")
    counts_on(container, 1)
    runtime.checkpoint(container, export=tmp_path / "c.tar", leave_running=True)
    with pytest.raises(libpod.RestoreError) as caught:
        runtime.restore(import_=tmp_path / "c.tar", name="copy", policy=ImportPolicy.trusted())
    explained(caught, "process id")
    assert Path(caught.value.log).is_file(), "the log of an import is kept, although the container is not"
    counts_on(container, last_count(container))


def test_a_restore_without_the_bind_mount(runtime, other_engine: Engine, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    container = runtime.run("bb:1", "sh", "-c", COUNT, network="none", volumes=[f"{source}:/data"])
    counts_on(container, 1)
    runtime.checkpoint(container)
    source.rmdir()
    with pytest.raises(libpod.RestoreError) as caught:
        runtime.restore(container)
    assert str(source) in caught.value.cause
    assert "not found" not in caught.value.cause.split(str(source))[0], "podman calls this a missing command"
    source.mkdir()
    runtime.restore(container)
    counts_on(container, 1)


def test_the_catalogue_has_causes_and_cures():
    assert len(CATALOGUE) >= 15
    assert sum(known.resolution is not None for known in CATALOGUE) >= len(CATALOGUE) - 2
