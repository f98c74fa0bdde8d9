"""What is asked of a checkpoint and of a restore; the rules are here, so that every caller gets them.

Covers: libpod/container_api.go (ContainerCheckpointOptions), cmd/podman/containers/checkpoint.go, restore.go
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import attrs

from libpod.define.errors import InvalidArgumentError
from libpod.define.ids import check_name
from libpod.model.import_policy import ImportPolicy

Progress = Callable[[str, int, int], None]
"""Called with a phase, how far it is and how far it goes (0 when nobody knows), in bytes."""

COMPRESSIONS = ("gzip", "none", "zstd")


def _path(value: str | Path | None) -> Path | None:
    return None if value is None else Path(value)


@attrs.frozen(kw_only=True)
class CheckpointOptions:
    """How a container is to be checkpointed."""

    export: Path | None = attrs.field(default=None, converter=_path)
    """Write one archive there instead of leaving images in the container's directory."""
    create_image: str = ""
    """Store the checkpoint in an image of this name."""
    compress: str | None = None
    """gzip, none or zstd; None: what the archive's name says, else zstd."""
    leave_running: bool = False
    keep: bool = False
    """Keep CRIU's logs and statistics."""
    ignore_rootfs: bool = False
    ignore_volumes: bool = False
    tcp_established: bool = False
    file_locks: bool = False
    link_remap: bool = False
    pre_checkpoint: bool = False
    with_previous: bool = False
    progress: Progress | None = attrs.field(default=None, eq=False)

    def __attrs_post_init__(self) -> None:
        if self.export is not None and self.create_image:
            raise InvalidArgumentError(
                "export and create_image exclude each other", resolution="choose one of them"
            )
        if self.compress is not None and self.compress not in COMPRESSIONS:
            raise InvalidArgumentError(
                f'there is no compression "{self.compress}"',
                resolution=f"use one of {', '.join(COMPRESSIONS)}",
            )
        for name in ("ignore_rootfs", "ignore_volumes"):
            if getattr(self, name) and not self.moves:
                raise InvalidArgumentError(f"{name} only makes sense for an export", resolution="set export")
        if self.compress is not None and self.export is None:
            raise InvalidArgumentError("compress only makes sense for an export", resolution="set export")
        if self.pre_checkpoint and self.with_previous:
            raise InvalidArgumentError("pre_checkpoint and with_previous exclude each other")

    @property
    def moves(self) -> bool:
        """Whether the checkpoint leaves the container's directory, for an archive or an image."""
        return self.export is not None or bool(self.create_image)

    @property
    def keeps_running(self) -> bool:
        """Whether the container is meant to run on."""
        return self.leave_running or self.pre_checkpoint


@attrs.frozen(kw_only=True)
class RestoreOptions:
    """How a container is to be woken."""

    import_: Path | None = attrs.field(default=None, converter=_path)
    """The archive; None: the container's own checkpoint."""
    import_previous: Path | None = attrs.field(default=None, converter=_path)
    """The pre-checkpoint's archive that the archive is based on."""
    image: str = ""
    """A checkpoint image instead of an archive."""
    name: str = ""
    """Another name: a new container with a new id."""
    keep: bool = False
    tcp_established: bool = False
    tcp_close: bool = False
    file_locks: bool = False
    ignore_rootfs: bool = False
    ignore_volumes: bool = False
    ignore_static_ip: bool = False
    ignore_static_mac: bool = False
    publish: tuple[str, ...] = attrs.field(default=(), converter=tuple)
    """Published ports instead of the archive's."""
    pod: str = ""
    policy: ImportPolicy = attrs.field(factory=ImportPolicy)
    """What the archive may ask for; the default is for archives of unknown origin."""
    progress: Progress | None = attrs.field(default=None, eq=False)

    def __attrs_post_init__(self) -> None:
        if self.import_ is not None and self.image:
            raise InvalidArgumentError(
                "import_ and image exclude each other", resolution="choose one of them"
            )
        if not self.is_import:
            for name in ("import_previous", "name", "ignore_rootfs", "ignore_volumes", "publish", "pod"):
                if getattr(self, name):
                    raise InvalidArgumentError(
                        f"{name} only makes sense for an import", resolution="set import_"
                    )
        if self.name:
            check_name("container", self.name)
            if self.tcp_established:
                raise InvalidArgumentError(
                    "a container with another name gets other addresses, so its connections cannot be kept",
                    resolution="leave out name or tcp_established",
                )

    @property
    def is_import(self) -> bool:
        """Whether a new container is made from an archive or image."""
        return self.import_ is not None or bool(self.image)
