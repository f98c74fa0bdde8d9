"""Real conmon and runc on bundles made by the tests."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from libpod.config import RuntimeConfig
from libpod.linux.process import find_program, first_executable
from libpod.oci import discovery
from libpod.oci.conmon import ConmonRuntime
from tests.oci import bundles

CRIU_DIRECTORY = Path("/opt/libpod-criu/bin")


@pytest.fixture(scope="session")
def base() -> Iterator[Path]:
    """A private directory with a short path: socket paths are limited."""
    made = Path(tempfile.mkdtemp(prefix="lo-", dir="/run" if os.access("/run", os.W_OK) else None))
    try:
        yield made
    finally:
        shutil.rmtree(made)


@pytest.fixture(scope="session")
def rootfs(base: Path) -> Path:
    return bundles.make_rootfs(base / "rootfs")


@pytest.fixture(scope="session")
def runtime() -> ConmonRuntime:
    """The driver for this host; tests that need it are skipped where nothing can run."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    if not bundles.BUSYBOX.exists():
        pytest.skip("needs a static busybox")
    criu = CRIU_DIRECTORY if (CRIU_DIRECTORY / "criu").exists() else None
    conmon = first_executable(RuntimeConfig().conmon_paths) or find_program("conmon")
    assert conmon is not None
    return ConmonRuntime(conmon=Path(conmon), runtime=discovery.choose().path, criu_directory=criu)


@pytest.fixture
def shop(base: Path, rootfs: Path, runtime: ConmonRuntime) -> Iterator[bundles.Workshop]:
    with bundles.workshop(base, rootfs, runtime) as made:
        yield made
