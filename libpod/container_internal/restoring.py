"""Wake a container from images.

The same for its own checkpoint, for an imported archive and for a container that CRIU ended while its export failed:
mounts and network first, the specification rewritten for this host last, then CRIU through conmon. The container runs
when the call returns; there is no separate start.

Covers: libpod/container_internal_common.go (restore)
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

from libpod.checkpoint import members
from libpod.checkpoint.report import RestoreReport
from libpod.checkpoint.statistics import RestoreStatistics, read_restore_statistics
from libpod.checkpoint.timeline import Timeline
from libpod.container_internal import lifecycle, networking, preflight, rootfs, specification, volumes
from libpod.container_internal.explaining import explained
from libpod.container_internal.held import LockedContainer
from libpod.container_internal.launching import bundle_for, pids_of
from libpod.define.errors import ArchiveError, InvalidStateError, LibpodError, RestoreError
from libpod.define.status import ContainerStatus, Operation
from libpod.linux.files import remove_tree
from libpod.model.event import EventStatus
from libpod.model.move_options import CheckpointOptions, RestoreOptions
from libpod.model.times import ZERO_TIME, now
from libpod.oci.base import RestoreRequest

logger = logging.getLogger(__name__)

PREPARING = "making its network and mounts"
WAKING = "waking its processes"
_CONSUMED = (
    members.PRE_CHECKPOINT_DIR,
    members.CHECKPOINT_DIR,
    members.VOLUMES_DIR,
    members.DEVSHM_TAR,
    members.ROOTFS_DIFF_TAR,
    members.DELETED_FILES,
    members.NETWORK_STATUS,
    members.DUMP_LOG,
    members.RESTORE_LOG,
    members.STATS_DUMP,
    members.STATS_RESTORE,
    members.CONFIG_DUMP,
    members.SPEC_DUMP,
)
"""What a restore uses up, in the container's directory."""


def restore(held: LockedContainer, options: RestoreOptions) -> RestoreReport:
    """See `Container.restore`: from the container's own checkpoint."""
    held.require(
        Operation.RESTORE, resolution="stop it first" if held.status is ContainerStatus.RUNNING else None
    )
    images = held.directory / members.CHECKPOINT_DIR
    if not (images / members.INVENTORY).exists():
        raise InvalidStateError(
            f"there is no checkpoint of container {held.name} in its directory",
            resolution="checkpoint it first, or restore from an archive with import_",
        )
    timeline = Timeline(options.progress)
    preflight.require_restore(held.services, held.config)
    with translated(held.name, timeline):
        took = wake(held, images, options, timeline)
    return finish(held, options, timeline, took)


def wake(held: LockedContainer, images: Path, options: RestoreOptions, timeline: Timeline) -> int:
    """Prepare and restore; returns the runtime's microseconds. On an error the container is as before."""
    runtime, bundle = lifecycle.runtime_of(held), bundle_for(held)
    lifecycle.remove_unrecorded(held, runtime)
    request = RestoreRequest(
        image_dir=images,
        tcp_established=options.tcp_established,
        tcp_close=options.tcp_close,
        file_locks=options.file_locks,
    )
    original = specification.read_config(bundle.config_file)
    try:
        with runtime.launching(bundle, request) as launch:
            with timeline.phase(PREPARING):
                network_status, netns = networking.set_up(
                    held, wishes=networking.wishes_for_restore(held, options), on_hold=options.tcp_established
                )
                if netns != held.state.netns or network_status != held.state.network_status:
                    held.update(netns=netns, network_status=network_status)
                root = rootfs.mount(held)
                held.update(mounted=True, mount_point=str(root))
                volumes.prepare(held, root, copy_up=False)
                prepared = specification.prepare(held, root)
                specification.write_restored(held, prepared, original)
            began = timeline.total
            with timeline.phase(WAKING):
                launched = launch.go()
            took = timeline.total - began
            networking.release(held)
        held.update(
            **pids_of(launched),
            status=ContainerStatus.RUNNING,
            config_path=str(bundle.config_file),
            run_dir=str(held.run_directory),
            started_time=now(),
            finished_time=ZERO_TIME,
            exit_code=0,
            exited=False,
            oom_killed=False,
            error="",
            stopped_by_user=False,
            restart_policy_match=False,
            checkpointed=False,
            checkpointing=False,
            restored=True,
            restored_time=now(),
            restore_log=str(bundle.directory / members.RESTORE_LOG) if options.keep else "",
            bind_mounts=prepared.bind_mounts,
        )
    except BaseException as error:
        lifecycle.undo(error, lambda: lifecycle.release_resources(held))
        specification.put_back(bundle.config_file, original)
        raise
    return took


def finish(held: LockedContainer, options: RestoreOptions, timeline: Timeline, took: int) -> RestoreReport:
    """After it woke: the event, the statistics, and what is used up goes."""
    statistics = _statistics(held)
    if not options.keep:
        for name in _CONSUMED:
            remove_tree(held.directory / name)
    held.emit(EventStatus.RESTORE)
    return RestoreReport(
        id=held.id,
        name=held.name,
        duration=timeline.total,
        runtime_duration=took,
        phases=timeline.phases,
        statistics=statistics,
    )


def wake_again(held: LockedContainer, images: Path, options: CheckpointOptions) -> None:
    """Its export failed after CRIU had ended it: wake it where it was, with its connections."""
    again = RestoreOptions(tcp_established=options.tcp_established, file_locks=options.file_locks)
    logger.warning("container %s: its export failed; waking it from its own images", held.name)
    wake(held, images, again, Timeline())


@contextlib.contextmanager
def translated(name: str, timeline: Timeline) -> Iterator[None]:
    """Every failure becomes a RestoreError that names the phase; CRIU's own are explained from its log."""
    try:
        yield
    except RestoreError as error:
        raise explained(error, step=timeline.current) from error
    except ArchiveError:
        raise
    except LibpodError as error:
        raise RestoreError(
            container=name,
            step=timeline.current,
            cause=error.message,
            resolution=error.resolution,
            details=error.details,
        ) from error
    except OSError as error:
        raise RestoreError(
            container=name, step=timeline.current, cause=f"{error.strerror} ({error.filename})"
        ) from error


def _statistics(held: LockedContainer) -> RestoreStatistics | None:
    try:
        return read_restore_statistics(held.directory / members.STATS_RESTORE)
    except (FileNotFoundError, ArchiveError):
        logger.info("CRIU left no statistics for container %s", held.name)
        return None
