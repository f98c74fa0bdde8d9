"""The bridge driver's table in the kernel: load, list, take away.

Every method acts on the network namespace of the calling thread. Callers hold the driver's lock from the
listing to the change that follows from it; a script is atomic in any case, so that a kill leaves all of it
or nothing.

Covers: netavark src/firewall (set-up and tear-down), src/firewall/state.rs
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from libpod.define.errors import CommandError, NetworkError, short
from libpod.linux.nft import run_nft
from libpod.model.container_config import PortMapping
from libpod.network import rules
from libpod.network.definitions import NetworkDefinition
from libpod.network.plan import PlannedLink
from libpod.network.ports import PortClaim, first_conflict
from libpod.network.rules import Published

logger = logging.getLogger(__name__)

_DECODER = msgspec.json.Decoder()
_MISSING = "No such file or directory"


class Firewall:
    """One table. Objects are cheap and keep nothing between calls."""

    def __init__(self, table: str) -> None:
        self.table = table

    def add_networks(self, definitions: Sequence[NetworkDefinition]) -> None:
        """Load the rules of *definitions*, beside those that are there."""
        if definitions:
            self._run(rules.add_networks(self.table, definitions), "load the rules of a network")

    def remove_network(self, mark: str) -> None:
        """Take the rules of the network with that mark away; they need not be there."""
        elements = [(name, key) for name, key, owner in self.network_elements() if owner == mark]
        if elements:
            self._run(rules.remove_network(self.table, mark, elements), "remove the rules of a network")

    def network_elements(self) -> list[tuple[str, str, str]]:
        """(set, key, mark of the network) of everything that belongs to a network."""
        found = []
        kinds = [("map", name) for name in rules.NETWORK_MAPS] + [
            ("set", name) for name in rules.NETWORK_SETS
        ]
        for kind, name in kinds:
            for raw in self._listed(kind, name):
                key, comment = _key_of(name, raw[0] if kind == "map" else raw)
                if comment.startswith(rules.NETWORK_COMMENT):
                    found.append((name, key, comment.removeprefix(rules.NETWORK_COMMENT)))
        return found

    def remove(self) -> None:
        """Take the whole table away; it need not be there."""
        if self.exists():
            self._run(rules.remove_table(self.table), "remove the rules")

    def exists(self) -> bool:
        """Whether the table is there."""
        return f"table inet {self.table}\n" in self._run("list tables inet\n", "list the tables") + "\n"

    def publish(self, container_id: str, links: Sequence[PlannedLink], ports: Sequence[PortMapping]) -> None:
        """Publish *ports*, in place of whatever the container had published; conflicts name the owner."""
        wanted = rules.publications(container_id, links, ports)
        if ports and not wanted:
            logger.warning(
                "container %s publishes ports on networks that cannot be reached from outside",
                short(container_id),
            )
        present = self.published()
        mine = [item for item in present if item.owner == container_id]
        check_conflicts(container_id, wanted, present)
        stale = [item for item in mine if item not in wanted]
        new = [item for item in wanted if item not in mine]
        if stale or new:
            script = rules.withdraw(self.table, stale) + rules.publish(self.table, new)
            self._run(script, f"publish ports of container {short(container_id)}")

    def withdraw(self, container_id: str) -> None:
        """Withdraw all that *container_id* published; nothing published is fine."""
        mine = [item for item in self.published() if item.owner == container_id]
        if mine:
            self._run(
                rules.withdraw(self.table, mine), f"withdraw the ports of container {short(container_id)}"
            )

    def published(self, maps: Collection[str] = rules.MAPS) -> list[Published]:
        """Everything that is published now, with its owners."""
        return [_published(name, item) for name in maps for item in self._listed("map", name)]

    def _listed(self, kind: str, name: str) -> list[Any]:
        """The elements of a set or map as nft's JSON has them; none when it does not exist."""
        try:
            text = run_nft(f"list {kind} inet {self.table} {name}\n", json=True)
        except CommandError as error:
            if _MISSING in error.stderr:
                return []
            raise self._failure(f"list {name}", error) from error
        return next(
            (item[kind].get("elem", []) for item in _DECODER.decode(text)["nftables"] if kind in item), []
        )

    def _run(self, script: str, purpose: str) -> str:
        try:
            return run_nft(script)
        except CommandError as error:
            raise self._failure(purpose, error) from error

    def _failure(self, purpose: str, error: CommandError) -> NetworkError:
        return NetworkError(
            f"nft could not {purpose} in table inet {self.table} ({error.stderr.strip().splitlines()[-1]})",
            resolution="see what the kernel and nft support with nft list ruleset",
            details=error.details,
        )


def check_conflicts(container_id: str, wanted: Sequence[Published], present: Sequence[Published]) -> None:
    """Raise NetworkError when a port of *wanted* leads to another container already."""
    for version in ("4", "6"):
        taken = {
            item.claim: item.owner
            for item in present
            if item.owner != container_id and item.map[len("publish")] == version
        }
        claims = [item.claim for item in wanted if item.map[len("publish")] == version]
        conflict = first_conflict(claims, taken)
        if conflict is not None:
            claim, owner = conflict
            raise port_taken(claim, f"container {short(owner)}")


def port_taken(claim: PortClaim, owner: str) -> NetworkError:
    """The error for a host port that somebody else has."""
    where = f"{claim.address}:{claim.port}" if claim.address else str(claim.port)
    return NetworkError(
        f"host port {where}/{claim.protocol} is in use by {owner}",
        resolution="publish another port or stop what uses it",
    )


def _published(name: str, raw: Any) -> Published:
    """One element of a map: ``[{"elem": {"val": {"concat": […]}, "comment": …}}, {"concat": […]}]``."""
    key, target = raw[0], raw[1]["concat"]
    words = key["elem"]["val"]["concat"]
    return Published(
        map=name,
        claim=PortClaim(str(words[-2]), int(words[-1]), str(words[0]) if name.endswith("_at") else ""),
        address=str(target[0]),
        port=int(target[1]),
        owner=str(key["elem"].get("comment", "")),
    )


def _key_of(name: str, raw: Any) -> tuple[str, str]:
    """(key as a script writes it, comment) of an element of one of the sets of networks."""
    if not isinstance(raw, dict) or "elem" not in raw:
        return "", ""
    value = raw["elem"]["val"]
    if isinstance(value, dict):
        value = f"{value['prefix']['addr']}/{value['prefix']['len']}"
    elif name not in ("sources4", "sources6", "gateways"):
        value = f'"{value}"'
    return value, str(raw["elem"].get("comment", ""))
