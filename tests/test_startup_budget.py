"""What must not be loaded: an import that creeps into the way of a start costs every process milliseconds.

No clocks here, so that a busy machine proves nothing: each way is gone in a fresh interpreter, which then says what it
has loaded. Whoever needs one of these modules on such a way imports it in the function that needs it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import libpod
from tests.engines import Engine

IMAGE = "bb:1"

# What no start may load: large, or made for others.
NEVER = {
    "asyncio",
    "concurrent.futures",
    "ctypes.util",
    "email",
    "hashlib",
    "http",
    "multiprocessing",
    "prctl",
    "pyroute2",
    "rich",
    "secrets",
    "tarfile",
    "urllib.request",
    "xml",
}
# Of ours: what makes containers, moves them, talks to registries, reads whole trees.
OF_MAKING = {
    "attrs",
    "libpod.container_internal.checkpointing",
    "libpod.container_internal.generated_files",
    "libpod.container_internal.restoring",
    "libpod.container_internal.specification",
    "libpod.image",
    "libpod.model.create_options",
    "libpod.model.move_options",
    "libpod.spec.document_parts",
    "libpod.spec.finalize",
    "libpod.spec.plan",
}
OF_MOVING = {
    "libpod.checkpoint.archive",
    "libpod.checkpoint.explain",
    "libpod.container_internal.checkpointing",
    "libpod.container_internal.restoring",
    "libpod.image.graph",
    "libpod.image.skopeo_args",
    "libpod.image.transport",
    "libpod.model.move_options",
    "libpod.oci.checkpointing",
    "libpod.oci.freezing",
    "libpod.spec.document_parts",
    "libpod.storage.check",
    "libpod.storage.diff",
    "libpod.storage.merged",
    "libpod.storage.recovery",
    "libpod.storage.upper",
    "libpod.storage.vfs",
}


def loaded_by(program: str, *words: str) -> set[str]:
    """The modules that a fresh interpreter has after it ran *program*."""
    last = "; import sys, json; sys.stderr.write(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program + last, *words],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(libpod.__file__).parent.parent,
    )
    return set(json.loads(done.stderr.splitlines()[-1]))


def forbidden(loaded: set[str], names: set[str]) -> set[str]:
    """Those of *names* that are loaded, themselves or a part of them."""
    return {name for name in loaded if any(name == bad or name.startswith(f"{bad}.") for bad in names)}


def test_importing_the_package_loads_nothing_but_its_version() -> None:
    loaded = loaded_by("import libpod")
    assert {name for name in loaded if name.startswith("libpod")} == {"libpod", "libpod.version"}
    assert not forbidden(loaded, NEVER | {"attrs", "msgspec", "lmdb", "logging", "argparse"})


def test_the_version_is_told_without_opening_an_engine() -> None:
    loaded = loaded_by("from libpod_cli.__main__ import main; main(['version'])")
    assert not forbidden(
        loaded, NEVER | {"attrs", "msgspec", "lmdb", "subprocess", "socket", "libpod.runtime", "libpod.state"}
    )


OPENED = "import sys, libpod; runtime = libpod.Runtime(*sys.argv[1:3], events_backend='file')"


@pytest.mark.root
def test_opening_an_engine_and_listing_loads_nothing_that_makes_or_moves(
    runtime: libpod.Runtime, engine: Engine
) -> None:
    runtime.create(IMAGE, "true", network="none")
    loaded = loaded_by(f"{OPENED}; assert runtime.containers()", str(engine.root), str(engine.runroot))
    assert not forbidden(
        loaded, NEVER | OF_MAKING | OF_MOVING | {"libpod.oci.conmon", "libpod.storage.store"}
    )


@pytest.mark.root
def test_looking_one_up_opens_neither_store_nor_runtime(runtime: libpod.Runtime, engine: Engine) -> None:
    name = runtime.create(IMAGE, "true", network="none").name
    loaded = loaded_by(
        f"{OPENED}; assert runtime.has_container({name!r})", str(engine.root), str(engine.runroot)
    )
    assert not forbidden(loaded, NEVER | OF_MOVING | {"libpod.oci.conmon", "libpod.storage.store"})


@pytest.mark.root
def test_a_run_loads_nothing_that_moves_or_talks_to_registries(
    runtime: libpod.Runtime, engine: Engine
) -> None:
    run = f"{OPENED}; runtime.run({IMAGE!r}, 'true', network='none').remove(force=True)"
    loaded = loaded_by(run, str(engine.root), str(engine.runroot))
    assert not forbidden(loaded, NEVER | OF_MOVING | {"attrs", "random", "shutil", "tempfile"})


@pytest.mark.root
def test_the_exit_command_loads_what_an_ended_container_needs(
    runtime: libpod.Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real one, run by conmon: an interpreter in its place runs the same argv and writes its modules down."""
    report = tmp_path / "modules"
    spy = tmp_path / "python"
    spy.write_text(
        f"#!{sys.executable} -IS\n"
        "import json, os, sys\n"
        "_, _, _, program, *words = sys.argv\n"
        "sys.argv = ['-c', *words]\n"
        "os._exit = sys.exit\n"
        "try:\n"
        "    exec(program)\n"
        "finally:\n"
        f"    with open({os.fspath(report)!r} + '.new', 'w') as stream:\n"
        "        json.dump(sorted(sys.modules), stream)\n"
        f"    os.rename({os.fspath(report)!r} + '.new', {os.fspath(report)!r})\n"
    )
    spy.chmod(0o755)
    monkeypatch.setattr(sys, "executable", os.fspath(spy))
    container = runtime.run(IMAGE, "true", network="none")
    deadline = time.monotonic() + 60
    while not report.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert container.status() is libpod.ContainerStatus.EXITED
    loaded = set(json.loads(report.read_text()))
    assert "libpod.clean_up" in loaded
    assert not forbidden(
        loaded,
        NEVER
        | OF_MAKING
        | OF_MOVING
        | {
            "tomllib",
            "argparse",
            "logging.handlers",
            "libpod.runtime_ctr",
            "libpod.oci.launch",
            "libpod.oci.execution",
        },
    )
