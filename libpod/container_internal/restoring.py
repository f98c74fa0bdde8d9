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
from libpod.container_internal import (
    explaining,
    lifecycle,
    networking,
    preflight,
    specification,
)
from libpod.container_internal.explaining import explained
from libpod.container_internal.held import LockedContainer
from libpod.container_internal.launching import bundle_for, pids_of
from libpod.container_internal.settling import CONSUMED, woken_fields
from libpod.container_internal.undertakings import Kind, undertaking
from libpod.container_internal.undoing import undo
from libpod.define.errors import ArchiveError, InvalidStateError, RestoreError
from libpod.define.status import ContainerStatus, Operation
from libpod.linux.files import remove_tree, write_atomic
from libpod.model.event import EventStatus
from libpod.model.move_options import CheckpointOptions, RestoreOptions
from libpod.oci.base import OciRuntime, RestoreRequest

logger = logging.getLogger(__name__)

PREPARING = "making its network and mounts"
WAKING = "waking its processes"


def restore(held: LockedContainer, options: RestoreOptions) -> RestoreReport:
    """See `Container.restore`: from the container's own checkpoint."""
    if held.status is ContainerStatus.STOPPED:
        lifecycle.clean_up(held)
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
    with undertaking(held.services.paths.staging, Kind.RESTORE, held.id):
        with translated(held.name, timeline):
            took = wake(held, images, options, timeline)
        return finish(held, options, timeline, took)


def wake(held: LockedContainer, images: Path, options: RestoreOptions, timeline: Timeline) -> int:
    """Prepare and restore; returns the runtime's microseconds. On an error the container is as before."""
    runtime, bundle = lifecycle.runtime_of(held), bundle_for(held)
    timeline.current = PREPARING  # ports are reserved before the phase begins
    lifecycle.remove_unrecorded(held, runtime)
    request = RestoreRequest(
        image_dir=images,
        tcp_established=options.tcp_established,
        tcp_close=options.tcp_close,
        file_locks=options.file_locks,
    )
    original = specification.kept_for_restore(bundle.config_file)
    try:
        with (
            networking.reserved_ports(held) as ports,
            runtime.launching(bundle, request, pass_fds=ports) as launch,
        ):
            with timeline.phase(PREPARING):
                prepared = lifecycle.prepare(
                    held,
                    wishes=networking.wishes_for_restore(held, options),
                    on_hold=options.tcp_established,
                    copy_up=False,
                )
                held.update(bind_mounts=prepared.bind_mounts)
                specification.write_restored(held, prepared, original)
            began = timeline.total
            with timeline.phase(WAKING):
                launched = launch.go()
            took = timeline.total - began
            if options.tcp_established:
                networking.release(held)
        restore_log = str(bundle.directory / members.RESTORE_LOG) if options.keep else ""
        held.update(**pids_of(launched), **woken_fields(held), restore_log=restore_log)
    except BaseException as error:
        if held.status is not ContainerStatus.RUNNING or not held.state.restored:
            undo(error, lambda: _put_back(held, runtime, original))
        raise
    specification.forget_kept(bundle.config_file)
    return took


def _put_back(held: LockedContainer, runtime: OciRuntime, original: specification.Document) -> None:
    """As it was before: nothing runs, nothing is mounted, and the checkpoint can be restored."""
    config_file = bundle_for(held).config_file
    specification.put_back(config_file, original)
    specification.forget_kept(config_file)
    lifecycle.remove_unrecorded(held, runtime)
    lifecycle.release_resources(held)


def finish(held: LockedContainer, options: RestoreOptions, timeline: Timeline, took: int) -> RestoreReport:
    """After it woke: the event, the statistics, and what is used up goes."""
    statistics = _statistics(held)
    if not options.keep:
        for name in CONSUMED:
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


def translated(name: str, timeline: Timeline) -> contextlib.AbstractContextManager[None]:
    """Failures become RestoreErrors that name the phase; what is wrong with an archive says so by itself."""
    return explaining.translated(RestoreError, name, timeline, passing=(ArchiveError,))


@contextlib.contextmanager
def log_put_by(held: LockedContainer, timeline: Timeline) -> Iterator[None]:
    """An import that fails takes its directory with it: CRIU's log is explained before, and kept in the run root.

    One for each name; the next failure of that name replaces it, a reboot removes them all.
    """
    try:
        yield
    except RestoreError as error:
        failure = explained(error, step=timeline.current)
        kept = held.services.paths.volatile / "failed" / f"{held.name}.{members.RESTORE_LOG}"
        if failure.log is not None and Path(failure.log).is_file():
            kept.parent.mkdir(mode=0o700, exist_ok=True)
            write_atomic(kept, Path(failure.log).read_bytes(), durable=False)
            failure = RestoreError(
                container=failure.container,
                step=failure.step,
                cause=failure.cause,
                resolution=failure.resolution,
                details=failure.details,
                log=str(kept),
            )
        raise failure from error


def _statistics(held: LockedContainer) -> RestoreStatistics | None:
    try:
        return read_restore_statistics(held.directory / members.STATS_RESTORE)
    except (FileNotFoundError, ArchiveError):
        logger.info("CRIU left no statistics for container %s", held.name)
        return None
