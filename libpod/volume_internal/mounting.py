"""Volumes that are file systems of their own: the local driver's options type, device and o.

Mounted by the first container that needs one, unmounted by the last. Users are not counted, for a kill would make any
count wrong: a user is a container that has its root mounted, which it says before it comes here and takes back before
it leaves. The caller holds the volume's lock.

Covers: libpod/volume_internal_linux.go
"""

from __future__ import annotations

import msgspec

from libpod.container_internal.services import Services
from libpod.define.errors import NoSuchContainerError, VolumeError
from libpod.linux import mounts
from libpod.model.volume import VolumeConfig

_FLAG_WORDS = {
    "ro": mounts.MS_RDONLY,
    "nosuid": mounts.MS_NOSUID,
    "nodev": mounts.MS_NODEV,
    "noexec": mounts.MS_NOEXEC,
    "noatime": mounts.MS_NOATIME,
    "bind": mounts.MS_BIND,
    "rbind": mounts.MS_BIND | mounts.MS_REC,
    "sync": mounts.MS_SYNCHRONOUS,
}
_PLAIN_WORDS = frozenset({"rw", "suid", "dev", "exec", "atime", "defaults"})


def mount(services: Services, config: VolumeConfig) -> None:
    """Mount a volume that has options; one without is a plain directory."""
    if not config.options:
        return
    state = services.state.volume_state(config.name)
    if not mounts.is_mount_point(config.mount_point):
        flags, data = mount_words(config.options.get("o", ""))
        source, fstype = config.options.get("device", ""), config.options.get("type", "")
        try:
            mounts.mount(source or fstype, config.mount_point, fstype or "none", flags, data)
        except OSError as error:
            raise VolumeError(
                f"volume {config.name} cannot be mounted ({error.strerror})",
                resolution="check its type, device and o options",
            ) from error
    services.state.save_volume_state(
        config.name, msgspec.structs.replace(state, mount_count=len(users_now(services, config.name)))
    )


def users_now(services: Services, name: str) -> list[str]:
    """Ids of the containers that use the volume at this moment."""
    found = []
    for ctr_id in services.state.volume_users(name):
        try:
            if services.state.container_state(ctr_id).mounted:
                found.append(ctr_id)
        except NoSuchContainerError:
            continue  # removed meanwhile
    return found


def mount_words(options: str) -> tuple[int, str]:
    """Split mount(8) option words into flags and the data string."""
    flags, data = 0, []
    for word in filter(None, options.split(",")):
        if word in _FLAG_WORDS:
            flags |= _FLAG_WORDS[word]
        elif word not in _PLAIN_WORDS:
            data.append(word)
    return flags, ",".join(data)


def unmount(services: Services, name: str, *, leaving: str = "", force: bool = False) -> None:
    """Unmount a volume that nobody but *leaving* uses; with *force* in any case. Its lock is held."""
    config, state = services.state.volume_config(name), services.state.volume_state(name)
    if not config.options:
        return
    left = 0 if force else len([user for user in users_now(services, name) if user != leaving])
    if left == 0 and is_mounted(config):
        mounts.unmount(config.mount_point, mounts.MNT_DETACH)
    services.state.save_volume_state(name, msgspec.structs.replace(state, mount_count=left))


def is_mounted(config: VolumeConfig) -> bool:
    """Whether there is a mount of a volume that has options; a directory that is gone has none."""
    try:
        return bool(config.options) and mounts.is_mount_point(config.mount_point)
    except FileNotFoundError:
        return False
