"""Typed, read-only views of the records of layers, images and containers.

A view holds the record it was made of, so nothing is lost: keys that this version has no field for are in `record`,
and writers always work on records, never on views.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import msgspec

from libpod.storage.id_maps import IdMaps
from libpod.storage.records import Record

INCOMPLETE = "incomplete"
"""The flag of a layer whose directory is not there yet, or not there completely any more."""

UNKNOWN_TIME = "0001-01-01T00:00:00Z"


class StoredLayer(msgspec.Struct, frozen=True, kw_only=True):
    """A layer: the difference to its parent."""

    id: str
    names: tuple[str, ...]
    parent: str | None
    created: str
    diff_digest: str | None
    """Digest of the uncompressed tar, None for a container's layer."""
    diff_size: int | None
    """Length of that tar; only known with `diff_digest`."""
    compressed_digest: str | None
    compressed_size: int | None
    mount_label: str
    flags: Mapping[str, Any]
    incomplete: bool
    read_only: bool
    """It lives in an additional image store."""
    record: Record

    @classmethod
    def of(cls, record: Record, *, read_only: bool = False) -> Self:
        digest = record.get("diff-digest")
        compressed = record.get("compressed-diff-digest")
        flags = record.get("flags") or {}
        return cls(
            id=record["id"],
            names=tuple(record.get("names") or ()),
            parent=record.get("parent") or None,
            created=record.get("created") or UNKNOWN_TIME,
            diff_digest=digest or None,
            diff_size=record.get("diff-size", 0) if digest else None,
            compressed_digest=compressed or None,
            compressed_size=record.get("compressed-size", 0) if compressed else None,
            mount_label=record.get("mountlabel") or "",
            flags=flags,
            incomplete=is_incomplete(record),
            read_only=read_only,
            record=record,
        )


class StoredImage(msgspec.Struct, frozen=True, kw_only=True):
    """An image: names, a top layer, and its configuration and manifests as big data."""

    id: str
    digest: str | None
    names: tuple[str, ...]
    """Full references, such as ``docker.io/library/alpine:latest``."""
    names_history: tuple[str, ...]
    top_layer: str | None
    """None for an image without layers: an artifact, or a manifest list."""
    mapped_layers: tuple[str, ...]
    metadata: str
    created: str
    big_data_names: tuple[str, ...]
    big_data_sizes: Mapping[str, int]
    big_data_digests: Mapping[str, str]
    flags: Mapping[str, Any]
    read_only: bool
    """It lives in an additional image store."""
    record: Record

    @property
    def digests(self) -> tuple[str, ...]:
        """Every digest that the image answers to: its own and those of all its manifests."""
        manifests = [
            self.big_data_digests.get(key) for key in self.big_data_names if key.startswith("manifest")
        ]
        return tuple(dict.fromkeys(digest for digest in (self.digest, *manifests) if digest))

    @classmethod
    def of(cls, record: Record, *, read_only: bool = False) -> Self:
        digests = record.get("big-data-digests") or {}
        return cls(
            id=record["id"],
            digest=record.get("digest") or digests.get("manifest") or None,
            names=tuple(record.get("names") or ()),
            names_history=tuple(record.get("names-history") or ()),
            top_layer=record.get("layer") or None,
            mapped_layers=tuple(record.get("mapped-layers") or ()),
            metadata=record.get("metadata") or "",
            created=record.get("created") or UNKNOWN_TIME,
            big_data_names=tuple(record.get("big-data-names") or ()),
            big_data_sizes=record.get("big-data-sizes") or {},
            big_data_digests=digests,
            flags=record.get("flags") or {},
            read_only=read_only,
            record=record,
        )


class StoredContainer(msgspec.Struct, frozen=True, kw_only=True):
    """A container as the store knows it: a name, an image and a layer to write to."""

    id: str
    names: tuple[str, ...]
    image_id: str | None
    layer_id: str
    """The layer may be missing in a store where a deletion was cut short."""
    metadata: str
    """The engine's JSON text."""
    created: str
    mount_label: str
    process_label: str
    mount_options: tuple[str, ...]
    flags: Mapping[str, Any]
    maps: IdMaps
    """The ids of its files; what is in the layer has those of the host."""
    record: Record

    @property
    def name(self) -> str:
        """The name it is shown under."""
        return self.names[0] if self.names else self.id

    @classmethod
    def of(cls, record: Record) -> Self:
        flags = record.get("flags") or {}
        return cls(
            id=record["id"],
            names=tuple(record.get("names") or ()),
            image_id=record.get("image") or None,
            layer_id=record.get("layer") or "",
            metadata=record.get("metadata") or "",
            created=record.get("created") or UNKNOWN_TIME,
            mount_label=flags.get("MountLabel") or "",
            process_label=flags.get("ProcessLabel") or "",
            mount_options=tuple(flags.get("MountOpts") or ()),
            flags=flags,
            maps=IdMaps.of(record),
            record=record,
        )


def is_incomplete(record: Record) -> bool:
    """Whether a layer's creation or deletion has begun and not ended."""
    return bool((record.get("flags") or {}).get(INCOMPLETE))
