"""What a checkpoint archive holds: names, their order, their kinds.

Order of writing: `config.dump` and `spec.dump` come first, so that a reader can judge and prepare while the memory
pages still arrive. Every reader of podman's accepts any order. `volumes/` has no directory entry of its own,
`checkpoint/` must have one (checkpointctl asks for it).

Covers: vendor/github.com/checkpoint-restore/checkpointctl/lib/metadata.go, libpod/container_internal_common.go
(the include list of exportCheckpoint)
"""

from __future__ import annotations

import enum
from typing import Final

CONFIG_DUMP: Final = "config.dump"
SPEC_DUMP: Final = "spec.dump"
NETWORK_STATUS: Final = "network.status"
STATS_DUMP: Final = "stats-dump"
STATS_RESTORE: Final = "stats-restore"
STATUS_DUMP: Final = "status.dump"
"""containerd's; only in archives without compression, which are all that it reads."""
DUMP_LOG: Final = "dump.log"
RESTORE_LOG: Final = "restore.log"
CTR_LOG: Final = "ctr.log"
ARTIFACTS: Final = "artifacts"
DEVSHM_TAR: Final = "devshm-checkpoint.tar"
CHECKPOINT_DIR: Final = "checkpoint"
PRE_CHECKPOINT_DIR: Final = "pre-checkpoint"
ROOTFS_DIFF_TAR: Final = "rootfs-diff.tar"
DELETED_FILES: Final = "deleted.files"
VOLUMES_DIR: Final = "volumes"
INVENTORY: Final = "inventory.img"
PARENT_LINK: Final = "parent"

HEAD: Final = (CONFIG_DUMP, SPEC_DUMP)
"""The members that a reader wants before everything else; both are required."""

WRITING_ORDER: Final = (
    CONFIG_DUMP,
    SPEC_DUMP,
    NETWORK_STATUS,
    ARTIFACTS,
    STATS_DUMP,
    CTR_LOG,
    CHECKPOINT_DIR,
    PRE_CHECKPOINT_DIR,
    DEVSHM_TAR,
    ROOTFS_DIFF_TAR,
    DELETED_FILES,
    VOLUMES_DIR,
)
"""The order in which a writer of ours adds members; the writer itself enforces only that HEAD comes first."""

DIFF_EXCLUDED: Final = frozenset(
    {
        "/dev",
        "/proc",
        "/sys",
        "/run/notify",
        "/run/.containerenv",
        "/run/secrets",
        "/etc/hostname",
        "/etc/hosts",
        "/etc/resolv.conf",
        "/etc/mtab",
    }
)
"""Left out of a diff, by exact path only: an engine makes them anew (`/run/foo` does travel).

podman leaves out the entry of `/run` itself too, and so its owner, mode and time.
"""

_DOCUMENTS: Final = frozenset(
    {
        CONFIG_DUMP,
        SPEC_DUMP,
        NETWORK_STATUS,
        STATS_DUMP,
        STATS_RESTORE,
        DELETED_FILES,
        # other engines' members, kept for whoever looks into the archive
        "bind.mounts",
        STATUS_DUMP,
        "status",
        "pod.options",
        "pod.dump",
    }
)
_STREAMS: Final = frozenset(
    {
        CTR_LOG,
        DUMP_LOG,
        RESTORE_LOG,
        DEVSHM_TAR,
        ROOTFS_DIFF_TAR,
        "container.log",
        "io.kubernetes.cri-o.LogPath",
    }
)
_DIRECTORIES: Final = frozenset({ARTIFACTS, CHECKPOINT_DIR, PRE_CHECKPOINT_DIR, VOLUMES_DIR})

MAX_DOCUMENT: Final = 64 << 20
"""A JSON document larger than this is not one of ours."""


class MemberKind(enum.Enum):
    """How a reader treats a member."""

    DOCUMENT = "document"
    """A small file, bounded by MAX_DOCUMENT."""
    STREAM = "stream"
    """A file of any size."""
    DIRECTORY = "directory"
    """One of the four known directories, or a directory or file below one."""
    UNKNOWN = "unknown"
    """Not unpacked; a newer engine may have put it there."""


def kind_of(name: str) -> MemberKind:
    """The kind of the member with the normal form *name* (no ``./``, no slash at the end)."""
    if name in _DOCUMENTS:
        return MemberKind.DOCUMENT
    if name in _STREAMS:
        return MemberKind.STREAM
    if name.split("/", 1)[0] in _DIRECTORIES:
        return MemberKind.DIRECTORY
    return MemberKind.UNKNOWN


def volume_member(name: str) -> str:
    """The member that holds the content of the named volume *name*."""
    return f"{VOLUMES_DIR}/{name}.tar"


def volume_of(member: str) -> str | None:
    """The volume whose content *member* is, or None."""
    if member.startswith(f"{VOLUMES_DIR}/") and member.endswith(".tar") and member.count("/") == 1:
        return member.removeprefix(f"{VOLUMES_DIR}/").removesuffix(".tar") or None
    return None


def is_parent_link(name: str, target: str) -> bool:
    """Whether a link is the only one an archive may hold: CRIU's way from a checkpoint to its pre-checkpoint."""
    return (
        name in (f"{CHECKPOINT_DIR}/{PARENT_LINK}", f"{PRE_CHECKPOINT_DIR}/{PARENT_LINK}")
        and target.rstrip("/") == f"../{PRE_CHECKPOINT_DIR}"
    )
