"""Freeze a running container into files.

Two ways, chosen once at the top:

*standing*  The container is frozen, CRIU dumps it and leaves it, and it stands still until all that must be of the same
            instant is safe: the archive, or (with `leave_running`) a copy of the changed files. Only then is it killed,
            or goes on. Whatever fails before, it is thawed and has lost nothing but time; an archive that was
            complete already is removed again.
*ended*     CRIU ends it with the dump: in place, or when established connections go with it, which must not see their
            socket closed. If packing then fails, it is woken from its own images; if that fails too, it is kept as
            checkpointed, with its images in its directory, and can be restored from them.

Once its processes are dead and what it becomes is durable, nothing is an error any more: what then cannot be given back
is given back by the next clean-up.

`checkpointing` is saved before CRIU is asked and cleared with the outcome. A process that is killed in between leaves
it set, and its undertaking; the next one settles it (`settling`).

Covers: libpod/container_internal_common.go (checkpoint)
"""

from __future__ import annotations

import logging
import signal
from pathlib import Path

import attrs

from libpod.checkpoint import members
from libpod.checkpoint.codec import compression_for
from libpod.checkpoint.criu import CAN_LEAVE_NETWORK
from libpod.checkpoint.report import CheckpointReport
from libpod.checkpoint.statistics import DumpStatistics, read_dump_statistics
from libpod.checkpoint.timeline import Timeline
from libpod.checkpoint.writer import ArchiveSummary, ArchiveWriter, require_space
from libpod.container_internal import (
    exporting,
    lifecycle,
    networking,
    preflight,
    restoring,
    settling,
    specification,
)
from libpod.container_internal.explaining import translated
from libpod.container_internal.held import LockedContainer
from libpod.container_internal.launching import NO_PROCESSES, bundle_for, identity_of_init, launched_of
from libpod.container_internal.log_of_now import await_log
from libpod.container_internal.root_times import tmp_time_kept
from libpod.container_internal.undertakings import Kind, undertaking
from libpod.container_internal.undoing import undo
from libpod.define.errors import ArchiveError, CheckpointError, LibpodError
from libpod.define.status import ContainerStatus, Operation
from libpod.linux import pidfd
from libpod.linux.files import remove_tree
from libpod.model.event import EventStatus
from libpod.model.move_options import CheckpointOptions
from libpod.model.times import ZERO_TIME, now
from libpod.oci.base import Bundle, DumpRequest, OciRuntime
from libpod.oci.freezing import Frozen

logger = logging.getLogger(__name__)

EXIT_TIMEOUT = 60.0
_DEATH = 5.0
FREEZING = "freezing its processes and dumping their memory"
GATHERING = "looking at its files"
COPYING = "copying its changed files"
PACKING = "writing the archive"
STORING = "storing the checkpoint image"
ENDING = "ending its processes"
RELEASING = "giving back its network and mounts"


@attrs.frozen(kw_only=True)
class _Dump:
    """What came of it, and the microseconds that it took and that the processes stood still."""

    took: int
    archive: ArchiveSummary | None
    frozen_for: int


def checkpoint(held: LockedContainer, options: CheckpointOptions) -> CheckpointReport:
    """See `Container.checkpoint`."""
    held.require(Operation.CHECKPOINT, resolution="start it first")
    criu = preflight.require_checkpoint(held, options)
    timeline = Timeline(options.progress)
    runtime, bundle = lifecycle.runtime_of(held), bundle_for(held)
    images = bundle.directory / _images_name(options)
    standing = options.keeps_running or (options.moves and not options.tcp_established)
    request = DumpRequest(
        image_dir=images,
        work_dir=bundle.directory,
        leave_running=standing,
        tcp_established=options.tcp_established,
        file_locks=options.file_locks,
        pre_dump=options.pre_checkpoint,
        parent_path=f"../{members.PRE_CHECKPOINT_DIR}" if options.with_previous else "",
        link_remap=options.link_remap,
        # A lock that nobody needs costs 60 ms at the dump and again at the restore: CRIU enters the namespace twice,
        # and the kernel waits for all cores then.
        lock_network=options.tcp_established
        or criu.version < CAN_LEAVE_NETWORK
        or not networking.is_alone(held),
    )
    description = exporting.describe(held) if options.moves else None
    with undertaking(held.services.paths.staging, Kind.CHECKPOINT, held.id) as spool:
        try:
            with translated(CheckpointError, held.name, timeline):
                _make_fresh(held, images)
                held.update(checkpointing=True)
                if standing:
                    dump = _standing(held, options, runtime, bundle, request, description, timeline, spool)
                else:
                    dump = _ended(held, options, runtime, bundle, request, description, timeline, spool)
        except BaseException as error:
            undo(error, lambda: _forget_attempt(held, images))
            raise
        statistics = _statistics(bundle)
        if options.keeps_running:
            held.update(checkpointing=False, checkpoint_log=_log_of(bundle, options))
            downtime = dump.frozen_for
            _tidy(held, options)
        else:
            _mark_as_ended(held, options)
            # First of all: unmounting its root would write the images out, with all else of that file system.
            _tidy(held, options)
            with timeline.phase(RELEASING):
                _release(held, options, dying=standing)
            downtime = timeline.total
    held.emit(EventStatus.CHECKPOINT)
    return CheckpointReport(
        id=held.id,
        name=held.name,
        duration=timeline.total,
        runtime_duration=dump.took,
        downtime=downtime,
        phases=timeline.phases,
        statistics=statistics,
        archive=dump.archive if options.export is not None else None,
        image=options.create_image,
    )


# ---- the two ways -------------------------------------------------------------------------------------------------


def _standing(
    held: LockedContainer,
    options: CheckpointOptions,
    runtime: OciRuntime,
    bundle: Bundle,
    request: DumpRequest,
    description: exporting.Description | None,
    timeline: Timeline,
    spool: Path,
) -> _Dump:
    """Dump, and keep it standing still until what belongs together is safe."""
    archive = export = None
    with runtime.freezing(bundle) as frozen:
        root = Path(held.state.mount_point)
        with timeline.phase(FREEZING), tmp_time_kept(root, frozen.when_still):
            took = runtime.checkpoint(bundle, request, launched_of(held.state))
            if frozen.missed:
                # CRIU did without the freezer, and it has gone on since: its files would be of a later moment.
                frozen.freeze()
                _make_fresh(held, request.image_dir)
                took += runtime.checkpoint(bundle, request, launched_of(held.state))
        if description is not None:
            with timeline.phase(GATHERING):
                await_log(held)
                export = exporting.gather(held, options, description, images=request.image_dir)
            if options.keeps_running:
                with timeline.phase(COPYING):
                    export = exporting.spool(export, spool)
        if options.keeps_running:
            frozen.thaw()
        frozen_for = frozen.duration
        if export is not None:
            archive = _pack(held, export, options, timeline, spool)
        if not options.keeps_running:
            _end(held, options, runtime, bundle, frozen, archive, timeline)
    return _Dump(took=took, archive=archive, frozen_for=frozen_for)


def _ended(
    held: LockedContainer,
    options: CheckpointOptions,
    runtime: OciRuntime,
    bundle: Bundle,
    request: DumpRequest,
    description: exporting.Description | None,
    timeline: Timeline,
    spool: Path,
) -> _Dump:
    """Dump and end it in one; wake it from the images when packing fails."""
    before = timeline.total
    root = Path(held.state.mount_point)
    with (
        runtime.freezing(bundle) as frozen,
        timeline.phase(FREEZING),
        tmp_time_kept(root, frozen.when_still),
    ):
        took = runtime.checkpoint(bundle, request, launched_of(held.state))
    archive = export = None
    if description is not None:
        try:
            with timeline.phase(GATHERING):
                export = exporting.gather(held, options, description, images=request.image_dir)
            archive = _pack(held, export, options, timeline, spool)
        except BaseException as error:
            undo(error, lambda: _wake_again(held, request.image_dir, options))
            raise
    return _Dump(took=took, archive=archive, frozen_for=timeline.total - before)


def _pack(
    held: LockedContainer,
    export: exporting.Export,
    options: CheckpointOptions,
    timeline: Timeline,
    spool: Path,
) -> ArchiveSummary:
    """Write the archive; with `create_image` it becomes the layer of an image and has no place of its own."""
    target = options.export or spool / "layer.tar"
    compression = compression_for(target, options.compress)
    with timeline.phase(PACKING):
        size = export.size
        require_space(target, size, compression)
        with ArchiveWriter.open(
            target, compression, progress=lambda done: timeline.advanced(min(done, size), size)
        ) as writer:
            exporting.write(export, writer)
            summary = writer.commit()
    if options.create_image:
        from libpod.container_internal import checkpoint_images

        with timeline.phase(STORING):
            checkpoint_images.store_image(held, target, options.create_image)
    return summary


def _end(
    held: LockedContainer,
    options: CheckpointOptions,
    runtime: OciRuntime,
    bundle: Bundle,
    frozen: Frozen,
    archive: ArchiveSummary | None,
    timeline: Timeline,
) -> None:
    """Kill what stands still: every process has its SIGKILL before any of them can run again.

    If that fails and it runs on, the archive or image goes: woken elsewhere, it would be a second one. If it died all
    the same, its checkpoint is what it has.
    """
    init = identity_of_init(held.state)
    killing = False
    try:
        with timeline.phase(ENDING):
            killing = True
            runtime.signal(bundle, init, signal.SIGKILL, everyone=True)
    except BaseException as error:
        frozen.thaw()
        if killing and pidfd.wait_end(init, _DEATH):
            settling.mark_as_checkpointed(held)
        elif archive is not None:
            archive.path.unlink(missing_ok=True)
            undo(error, lambda: _forget_image(held, options))
        raise
    frozen.thaw()


def _forget_image(held: LockedContainer, options: CheckpointOptions) -> None:
    if options.create_image:
        from libpod.image import removing

        removing.remove(held.services.images, options.create_image)


# ---- afterwards ---------------------------------------------------------------------------------------------------


def _mark_as_ended(held: LockedContainer, options: CheckpointOptions) -> None:
    """The checkpoint is durable, and the processes are dying: the state says so before anything is given back."""
    bundle = bundle_for(held)
    # A container that removes itself goes now; its checkpoint is in the archive.
    keeps_images = not options.moves or (options.keep and not held.config.auto_remove)
    held.update(
        status=ContainerStatus.STOPPED,
        checkpointing=False,
        checkpointed=True,
        checkpointed_time=now(),
        checkpoint_path=str(bundle.directory / members.CHECKPOINT_DIR) if keeps_images else "",
        checkpoint_log=_log_of(bundle, options),
        restored=False,
        restored_time=ZERO_TIME,
        finished_time=now(),
        exit_code=0,
        exited=True,
        stopped_by_user=True,
    )


def _release(held: LockedContainer, options: CheckpointOptions, *, dying: bool) -> None:
    """Give everything back; what cannot be given back now is left to the next clean-up, for the checkpoint is made.

    *dying*: it was killed, and its end is still to be awaited.
    """
    runtime, bundle = lifecycle.runtime_of(held), bundle_for(held)
    try:
        if dying and runtime.wait_exit(bundle, launched_of(held.state), EXIT_TIMEOUT) is None:
            logger.warning("conmon of container %s has not noticed that it was checkpointed", held.name)
        runtime.delete(bundle, init=identity_of_init(held.state), force=True)
        runtime.remove_leftovers(bundle)
        networking.keep_for_restore(held, established=options.tcp_established)
        lifecycle.release_resources(held)
        held.update(status=ContainerStatus.EXITED, **NO_PROCESSES)
    except (LibpodError, OSError) as error:
        logger.warning("container %s is checkpointed, but not all could be given back: %s", held.name, error)


def _wake_again(held: LockedContainer, images: Path, options: CheckpointOptions) -> None:
    """Its export failed after CRIU had ended it: wake it where it was. If that fails, its images are its checkpoint."""
    try:
        restoring.wake_again(held, images, options)
    except BaseException:
        settling.mark_as_checkpointed(held)
        raise


def _forget_attempt(held: LockedContainer, images: Path) -> None:
    """After a failure: the container runs, and nothing of the attempt stays but CRIU's log.

    The images go first: the disk may be full of them.
    """
    (held.directory / members.STATS_DUMP).unlink(missing_ok=True)
    if not held.state.checkpointed:
        remove_tree(images)
    if held.state.checkpointing:
        held.update(checkpointing=False)


def _images_name(options: CheckpointOptions) -> str:
    return members.PRE_CHECKPOINT_DIR if options.pre_checkpoint else members.CHECKPOINT_DIR


def _make_fresh(held: LockedContainer, images: Path) -> None:
    """An empty directory for the images: what an earlier dump left must never reach an archive."""
    for stale in (members.DUMP_LOG, members.STATS_DUMP):
        (held.directory / stale).unlink(missing_ok=True)
    specification.forget_kept(held.directory / "config.json")
    remove_tree(images)
    images.mkdir(mode=0o700)


def _tidy(held: LockedContainer, options: CheckpointOptions) -> None:
    """Remove what nobody asked to keep: after an export the images are in the archive."""
    directory = held.directory
    if not options.keep:
        for name in (members.DUMP_LOG, members.STATS_DUMP):
            (directory / name).unlink(missing_ok=True)
    if options.moves and not options.keep and not options.pre_checkpoint:
        images = directory / members.CHECKPOINT_DIR
        # CRIU takes a directory without its inventory for no checkpoint: killed in the middle, half the images must
        # not look as if the container could be restored from them.
        (images / members.INVENTORY).unlink(missing_ok=True)
        remove_tree(images)


def _log_of(bundle: Bundle, options: CheckpointOptions) -> str:
    return str(bundle.directory / members.DUMP_LOG) if options.keep else ""


def _statistics(bundle: Bundle) -> DumpStatistics | None:
    try:
        return read_dump_statistics(bundle.directory / members.STATS_DUMP)
    except (FileNotFoundError, ArchiveError):
        logger.info("CRIU left no statistics for container %s", bundle.name)
        return None
