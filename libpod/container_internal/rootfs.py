"""A container's file systems on the host: its root, its /dev/shm, their mounting and unmounting.

The store counts mounts of a layer for everybody; the engine itself holds one of them from preparation to clean-up,
and notes in the state where it is. Mounting twice is harmless: what is mounted already is used.

Covers: libpod/container_internal.go (mountStorage, cleanupStorage, teardownStorage)
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from libpod.container_internal import id_mapping
from libpod.container_internal.held import LockedContainer
from libpod.container_internal.services import Services
from libpod.define.errors import HostError, StorageError
from libpod.linux import mounts
from libpod.linux.files import remove_tree

_SHM_FLAGS = mounts.MS_NOEXEC | mounts.MS_NOSUID | mounts.MS_NODEV


def mount(held: LockedContainer) -> Path:
    """Mount /dev/shm and the root file system; returns the root. The caller records it in the state."""
    config = held.config
    shm = Path(config.shm_dir) if config.shm_dir else None
    fresh_shm = False
    if shm is not None and _owns_shm(held) and not mounts.is_mount_point(shm):
        shm.mkdir(mode=0o700, exist_ok=True)
        label = f',context="{config.mount_label}"' if config.mount_label else ""
        try:
            owner = "uid={},gid={}".format(*id_mapping.root_on_host(config))
            mounts.mount("shm", shm, "tmpfs", _SHM_FLAGS, f"mode=1777,size={config.shm_size},{owner}{label}")
        except OSError as error:
            raise HostError(
                f"container {held.name}: /dev/shm cannot be mounted ({error.strerror})"
            ) from error
        fresh_shm = True
    try:
        if config.rootfs:
            root = Path(config.rootfs)
            if not root.is_dir():
                raise StorageError(f"container {held.name}: its root directory {root} does not exist")
            return root
        if held.state.mounted and (known := held.services.store.mountpoint(held.id)) is not None:
            return known
        # Said first: a kill in between leaves a mount too few, which unmounting forgives, and not one too many.
        held.update(mounted=True, mount_point="")
        try:
            return held.services.store.mount(held.id)
        except BaseException:
            held.update(mounted=False)
            raise
    except BaseException:
        if fresh_shm and shm is not None:
            mounts.unmount(shm, mounts.MNT_DETACH)
        raise


def require_present(held: LockedContainer) -> None:
    """Raise StorageError when another program has removed the container from the store."""
    if not held.directory.is_dir():
        raise StorageError(
            f"container {held.name} is gone from the store, with its layer",
            resolution="remove it, it cannot run any more",
        )


def unmount(held: LockedContainer) -> None:
    """Undo `mount` and note it; what is not mounted any more is fine."""
    for path in held.config.mounts:
        _detach(Path(path))
    if not held.config.rootfs and held.state.mounted:
        held.services.store.unmount(held.id)
    if held.state.mounted or held.state.mount_point:
        held.update(mounted=False, mount_point="")


def remove(held: LockedContainer) -> None:
    """Remove the layer and both directories of the container from the store. Repeating it is fine."""
    for path in held.config.mounts:
        _detach(Path(path))
    store = held.services.store
    if store.container(held.id) is not None:
        store.delete_container(held.id)
    else:
        remove_tree(store.container_directory(held.id).parent)
        remove_tree(store.container_run_directory(held.id).parent)


def remove_directories(services: Services, ctr_id: str) -> None:
    """Remove the directories of a container that has no layer; nothing there is fine."""
    remove_tree(services.bundle_directory(ctr_id).parent)
    remove_tree(services.run_directory(ctr_id).parent)


def _owns_shm(held: LockedContainer) -> bool:
    return not held.config.ipc_ns_ctr and str(held.directory / "shm") == held.config.shm_dir


def _detach(path: Path) -> None:
    """Unmount *path* however busy it is; a path that is no mount point, or gone, is fine."""
    with contextlib.suppress(FileNotFoundError):
        while mounts.is_mount_point(path):
            mounts.unmount(path, mounts.MNT_DETACH | mounts.UMOUNT_NOFOLLOW)
