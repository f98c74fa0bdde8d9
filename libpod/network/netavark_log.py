"""What netavark was told to connect: written before it is told, removed after it has taken all of it back.

    <directory>/<container id>     one `Connection`: the very document that netavark reads, by which it can undo it

netavark names interfaces as the kernel pleases and its rules by hashes, so that nobody can tell afterwards which of
them are whose. Whoever is killed, netavark or we, leaves the document; it is all that a repair needs. The directory
lies where a reboot empties it.

Covers: nothing of the original, which leaves what a kill left
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

import msgspec

from libpod.define.ids import is_full_id
from libpod.network.aardvark import entry_line, header_line
from libpod.network.definitions import decode_definition

Document = dict[str, Any]


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """The networks of one container, those on which netavark may be at work included."""

    namespace: str
    document: Document
    unsettled: frozenset[str] = frozenset()
    """Networks that are being set up or taken down: read from a file, those where somebody was killed."""

    @property
    def networks(self) -> frozenset[str]:
        """By the names that netavark knows them by."""
        return frozenset(self.document["networks"])


def part(document: Document, networks: Collection[str]) -> Document:
    """*document* with *networks* alone."""
    return {
        **document,
        **{
            key: {name: item for name, item in document[key].items() if name in networks}
            for key in ("networks", "network_info")
        },
    }


def joined(old: Document, new: Document) -> Document:
    """*new* with the networks that only *old* has."""
    return {**new, **{key: {**old[key], **new[key]} for key in ("networks", "network_info")}}


def without_names(document: Document) -> Document:
    """*document* without anything for the name server to do."""
    definitions = {name: {**item, "dns_enabled": False} for name, item in document["network_info"].items()}
    return {**document, "network_info": definitions}


def dns_lines(document: Document, network: str) -> tuple[str, str]:
    """The header of *network* in the name server's files, and the container's line; "" where it serves no names."""
    definition = decode_definition(msgspec.json.encode(document["network_info"][network]), network)
    if not definition.dns_enabled:
        return "", ""
    attachment = document["networks"][network]
    names = dict.fromkeys([document["container_name"], *attachment["aliases"]])
    addresses = attachment["static_ips"] or ()
    line = entry_line(document["container_id"], addresses, list(names), document.get("dns_servers", ()))
    return header_line(definition), line


class NetavarkLog:
    """The documents of one runtime. Used under the driver's lock."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._encoder = msgspec.json.Encoder()
        self._decoder = msgspec.json.Decoder(Connection)

    def ids(self) -> list[str]:
        """The containers that are, or may be, connected."""
        try:
            return sorted(name for name in os.listdir(self._directory) if is_full_id(name))
        except FileNotFoundError:
            return []

    def get(self, container_id: str) -> Connection | None:
        """What may be connected of one container; None for nothing."""
        try:
            return self._decoder.decode((self._directory / container_id).read_bytes())
        except FileNotFoundError:
            return None

    def put(self, container_id: str, connection: Connection) -> None:
        """Say what may be connected from now on; a connection without networks is none."""
        if not connection.networks:
            (self._directory / container_id).unlink(missing_ok=True)
            return
        self._directory.mkdir(parents=True, exist_ok=True)
        # One name for all, since the lock is held: what a kill leaves of it is the next one's.
        temporary = self._directory.parent / ".tmp-connection"
        temporary.write_bytes(self._encoder.encode(connection))
        os.rename(temporary, self._directory / container_id)

    def users(self, network: str) -> set[str]:
        """The containers that may be connected to *network*."""
        found = {container_id: self.get(container_id) for container_id in self.ids()}
        return {name for name, item in found.items() if item is not None and network in item.networks}
