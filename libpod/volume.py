"""class Volume: a named directory that outlives containers.

Covers: libpod/volume.go, libpod/volume_inspect.go
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from libpod.model.volume import VolumeConfig

if TYPE_CHECKING:
    from libpod.container_internal.services import Services


class Volume:
    """A handle: the configuration as it was when the handle was made, and the verbs."""

    def __init__(self, services: Services, config: VolumeConfig) -> None:
        self._services = services
        self.config = config

    def __repr__(self) -> str:
        return f"<libpod.Volume {self.name}>"

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def mount_point(self) -> Path:
        """Where the content is on the host."""
        return Path(self.config.mount_point)

    @property
    def labels(self) -> dict[str, str]:
        return dict(self.config.labels)

    def users(self) -> list[str]:
        """Ids of the containers that use the volume."""
        return self._services.state.volume_users(self.name)

    def inspect(self) -> dict[str, Any]:
        """podman's `volume inspect` document.

        Raises NoSuchVolumeError once it is removed. Upstream: `libpod/volume_inspect.go`, `Inspect`.
        """
        config = self._services.state.volume_config(self.name)
        state = self._services.state.volume_state(self.name)
        return {
            "Name": config.name,
            "Driver": config.driver,
            "Mountpoint": config.mount_point,
            "CreatedAt": config.created_time,
            "Labels": dict(config.labels),
            "Scope": "local",
            "Options": dict(config.options),
            **({"UID": config.uid} if config.uid else {}),
            **({"GID": config.gid} if config.gid else {}),
            **({"Anonymous": True} if config.is_anonymous else {}),
            "MountCount": state.mount_count,
            **({"NeedsCopyUp": True} if state.needs_copy_up else {}),
            **({"NeedsChown": True} if state.needs_chown else {}),
            "LockNumber": config.lock_id,
        }

    def remove(self, *, force: bool = False) -> None:
        """Remove the volume and its content.

        With *force* the containers that use it are removed first, running ones too. Raises VolumeInUseError,
        NoSuchVolumeError. Upstream: `libpod/runtime_volume.go`, `RemoveVolume`.
        """
        from libpod.volume_internal import removal

        if force:
            from libpod.container_internal.removal import remove_container

            for user in self.users():
                remove_container(self._services, user, force=True, ignore_missing=True)
        removal.remove(self._services, self.name)
