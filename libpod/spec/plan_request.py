"""What every step of a plan may look at, and the questions that several of them ask.

Covers: pkg/specgen/specgen.go (SpecGenerator as the steps see it)
"""

from __future__ import annotations

import msgspec

from libpod.config import ContainerDefaults, RuntimeConfig
from libpod.linux.host import HostFacts
from libpod.model.container_config import IDMappingOptions
from libpod.model.create_options import CreateOptions
from libpod.spec.image import ImageSettings
from libpod.spec.surroundings import Surroundings


class ImageFacts(msgspec.Struct, frozen=True, kw_only=True):
    """An image as a container sees it."""

    id: str
    name: str
    """The full name, with tag."""
    settings: ImageSettings = msgspec.field(default_factory=ImageSettings)


class PlanRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a step of the plan may look at."""

    options: CreateOptions
    image: ImageSettings
    has_image: bool
    host: HostFacts
    config: RuntimeConfig
    around: Surroundings

    @property
    def defaults(self) -> ContainerDefaults:
        return self.config.containers

    @property
    def privileged(self) -> bool:
        asked = self.options.privileged
        return self.defaults.privileged if asked is None else asked

    @property
    def read_only(self) -> bool:
        return self.options.read_only or self.defaults.read_only

    @property
    def user(self) -> str:
        return self.options.user or self.image.user

    @property
    def init(self) -> bool:
        return self.defaults.init if self.options.init is None else self.options.init

    @property
    def image_command(self) -> tuple[str, ...]:
        """The image's command counts only as long as nobody replaces the entry point it belongs to."""
        return () if self.options.entrypoint else self.image.cmd or ()

    @property
    def id_mappings(self) -> IDMappingOptions:
        """One mapping stands for both when only one is given."""
        uids, gids = self.options.uid_map, self.options.gid_map
        if not uids and not gids:
            return IDMappingOptions()
        return IDMappingOptions(
            host_uid_mapping=False, host_gid_mapping=False, uid_map=uids or gids, gid_map=gids or uids
        )
