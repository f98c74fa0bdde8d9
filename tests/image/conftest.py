from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.image.image_sandbox import ImageSandbox
from tests.image.registry_server import RegistryServer, serving

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="the store needs root")


@pytest.fixture(scope="module")
def top() -> Iterator[Path]:
    """A short private directory for one module."""
    path = Path(tempfile.mkdtemp(prefix="li-", dir="/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def box(top: Path) -> Iterator[ImageSandbox]:
    """A store that the tests of one module share; each test uses names of its own."""
    if os.geteuid() != 0 or shutil.which("skopeo") is None:
        pytest.skip("needs root and skopeo")
    sandbox = ImageSandbox(top / "box")
    yield sandbox
    sandbox.close()


@pytest.fixture
def fresh(top: Path) -> Iterator[ImageSandbox]:
    """An empty store for one test."""
    if os.geteuid() != 0 or shutil.which("skopeo") is None:
        pytest.skip("needs root and skopeo")
    sandbox = ImageSandbox(Path(tempfile.mkdtemp(prefix="f-", dir=top)))
    yield sandbox
    sandbox.close()


@pytest.fixture(scope="session")
def registry() -> Iterator[RegistryServer]:
    """A registry without password, over plain HTTP."""
    yield from serving()


@pytest.fixture(scope="session")
def secured() -> Iterator[RegistryServer]:
    """A registry with a certificate of its own and a password."""
    yield from serving(tls=True, password=True)
