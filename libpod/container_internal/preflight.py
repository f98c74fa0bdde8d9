"""What is known before anything stops: can this container be dumped, can this host wake that one.

Covers: libpod/container_internal_common.go (checkpointRestoreSupported), pkg/checkpoint/checkpoint_restore.go (checks)
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from libpod.checkpoint import criu, members
from libpod.container_internal import exporting
from libpod.container_internal.held import LockedContainer
from libpod.container_internal.services import Services
from libpod.define.errors import (
    ArchiveError,
    InvalidArgumentError,
    InvalidStateError,
    LibpodError,
    NoSuchImageError,
    NotSupportedError,
    ProgramMissingError,
)
from libpod.model.container_config import ContainerConfig, PortMapping
from libpod.model.move_options import CheckpointOptions, RestoreOptions
from libpod.network.ports import parse_port_mappings


def require_checkpoint(held: LockedContainer, options: CheckpointOptions) -> criu.CriuStatus:
    """Raise what stands in the way, before the container is touched; returns the CRIU that will do it."""
    config = held.config
    moving = options.moves
    if config.auto_remove and not moving and not options.keeps_running:
        raise InvalidStateError(
            f"container {held.name} removes itself when it ends, and its checkpoint would go with it",
            resolution="export it",
        )
    if options.with_previous and not (held.directory / members.PRE_CHECKPOINT_DIR).is_dir():
        raise InvalidStateError(
            f"there is no pre-checkpoint of container {held.name}", resolution="make one with pre_checkpoint"
        )
    if moving:
        exporting.require_exportable(held, options)
    if options.export is not None and not options.export.parent.is_dir():
        raise InvalidArgumentError(
            f"the directory {options.export.parent} for the export does not exist", resolution="make it first"
        )
    status = require_criu(held.services, pre_checkpoint=options.pre_checkpoint or options.with_previous)
    require_runtime(held.services, config)
    return status


def require_restore(services: Services, config: ContainerConfig) -> None:
    """Raise when this host can wake nothing."""
    require_criu(services)
    require_runtime(services, config)


def require_criu(services: Services, *, pre_checkpoint: bool = False) -> criu.CriuStatus:
    """The CRIU in use; raises NotSupportedError or ProgramMissingError unless it works on this kernel.

    With *pre_checkpoint* the kernel must also tell which pages have changed.
    """
    needs = None
    if pre_checkpoint:
        needs = criu.CriuNeeds(features=(criu.MEMORY_TRACKING,), purpose="dump memory in two steps")
    return criu.require_criu(needs, services.config.criu, cache=services.paths.criu_probe)


def require_runtime(services: Services, config: ContainerConfig) -> None:
    """Raise NotSupportedError unless the container's OCI runtime can checkpoint."""
    capabilities = services.runtimes.for_container(config).capabilities
    if not capabilities.can_checkpoint:
        raise NotSupportedError(
            f"container {config.name} runs with {capabilities.name} {capabilities.version}, which cannot checkpoint",
            resolution="use runc, or a crun that was built with CRIU",
        )


def judge_import(
    services: Services,
    config: ContainerConfig,
    options: RestoreOptions,
    *,
    archive: str,
) -> None:
    """Refuse an archive that this host cannot wake; *config* has the template for this host as its specification."""
    strangers = [need for need in config.all_dependencies if not (config.pod and is_infra(services, need))]
    if strangers:
        raise ArchiveError(
            archive, f"container {config.name} depends on other containers, which it does not bring"
        )
    if config.rootfs or not config.rootfs_image_name:
        raise ArchiveError(archive, f"container {config.name} was not made from an image")
    runtime = Path(config.runtime).name
    if runtime and runtime not in services.config.runtimes:
        raise ArchiveError(
            archive, f'it asks for the OCI runtime "{config.runtime[:80]}", which is not configured here'
        )
    try:
        require_runtime(services, config)
    except ProgramMissingError as error:
        raise ArchiveError(
            archive, f"it needs the OCI runtime {runtime}", resolution=f"install {runtime}"
        ) from error
    _require_bind_sources(config, archive)


def is_infra(services: Services, ctr_id: str) -> bool:
    """Whether a container of this host owns a pod's namespaces."""
    return services.state.has_container(ctr_id) and services.state.container_config(ctr_id).is_infra


def _require_bind_sources(config: ContainerConfig, archive: str) -> None:
    for mount in config.spec.get("mounts") or ():
        source, destination = str(mount.get("source", "")), str(mount.get("destination", ""))
        if mount.get("type") != "bind":
            continue
        if not Path(source).exists():
            raise ArchiveError(
                archive,
                f"the container needs {source} of the host at {destination}, and it is not here",
                resolution="make that path on this host first",
            )


ENGINE_MOUNTS = frozenset(
    {"/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/run/.containerenv", "/dev/shm", "/etc/passwd", "/etc/group",
     "/run/secrets"}
)  # fmt: skip
"""Bind mounts that an engine makes itself, on every host anew."""


def image_of(services: Services, config: ContainerConfig) -> str:
    """Id of the image that the container needs: the same one, or one of the same name.

    Raises NoSuchImageError.
    """
    for wanted in (config.rootfs_image_id, config.rootfs_image_name):
        if not wanted:
            continue
        try:
            return services.images.find(wanted).id
        except LibpodError:
            continue
    raise NoSuchImageError(
        config.rootfs_image_name,
        message=f"container {config.name} needs the image {config.rootfs_image_name}, which is not here",
        resolution="pull, load or import that image first",
    )


def with_ports(config: ContainerConfig, options: RestoreOptions) -> ContainerConfig:
    """Published ports as asked for instead of the archive's."""
    if not options.publish:
        return config
    ports = tuple(
        PortMapping(
            host_ip=port.host_ip,
            container_port=port.container_port,
            host_port=port.host_port,
            range=port.range,
            protocol=port.protocol,
        )
        for port in parse_port_mappings(options.publish)
    )
    return msgspec.structs.replace(config, port_mappings=ports)
