"""Wake a container from an archive: a new record, a new layer, and the processes of the old one.

    head read ▶ judged ▶ record added in state "removing" ▶ archive unpacked ▶ files applied ▶ woken ▶ running

Until it runs, the record says "removing": nobody can start it by mistake, and a process that is killed leaves an
undertaking and a record that the next opening or listing finishes off. Any failure removes everything that this call
made; should that fail too, the same happens to what is left.

Covers: pkg/checkpoint/checkpoint_restore.go (CRImportCheckpoint), libpod/runtime_ctr.go (RestoreContainer)
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import msgspec

from libpod import runtime_ctr
from libpod.checkpoint import documents, members, pre_checkpoints
from libpod.checkpoint.origin import without_origin
from libpod.checkpoint.reader import ArchiveHead, ArchiveReader, UnpackedArchive, open_archive
from libpod.checkpoint.report import RestoreReport
from libpod.checkpoint.timeline import Timeline
from libpod.checkpoint.unpack import apply_rootfs, unpack_tree
from libpod.container_api import Container
from libpod.container_internal import import_judging, lifecycle, preflight, restoring, rootfs, specification
from libpod.container_internal.held import LockedContainer
from libpod.container_internal.naming import is_taken
from libpod.container_internal.pod_joining import joined
from libpod.container_internal.root_times import make_mount_points
from libpod.container_internal.services import Services
from libpod.container_internal.undertakings import Kind, undertaking
from libpod.container_internal.undoing import undo
from libpod.define.errors import ArchiveError, ContainerExistsError, LibpodError, VolumeExistsError
from libpod.define.ids import is_full_id, new_id
from libpod.define.status import ContainerStatus
from libpod.linux.files import remove_tree
from libpod.model.codec import CONTAINER_CONFIG
from libpod.model.container_config import ContainerConfig
from libpod.model.container_state import ContainerState
from libpod.model.move_options import RestoreOptions
from libpod.model.times import now
from libpod.spec.finalize import import_template

READING = "reading the archive"
JUDGING = "judging what the archive asks for"
CREATING = "making the container"
UNPACKING = "unpacking the archive"
FILLING = "putting its files in place"
_MOVED = (
    members.CHECKPOINT_DIR,
    members.PRE_CHECKPOINT_DIR,
    members.ARTIFACTS,
    members.CTR_LOG,
    members.STATS_DUMP,
    members.NETWORK_STATUS,
)


def restore_import(services: Services, options: RestoreOptions) -> tuple[Container, RestoreReport]:
    """See `Runtime.restore`."""
    services.require_open()
    assert options.import_ is not None
    path = options.import_
    timeline = Timeline(options.progress)
    preflight.require_criu(services)
    with contextlib.ExitStack() as stack:
        stack.enter_context(restoring.translated(options.name or path.name, timeline))
        staging = stack.enter_context(undertaking(services.paths.staging, Kind.IMPORT))
        archive = stack.enter_context(open_archive(path, staging=staging))
        with timeline.phase(READING):
            head = archive.head()
        with timeline.phase(JUDGING):
            config, spec = judge(services, head, options)
        unpacked: UnpackedArchive | None = None

        def unpack() -> UnpackedArchive:
            nonlocal unpacked
            with timeline.phase(UNPACKING):
                unpacked = unpacked_whole(archive, timeline)
                if options.import_previous is not None:
                    unpacked = pre_checkpoints.add_previous(unpacked, options.import_previous)
                pre_checkpoints.require_complete(unpacked)
                require_volumes(unpacked, config, options)
            return unpacked

        stack.enter_context(restoring.translated(config.name, timeline))
        held, report = make_and_wake(services, config, spec, unpack, options, timeline, room=staging)
    assert unpacked is not None
    sizes = attrs.evolve(
        report,
        archive_size=os.stat(path).st_size,
        content_size=sum(unpacked.sizes.values()),
        duration=timeline.total,
    )
    return Container(services, held.config), sizes


def make_and_wake(
    services: Services,
    config: ContainerConfig,
    spec: Mapping[str, object],
    unpack: Callable[[], UnpackedArchive],
    options: RestoreOptions,
    timeline: Timeline,
    *,
    room: Path | None = None,
) -> tuple[LockedContainer, RestoreReport]:
    """Make the container of *config*, fill it with what *unpack* gives, and wake it; on an error nothing is left.

    *room* is emptied first then: the disk may be full.
    """
    with contextlib.ExitStack() as stack:
        with timeline.phase(CREATING):
            lifecycle.start_infra(services, config)
            held = stack.enter_context(
                runtime_ctr.added(services, config, ContainerState(status=ContainerStatus.REMOVING))
            )
        if room is not None:
            stack.enter_context(_making_room(room))
        unpacked = unpack()
        with timeline.phase(FILLING):
            import_judging.require_rights(services, unpacked, config, options.policy)
            _fill(held, unpacked, options)
            specification.write_imported(held, spec)
        images = held.directory / members.CHECKPOINT_DIR
        with restoring.log_put_by(held, timeline):
            took = restoring.wake(held, images, options, timeline)
        report = restoring.finish(held, options, timeline, took)
    return held, report


def unpacked_whole(archive: ArchiveReader, timeline: Timeline) -> UnpackedArchive:
    """Everything that an archive of a full checkpoint holds, in its staging directory; raises ArchiveError."""
    unpacked = archive.unpack(progress=timeline.advanced)
    if unpacked.images is None:
        raise ArchiveError(
            str(unpacked.path), "it holds a pre-checkpoint only", resolution="import the full checkpoint"
        )
    return unpacked


def judge(
    services: Services, head: ArchiveHead, options: RestoreOptions
) -> tuple[ContainerConfig, dict[str, object]]:
    """The configuration that the container gets here, and the specification it ran with; refuses what cannot work.

    Pure but for look-ups: nothing is made. Raises ArchiveError, ContainerExistsError, VolumeExistsError,
    NoSuchImageError, RestoreError.
    """
    shown = options.image or str(options.import_)
    document = documents.read_config(head.config, archive=shown)
    spec = documents.read_spec(head.spec, archive=shown)
    try:
        config = CONTAINER_CONFIG.from_document(document)
    except msgspec.ValidationError as error:
        raise ArchiveError(
            shown, f"its {members.CONFIG_DUMP} is not a container's configuration ({error})"
        ) from error
    config = msgspec.structs.replace(config, runtime=Path(config.runtime).name)
    config = _renamed(services, config, options, shown)
    config = joined(services, config, options.pod, archive=shown)
    template = template_of(spec, config, shown)
    config = preflight.with_ports(config, options)
    judged = msgspec.structs.replace(config, spec=template)
    import_judging.require_granted(services, judged, options.policy, archive=shown)
    preflight.judge_import(services, judged, options, archive=shown)
    image_id = preflight.image_of(services, config)
    if not options.ignore_volumes:
        for name in config.volume_names:
            if services.state.has_volume(name):
                raise VolumeExistsError(
                    name,
                    message=f"the archive brings volume {name}, which exists already",
                    resolution="remove that volume, or keep it with ignore_volumes",
                )
    config = msgspec.structs.replace(
        config,
        spec=template,
        rootfs_image_id=image_id,
        created_time=now(),
        static_dir="",
        shm_dir=config.shm_dir if config.ipc_ns_ctr else "",
        mounts=(),
        log_path="",
        conmon_pid_file="",
        pid_file="",
        secrets_path="",
    )
    return runtime_ctr.placed(services, config), spec


def template_of(spec: dict[str, Any], config: ContainerConfig, shown: str) -> dict[str, Any]:
    """The specification for this host; ArchiveError when it is none, however it is not one."""
    try:
        template: dict[str, Any] = import_template(spec, config)
        template["annotations"] = without_origin(template.get("annotations") or {})
        return template
    except LibpodError as error:
        raise ArchiveError(shown, f"its {members.SPEC_DUMP} cannot be used: {error.message}") from error
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise ArchiveError(
            shown, f"its {members.SPEC_DUMP} has a part of another form than it should"
        ) from error


def _renamed(
    services: Services, config: ContainerConfig, options: RestoreOptions, shown: str
) -> ContainerConfig:
    if options.name:
        config = msgspec.structs.replace(config, id=new_id(), name=options.name)
    elif not is_full_id(config.id):
        raise ArchiveError(shown, f'its container has the id "{config.id[:80]}"')
    elif services.state.has_container(config.id):
        taken = services.state.container_config(config.id).name
        raise ContainerExistsError(
            config.id,
            message=f"the container of the archive exists here already, under the name {taken}",
            resolution="remove it first, or give the new one another name",
        )
    if is_taken(services, config.name):
        raise ContainerExistsError(
            config.name, resolution="remove the other one, or give this one another name"
        )
    return config


@contextlib.contextmanager
def _making_room(staging: Path) -> Iterator[None]:
    """On an error what was unpacked goes first: the disk may be full of it, and taking back needs to write a little."""
    try:
        yield
    except BaseException as error:
        undo(error, lambda: remove_tree(staging))
        raise


def require_volumes(unpacked: UnpackedArchive, config: ContainerConfig, options: RestoreOptions) -> None:
    """A volume that is silently empty is a loss that nobody notices."""
    missing = [name for name in config.volume_names if not unpacked.has(members.volume_member(name))]
    if missing and not options.ignore_volumes:
        raise ArchiveError(
            str(unpacked.path),
            f"it does not bring the content of volume {', '.join(missing)}",
            resolution="put the content there yourself and restore with ignore_volumes",
        )


def _fill(held: LockedContainer, unpacked: UnpackedArchive, options: RestoreOptions) -> None:
    """Put everything where it belongs: images and log into the bundle, files into root, volumes and /dev/shm."""
    staging, directory = unpacked.staging, held.directory
    for name in _MOVED:
        if (staging / name).exists():
            remove_tree(directory / name)
            os.rename(staging / name, directory / name)
    root = rootfs.mount(held)
    held.update(mounted=True, mount_point=str(root))
    if not options.ignore_rootfs:
        make_mount_points(root)
        apply_rootfs(staging, root)
    shm = staging / members.DEVSHM_TAR
    if shm.exists() and held.config.mounts:
        unpack_tree(shm, Path(held.config.shm_dir), label=members.DEVSHM_TAR)
    if not options.ignore_volumes:
        for name in held.config.volume_names:
            member = members.volume_member(name)
            if unpacked.has(member):
                target = Path(held.services.state.volume_config(name).mount_point)
                unpack_tree(staging / member, target, label=member)
