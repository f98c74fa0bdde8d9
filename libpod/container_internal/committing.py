"""An image of what a container has become.

A running container is paused while its layer is read, so that the image shows one moment; it runs on whatever happens.
The new image's settings are the container's own: its command, user, working directory and labels, and its environment
without what the engine adds to every container. The rest is the base image's.

Killed in the middle: a paused container (`unpause` lets it go on), and what `libpod.image.commit` leaves.

Covers: libpod/container_commit.go
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import BinaryIO, cast

import attrs

from libpod.container_internal import files, id_mapping, lifecycle, rootfs
from libpod.container_internal.held import LockedContainer
from libpod.define.errors import InvalidStateError
from libpod.define.signals import signal_name
from libpod.define.status import ContainerStatus, Operation
from libpod.image.commit import CommitOptions, commit
from libpod.image.transport import Skopeo, StoreAddress
from libpod.linux.process import require_program, stream
from libpod.model.event import EventStatus
from libpod.spec.image import ContainerDefaults, Healthcheck

ENGINES_VARIABLES = frozenset({"container", "HOSTNAME", "TERM", "HOME"})
"""Set in every container; in the image only when its base has them."""


@attrs.frozen(kw_only=True)
class CommitRequest:
    """What may be asked of `Container.commit`."""

    author: str = ""
    message: str = ""
    changes: Sequence[str] = ()
    """Dockerfile instructions, applied last."""
    format: str = "oci"
    pause: bool = True
    squash: bool = False
    include_volumes: bool = False
    """Whether the container's volumes become volumes of the image."""


def commit_container(held: LockedContainer, name: str, request: CommitRequest) -> str:
    """See `Container.commit`; returns the image's id."""
    held.require(Operation.COMMIT)
    services, config = held.services, held.config
    if config.rootfs:
        raise InvalidStateError(
            f"container {held.name} has a directory as its root", resolution="export it and import that"
        )
    rootfs.require_present(held)
    base = services.images.find(config.rootfs_image_id) if config.rootfs_image_id else None
    inherited = services.images.config(base).get("config") if base is not None else None
    defaults = settings_of(held, cast("ContainerDefaults", inherited or {}), volumes=request.include_volumes)
    options = CommitOptions(
        defaults=defaults,
        changes=request.changes,
        author=request.author,
        message=request.message,
        created_by=" ".join(config.command),
        format=request.format,
        squash=request.squash,
    )
    transport = Skopeo(
        store=StoreAddress.of(services.store),
        registries=services.images.registries,
        tmpdir=services.paths.staging,
    )

    def write_layer(sink: BinaryIO) -> None:
        with still(held, wanted=request.pause):
            if request.squash:
                _whole_root(held, sink)
            else:
                services.store.diff_tar(held.id, sink)

    image_id = commit(transport, services.images, base, write_layer, name or None, options)
    held.emit(EventStatus.COMMIT)
    return image_id


@contextlib.contextmanager
def still(held: LockedContainer, *, wanted: bool) -> Iterator[None]:
    """Pause the container for the duration of the block if it runs and that is *wanted*."""
    if not wanted or held.status is not ContainerStatus.RUNNING:
        yield
        return
    lifecycle.pause(held)
    try:
        yield
    finally:
        lifecycle.unpause(held)


def settings_of(held: LockedContainer, base: ContainerDefaults, *, volumes: bool) -> ContainerDefaults:
    """What containers of the new image get; *base* is what those of the base image get."""
    config = held.config
    process = config.spec.get("process", {})
    settings = ContainerDefaults(**base)
    inherited = {text.partition("=")[0] for text in base.get("Env") or ()}
    settings["Env"] = [
        text
        for text in process.get("env") or ()
        if (name := text.partition("=")[0]) in inherited or name not in ENGINES_VARIABLES
    ]
    settings["Entrypoint"] = list(config.entrypoint) or None
    settings["Cmd"] = list(config.command) or None
    settings["WorkingDir"] = process.get("cwd") or "/"
    if config.user:
        settings["User"] = config.user
    if config.labels:
        settings["Labels"] = dict(config.labels)
    if config.stop_signal not in (0, 15):
        settings["StopSignal"] = signal_name(config.stop_signal)
    ports = {
        f"{port.container_port + offset}/{port.protocol}"
        for port in config.port_mappings
        for offset in range(port.range)
    }
    if ports:
        settings["ExposedPorts"] = {
            **settings.get("ExposedPorts", {}),
            **{port: {} for port in sorted(ports)},
        }
    if volumes and config.user_volumes:
        settings["Volumes"] = {path: {} for path in config.user_volumes}
    if config.health_check is not None:
        check = config.health_check
        settings["Healthcheck"] = Healthcheck(
            Test=list(check.test),
            Interval=check.interval,
            Timeout=check.timeout,
            StartPeriod=check.start_period,
            Retries=check.retries,
        )
    return settings


def _whole_root(held: LockedContainer, sink: BinaryIO) -> None:
    tar = require_program("tar", purpose="commit a container into one layer")
    with files.mounted_root(held) as root:
        if id_mapping.is_mapped(held.config):
            files.write_mapped(held, root, sink)
            return
        stream(
            [tar, "--numeric-owner", "--xattrs", "--one-file-system", "-C", os.fspath(root), "-c", "."], sink
        )
