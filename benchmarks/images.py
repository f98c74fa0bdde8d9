"""Images and layers: listed, described, committed; a container's layer made, mounted and removed."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from pathlib import Path

from benchmarks.hosts import IMAGE, Hosts, podman_environment, run
from benchmarks.measure import Comparison, compare, timed

CHANGE = 200 << 20


def chapter(hosts: Hosts, rounds: int, *, count: int = 200) -> list[Comparison]:
    """All rows; *count* is how many images there are to list."""
    rows = [_layer(hosts, rounds), _commit(hosts, max(2, rounds // 2))]
    archive = hosts.directory / "many.tar"
    _write_images(archive, count)
    hosts.podman("load", "-q", "-i", str(archive))
    run(
        [
            *hosts.podman_words()[:1], "--root", str(hosts.root), "--runroot", str(hosts.runroot),
            "--storage-driver", "overlay", "--tmpdir", str(hosts.directory / "t"), "load", "-q", "-i", str(archive),
        ],
        env=podman_environment(),
    )  # fmt: skip
    rows += [
        compare(
            f"images with {count} images, as a whole process",
            lambda: hosts.libpod("images"),
            lambda: hosts.podman("images"),
            rounds=rounds,
            target=0.5,
        ),
    ]
    with hosts.runtime() as runtime:
        rows += [
            compare(
                f"list of {count} images in the library",
                lambda: runtime.list_images(),
                lambda: hosts.podman("images", "--format", "json"),
                rounds=rounds,
            ),
            compare(
                "inspect of an image in the library",
                lambda: runtime.image(IMAGE).inspect(),
                lambda: hosts.podman("image", "inspect", IMAGE),
                rounds=rounds * 3,
                target=1 / 20,
            ),
        ]
    return rows


def _layer(hosts: Hosts, rounds: int) -> Comparison:
    with hosts.runtime() as runtime:

        def ours() -> None:
            container = runtime.create(IMAGE, "true", network="none")
            container.mount()
            container.unmount()
            container.remove()

        def theirs() -> None:
            hosts.podman("rm", hosts.podman("create", "--network", "none", IMAGE, "true").strip())

        return compare(
            "create + mount + unmount + remove of a layer",
            ours,
            theirs,
            rounds=rounds * 2,
            rival="podman create; podman rm",
            target=0.4,
        )


def _commit(hosts: Hosts, rounds: int) -> Comparison:
    """Of a container that wrote 200 MiB which cannot be compressed, half of it in one file, half in small ones."""
    content = os.urandom(CHANGE)
    ours_times, theirs_times = [], []
    with hosts.runtime() as runtime:
        container = runtime.create(IMAGE, "true", network="none")
        root = container.mount()
        _fill(root, content)
        theirs = hosts.podman("create", "--network", "none", IMAGE, "true").strip()
        _fill(Path(hosts.podman("mount", theirs).strip()), content)
        for number in range(rounds + 1):
            name = f"committed:{number}"
            took = timed(lambda name=name: container.commit(name))  # type: ignore[misc]
            runtime.remove_image(name)
            rival = timed(lambda name=name: hosts.podman("commit", "-q", theirs, name))  # type: ignore[misc]
            hosts.podman("rmi", name)
            if number:
                ours_times.append(took)
                theirs_times.append(rival)
        container.unmount()
        container.remove()
        hosts.podman("umount", theirs)
        hosts.podman("rm", theirs)
    return Comparison(
        name="commit of a change of 200 MiB",
        ours=tuple(ours_times),
        theirs=tuple(theirs_times),
        rival="podman commit",
        target=0.8,
    )


def _fill(root: Path, content: bytes) -> None:
    half = len(content) // 2
    (root / "mnt/large").write_bytes(content[:half])
    step = 64 << 10
    for number in range(half // step):
        start = half + number * step
        (root / f"mnt/small-{number}").write_bytes(content[start : start + step])


def _write_images(path: Path, count: int) -> None:
    """A docker archive of so many images on one small layer."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        _add(archive, "etc/motd", b"one of many\n")
    blob = layer.getvalue()
    diff_id = f"sha256:{hashlib.sha256(blob).hexdigest()}"
    manifest = []
    with tarfile.open(path, "w") as archive:
        _add(archive, "layer.tar", blob)
        for number in range(count):
            config = {
                "architecture": "amd64",
                "os": "linux",
                "created": "2024-01-02T03:04:05Z",
                "config": {"Cmd": ["/bin/sh"], "Labels": {"number": str(number)}},
                "rootfs": {"type": "layers", "diff_ids": [diff_id]},
                "history": [{"created": "2024-01-02T03:04:05Z", "created_by": f"step {number}"}],
            }
            data = json.dumps(config).encode()
            name = f"{hashlib.sha256(data).hexdigest()}.json"
            _add(archive, name, data)
            manifest.append(
                {"Config": name, "RepoTags": [f"localhost/many-{number}:1"], "Layers": ["layer.tar"]}
            )
        _add(archive, "manifest.json", json.dumps(manifest).encode())


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))
