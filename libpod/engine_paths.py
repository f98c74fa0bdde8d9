"""Every directory and file of an engine, computed from its two roots.

The engine's own files live in directories of its own, never in podman's `libpod/`.

Covers: libpod/runtime.go (paths), the paths that upstream joins wherever it needs them
"""

from __future__ import annotations

import functools
from pathlib import Path

import msgspec

OWN_DIRECTORY = "libpod-py"
"""The name of the engine's directory below the graph root and the run root. Podman's is called `libpod`."""


class EnginePaths(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """Where the engine keeps what. Pure: nothing is made or read, and every path is put together once.

    <graph root>/libpod-py/     survives a reboot
        state/                  LMDB: configurations, names, pods, volumes, last exits
        volumes/<name>/_data    contents of volumes
        networks/<name>.json    definitions of networks
        tmp/                    staging of archives and images, on the graph root's file system
    <run root>/libpod-py/       worthless after a reboot
        state/                  LMDB: states, exec sessions, leases
        locks                   one byte a lock
        alive.lock              taken while the runtime opens
        exits/<id>              exit codes, written by conmon
        persist/<id>/           conmon's sign that it lives
        sockets/<id>/           attach sockets
        netns/<id>              network namespaces
        oci/<runtime>/          root directory of the OCI runtime
        events/events.log
        working/                who is at work, one empty file each
        criu.json               what CRIU said it can do, for this boot
    """

    graph_root: Path
    run_root: Path
    volume_path: Path | None = None
    network_config_dir: Path | None = None
    events_log_path: Path | None = None

    @functools.cached_property
    def durable(self) -> Path:
        return self.graph_root / OWN_DIRECTORY

    @functools.cached_property
    def volatile(self) -> Path:
        return self.run_root / OWN_DIRECTORY

    @functools.cached_property
    def durable_state(self) -> Path:
        return self.durable / "state"

    @functools.cached_property
    def volatile_state(self) -> Path:
        return self.volatile / "state"

    @functools.cached_property
    def volumes(self) -> Path:
        return self.volume_path or self.durable / "volumes"

    def volume(self, name: str) -> Path:
        """The directory whose `_data` is the content of a local volume."""
        return self.volumes / name

    @functools.cached_property
    def networks(self) -> Path:
        return self.network_config_dir or self.durable / "networks"

    @functools.cached_property
    def staging(self) -> Path:
        """Temporary files that end by being renamed into the graph root."""
        return self.durable / "tmp"

    @functools.cached_property
    def locks(self) -> Path:
        return self.volatile / "locks"

    @functools.cached_property
    def alive_lock(self) -> Path:
        return self.volatile / "alive.lock"

    @functools.cached_property
    def working(self) -> Path:
        return self.volatile / "working"

    @functools.cached_property
    def exits(self) -> Path:
        return self.volatile / "exits"

    def exit_file(self, ctr_id: str) -> Path:
        return self.exits / ctr_id

    def persist(self, ctr_id: str) -> Path:
        return self.volatile / "persist" / ctr_id

    @functools.cached_property
    def sockets(self) -> Path:
        return self.volatile / "sockets"

    @functools.cached_property
    def netns_directory(self) -> Path:
        return self.volatile / "netns"

    def netns(self, ctr_id: str) -> Path:
        return self.netns_directory / ctr_id

    def oci_root(self, runtime: str) -> Path:
        """Where an OCI runtime keeps the states of our containers: ours alone, so that ids need not be unique."""
        return self.volatile / "oci" / runtime

    @functools.cached_property
    def events_log(self) -> Path:
        return self.events_log_path or self.volatile / "events" / "events.log"

    @functools.cached_property
    def criu_probe(self) -> Path:
        return self.volatile / "criu.json"

    @functools.cached_property
    def private_directories(self) -> tuple[Path, ...]:
        """The directories that must be there, and closed to others, before the engine works."""
        return (
            self.durable,
            self.durable_state,
            self.volumes,
            self.networks,
            self.staging,
            self.volatile,
            self.volatile_state,
            self.working,
            self.exits,
            self.volatile / "persist",
            self.sockets,
            self.netns_directory,
            self.volatile / "oci",
            self.events_log.parent,
        )
