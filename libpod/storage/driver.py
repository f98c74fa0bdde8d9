"""What the store asks of the part that keeps layers on disk.

A driver knows directories and mounts, nothing of records, counts or locks. Every method that changes something is
called with the locks held that the format asks for (`layers.lock` for writing; `storage.lock` as well for
`prepare_home` and `mount`), and leaves nothing half done that a later call with the same id does not repair:

* `create` first removes whatever an earlier, killed `create` left under the id;
* `remove` may be repeated until it succeeds, and an id without anything on disk is fine;
* `mount` of what is mounted, and `unmount` of what is not, are fine.

Covers: storage/drivers/driver.go (ProtoDriver, Driver)
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import msgspec

from libpod.storage.id_maps import IdMaps


class MountRequest(msgspec.Struct, frozen=True, kw_only=True):
    """How a layer is to be mounted."""

    options: Sequence[str] | None = None
    """Mount options in place of the driver's; None for the driver's."""
    label: str = ""
    """The SELinux mount label."""
    volatile: bool = False
    """Nothing written to the layer has to survive a crash of the machine."""
    read_only: bool = False
    maps: IdMaps = msgspec.field(default_factory=IdMaps)
    """The ids that the image's files have in the container."""


class LayerStack(msgspec.Struct, frozen=True, kw_only=True):
    """The directories that make up a layer's content, nearest first."""

    upper: Path
    lowers: tuple[Path, ...]
    whole: bool = False
    """*upper* holds the whole content, and *lowers* is the parent with its whole content."""
    program: str = ""
    """The directories are to be read through this mount program only."""


class LayerDriver(abc.ABC):
    """Directories and mounts of layers."""

    name: ClassVar[str]

    mounts: ClassVar[bool] = True
    """Whether `mount` mounts; otherwise a layer's directory is all there is, and always there."""

    @abc.abstractmethod
    def require_usable(self) -> None:
        """Raise NotSupportedError when the store on disk was made for something this driver cannot do."""

    @abc.abstractmethod
    def prepare_home(self) -> None:
        """Make the home ready for mounts."""

    @abc.abstractmethod
    def create(self, layer_id: str, parent: str | None, maps: IdMaps) -> None:
        """Make the directory of a new writable layer on top of *parent*; its root belongs to whom *maps* say.

        Raises NotSupportedError for a mapping that the driver cannot do.
        """

    @abc.abstractmethod
    def remove(self, layer_id: str) -> None:
        """Remove a layer's directory, unmounting what is mounted in it."""

    @abc.abstractmethod
    def empty(self, layer_id: str) -> None:
        """Remove the content of a writable, unmounted layer that is to be removed, without any lock.

        This is the long part of removing a big layer, and nobody has to wait for it.
        """

    @abc.abstractmethod
    def exists(self, layer_id: str) -> bool:
        """Whether the layer has a directory here."""

    @abc.abstractmethod
    def directories(self) -> list[str]:
        """The names of all layer directories in the home."""

    @abc.abstractmethod
    def mount(self, layer_id: str, request: MountRequest) -> Path:
        """Mount the layer and return where its content is."""

    @abc.abstractmethod
    def unmount(self, layer_id: str) -> None:
        """Take the mount away; processes that use it keep their view."""

    @abc.abstractmethod
    def is_mounted(self, path: Path) -> bool:
        """Whether a layer whose mount was recorded at *path* is really there."""

    @abc.abstractmethod
    def mountpoint(self, layer_id: str) -> Path:
        """Where `mount` puts the layer."""

    @abc.abstractmethod
    def stack(self, layer_id: str, parent: str | None) -> LayerStack:
        """The directories below a layer, whose record names *parent*."""

    @abc.abstractmethod
    def repair(self) -> list[str]:
        """Make again what can be made again of the home's own records; returns what was done, a sentence each."""
