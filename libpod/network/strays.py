"""What belongs to us and to nobody: the judgement over a listing of links and rules. Pure.

    link    a pair whose container does not live, or one of our group that was never finished and that no living
            container expects
    bridge  one of ours without a port
    rule    a published port of a container that does not live, or the rules of a network without a bridge
    name    what the name server knows of a container that does not live
    server  a name server that serves nobody any more
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
    published: Sequence[Published],
    network_elements: Sequence[tuple[str, str, str]],
    table: str,
    owner: str,
    group: int,
    live: Collection[str],
    expected: Collection[str],
) -> list[Stray]:
    """The strays in a listing; *expected* are the names of the links that living containers may have."""
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
    for _, _, mark in network_elements:
        if mark not in marks:
            found[Stray(kind="rule", name=mark)] = None
    if table and not marks:
        found[Stray(kind="table", name=table)] = None
    return list(found)


def is_still(stray: Stray, alias: str | None) -> bool:
    """Whether a link that was found is what it was then, now that it has *alias* (None: it is gone)."""
    return alias is not None and alias.split(":")[2:3] == ([stray.container_id] if stray.container_id else [])


def names(known: Mapping[str, Sequence[str]], live: Collection[str]) -> list[Stray]:
    """The entries of containers that do not live, of what a name server knows on each network."""
    return [
        Stray(kind=NAME, name=network, container_id=container_id)
        for network, ids in known.items()
        for container_id in ids
        if container_id not in live
    ]


def servers(*, idle: bool) -> list[Stray]:
    """The name server, when it is one that nobody needs."""
    return [Stray(kind="server", name="aardvark-dns")] if idle else []


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
