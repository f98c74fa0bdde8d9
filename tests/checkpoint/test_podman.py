"""Archives that cross between the real podman and us, both ways."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from libpod.checkpoint import criu
from libpod.checkpoint.codec import CompressionKind
from libpod.checkpoint.documents import (
    config_document,
    encode_document,
    read_config,
    read_spec,
    spec_document,
)
from libpod.checkpoint.reader import UnpackedArchive, open_archive
from libpod.checkpoint.rootfs import PathChange, RootfsDiff, rootfs_diff
from libpod.checkpoint.statistics import read_dump_statistics
from libpod.checkpoint.unpack import apply_rootfs, unpack_tree
from libpod.checkpoint.writer import ArchiveWriter

pytestmark = [
    pytest.mark.root,
    pytest.mark.criu,
    pytest.mark.podman,
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("podman") is None or not criu.PREFIX.exists(),
        reason="needs podman and the set-up's CRIU",
    ),
]

SCRIPT = """
echo changed >> /opt/app/conf; rm /opt/app/old; chmod 711 /opt/app
rm -r /opt/tree; mkdir /opt/tree; echo n > /opt/tree/new
echo v > /data/v; echo s > /dev/shm/s; mkdir /new
i=0; while :; do i=$((i+1)); echo $i > /new/count; sleep 0.1; done
"""


@attrs.frozen
class Podman:
    """A podman with roots of its own."""

    base: Path

    def __call__(self, *words: str | Path) -> str:
        argv: list[str | Path] = [
            "podman", "--root", self.base / "root", "--runroot", self.base / "run", "--tmpdir", self.base / "tmp",
            "--runtime", "runc", "--cgroup-manager", "cgroupfs", "--events-backend", "none",
            "--storage-driver", "overlay", *words,
        ]  # fmt: skip
        environment = os.environ | criu.runtime_environment(criu.PREFIX)
        done = subprocess.run(argv, capture_output=True, text=True, env=environment, timeout=90, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def inside(self, name: str, path: str) -> Path:
        """A path in a running container, seen from outside."""
        pid = self("inspect", "--format", "{{.State.Pid}}", name)
        return Path(f"/proc/{pid}/root{path}")


def at_work(base: Path) -> bool:
    """Whether a process of this podman's is left: a conmon, or the clean-up that a conmon starts."""
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = process.read_bytes()
            if f"{base}/".encode() in words and (b"conmon" in words or b"cleanup" in words):
                return True
    return False


@pytest.fixture(scope="module")
def podman() -> Iterator[Podman]:
    # Paths of sockets below are short of bytes, pytest's own temporary directories are long.
    with tempfile.TemporaryDirectory(prefix="lpk-") as directory:
        base = Path(directory)
        root = base / "fs"
        for path in ("bin", "etc", "tmp", "opt/app", "opt/tree/sub"):
            (root / path).mkdir(parents=True)
        shutil.copy("/bin/busybox", root / "bin/busybox")
        for applet in ("sh", "sleep", "mkdir", "chmod", "rm"):
            os.symlink("busybox", root / "bin" / applet)
        for name in ("app/conf", "app/old", "tree/gone", "tree/sub/gone"):
            (root / "opt" / name).write_text("original\n")
        subprocess.run(["tar", "-C", root, "-cf", base / "fs.tar", "."], check=True)
        run = Podman(base)
        run("import", base / "fs.tar", "localhost/bb:1")
        try:
            yield run
        finally:
            run("rm", "--force", "--all", "--time", "0")
            run("system", "reset", "--force")
            subprocess.run(["umount", base / "root/overlay"], check=False, capture_output=True)


@attrs.frozen
class Frozen:
    """A checkpointed container: podman's archive of it, what we read there, and what we say changed in its root."""

    archive: Path
    unpacked: UnpackedArchive
    diff: RootfsDiff


@pytest.fixture(scope="module")
def frozen(podman: Podman) -> Frozen:
    podman(
        "run", "--detach", "--name", "c", "--network", "none", "--volume", "vol:/data",
        "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024",
        "localhost/bb:1", "/bin/sh", "-c", SCRIPT,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not podman.inside("c", "/new/count").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    archive = podman.base / "podman.tar.zst"
    podman("container", "checkpoint", "--export", archive, "c")
    # conmon starts a clean-up of podman's own, which unmounts the container under the commands below.
    deadline = time.monotonic() + 60
    while at_work(podman.base):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    staging = podman.base / "staging"
    staging.mkdir()
    with open_archive(archive, staging=staging) as reader:
        reader.head()
        unpacked = reader.unpack()
    listed = json.loads(podman("diff", "--format", "json", "c"))
    kinds = {"added": "A", "changed": "C", "deleted": "D"}
    changes = [PathChange(kinds[kind], path) for kind, paths in listed.items() for path in paths]  # type: ignore[arg-type]
    layer = json.loads(podman("inspect", "c"))[0]["GraphDriver"]["Data"]
    mounted = Path(podman("mount", "c"))
    lowers = [Path(path) for path in layer["LowerDir"].split(":")]
    diff = rootfs_diff(changes, mounted, upper=Path(layer["UpperDir"]), lowers=lowers)
    # The tree is written later, when the container is gone.
    kept = podman.base / "kept"
    subprocess.run(["cp", "-a", mounted, kept], check=True)
    podman("umount", "c")
    podman("rm", "c")
    podman("volume", "rm", "vol")
    assert diff.tree is not None
    return Frozen(archive, unpacked, attrs.evolve(diff, tree=attrs.evolve(diff.tree, root=kept)))


def test_podmans_archive_is_read(frozen: Frozen, tmp_path: Path) -> None:
    unpacked = frozen.unpacked
    assert unpacked.compression is CompressionKind.ZSTD
    assert unpacked.volumes == ("vol",)
    assert unpacked.ignored == ()
    assert unpacked.images is not None
    assert (unpacked.images / "inventory.img").exists()
    config = read_config(unpacked.head.config, archive="a")
    assert config["name"] == "c"
    assert read_spec(unpacked.head.spec, archive="a")["annotations"]["io.container.manager"] == "libpod"
    assert read_dump_statistics(unpacked.staging / "stats-dump").pages_written > 0
    for label, member, name, text in (
        ("volume", "volumes/vol.tar", "v", "v\n"),
        ("shm", "devshm-checkpoint.tar", "s", "s\n"),
    ):
        (tmp_path / label).mkdir()
        unpack_tree(unpacked.staging / member, tmp_path / label, label=member)
        assert (tmp_path / label / name).read_text() == text
    (tmp_path / "root").mkdir()
    apply_rootfs(unpacked.staging, tmp_path / "root")
    assert (tmp_path / "root/new/count").exists()


def test_our_diff_has_what_podman_loses(frozen: Frozen) -> None:
    assert frozen.diff.tree is not None
    paths = {entry.path for entry in frozen.diff.tree.entries}
    assert {"opt/app", "opt/app/conf", "opt/tree", "opt/tree/new", "new", "new/count"} <= paths
    assert set(frozen.diff.deleted) == {"/opt/app/old", "/opt/tree/gone", "/opt/tree/sub"}


@pytest.mark.parametrize("kind", [kind for kind in CompressionKind if kind.can_write])
def test_podman_restores_what_we_wrote(kind: CompressionKind, podman: Podman, frozen: Frozen) -> None:
    staging, diff = frozen.unpacked.staging, frozen.diff
    config = json.loads(frozen.unpacked.head.config)
    target = podman.base / f"ours-{kind}"
    with ArchiveWriter.open(target, kind) as writer:
        config_dump = config_document(config, checkpointed="2026-01-02T03:04:05.6Z")
        writer.add_document("config.dump", encode_document(config_dump))
        spec_dump = spec_document(json.loads(frozen.unpacked.head.spec))
        writer.add_document("spec.dump", encode_document(spec_dump))
        writer.add_directory("checkpoint", staging / "checkpoint")
        writer.add_file("devshm-checkpoint.tar", staging / "devshm-checkpoint.tar")
        assert diff.tree is not None
        writer.add_tree("rootfs-diff.tar", diff.tree)
        assert diff.deleted_document is not None
        writer.add_document("deleted.files", diff.deleted_document)
        writer.add_file("volumes/vol.tar", staging / "volumes/vol.tar")
        writer.commit()
    counted = int((podman.base / "kept/new/count").read_text() or 0)
    podman("container", "restore", "--import", target)
    try:
        assert podman.inside("c", "/opt/app/conf").read_text() == "original\nchanged\n"
        assert podman.inside("c", "/opt/app").stat().st_mode & 0o777 == 0o711
        assert not podman.inside("c", "/opt/app/old").exists()
        assert {path.name for path in podman.inside("c", "/opt/tree").iterdir()} == {"new"}
        assert podman.inside("c", "/data/v").read_text() == "v\n"
        assert podman.inside("c", "/dev/shm/s").read_text() == "s\n"
        deadline = time.monotonic() + 60
        while int(podman.inside("c", "/new/count").read_text() or 0) <= counted:
            assert time.monotonic() < deadline, "the counter stands still"
            time.sleep(0.05)
    finally:
        podman("rm", "--force", "--time", "0", "c")
        podman("volume", "rm", "vol")
