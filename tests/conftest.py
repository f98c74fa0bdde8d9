"""What all tests share: private engines, a small image, and the rule about skipping.

A skip that begins with "kernel:" is this kernel's; any other is a tool that our set-up installs, and with
LIBPOD_REQUIRE_ALL set, as `make test` sets it, it is a failure.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engines import Engine, busybox_root, remove_engine
from tests.programs import compile_all


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report = yield
    if report.skipped and os.environ.get("LIBPOD_REQUIRE_ALL") and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if "kernel:" not in reason:
            report.outcome = "failed"
            report.longrepr = f"skipped where nothing may be skipped: {reason}"
    return report


@pytest.fixture(scope="session")
def short_tmp() -> Iterator[Path]:
    """A temporary directory with a short path, for sockets and mount data; emptied at the end."""
    directory = Path(tempfile.mkdtemp(prefix="lp-"))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def busybox_rootfs(short_tmp: Path) -> Path:
    """A root file system of busybox with the usual applets."""
    return busybox_root(short_tmp / "rootfs")


@pytest.fixture(scope="session")
def programs(short_tmp: Path) -> Path:
    """A directory of small static programs, to be mounted into containers."""
    return compile_all(short_tmp / "programs")


@pytest.fixture(scope="session")
def shared_engine(short_tmp: Path, busybox_rootfs: Path) -> Iterator[Engine]:
    """One engine for many tests: an image "bb:1" is in it."""
    engine = Engine.make(short_tmp / "shared")
    with engine.runtime() as runtime:
        runtime.import_image(busybox_rootfs, "bb:1", changes=["CMD /bin/sh"])
    yield engine
    remove_engine(engine)


@pytest.fixture
def engine(shared_engine: Engine) -> Iterator[Engine]:
    """The shared engine, found empty of containers and volumes and left so."""
    yield shared_engine
    shared_engine.clear()
    leftovers = shared_engine.leftovers()
    assert not leftovers, f"the test left {leftovers}"


@pytest.fixture
def runtime(engine: Engine) -> Iterator[Any]:
    """A Runtime on the shared engine."""
    with engine.runtime() as opened:
        yield opened


@pytest.fixture
def other_engine(short_tmp: Path, shared_engine: Engine, busybox_rootfs: Path) -> Iterator[Engine]:
    """A second host: an engine of its own with the same image."""
    directory = Path(tempfile.mkdtemp(prefix="o", dir=short_tmp))
    engine = Engine.make(directory)
    shared_engine.copy_image("bb:1", engine)
    yield engine
    engine.clear()
    leftovers = engine.leftovers()
    remove_engine(engine)
    assert not leftovers, f"the test left {leftovers}"


@pytest.fixture
def empty_engine(short_tmp: Path) -> Iterator[Engine]:
    """An engine of its own without any image."""
    engine = Engine.make(Path(tempfile.mkdtemp(prefix="e", dir=short_tmp)))
    yield engine
    engine.clear()
    remove_engine(engine)


@pytest.fixture(autouse=True, scope="session")
def _no_stray_environment() -> None:
    """Tests decide which configuration an engine has; the caller's variables do not."""
    for name in ("CONTAINERS_CONF", "CONTAINERS_CONF_OVERRIDE", "CONTAINERS_STORAGE_CONF"):
        os.environ.pop(name, None)
