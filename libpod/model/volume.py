"""Volumes: named directories that outlive containers.

Covers: libpod/volume.go (VolumeConfig, VolumeState)
"""

from __future__ import annotations

import msgspec

from libpod.model.times import ZERO_TIME


class VolumeConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a volume is."""

    name: str
    lock_id: int = msgspec.field(default_factory=int, name="lockID")
    labels: dict[str, str] = {}
    driver: str = msgspec.field(default_factory=lambda: "local", name="volumeDriver")
    mount_point: str = msgspec.field(default_factory=str, name="volumeMountPoint")
    created_time: str = msgspec.field(default_factory=lambda: ZERO_TIME, name="createdAt")
    options: dict[str, str] = {}
    is_anonymous: bool = msgspec.field(default=False, name="isCtrSpecific")
    uid: int = 0
    gid: int = 0


class VolumeState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What changes: whether the content has to be copied up at first use, and how often it is mounted."""

    mount_point: str = msgspec.field(default="", name="mountPoint")
    mount_count: int = msgspec.field(default=0, name="mountCount")
    needs_copy_up: bool = msgspec.field(default=False, name="notYetMounted")
    needs_chown: bool = msgspec.field(default=False, name="notYetChowned")
