"""The ways of moving a container, their phases, and what must be left of an engine: for tests of faults and kills."""

from __future__ import annotations

import ast
import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

import libpod
from libpod import runtime_import
from libpod.container_internal import checkpointing, restoring
from libpod.image import removing
from libpod.linux import mounts
from tests.engines import Engine, remove_engine

PACKAGE = Path(libpod.__file__).parent


@attrs.frozen(kw_only=True)
class Way:
    """One way of freezing or waking a container."""

    name: str
    phases: tuple[str, ...]
    exports: bool = False
    options: dict[str, Any] = attrs.field(factory=dict, eq=False)
    over: tuple[str, ...] = ()
    """Phases at whose beginning the checkpoint is made already."""


_C = checkpointing
CHECKPOINTS = (
    Way(name="in-place", phases=(_C.FREEZING, _C.RELEASING), over=(_C.RELEASING,)),
    Way(
        name="export",
        exports=True,
        phases=(_C.FREEZING, _C.GATHERING, _C.PACKING, _C.ENDING, _C.RELEASING),
        over=(_C.RELEASING,),
    ),
    Way(
        name="leave-running",
        exports=True,
        phases=(_C.FREEZING, _C.GATHERING, _C.COPYING, _C.PACKING),
        options={"leave_running": True},
    ),
    Way(
        name="tcp-established",
        exports=True,
        phases=(_C.FREEZING, _C.GATHERING, _C.PACKING, _C.RELEASING),
        options={"tcp_established": True},
        over=(_C.RELEASING,),
    ),
)
IMAGE = "localhost/frozen:1"
TO_IMAGE = Way(
    name="create-image",
    phases=(_C.FREEZING, _C.GATHERING, _C.PACKING, _C.STORING, _C.ENDING, _C.RELEASING),
    options={"create_image": IMAGE},
    over=(_C.RELEASING,),
)
CHECKPOINTS = (*CHECKPOINTS, TO_IMAGE)
RESTORE = Way(name="restore", phases=(restoring.PREPARING, restoring.WAKING))
IMPORT = Way(
    name="import",
    phases=(
        runtime_import.READING,
        runtime_import.JUDGING,
        runtime_import.CREATING,
        runtime_import.UNPACKING,
        runtime_import.FILLING,
        *RESTORE.phases,
    ),
)
WAYS = (*CHECKPOINTS, RESTORE, IMPORT)


def forget_image(runtime: Any) -> None:
    """Remove the checkpoint image, if there is one: the engine is shared, and a killed checkpoint may have left it."""
    if any(IMAGE in image.names for image in runtime.images()):
        removing.remove(runtime._services.images, IMAGE)


def phases_in_the_product() -> set[str]:
    """Every name that is given to `Timeline.phase` anywhere in the package."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        names = [
            node.args[0]
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "phase"
            and node.args
        ]
        if names:
            module = importlib.import_module(".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts))
            found |= {eval(ast.unparse(name), vars(module)) for name in names}
    return found


# ---- what is left ------------------------------------------------------------------------------------------------


def belongings(runtime: Any) -> dict[str, Any]:
    """All that an engine has: what a failed import must not change."""
    services = runtime._services
    return {
        "containers": [listed.id for listed in runtime.containers()],
        "volumes": [volume.name for volume in runtime.volumes()],
        "layers": [layer.id for layer in services.store.layers()],
        "stored containers": [item.id for item in services.store.containers()],
        "locks": sorted(services.state.locks_in_use()),
        "claims": services.state.claims(),
        "staging": os.listdir(services.paths.staging),
        "netns": os.listdir(services.paths.netns_directory),
        "volume directories": os.listdir(services.paths.volumes),
    }


def is_woken_by_itself(container: Any) -> bool:
    """Whether nothing of a checkpoint attempt is in its directory but CRIU's log."""
    directory = container._services.bundle_directory(container.id)
    return not (directory / "checkpoint").exists() and not (directory / "stats-dump").exists()


# ---- small file systems ------------------------------------------------------------------------------------------


@contextlib.contextmanager
def small_disk(directory: Path, mebibytes: int) -> Iterator[Path]:
    """A file system of a few MiB."""
    directory.mkdir(parents=True)
    mounts.mount("small", directory, "tmpfs", 0, f"size={mebibytes}m")
    try:
        yield directory
    finally:
        mounts.unmount(directory, mounts.MNT_DETACH)
        directory.rmdir()


@contextlib.contextmanager
def small_engine(directory: Path, mebibytes: int, image_from: Engine) -> Iterator[Engine]:
    """An engine with bb:1 on a small disk, run root included."""
    with small_disk(directory, mebibytes) as disk:
        engine = Engine.make(disk)
        try:
            image_from.copy_image("bb:1", engine)
            yield engine
            engine.clear()
            assert engine.leftovers() == []
        finally:
            remove_engine(engine)


# ---- killing -----------------------------------------------------------------------------------------------------

_KILLED = """
import json, os, signal, sys, threading, time
order = json.loads(sys.argv[1])
sys.path.insert(0, order["package"])
import libpod

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def progress(phase, done, total):
    if phase == order["phase"]:
        if order["delay"] is None:
            die()
        threading.Timer(order["delay"], die).start()

runtime = libpod.Runtime(order["root"], order["runroot"], events_backend="file")
options = dict(order["options"], progress=progress)
getattr(runtime, order["verb"])(**options)
if order["delay"] is not None:
    die()
print("the phase never came", order["phase"])
"""


def kill_at(engine: Engine, verb: str, phase: str, *, delay: float | None = None, **options: Any) -> None:
    """Run `Runtime.<verb>` in a process that dies by SIGKILL at the beginning of *phase*, or *delay* seconds later."""
    order = {
        "package": str(PACKAGE.parent),
        "root": str(engine.root),
        "runroot": str(engine.runroot),
        "verb": verb,
        "phase": phase,
        "delay": delay,
        "options": {key: str(value) if isinstance(value, Path) else value for key, value in options.items()},
    }
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, json.dumps(order)], capture_output=True, text=True, check=False, timeout=240
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, f"{done.stdout}\n{done.stderr}"
