"""A private store, a root file system to make images of, and the Go programs that look at the same store."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

from libpod.image.importing import ImportOptions, import_rootfs
from libpod.image.local import LocalImages
from libpod.image.registries import RegistriesConfig
from libpod.image.transport import Skopeo, StoreAddress
from libpod.linux import mounts
from libpod.storage.store import Store

BUSYBOX = Path("/bin/busybox")
CREATED = "2024-01-02T03:04:05Z"


class ImageSandbox:
    """One store with everything that works on it."""

    def __init__(
        self, top: Path, *, program: str = "skopeo", registries: RegistriesConfig | None = None
    ) -> None:
        self.top = top
        self.graph, self.run, self.tmp = top / "G", top / "R", top / "T"
        self.tmp.mkdir(parents=True, exist_ok=True)
        self.store = Store.open(self.graph, self.run)
        self.registries = registries or RegistriesConfig()
        self.images = LocalImages(self.store, self.registries)
        self.skopeo = Skopeo(
            store=StoreAddress.of(self.store), tmpdir=self.tmp, program=program, registries=self.registries
        )

    def make(self, name: str | None, files: dict[str, str] | None = None, *changes: str) -> str:
        """Import a small image and return its id."""
        content = rootfs_tar(files or {"etc/motd": f"this is {name}\n"})
        return import_rootfs(
            self.skopeo, io.BytesIO(content), name, ImportOptions(changes=changes, created=CREATED)
        )

    def podman(self, *words: str | Path, accept: tuple[int, ...] = (0,)) -> str:
        argv: list[str | Path] = [
            "podman", "--root", self.graph, "--runroot", self.run, "--storage-driver", "overlay",
            "--tmpdir", self.top / "P", "--runtime", "runc", "--cgroup-manager", "cgroupfs", *words,
        ]  # fmt: skip
        return checked(argv, accept).stdout

    def podman_json(self, *words: str | Path) -> Any:
        return json.loads(self.podman(*words))

    def buildah(self, *words: str | Path) -> str:
        argv: list[str | Path] = ["buildah", "--root", self.graph, "--runroot", self.run]
        return checked([*argv, "--storage-driver", "overlay", *words]).stdout

    def run_skopeo(self, *words: str | Path, accept: tuple[int, ...] = (0,)) -> str:
        return checked(["skopeo", "--insecure-policy", *words], accept).stdout

    def reference(self, name: str) -> str:
        return f"containers-storage:[overlay@{self.graph}+{self.run}]{name}"

    def leftovers(self) -> list[str]:
        """What is in the directory for temporary files."""
        return sorted(os.listdir(self.tmp))

    def layer_files(self, image_id: str) -> Path:
        """The directory with the content of the image's top layer."""
        image = self.store.image(image_id)
        assert image is not None
        assert image.top_layer is not None
        return self.graph / "overlay" / image.top_layer / "diff"

    def close(self) -> None:
        """Unmount whatever is mounted below, deepest first, and remove everything."""
        for target in mounts.mounts_below(self.top):
            mounts.unmount(target, mounts.MNT_DETACH)
        shutil.rmtree(self.top)


def checked(argv: list[str | Path], accept: tuple[int, ...] = (0,)) -> subprocess.CompletedProcess[str]:
    words = [os.fspath(word) for word in argv]
    result = subprocess.run(words, capture_output=True, text=True, timeout=110, check=False)
    assert result.returncode in accept, f"{words} ended with {result.returncode}: {result.stderr}"
    return result


def rootfs_tar(files: dict[str, str]) -> bytes:
    """A tar with these files; equal files give equal bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, content in sorted(files.items()):
            info = tarfile.TarInfo(path)
            info.size, info.mtime, info.mode = len(content.encode()), 1_700_000_000, 0o644
            tar.addfile(info, io.BytesIO(content.encode()))
    return buffer.getvalue()
