"""Where everything of one store lives.

    G/                                   graph root: survives a reboot
      storage.lock  userns.lock
      overlay/                           the driver's home: <layer id>/{diff,link,lower,lower-layers,work,merged}, l/
      overlay-layers/                    layers.lock, layers.json, volatile-layers.json, <id>.tar-split.gz
      overlay-images/                    images.lock, images.json, <image id>/<big data>
      overlay-containers/                containers.lock, containers.json, volatile-containers.json, <id>/userdata
    R/                                   run root: meant to be lost at a reboot
      overlay-layers/                    mountpoints.lock, mountpoints.json
      overlay-containers/<id>/userdata

Pure paths; nothing here touches the disk except `create`.

Covers: storage/store.go (load, the directories), storage/types/options.go
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec


class StorePaths(msgspec.Struct, frozen=True):
    """The paths of a store with one driver."""

    graph_root: Path
    run_root: Path
    driver: str = "overlay"

    @property
    def home(self) -> Path:
        """The driver's home."""
        return self.graph_root / self.driver

    @property
    def layers(self) -> Path:
        return self.graph_root / f"{self.driver}-layers"

    @property
    def images(self) -> Path:
        return self.graph_root / f"{self.driver}-images"

    @property
    def containers(self) -> Path:
        return self.graph_root / f"{self.driver}-containers"

    @property
    def run_layers(self) -> Path:
        return self.run_root / f"{self.driver}-layers"

    @property
    def run_containers(self) -> Path:
        return self.run_root / f"{self.driver}-containers"

    def container_data(self, ctr_id: str) -> Path:
        """The directory with a container's big data, and `userdata` for the engine."""
        return self.containers / ctr_id

    def container_run_data(self, ctr_id: str) -> Path:
        return self.run_containers / ctr_id

    def create(self) -> None:
        """Make the directories that are missing, 0700."""
        for directory in (
            self.graph_root,
            self.run_root,
            self.home,
            self.layers,
            self.images,
            self.containers,
            self.run_root / self.driver,
            self.run_layers,
            self.run_containers,
        ):
            make_private_directory(directory)


def make_private_directory(path: Path) -> None:
    """Make *path* and its missing parents, mode 0700 whatever the umask; one that exists is left as it is."""
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        return
    except FileNotFoundError:
        make_private_directory(path.parent)
        make_private_directory(path)
