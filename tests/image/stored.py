"""Records of images and layers for tests of what is pure."""

from __future__ import annotations

import hashlib
from typing import Any

from libpod.storage.stored import StoredImage, StoredLayer


def image_id(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def digest(text: str) -> str:
    return f"sha256:{image_id(text)}"


def image(
    key: str, *names: str, layer: str | None = None, read_only: bool = False, **more: Any
) -> StoredImage:
    """An image whose id and manifest digest are made from *key*."""
    record: dict[str, Any] = {
        "id": more.pop("id", image_id(key)),
        "created": more.pop("created", "2024-01-02T03:04:05Z"),
        "digest": digest(f"manifest of {key}"),
        "names": list(names),
        "big-data-names": ["manifest"],
        "big-data-digests": {"manifest": digest(f"manifest of {key}")},
        "big-data-sizes": {"manifest": 10},
        **more,
    }
    if layer is not None:
        record["layer"] = layer
    return StoredImage.of(record, read_only=read_only)


def layer(key: str, parent: str | None = None, size: int = 100) -> StoredLayer:
    """A layer whose id is *key*."""
    record: dict[str, Any] = {
        "id": key,
        "diff-digest": digest(key),
        "diff-size": size,
    }
    if parent is not None:
        record["parent"] = parent
    return StoredLayer.of(record)
