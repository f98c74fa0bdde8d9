"""What an archive takes from a container besides CRIU's images: gathered while it stands still.

`gather` looks: documents, the list of changed files, the trees of volumes and /dev/shm, all of the same instant as the
memory. When the container is to run on, `spool` copies their contents before it does; otherwise the archive is written
from the trees themselves.

Covers: libpod/container_internal_common.go (exportCheckpoint, prepareCheckpointExport, addNamespaceContainer)
"""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import attrs

from libpod.checkpoint import criu, documents, members
from libpod.checkpoint.codec import CompressionKind
from libpod.checkpoint.frozen import FrozenTree, freeze_tree
from libpod.checkpoint.origin import Origin, without_origin
from libpod.checkpoint.rootfs import PathChange, RootfsDiff, rootfs_diff
from libpod.checkpoint.spool import spool_tree
from libpod.checkpoint.writer import ArchiveWriter
from libpod.container_internal import networking
from libpod.container_internal.held import LockedContainer
from libpod.container_internal.services import Services
from libpod.define.errors import InvalidStateError, VolumeError
from libpod.linux import cpu, mounts
from libpod.model.codec import CONTAINER_CONFIG
from libpod.model.move_options import CheckpointOptions
from libpod.model.times import now

FILE_LOG_DRIVERS = frozenset({"", "k8s-file", "json-file"})


@attrs.frozen(kw_only=True)
class Description:
    """The documents of the archive: what was frozen, and where."""

    config: bytes
    spec: bytes
    network_status: bytes


@attrs.frozen(kw_only=True)
class Export:
    """Everything that goes into the archive, as it was at one instant."""

    description: Description
    images: Path
    """CRIU's directory."""
    images_member: str
    statistics: Path | None
    log: Path | None
    artifacts: Path | None
    trees: tuple[tuple[str, FrozenTree | Path], ...]
    """Member name and what it is made of: a tree to be read, or a tar that was spooled."""
    deleted: bytes | None

    @property
    def size(self) -> int:
        """About how many bytes the archive has before compression."""
        trees = sum(tree.stat().st_size if isinstance(tree, Path) else tree.size for _, tree in self.trees)
        images = sum(entry.stat().st_size for entry in os.scandir(self.images))
        return trees + images


def describe(held: LockedContainer) -> Description:
    """What the archive says about the container. It does not change while it runs, so it need not stand still yet."""
    spec = json.loads((held.directory / "config.json").read_bytes())
    return Description(
        config=documents.encode_document(
            documents.config_document(
                CONTAINER_CONFIG.to_document(held.config),
                checkpointed=now(),
                own_network=networking.owns_namespace(held.config),
            )
        ),
        spec=documents.encode_document(
            documents.spec_document(_with_origin(held, spec), sources=_podmans_volumes(held))
        ),
        network_status=documents.encode_document(held.state.network_status),
    )


def gather(
    held: LockedContainer, options: CheckpointOptions, description: Description, *, images: Path
) -> Export:
    """Look at everything; reads no file contents. The container stands still."""
    config, directory = held.config, held.directory
    trees: list[tuple[str, FrozenTree | Path]] = []
    if _own_shm(held):
        trees.append((members.DEVSHM_TAR, freeze_tree(Path(config.shm_dir))))
    diff = _rootfs_changes(held) if not options.ignore_rootfs and not config.rootfs else None
    if diff is not None and diff.tree is not None:
        trees.append((members.ROOTFS_DIFF_TAR, diff.tree))
    if not options.ignore_volumes:
        trees += [
            (members.volume_member(name), freeze_tree(_volume_content(held, name)))
            for name in config.volume_names
        ]
    log = Path(config.log_path) if config.log_driver in FILE_LOG_DRIVERS and config.log_path else None
    statistics = directory / members.STATS_DUMP
    return Export(
        description=description,
        images=images,
        images_member=members.PRE_CHECKPOINT_DIR if options.pre_checkpoint else members.CHECKPOINT_DIR,
        statistics=statistics if statistics.exists() else None,
        log=log if log is not None and log.exists() else None,
        artifacts=directory / "artifacts" if (directory / "artifacts").is_dir() else None,
        trees=tuple(trees),
        deleted=diff.deleted_document if diff is not None else None,
    )


def origin_of_this_host(services: Services) -> Origin:
    """What an archive says about where it was made."""
    configured, cache = services.config.criu, services.paths.criu_probe
    return Origin(
        architecture=services.host.architecture,
        kernel=services.host.kernel,
        cgroups="v2" if services.host.cgroup_v2 else "v1",
        criu=str(criu.criu_status(configured, cache=cache).version),
        cpuinfo=criu.describe_cpu(configured, cache=cache),
        cpu=cpu.features(),
    )


def _with_origin(held: LockedContainer, spec: dict[str, Any]) -> dict[str, Any]:
    """Say where it was made: whoever is to wake it can see whether the processor and the cgroups are like these."""
    annotations = without_origin(spec.get("annotations") or {})
    return {**spec, "annotations": {**annotations, **origin_of_this_host(held.services).annotations()}}


def spool(export: Export, directory: Path) -> Export:
    """Copy what the container could change into *directory*: after this it may run on."""
    spooled: list[tuple[str, FrozenTree | Path]] = []
    for index, (name, tree) in enumerate(export.trees):
        path = directory / f"{index}.tar"
        if isinstance(tree, FrozenTree):
            spool_tree(tree, path)
        spooled.append((name, path))
    log = export.log
    if log is not None:
        copy = directory / members.CTR_LOG
        shutil.copyfile(log, copy)
        copy.chmod(0o600)
        log = copy
    return attrs.evolve(export, trees=tuple(spooled), log=log)


def write(export: Export, writer: ArchiveWriter) -> None:
    """Give everything to the archive, in the order that readers like best."""
    writer.add_document(members.CONFIG_DUMP, export.description.config)
    writer.add_document(members.SPEC_DUMP, export.description.spec)
    writer.add_document(members.NETWORK_STATUS, export.description.network_status)
    if writer.compression is CompressionKind.NONE:
        status = documents.containerd_status(json.loads(export.description.config), created_ns=time.time_ns())
        writer.add_document(members.STATUS_DUMP, documents.encode_document(status))
    if export.artifacts is not None:
        writer.add_directory(members.ARTIFACTS, export.artifacts)
    if export.statistics is not None:
        writer.add_file(members.STATS_DUMP, export.statistics, mode=0o644)
    if export.log is not None:
        writer.add_file(members.CTR_LOG, export.log, mode=0o600)
    writer.add_directory(export.images_member, export.images)
    for name, tree in export.trees:
        if isinstance(tree, Path):
            writer.add_file(name, tree, mode=0o644)
        else:
            writer.add_tree(name, tree)
    if export.deleted is not None:
        writer.add_document(members.DELETED_FILES, export.deleted)


def require_exportable(held: LockedContainer, options: CheckpointOptions) -> None:
    """Refuse, before anything is frozen, what an archive cannot carry."""
    config = held.config
    reasons = []
    if config.rootfs:
        reasons.append("its root is a directory of this host, not an image")
    dependencies = [need for need in config.all_dependencies if not _is_own_infra(held, need)]
    if dependencies:
        reasons.append("it depends on other containers")
    if config.overlay_volumes:
        reasons.append("it has overlay volumes")
    if not options.ignore_volumes:
        reasons += [
            f"the content of volume {name} cannot be read"
            for name in config.volume_names
            if held.services.state.volume_config(name).driver != "local"
        ]
    if reasons:
        raise InvalidStateError(
            f"container {held.name} cannot be exported: {'; '.join(reasons)}",
            resolution="checkpoint it in place, or create it without that",
        )


def _is_own_infra(held: LockedContainer, ctr_id: str) -> bool:
    other = held.services.state.container_config(ctr_id)
    return other.is_infra and other.pod == held.config.pod


def _own_shm(held: LockedContainer) -> bool:
    config = held.config
    return bool(config.shm_dir) and config.shm_dir in config.mounts and mounts.is_mount_point(config.shm_dir)


def _rootfs_changes(held: LockedContainer) -> RootfsDiff:
    store = held.services.store
    changes = [PathChange(change.kind.value, change.path) for change in store.changes(held.id, exact=True)]
    return rootfs_diff(
        changes,
        Path(held.state.mount_point),
        upper=store.upper_directory(held.id),
        lowers=store.lower_directories(held.id),
    )


def _podmans_volumes(held: LockedContainer) -> dict[str, str]:
    """Where each volume's content is here → where a podman with the same graph root has it."""
    state, root = held.services.state, held.services.config.graph_root
    return {
        state.volume_config(name).mount_point: str(root / "volumes" / name / "_data")
        for name in held.config.volume_names
    }


def _volume_content(held: LockedContainer, name: str) -> Path:
    path = Path(held.services.state.volume_config(name).mount_point)
    if not path.is_dir():
        raise VolumeError(f"volume {name} has lost its directory {path}", resolution="run system check")
    return path
