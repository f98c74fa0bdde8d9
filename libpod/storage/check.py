"""Whether the store is in order: the rules that hold whenever nobody holds its locks.

`findings` looks and changes nothing. What it finds is either repaired by somebody (the table in `recovery`) or by
`Store.repair`, or is damage that only the owner of the image or container can decide about.

Covers: storage/check.go (a part: structure, not content)
"""

from __future__ import annotations

import os
import re
from collections.abc import Container
from pathlib import Path

import msgspec

from libpod.storage import short_links
from libpod.storage.locks import HeldLocks
from libpod.storage.parts import StoreParts
from libpod.storage.stored import is_incomplete

_FULL_ID = re.compile(r"[0-9a-f]{64}")


class Finding(msgspec.Struct, frozen=True):
    """One broken rule."""

    subject: str
    """``layer``, ``image``, ``container``, ``mount``, ``short link`` or ``directory``."""
    name: str
    problem: str

    def __str__(self) -> str:
        return f"{self.subject} {self.name}: {self.problem}"


def findings(parts: StoreParts) -> list[Finding]:
    """Everything that is not as it should be, under read locks."""
    with parts.locks.reading_everything() as held:
        found = [
            *_layers(parts, held),
            *_links(parts, held),
            *_images(parts, held),
            *_containers(parts, held),
        ]
    return found + _mounts(parts)


def _layers(parts: StoreParts, held: HeldLocks) -> list[Finding]:
    found = []
    known = parts.all_layers(held)
    for record in known.own:
        layer_id = record["id"]
        if is_incomplete(record):
            found.append(Finding("layer", layer_id, "it is incomplete; the next writer removes it"))
            continue
        if not parts.driver.exists(layer_id):
            found.append(Finding("layer", layer_id, "its directory is missing"))
        parent = record.get("parent")
        if parent and known.get(parent) is None:
            found.append(Finding("layer", layer_id, f"its parent {parent} is missing"))
    found += [
        Finding("directory", name, "no layer has this name")
        for name in parts.driver.directories()
        if known.own.get(name) is None
    ]
    return found


def _links(parts: StoreParts, held: HeldLocks) -> list[Finding]:
    if parts.driver.name != "overlay":
        return []
    home = parts.paths.home
    present = short_links.links(home)
    found = [Finding("short link", name, "it leads nowhere") for name in short_links.dangling(home)]
    for record in parts.layers.read(held.layers):
        if not parts.driver.exists(record["id"]):
            continue
        name = short_links.name_of(home / record["id"])
        if name is None:
            found.append(Finding("layer", record["id"], "it has no short link"))
        elif present.get(name) != f"../{record['id']}/diff":
            found.append(Finding("layer", record["id"], f"its short link {name} is lost"))
    return found


def _images(parts: StoreParts, held: HeldLocks) -> list[Finding]:
    found = []
    known = parts.all_layers(held)
    images = parts.images.read(held.images)
    for record in images:
        found += [
            Finding("image", record["id"], f"its layer {layer} is missing")
            for layer in (record.get("layer"), *(record.get("mapped-layers") or ()))
            if layer and known.get(layer) is None
        ]
    return found + _orphans(parts.paths.images, images.by_id, "image")


def _containers(parts: StoreParts, held: HeldLocks) -> list[Finding]:
    found = []
    layers = parts.layers.read(held.layers)
    images = parts.all_images(held)
    containers = parts.containers.read(held.containers)
    for record in containers:
        if layers.get(record.get("layer") or "") is None:
            found.append(Finding("container", record["id"], "its layer is missing"))
        if record.get("image") and images.get(record["image"]) is None:
            found.append(Finding("container", record["id"], f"its image {record['image']} is missing"))
    return found + _orphans(parts.paths.containers, containers.by_id, "container")


def _orphans(directory: Path, known: Container[str], kind: str) -> list[Finding]:
    return [
        Finding("directory", name, f"no {kind} has this name")
        for name in sorted(os.listdir(directory))
        if _FULL_ID.fullmatch(name) and name not in known
    ]


def _mounts(parts: StoreParts) -> list[Finding]:
    with parts.locks.reading_mounts() as held:
        layers = parts.layers.read(held.layers)
        found = []
        for record in parts.mounts.read(held.mountpoints):
            if layers.get(record["id"]) is None:
                found.append(Finding("mount", record["id"], "it is recorded for a layer that does not exist"))
            elif not parts.driver.is_mounted(Path(record["path"])):
                found.append(Finding("mount", record["id"], "it is recorded and nothing is mounted"))
        return found
