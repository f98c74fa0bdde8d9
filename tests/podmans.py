"""The real podmans, and ours, driven by the same words of a command line."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs

from libpod.checkpoint import criu
from libpod.image.transport import StoreAddress
from libpod.linux import mounts
from libpod.linux.process import run
from libpod.storage.store import Store
from tests.engines import Engine

PODMAN_5 = Path("/opt/libpod-peers/bin/podman5")
CHECKPOINTCTL = Path("/opt/libpod-peers/bin/checkpointctl")
LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096")
"""podman's own defaults, for an exec too, are above what a process without CAP_SYS_RESOURCE may set."""

Inside = Callable[[Callable[[], Any]], Any]
"""Runs a function on the host of a test."""


@attrs.frozen(kw_only=True)
class Side:
    """One engine: what its command line is called with, and where it keeps things."""

    name: str
    program: tuple[str, ...]
    root: Path
    runroot: Path
    environment: dict[str, str]
    create_flags: tuple[str, ...] = LIMITS

    @property
    def is_podman(self) -> bool:
        return self.name != "ours"

    def __call__(self, *words: str | Path, inside: Inside | None = None) -> str:
        """Run a command line; returns what it printed. It must succeed."""
        done = self.attempt(*words, inside=inside)
        assert done.returncode == 0, f"{self.name} {' '.join(map(str, words))}: {done.stderr}"
        return done.stdout.strip()

    def attempt(self, *words: str | Path, inside: Inside | None = None) -> subprocess.CompletedProcess[str]:
        """The same, whatever comes of it."""

        def call() -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [*self.program, *map(str, words)],
                capture_output=True, text=True, env=self.environment, timeout=100, check=False,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip

        done: subprocess.CompletedProcess[str] = inside(call) if inside is not None else call()
        return done

    def inspect(self, name: str) -> dict[str, Any]:
        document: list[dict[str, Any]] = json.loads(self("inspect", "--type", "container", name))
        return document[0]

    def bundle(self, ctr_id: str) -> Path:
        return self.root / "overlay-containers" / ctr_id / "userdata"

    def clear(self) -> None:
        """Remove all containers and volumes."""
        self("rm", "--force", "--all", "--time", "0")
        for name in self("volume", "ls", "--quiet").split():
            self("volume", "rm", "--force", name)


def our_side(engine: Engine) -> Side:
    """Our command line on *engine*."""
    return Side(
        name="ours",
        program=(sys.executable, "-IS", "-m", "libpod_cli", *engine.arguments)
        if not (command := shutil.which("libpod", path=str(Path(sys.executable).parent)))
        else (command, *engine.arguments),
        root=engine.root,
        runroot=engine.runroot,
        environment=dict(os.environ),
    )


@contextlib.contextmanager
def podman_side(program: Path, directory: Path, like: Engine) -> Iterator[Side]:
    """A podman with a store and directories of its own, and the image of *like*.

    Its volumes are where a podman with the graph root of *like* has them: podman finds a volume's content by the path
    in the archive, so they have to be in the same place on both sides, as they are between hosts with default paths.
    """
    directory.mkdir()
    configuration = directory / "containers.conf"
    environment = {**os.environ, **criu.runtime_environment(criu.find_criu())}
    environment["PODMAN_IGNORE_CGROUPSV1_WARNING"] = "1"
    if program != PODMAN_5:
        configuration.write_text('[engine]\nlock_type = "file"\n[network]\nnetwork_backend = "netavark"\n')
        environment["CONTAINERS_CONF"] = str(configuration)
    side = Side(
        name="podman 5" if program == PODMAN_5 else "podman 4",
        program=(
            str(program), "--root", f"{directory}/g", "--runroot", f"{directory}/r", "--tmpdir", f"{directory}/t",
            "--network-config-dir", f"{directory}/n", "--volumepath", f"{like.root}/volumes",
            "--storage-driver", "overlay", "--runtime", "runc", "--cgroup-manager", "cgroupfs",
            "--events-backend", "file",
        ),
        root=directory / "g",
        runroot=directory / "r",
        environment=environment,
    )  # fmt: skip
    source = StoreAddress.of(Store.open(like.root, like.runroot))
    try:
        target = StoreAddress(graphroot=side.root, runroot=side.runroot)
        run(
            [
                "skopeo", "copy", "-q",
                f"containers-storage:{source}localhost/bb:1", f"containers-storage:{target}localhost/bb:1",
            ]
        )  # fmt: skip
        yield side
    finally:
        side.clear()
        for point in mounts.mounts_below(directory):
            mounts.unmount(point, mounts.MNT_DETACH)
        shutil.rmtree(directory, ignore_errors=True)
