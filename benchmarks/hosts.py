"""The two engines of a run: ours and podman's, each with its own store and the same image.

podman is the one on PATH (or `$BENCH_PODMAN`), with runc, cgroupfs and a private tmpdir, so that both drive the same
runtime, conmon and CRIU. podman-py talks to a service of that podman over a private socket. Our command line is started
from a folder that has the library and what it depends on and nothing else, as where it is installed for use; `.venv`
has the tools of the tests besides, and what they bring is loaded by our dependencies where it is present.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

import libpod
from libpod.checkpoint.criu import find_criu

if TYPE_CHECKING:
    from podman import PodmanClient

IMAGE = "localhost/bench:1"
DEPENDENCIES = ("attr", "attrs", "backports", "isal", "libpod", "libpod_cli", "lmdb", "msgspec", "pyroute2")


@attrs.frozen(kw_only=True)
class Hosts:
    """Both engines. `podman` and `libpod` run a command line to its end and raise when it fails."""

    directory: Path
    rootfs: Path

    @property
    def root(self) -> Path:
        return self.directory / "ours/g"

    @property
    def runroot(self) -> Path:
        return self.directory / "ours/r"

    def runtime(self) -> libpod.Runtime:
        return libpod.Runtime(self.root, self.runroot, events_backend="file")

    def podman_words(self, *words: str) -> list[str]:
        """The command line of one podman call."""
        where = self.directory / "podman"
        return [
            os.environ.get("BENCH_PODMAN", "podman"),
            "--root", f"{where}/g", "--runroot", f"{where}/r", "--tmpdir", f"{where}/t",
            "--storage-driver", "overlay", "--runtime", "runc", "--cgroup-manager", "cgroupfs",
            "--events-backend", "file", *words,
        ]  # fmt: skip

    def podman(self, *words: str) -> str:
        """Run podman; returns its output."""
        return run(self.podman_words(*words), env=podman_environment())

    def libpod_words(self, *words: str) -> list[str]:
        """The command line of one call of ours."""
        return [str(self.command), "--root", str(self.root), "--runroot", str(self.runroot), *words]

    @property
    def command(self) -> Path:
        """Our console command, as the set-up writes it."""
        return self.directory / "libpod"

    @contextlib.contextmanager
    def service(self) -> Iterator[PodmanClient]:
        """podman-py, connected to a service of podman on the same store."""
        from podman import PodmanClient

        socket = self.directory / "podman.sock"
        server = subprocess.Popen(
            self.podman_words("system", "service", "-t", "0", f"unix://{socket}"),
            env=podman_environment(),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            deadline = time.monotonic() + 30
            while not socket.exists():
                if server.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError("podman system service does not start")
                time.sleep(0.02)
            with PodmanClient(base_url=f"unix://{socket}") as client:
                yield client
        finally:
            server.terminate()
            server.wait()

    def libpod(self, *words: str) -> str:
        """Run our command line; returns its output."""
        return run(self.libpod_words(*words))

    def clear(self) -> None:
        """Remove all containers and volumes of both."""
        self.podman("rm", "-f", "-a", "-t", "0", "-v")
        with self.runtime() as runtime:
            for listed in runtime.containers():
                with contextlib.suppress(libpod.NoSuchContainerError):
                    runtime.container(listed.id).remove(force=True, timeout=0, volumes=True)


def podman_environment() -> dict[str, str]:
    """podman finds the CRIU that works where we find it."""
    path = os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
    return {**os.environ, "PATH": f"{find_criu().parent}:{path}"}


def run(words: list[str], env: dict[str, str] | None = None) -> str:
    """Run a command to its end; raises with what it said when it fails."""
    done = subprocess.run(
        words, capture_output=True, text=True, env=env, check=False, stdin=subprocess.DEVNULL
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(words)}\n{done.stderr}")
    return done.stdout


@contextlib.contextmanager
def opened() -> Iterator[Hosts]:
    """Both engines with the image, in a directory that is removed afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="lb-", dir=os.environ.get("BENCH_DIR")))
    hosts = Hosts(directory=directory, rootfs=directory / "rootfs")
    try:
        _make_rootfs(hosts.rootfs)
        _make_command(hosts)
        with hosts.runtime() as runtime:
            runtime.import_image(hosts.rootfs, IMAGE, changes=["CMD /bin/sh"])
        _share_image(hosts)
        yield hosts
    finally:
        with contextlib.suppress(RuntimeError):
            hosts.clear()
        _unmount_below(directory)
        shutil.rmtree(directory, ignore_errors=True)


def _share_image(hosts: Hosts) -> None:
    """Give podman the same image with the same id, so that it can wake our archives as well."""
    theirs = hosts.directory / "podman"
    ours = f"containers-storage:[overlay@{hosts.root}+{hosts.runroot}]{IMAGE}"
    run(["skopeo", "copy", "-q", ours, f"containers-storage:[overlay@{theirs}/g+{theirs}/r]{IMAGE}"])


def _make_rootfs(directory: Path) -> None:
    (directory / "bin").mkdir(parents=True)
    for name in ("etc", "tmp", "proc", "sys", "dev", "run", "root", "mnt"):
        (directory / name).mkdir()
    shutil.copy2("/bin/busybox", directory / "bin/busybox")
    for applet in ("sh", "sleep", "true", "echo", "cat", "dd", "ls", "cp", "mkdir", "touch", "rm"):
        (directory / "bin" / applet).symlink_to("busybox")
    source = Path(__file__).with_name("memory.c").read_bytes()
    subprocess.run(
        ["gcc", "-O2", "-static", "-x", "c", "-", "-o", directory / "bin/memory"], input=source, check=True
    )
    (directory / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")


def _make_command(hosts: Hosts) -> None:
    site = hosts.directory / "site"
    site.mkdir()
    for name in DEPENDENCIES:
        found = importlib.util.find_spec(name)
        assert found is not None
        assert found.submodule_search_locations is not None
        (site / name).symlink_to(Path(found.submodule_search_locations[0]).resolve())
    hosts.command.write_text(
        f"#!{sys.executable} -IS\nimport sys\nsys.path.append({str(site)!r})\n"
        "from libpod_cli.__main__ import main\nsys.exit(main())\n"
    )
    hosts.command.chmod(0o755)


def _unmount_below(directory: Path) -> None:
    from libpod.linux import mounts

    for point in mounts.mounts_below(directory):
        with contextlib.suppress(OSError):
            mounts.unmount(point, mounts.MNT_DETACH)
