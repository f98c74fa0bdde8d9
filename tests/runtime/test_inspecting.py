"""Looking into archives without restoring them: against what is known of the container that was frozen."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

import libpod
from libpod.checkpoint import criu_images
from libpod.checkpoint.inspection import CheckpointInspection, ProcessImage
from tests.engines import Engine, counts_on, last_count
from tests.podmans import CHECKPOINTCTL, our_side

pytestmark = [pytest.mark.root, pytest.mark.criu]

SCRIPT = (
    "exec 7> /open-file; httpd -p 8080 -h /etc; nc -l -p 9090 > /dev/null & echo new > /new;"
    "i=0; while true; do i=$((i+1)); echo $i; sleep 0.1; done"
)


@pytest.fixture
def server(runtime: libpod.Runtime, programs: Path) -> libpod.Container:
    container = runtime.run(
        "bb:1", "sh", "-c", SCRIPT, name="server", network="none", env={"SECRET": "pa55"},
        volumes=["vol:/data", f"{programs}:/programs:ro"],
    )  # fmt: skip
    container.run("sh", "-c", "echo v > /data/v; echo s > /dev/shm/s; rm /etc/group")
    counts_on(container, 2)
    return container


@pytest.fixture
def archive(runtime: libpod.Runtime, server: libpod.Container, tmp_path: Path) -> Path:
    runtime.checkpoint(server, export=tmp_path / "server.tar.zst", leave_running=True)
    return tmp_path / "server.tar.zst"


def named(found: CheckpointInspection, name: str) -> ProcessImage:
    return next(process for process in found.processes if process.name == name)


def test_an_archive_tells_what_it_holds(runtime, server, archive):
    found = runtime.inspect_checkpoint(archive)
    assert (found.id, found.name, found.image) == (server.id, "server", "localhost/bb:1")
    assert (found.compression, found.engine, found.runtime, found.kind) == (
        "zstd",
        "libpod",
        "runc",
        "checkpoint",
    )
    assert found.size == archive.stat().st_size < found.content_size
    shell = found.processes[0]
    assert (shell.pid, shell.parent, shell.uid, shell.threads, shell.state) == (1, 0, 0, 1, "running")
    assert shell.arguments == ("sh", "-c", SCRIPT)
    assert shell.executable == "/bin/busybox"
    assert shell.environment is None
    assert {file.descriptor: file.name for file in shell.files}[7] == "/open-file"
    assert shell.memory["heap"].dumped > 0
    assert shell.memory["stack"].mapped >= shell.memory["stack"].dumped > 0
    assert found.memory == sum(process.dumped for process in found.processes) > 0
    assert "/new" in found.rootfs.paths
    assert found.deleted == ("/etc/group",)
    assert "/s" in found.shm.paths
    assert found.volumes["vol"].paths == ("/v",)
    assert {"/", "/proc", "/data", "/dev/shm"} <= {mount.target for mount in found.mounts}
    assert next(mount for mount in found.mounts if mount.target == "/data").external
    assert found.statistics is not None
    assert found.statistics.frozen_time > 0
    assert found.log_size > 0
    assert found.ignored == ()


def test_it_says_whether_this_host_can_wake_it(runtime, server, archive):
    there = runtime.inspect_checkpoint(archive)
    assert there.fitness is not None
    assert not there.fitness.fit, "the container is here already"
    server.remove(force=True, timeout=0)
    runtime.volume("vol").remove()
    found = runtime.inspect_checkpoint(archive)
    assert found.fitness.fit, found.fitness.findings
    assert found.to_document()["fitness"]["fit"] is True


def test_sockets_are_seen(runtime, archive):
    found = runtime.inspect_checkpoint(archive)
    (web,) = [file for file in named(found, "httpd").files if file.is_socket]
    assert (web.kind, web.state) == ("tcp", "listening")
    assert web.name.endswith(":8080")
    assert any(file.name.endswith(":9090") for file in named(found, "nc").files if file.is_socket)


def test_an_established_connection_names_both_ends(runtime, host, tmp_path):
    script = "nc -l -p 80 -e cat & sleep 0.3; nc 127.0.0.1 80 < /dev/zero > /dev/null & while true; do sleep 1; done"
    container = host.do(lambda: runtime.run("bb:1", "sh", "-c", script, name="talker", network="none"))
    from tests.engines import until

    def established() -> bool:
        return b"01" in b"".join(
            line.split()[3:4][0] for line in container.run("cat", "/proc/net/tcp").stdout.splitlines()[1:]
        )

    assert until(established)
    runtime.checkpoint(container, export=tmp_path / "t.tar", tcp_established=True, leave_running=True)
    found = runtime.inspect_checkpoint(tmp_path / "t.tar")
    ends = {file.name for process in found.processes for file in process.files if file.state == "established"}
    assert any(name.startswith("127.0.0.1:80 → 127.0.0.1:") for name in ends), ends


def test_the_environment_is_shown_on_request_only(runtime, archive):
    assert "pa55" not in json.dumps(runtime.inspect_checkpoint(archive).to_document())
    found = runtime.inspect_checkpoint(archive, environment=True)
    assert "SECRET=pa55" in (found.processes[0].environment or ())
    assert "SECRET=pa55" in json.dumps(found.to_document())


def test_two_checkpoints_are_compared(runtime, server, archive, tmp_path):
    server.run("sh", "-c", "echo more > /more; echo w > /data/w; rm /etc/image-file")
    counts_on(server, last_count(server))
    runtime.checkpoint(server, export=tmp_path / "later.tar")
    found = runtime.compare_checkpoints(archive, tmp_path / "later.tar")
    assert found.same_container
    seen = {(item.subject, item.name) for item in found.differences}
    assert {("rootfs", "/more"), ("deleted", "/etc/image-file"), ("volume", "vol")} <= seen
    assert ("container", "id") not in seen
    assert not runtime.compare_checkpoints(archive, archive).differences
    json.dumps(found.to_document())


def test_the_command_line_draws_a_tree_and_prints_json(engine: Engine, archive, tmp_path):
    side = our_side(engine)
    text = side("container", "checkpoint", "inspect", archive)
    assert "server (" in text
    assert "tcp" in text
    assert "listening" in text
    assert "SECRET" not in text
    assert "SECRET=pa55" in side("container", "checkpoint", "inspect", "--env", archive)
    document = json.loads(side("container", "checkpoint", "inspect", "--format", "json", archive))
    assert document["processes"][0]["arguments"][0] == "sh"
    assert side("container", "checkpoint", "compare", archive, archive) == ""


@pytest.mark.parametrize("image", ["pstree.img", "mm-1.img", "pagemap-1.img", "files.img", "core-1.img"])
@pytest.mark.parametrize("damage", [b"", b"\x19\x43\x56\x54garbage", b"\xff" * 4096])
def test_a_damaged_image_is_named(runtime, archive, tmp_path, image, damage, whole):
    import io

    target = tmp_path / "damaged.tar"
    with tarfile.open(target, "w") as out:
        for name, data in whole.items():
            item = tarfile.TarInfo(name)
            content = damage if name == f"checkpoint/{image}" else data
            item.size = len(content)
            out.addfile(item, io.BytesIO(content))
    with pytest.raises(libpod.ArchiveError, match=rf"{image} is no image"):
        runtime.inspect_checkpoint(target)


@pytest.fixture
def whole(runtime, archive) -> dict[str, bytes]:
    from libpod.checkpoint.reader import open_archive

    staging = archive.parent / "staging"
    staging.mkdir()
    with open_archive(archive, staging=staging) as reader:
        reader.head()
        reader.unpack()
    return {
        str(path.relative_to(staging)): path.read_bytes() for path in staging.rglob("*") if path.is_file()
    } | {}


def test_without_the_definitions_it_says_what_to_install():
    code = (
        "import sys; sys.modules['google'] = None\n"
        "from libpod.checkpoint.criu_images import require_decoder\n"
        "from libpod.define.errors import NotSupportedError\n"
        "from pathlib import Path\n"
        "try: require_decoder(Path('/opt/libpod-criu/bin/criu'))\n"
        "except NotSupportedError as error: print(error)\n"
    )
    repository = Path(libpod.__file__).resolve().parent.parent
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True
    ).stdout
    assert "libpod[inspect]" in said
    assert criu_images.require_decoder(Path("/opt/libpod-criu/bin/criu")) is not None


@pytest.mark.skipif(
    not CHECKPOINTCTL.exists(), reason="needs checkpointctl, which scripts/setup --peers unpacks"
)
def test_checkpointctl_reads_our_archives(archive):
    def said(*words: str) -> str:
        done = subprocess.run([CHECKPOINTCTL, *words, archive], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    shown = said("show")
    for word in ("server", "localhost/bb:1", "runc", "Podman"):
        assert word in shown, shown
    inspected = said("inspect", "--all", "--format", "json") or said("inspect", "--all")
    assert "httpd" in inspected
    assert "8080" in inspected
