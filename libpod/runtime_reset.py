"""Everything of this engine removed, nothing else.

Containers, pods and volumes go one by one, by the same code as ever, so that processes, mounts, layers, cgroups, links
and firewall rules go with them; then what is left over; last the engine's own two directories, with the definitions of
networks. The store with the images stays, and what other engines keep in it, and directories that the user chose.

A kill in between leaves an engine with fewer objects: reset again.

Covers: libpod/reset.go
"""

from __future__ import annotations

from pathlib import Path

from libpod import runtime_check, runtime_volume
from libpod.container_internal.monitors import PATIENCE, monitors
from libpod.container_internal.removal import remove_container
from libpod.container_internal.services import Services
from libpod.define.errors import ContainerInUseError, NoSuchVolumeError
from libpod.linux import pidfd
from libpod.linux.files import remove_tree
from libpod.pod_api import Pod


def reset(services: Services) -> None:
    """See `Runtime.reset`."""
    services.require_open()
    for config, _ in services.state.pods():
        Pod(services, config).remove(force=True, timeout=0)
    _remove_containers(services)
    for volume in runtime_volume.volumes(services):
        try:
            volume.remove(force=True)
        except NoSuchVolumeError:
            continue
    runtime_check.check(services, repair=True, thorough=False)
    for monitor in list(monitors(services)):
        # What it runs at its end would make the directories anew.
        pidfd.wait_end(monitor.process, PATIENCE)
    paths = services.paths
    custom = paths.volume_path
    services.close()
    remove_tree(paths.durable)
    remove_tree(paths.volatile)
    if custom is not None:
        _remove_if_empty(custom)


def _remove_containers(services: Services) -> None:
    """Those that others need last."""
    while ids := services.state.container_ids():
        refused: ContainerInUseError | None = None
        removed = 0
        for ctr_id in ids:
            try:
                remove_container(services, ctr_id, force=True, volumes=True, timeout=0, ignore_missing=True)
                removed += 1
            except ContainerInUseError as error:
                refused = error
        if refused is not None and not removed:
            raise refused


def _remove_if_empty(directory: Path) -> None:
    try:
        directory.rmdir()
    except OSError:
        return  # there is something of somebody else in it
