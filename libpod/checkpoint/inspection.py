"""What is found out about a checkpoint without restoring it: plain values, and their JSON form.

Sizes are bytes, durations microseconds. Nothing here reads anything.

Covers: checkpointctl/internal (inspect, tree)
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from libpod.checkpoint.fitness import FitnessReport
from libpod.checkpoint.statistics import DumpStatistics


@attrs.frozen(kw_only=True)
class OpenFile:
    """One descriptor of a process."""

    descriptor: int
    kind: str
    """file, pipe, tty, tcp, udp, unix, eventfd, …"""
    name: str
    """A path, or for a socket where it is bound and to whom it is connected."""
    state: str = ""
    """Of a socket: listening, established, …"""

    @property
    def is_socket(self) -> bool:
        return self.kind in {"tcp", "udp", "raw", "unix", "netlink", "packet"}


@attrs.frozen(kw_only=True)
class MemoryUse:
    """The memory of one kind in one process."""

    mapped: int
    dumped: int
    """What the checkpoint holds of it."""


@attrs.frozen(kw_only=True)
class ProcessImage:
    """One process as it was."""

    pid: int
    parent: int
    group: int
    session: int
    name: str
    arguments: tuple[str, ...]
    """Empty when its memory is not in the archive, as after a pre-checkpoint."""
    state: str
    threads: int
    uid: int
    gid: int
    executable: str
    directory: str
    memory: Mapping[str, MemoryUse]
    """By kind: heap, stack, anonymous, private file, shared file, shared, kernel."""
    files: tuple[OpenFile, ...]
    environment: tuple[str, ...] | None = None
    """`NAME=value`, when it was asked for."""

    @property
    def dumped(self) -> int:
        return sum(use.dumped for use in self.memory.values())


@attrs.frozen(kw_only=True)
class MountImage:
    """One mount that the processes saw."""

    target: str
    source: str
    kind: str
    external: bool
    """The engine made it, and makes it again; its content is not in CRIU's images."""


@attrs.frozen(kw_only=True)
class TreeContent:
    """What one tar inside the archive holds."""

    entries: int
    size: int
    paths: tuple[str, ...]
    """The first of them, in the archive's order."""


@attrs.frozen(kw_only=True)
class CheckpointInspection:
    """Everything about one archive."""

    path: Path
    compression: str
    size: int
    """Of the file."""
    content_size: int
    """Of all members."""
    engine: str
    """libpod (which is podman too), cri-o or containerd."""
    id: str
    name: str
    image: str
    image_id: str
    runtime: str
    created: str
    checkpointed: str
    kind: str
    """checkpoint or pre-checkpoint."""
    parent: bool
    """Whether it needs the pre-checkpoint that it is based on."""
    architecture: str
    addresses: tuple[str, ...]
    log_size: int
    members: Mapping[str, int]
    """Bytes by member; the images of CRIU as one."""
    processes: tuple[ProcessImage, ...]
    mounts: tuple[MountImage, ...]
    rootfs: TreeContent
    deleted: tuple[str, ...]
    shm: TreeContent
    volumes: Mapping[str, TreeContent]
    statistics: DumpStatistics | None
    ignored: tuple[str, ...]
    """Members that no engine we know gives."""
    fitness: FitnessReport | None = None
    """What stands in the way of waking it on this host, and what it would lose."""

    @property
    def memory(self) -> int:
        """What the checkpoint holds of all processes' memory."""
        return sum(process.dumped for process in self.processes)

    def to_document(self) -> dict[str, Any]:
        """The same as JSON values."""
        document: dict[str, Any] = attrs.asdict(self, value_serializer=_plain)
        if self.fitness is not None:
            document["fitness"] = self.fitness.to_document()
        return document


def _plain(_: object, __: object, value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    return value


@attrs.frozen(kw_only=True)
class Difference:
    """One thing that is not the same in two checkpoints."""

    subject: str
    """container, process, memory, file, rootfs, deleted, volume, mount, …"""
    name: str
    before: Any
    """None: it is new."""
    after: Any
    """None: it is gone."""


@attrs.frozen(kw_only=True)
class CheckpointComparison:
    """What changed from one checkpoint to another."""

    before: Path
    after: Path
    same_container: bool
    differences: tuple[Difference, ...]

    def to_document(self) -> dict[str, Any]:
        """The same as JSON values."""
        document: dict[str, Any] = attrs.asdict(self, value_serializer=_plain)
        return document
