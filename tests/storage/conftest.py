"""Private stores with small images made of busybox."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from libpod.define.ids import new_id
from libpod.storage.store import Store
from libpod.storage.stored import StoredImage
from tests.storage.store_sandbox import BASE, BASE_LAYER, UPPER, Sandbox, layer_tar, oci_layout


@pytest.fixture(scope="session")
def template() -> Iterator[Path]:
    """A graph root with two images; the second has another layer with a whiteout and an opaque directory."""
    top = Path(tempfile.mkdtemp(prefix="lpst-", dir="/tmp"))
    sandbox = Sandbox(top)
    try:
        base = layer_tar({**BASE_LAYER, "bin/busybox": Path("/bin/busybox").read_bytes()})
        second = layer_tar({"etc/": "", "etc/.wh.two": None, "etc/three": "three\n"})
        for name, layers in ((BASE, [base]), (UPPER, [base, second])):
            source = oci_layout(top / name.replace("/", "-").replace(":", "-"), layers, "x")
            sandbox.skopeo("copy", "-q", source, sandbox.reference(name))
        yield sandbox.graph
    finally:
        sandbox.close()


@pytest.fixture
def sandbox(template: Path) -> Iterator[Sandbox]:
    """A store with the two images."""
    top = Path(tempfile.mkdtemp(prefix="lps-", dir="/tmp"))
    sandbox = Sandbox(top)
    try:
        # shutil takes neither trusted.* attributes nor device nodes along.
        subprocess.run(["cp", "-a", template, sandbox.graph], check=True)
        yield sandbox
    finally:
        sandbox.close()


@pytest.fixture
def empty_sandbox() -> Iterator[Sandbox]:
    """No store yet."""
    sandbox = Sandbox(Path(tempfile.mkdtemp(prefix="lps-", dir="/tmp")))
    try:
        yield sandbox
    finally:
        sandbox.close()


@pytest.fixture
def store(sandbox: Sandbox) -> Store:
    return sandbox.open()


@pytest.fixture
def image(store: Store) -> StoredImage:
    """The image with two layers."""
    return next(image for image in store.images() if UPPER in image.names)


@pytest.fixture
def made(store: Store, image: StoredImage) -> Callable[[str], str]:
    """Makes a container of the image with two layers and returns its id."""

    def make(name: str) -> str:
        return store.create_container(new_id(), name=name, image_id=image.id, image_name=UPPER).id

    return make
