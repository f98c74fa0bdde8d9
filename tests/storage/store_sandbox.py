"""A private store on disk, images to put into it, and the Go programs that read it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

from libpod.linux import mounts
from libpod.storage.store import Store

BASE = "localhost/base:1"
UPPER = "localhost/upper:1"


class Sandbox:
    """One graph root and run root of their own, and what is needed to look at them with other programs."""

    def __init__(self, top: Path, driver: str = "overlay") -> None:
        self.top = top
        self.driver = driver
        self.graph = top / "G"
        self.run = top / "R"

    def open(self, **keywords: Any) -> Store:
        return Store.open(self.graph, self.run, **({"driver": self.driver} | keywords))

    def podman(self, *arguments: str, accept: tuple[int, ...] = (0,)) -> str:
        """Run podman on this store, with a database of its own, and return what it printed."""
        return self.podman_result(*arguments, accept=accept).stdout

    def podman_result(
        self, *arguments: str, accept: tuple[int, ...] = (0,)
    ) -> subprocess.CompletedProcess[str]:
        argv: list[str | Path] = [
            "podman", "--root", self.graph, "--runroot", self.run, "--storage-driver", self.driver,
            "--tmpdir", self.top / "T", "--runtime", "runc", "--cgroup-manager", "cgroupfs", *arguments,
        ]  # fmt: skip
        return _checked([os.fspath(word) for word in argv], accept)

    def skopeo(self, *arguments: str, accept: tuple[int, ...] = (0,)) -> str:
        return _checked(["skopeo", "--insecure-policy", *arguments], accept).stdout

    def buildah(self, *arguments: str, accept: tuple[int, ...] = (0,)) -> str:
        argv: list[str | Path] = ["buildah", "--root", self.graph, "--runroot", self.run]
        argv += ["--storage-driver", self.driver, *arguments]
        return _checked([os.fspath(word) for word in argv], accept).stdout

    def reference(self, name: str) -> str:
        return f"containers-storage:[{self.driver}@{self.graph}+{self.run}]{name}"

    def json(self, path: str) -> Any:
        file = self.top / path
        return json.loads(file.read_text()) if file.exists() and file.stat().st_size else []

    def layer_directory(self, layer_id: str) -> Path:
        return self.graph / "overlay" / layer_id

    def close(self) -> None:
        """Unmount whatever is mounted below, deepest first, and remove everything."""
        for target in mounts.mounts_below(self.top):
            mounts.unmount(target, mounts.MNT_DETACH)
        shutil.rmtree(self.top)


def _checked(argv: list[str], accept: tuple[int, ...]) -> subprocess.CompletedProcess[str]:
    result = subprocess.run(
        argv, capture_output=True, encoding="utf-8", errors="surrogateescape", timeout=110, check=False
    )
    assert result.returncode in accept, f"{argv} ended with {result.returncode}: {result.stderr}"
    return result


def oci_layout(directory: Path, layers: list[bytes], tag: str) -> str:
    """Write an OCI layout with one image; returns how skopeo calls it."""
    blobs = directory / "blobs/sha256"
    blobs.mkdir(parents=True)

    def blob(content: bytes, media_type: str) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        (blobs / digest).write_bytes(content)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}

    entries = [blob(layer, "application/vnd.oci.image.layer.v1.tar") for layer in layers]
    config = {
        "architecture": "amd64",
        "os": "linux",
        "created": "2024-01-02T03:04:05Z",
        "config": {"Cmd": ["/bin/sh"], "Labels": {"made": "by a test"}},
        "rootfs": {"type": "layers", "diff_ids": [entry["digest"] for entry in entries]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob(json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json"),
        "layers": entries,
    }
    entry = blob(json.dumps(manifest).encode(), manifest["mediaType"])  # type: ignore[arg-type]
    entry["annotations"] = {"org.opencontainers.image.ref.name": tag}
    (directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return f"oci:{directory}:{tag}"


def layer_tar(entries: dict[str, str | bytes | None]) -> bytes:
    """A layer: a path ending in / is a directory, None a whiteout, a text beginning with "-> " a link."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, content in entries.items():
            info = tarfile.TarInfo(path.rstrip("/"))
            info.mtime = 1_700_000_000
            data = b""
            if path.endswith("/"):
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            elif isinstance(content, str) and content.startswith("-> "):
                info.type, info.linkname = tarfile.SYMTYPE, content[3:]
            elif content is None:
                info.mode = 0
            else:
                data = content if isinstance(content, bytes) else content.encode()
                info.mode = 0o755 if path.startswith("bin/") else 0o644
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


BASE_LAYER: dict[str, str | bytes | None] = {
    "bin/": "",
    "bin/sh": "-> busybox",
    "etc/": "",
    "etc/one": "one\n",
    "etc/two": "two\n",
    "opt/": "",
    "opt/old/": "",
    "opt/old/file": "old\n",
    "opt/old/inner/": "",
    "opt/old/inner/deep": "deep\n",
    "opt/gone/": "",
    "opt/gone/file": "gone\n",
    "var/": "",
    "var/log/": "",
    "var/log/messages": "log\n",
    "lib": "-> usr/lib",
    "usr/": "",
    "usr/lib/": "",
    "usr/lib/so": "so\n",
    "dangling": "-> nowhere",
    "proc/": "",
    "sys/": "",
    "dev/": "",
    "tmp/": "",
}
