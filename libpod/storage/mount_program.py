"""Overlay through a program, such as fuse-overlayfs, where the kernel's is not to be had.

The program keeps its own marks (deleted names may be files `.wh.…`, its attributes are not the kernel's), so a store
that was used with one is marked and only ever used with one again, by every engine; and what a layer changes is told by
the program itself, through two read-only mounts of it that are gone as soon as they are opened: the descriptors keep
them, and a kill ends both.

Covers: storage/drivers/overlay/overlay.go (mountProgram)
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from libpod.define.errors import CommandError, NotSupportedError, ProgramMissingError, StorageError
from libpod.linux import mounts
from libpod.linux.files import write_atomic
from libpod.linux.process import run
from libpod.storage.overlay_mount import OverlayPlan, mount_data

MARK = ".has-mount-program"


def require_usable(program: str, home: Path) -> None:
    """Raise unless the program can work here, and mark the store as one of a mount program."""
    if not os.access(program, os.X_OK):
        raise ProgramMissingError(program, purpose="mount layers, as the option mount_program asks")
    if not os.path.exists("/dev/fuse"):
        raise NotSupportedError(
            f"layers cannot be mounted by {program}: there is no /dev/fuse",
            resolution="load the kernel module fuse, or take mount_program out of storage.conf",
        )
    mark = home / MARK
    if not mark.exists() or mark.read_text().strip() != "true":
        write_atomic(mark, b"true", mode=0o600)


def mount(program: str, plan: OverlayPlan, home: Path, target: Path) -> None:
    """Mount at *target*; the program stays until it is unmounted. Raises StorageError."""
    data = mount_data(plan) + (",ro" if plan.flags & mounts.MS_RDONLY else "")
    try:
        run([program, "-o", data, os.fspath(target)], cwd=home)
    except CommandError as error:
        raise StorageError(
            f"{Path(program).name} cannot mount {target} of {len(plan.lowers)} lower layers",
            details=error.details,
        ) from error


def opened_view(program: str, directories: Sequence[Path], scratch: Path) -> int:
    """A descriptor of the merged content of several directories, nearest first, read-only."""
    import tempfile  # here only, and it loads a dozen modules

    with tempfile.TemporaryDirectory(prefix="view-", dir=scratch) as target:
        paths = tuple(os.path.realpath(directory) for directory in directories)
        plan = OverlayPlan(lowers=paths, upper=None, work=None, flags=mounts.MS_RDONLY, options=())
        mount(program, plan, scratch, Path(target))
        try:
            return os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        finally:
            mounts.unmount(target, mounts.MNT_DETACH)
