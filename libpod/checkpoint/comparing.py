"""What changed from one checkpoint to another: pure.

Covers: checkpointctl/cmd (compare)
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import Any

from libpod.checkpoint.inspection import (
    CheckpointComparison,
    CheckpointInspection,
    Difference,
    ProcessImage,
)


def compare(before: CheckpointInspection, after: CheckpointInspection) -> CheckpointComparison:
    """The differences, those of the whole first, then process by process, then files."""
    return CheckpointComparison(
        before=before.path,
        after=after.path,
        same_container=before.id == after.id,
        differences=tuple(_differences(before, after)),
    )


def _differences(before: CheckpointInspection, after: CheckpointInspection) -> Iterator[Difference]:
    for field in ("id", "name", "image_id", "runtime", "architecture", "kind", "addresses"):
        yield from _changed("container", field, getattr(before, field), getattr(after, field))
    yield from _changed("memory", "all processes", before.memory, after.memory)
    old = {process.pid: process for process in before.processes}
    new = {process.pid: process for process in after.processes}
    for pid in sorted({*old, *new}):
        yield from _process(pid, old.get(pid), new.get(pid))
    yield from _mapping("mount", _mounts(before), _mounts(after))
    for subject, one, other in (
        ("rootfs", before.rootfs.paths, after.rootfs.paths),
        ("deleted", before.deleted, after.deleted),
        ("shm", before.shm.paths, after.shm.paths),
    ):
        yield from _mapping(subject, dict.fromkeys(one, True), dict.fromkeys(other, True))
    yield from _mapping(
        "volume",
        {name: tree.size for name, tree in before.volumes.items()},
        {name: tree.size for name, tree in after.volumes.items()},
    )


def _process(pid: int, old: ProcessImage | None, new: ProcessImage | None) -> Iterator[Difference]:
    name = str(pid)
    if old is None or new is None:
        yield Difference(subject="process", name=name, before=_command(old), after=_command(new))
        return
    yield from _changed("process", name, _command(old), _command(new))
    yield from _changed("state", name, old.state, new.state)
    yield from _changed("threads", name, old.threads, new.threads)
    kinds = sorted({*old.memory, *new.memory})
    for kind in kinds:
        yield from _changed("memory", f"{pid} {kind}", _dumped(old, kind), _dumped(new, kind))
    yield from _mapping("file", _files(old), _files(new))


def _command(process: ProcessImage | None) -> str | None:
    return None if process is None else " ".join(process.arguments) or process.name


def _dumped(process: ProcessImage, kind: str) -> int:
    return process.memory[kind].dumped if kind in process.memory else 0


def _files(process: ProcessImage) -> dict[str, str]:
    return {
        f"{process.pid} fd {file.descriptor}": " ".join(filter(None, (file.kind, file.name, file.state)))
        for file in process.files
    }


def _mounts(inspection: CheckpointInspection) -> dict[str, str]:
    return {mount.target: mount.kind for mount in inspection.mounts}


def _changed(subject: str, name: str, before: Any, after: Any) -> Iterator[Difference]:
    if before != after:
        yield Difference(subject=subject, name=name, before=before, after=after)


def _mapping(
    subject: str, before: Mapping[str, Hashable], after: Mapping[str, Hashable]
) -> Iterator[Difference]:
    for name in sorted({*before, *after}):
        yield from _changed(subject, name, before.get(name), after.get(name))
