"""class Image: a handle of one image in the store.

Covers: libpod/image/image.go (accessors)
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from libpod.model.event import EventStatus, EventType
from libpod.storage.stored import StoredImage

if TYPE_CHECKING:
    from libpod.container_internal.services import Services
    from libpod.image.graph import HistoryEntry, TreeLayer
    from libpod.storage.changes import Change


class Image:
    """An image as it was when the handle was made."""

    def __init__(self, services: Services, stored: StoredImage) -> None:
        self._services = services
        self.stored = stored

    def __repr__(self) -> str:
        return f"<libpod.Image {self.name or self.id[:12]}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Image) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    @property
    def id(self) -> str:
        """64 hex digits."""
        return self.stored.id

    @property
    def names(self) -> tuple[str, ...]:
        """Full references, newest first."""
        return tuple(self.stored.names)

    @property
    def name(self) -> str:
        """Its first name, or an empty string."""
        return self.names[0] if self.names else ""

    @property
    def digest(self) -> str:
        """Digest of its manifest."""
        return self.stored.digest or ""

    @property
    def created(self) -> str:
        """RFC 3339."""
        return self.stored.created

    def size(self) -> int:
        """Bytes of all its layers and documents."""
        return self._services.store.image_size(self.id)

    def config(self) -> dict[str, Any]:
        """Its configuration document, as it is stored."""
        return self._services.store.image_config(self.id)

    def inspect(self) -> dict[str, Any]:
        """podman's `image inspect` document."""
        from libpod.image.describing import inspect

        return inspect(self._services.images, self.stored)

    def tag(self, *names: str) -> None:
        """Give it more names; each is taken from the image that has it."""
        self.stored = self._services.images.tag(self.id, names)
        for name in names:
            self._emit(EventStatus.TAG, name)

    def untag(self, *names: str) -> None:
        """Take names from it, all of them when none is given; raises NoSuchImageError for one that it has not."""
        before = self.names
        self.stored = self._services.images.untag(self.id, names)
        for name in before:
            if name not in self.names:
                self._emit(EventStatus.UNTAG, name)

    def mount(self) -> Path:
        """Mount its root file system read-only and return where; every mount needs one `unmount`. Upstream: `Mount`."""
        path = self._services.store.mount_image(self.id)
        self._emit(EventStatus.MOUNT, self.name)
        return path

    def unmount(self, *, force: bool = False) -> bool:
        """Undo one `mount`, with *force* all; returns whether it is still mounted. Not mounted is fine."""
        left = self._services.store.unmount_image(self.id, force=force)
        self._emit(EventStatus.UNMOUNT, self.name)
        return left

    def mountpoint(self) -> Path | None:
        """Where it is mounted now."""
        return self._services.store.image_mountpoint(self.id)

    def diff(self, other: Image | None = None) -> list[Change]:
        """What its top layer changes in those below it, or what is different when one comes from *other*."""
        store, top = self._services.store, self.stored.top_layer
        if top is None:
            return []
        if other is None:
            return store.layer_changes(top)
        return store.compare_layers(top, other.stored.top_layer)

    def tree(self, *, what_requires: bool = False) -> list[TreeLayer]:
        """Its layers from the base up, or with *what_requires* everything that is built upon it."""
        from libpod.image.describing import tree

        return tree(self._services.images, self.id, what_requires=what_requires)

    def history(self) -> list[HistoryEntry]:
        """The steps that led to it, newest first."""
        from libpod.image.describing import history

        return history(self._services.images, self.id)

    def _emit(self, status: EventStatus, name: str) -> None:
        self._services.emit(status, type=EventType.IMAGE, id=self.id, name=name, image=name)
