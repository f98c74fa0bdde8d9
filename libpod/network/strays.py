"""What belongs to us and to nobody: the judgement over a listing of links and rules. Pure.

    link    a pair whose container does not live, or one of our group that was never finished and that no living
            container expects
    bridge  one of ours without a port
    rule    a published port of a container that does not live, or the rules of a network without a bridge
    name    what the name server knows of a container that does not live
    table   our table while no bridge of ours exists

Namespaces are the engine's: `namespaces` compares the files in its directory with the living.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from libpod.define.ids import is_full_id
from libpod.linux.links import Link
from libpod.network.base import Stray
from libpod.network.rules import Published

NETWORK = "network"
NAME = "name"


def find(
    links: Sequence[Link],
    *,
    named: Mapping[str, Sequence[str]],
    published: Sequence[Published],
    network_elements: Sequence[tuple[str, str, str]],
    table: str,
    owner: str,
    group: int,
    live: Collection[str],
    expected: Collection[str],
) -> list[Stray]:
    """The strays in a listing; *expected* are the names of the links that living containers may have, *named* the ids
    that the name server knows on each network."""
    found: dict[Stray, None] = {}
    ports = {link.master for link in links if link.master}
    marks = set()
    for link in links:
        container, mark = _marks(link.alias, owner)
        if container == NETWORK:
            marks.add(mark)
            if link.index not in ports:
                found[Stray(kind="bridge", name=link.name)] = None
        elif container and container not in live:
            found[Stray(kind="link", name=link.name, container_id=container)] = None
        elif not link.alias and link.group == group and link.name not in expected:
            found[Stray(kind="link", name=link.name)] = None
    for item in published:
        if item.owner not in live:
            found[Stray(kind="rule", name=item.claim.key, container_id=item.owner)] = None
    for network, ids in named.items():
        found |= dict.fromkeys(Stray(kind=NAME, name=network, container_id=i) for i in ids if i not in live)
    for _, _, mark in network_elements:
        if mark not in marks:
            found[Stray(kind="rule", name=mark)] = None
    if table and not marks:
        found[Stray(kind="table", name=table)] = None
    return list(found)


def namespaces(directory: Path, live: Collection[str]) -> list[Path]:
    """The files in the engine's directory of namespaces that are named after no living container."""
    try:
        return [path for path in directory.iterdir() if is_full_id(path.name) and path.name not in live]
    except FileNotFoundError:
        return []


def _marks(alias: str, owner: str) -> tuple[str, str]:
    """(container id or NETWORK, mark of the network) of one of our aliases, else two empty texts."""
    words = alias.split(":")
    if len(words) != 4 or words[0] != "libpod" or words[1] != owner:
        return "", ""
    return words[2], words[3]
