"""Wake a container from a checkpoint image: as from an archive, with the image's files in the archive's place.

Covers: pkg/checkpoint/checkpoint_restore.go (images), pkg/domain/infra/abi/containers.go (ContainerRestore of images)
"""

from __future__ import annotations

import contextlib

import attrs

from libpod import runtime_import
from libpod.checkpoint.report import RestoreReport
from libpod.checkpoint.timeline import Timeline
from libpod.container_api import Container
from libpod.container_internal import checkpoint_images, preflight, restoring
from libpod.container_internal.services import Services
from libpod.container_internal.undertakings import Kind, undertaking
from libpod.model.move_options import RestoreOptions


def restore_image(services: Services, options: RestoreOptions) -> tuple[Container, RestoreReport]:
    """See `Runtime.restore`; raises NoSuchImageError, and ArchiveError for an image that is no checkpoint."""
    services.require_open()
    timeline = Timeline(options.progress)
    preflight.require_criu(services)
    image = checkpoint_images.checkpoint_of(services, options.image)
    with contextlib.ExitStack() as stack:
        stack.enter_context(restoring.translated(options.name or options.image, timeline))
        staging = stack.enter_context(undertaking(services.paths.staging, Kind.IMPORT))
        with timeline.phase(runtime_import.READING):
            unpacked = checkpoint_images.unpack_image(services, image, options.image, staging)
        with timeline.phase(runtime_import.JUDGING):
            config, spec = runtime_import.judge(services, unpacked.head, options)
            runtime_import.require_volumes(unpacked, config, options)
        stack.enter_context(restoring.translated(config.name, timeline))
        held, report = runtime_import.make_and_wake(
            services, config, spec, lambda: unpacked, options, timeline, room=staging
        )
    sizes = attrs.evolve(report, content_size=sum(unpacked.sizes.values()), duration=timeline.total)
    return Container(services, held.config), sizes
