"""What archives hold, as a tree or as JSON, and what changed between two: `container checkpoint inspect|compare`.

Covers: nothing of podman's; checkpointctl shows a part of it
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from libpod_cli.formatting import dump
from libpod_cli.parser import UsageError
from libpod_cli.session import Session

if TYPE_CHECKING:
    from libpod import CheckpointInspection, ProcessImage, TreeContent

SUBVERBS = ("inspect", "compare")
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_PATHS = 20


def run(args: argparse.Namespace, session: Session) -> int:
    """The sub-verb and its archives."""
    subverb, *archives = args.arguments
    if args.format not in ("", "json"):
        raise UsageError(f"{subverb} knows --format json, and a tree without it")
    if subverb == "inspect":
        if not archives:
            raise UsageError("inspect needs an archive")
        for archive in archives:
            _inspect(session, archive, args)
        return 0
    if len(archives) != 2:
        raise UsageError("compare needs two archives")
    comparison = session.runtime.compare_checkpoints(*archives)
    if args.format == "json":
        print(dump(comparison.to_document(), indent=4))
        return 0
    if not comparison.same_container:
        print("these are checkpoints of different containers")
    for item in comparison.differences:
        print(f"{item.subject} {item.name}: {_shown(item.before)} → {_shown(item.after)}")
    return 0


def _inspect(session: Session, archive: str, args: argparse.Namespace) -> None:
    inspection = session.runtime.inspect_checkpoint(archive, environment=args.env)
    if args.format == "json":
        print(dump(inspection.to_document(), indent=4))
    else:
        print("\n".join(tree(inspection)))


def _shown(value: object) -> str:
    if value is None:
        return "–"
    return "there" if value is True else str(value)


def tree(found: CheckpointInspection) -> Iterator[str]:
    """The lines of the tree."""
    yield f"{found.name} ({found.id[:12]}), {found.kind} of {found.image} by {found.engine}"
    yield f"├── archive: {size(found.size)} {found.compression}, {size(found.content_size)} unpacked"
    yield f"├── made with {found.runtime} for {found.architecture or 'an unknown architecture'}"
    if found.checkpointed:
        yield f"├── checkpointed {found.checkpointed}"
    if found.parent:
        yield "├── needs the pre-checkpoint it is based on"
    if found.addresses:
        yield f"├── addresses: {', '.join(found.addresses)}"
    if found.statistics is not None:
        times = found.statistics
        yield (
            f"├── CRIU: froze in {times.freezing_time} µs, stood still {times.frozen_time} µs, "
            f"memory {times.memdump_time} µs, wrote {times.pages_written} pages"
        )
    yield from _content("root file system", found.rootfs, found.deleted)
    for name, volume in found.volumes.items():
        yield from _content(f"volume {name}", volume)
    yield from _content("/dev/shm", found.shm)
    if found.fitness is not None:
        yield f"├── on this host: {'it can be woken' if found.fitness.fit else 'it cannot be woken'}"
        for finding in found.fitness.findings:
            yield f"│   {finding}"
    yield f"├── mounts: {len(found.mounts)}, {sum(mount.external for mount in found.mounts)} made by the engine"
    yield f"└── processes: {len(found.processes)}, {size(found.memory)} of memory"
    yield from _processes(found)


def _content(title: str, tree: TreeContent, deleted: tuple[str, ...] = ()) -> Iterator[str]:
    if not tree.entries and not deleted:
        return
    yield f"├── {title}: {tree.entries} entries, {size(tree.size)}, {len(deleted)} deleted"
    for path in tree.paths[:_PATHS]:
        yield f"│   + {path}"
    for path in deleted[:_PATHS]:
        yield f"│   - {path}"
    left = max(0, len(tree.paths) - _PATHS) + max(0, len(deleted) - _PATHS)
    if left:
        yield f"│   … and {left} more"


def _processes(found: CheckpointInspection) -> Iterator[str]:
    children: dict[int, list[ProcessImage]] = {}
    known = {process.pid for process in found.processes}
    for process in found.processes:
        above = process.parent if process.parent in known and process.parent != process.pid else 0
        children.setdefault(above, []).append(process)

    def below(parent: int, indent: str) -> Iterator[str]:
        siblings = children.pop(parent, [])
        for process in siblings:
            last = process is siblings[-1]
            command = " ".join(process.arguments) or f"[{process.name}]"
            yield f"{indent}{'└──' if last else '├──'} {process.pid} {command}"
            inner = f"{indent}{'    ' if last else '│   '}"
            yield from _details(process, f"{inner}  ")
            yield from below(process.pid, inner)

    yield from below(0, "    ")


def _details(process: ProcessImage, indent: str) -> Iterator[str]:
    memory = ", ".join(f"{kind} {size(use.dumped)}" for kind, use in process.memory.items() if use.dumped)
    yield f"{indent}{process.state}, {process.threads} thread(s), uid {process.uid}, in {process.directory}"
    yield f"{indent}memory: {memory or 'none'}"
    for file in process.files:
        yield f"{indent}fd {file.descriptor}: {file.kind} {file.name} {file.state}".rstrip()
    for variable in process.environment or ():
        yield f"{indent}{variable}"


def size(count: int) -> str:
    """Bytes as people say them."""
    value = float(count)
    for unit in _UNITS[:-1]:
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} {_UNITS[-1]}"
