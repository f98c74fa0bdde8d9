"""What this host uses already: its routes, podman's and other tools' networks, its link names.

Read from ``/proc`` and from files, so that choosing a subnet costs no netlink library. The routes are those of
the calling thread's network namespace.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from libpod.network.ipam import Network

PODMAN_DIRECTORIES = (Path("/etc/containers/networks"), Path("/usr/share/containers/networks"))
PODMAN_DEFAULT = ipaddress.ip_network("10.88.0.0/16")
_DECODER = msgspec.json.Decoder()


def host_networks() -> list[Network]:
    """Every destination of the host's routing tables, except the default routes and loopback."""
    found: list[Network] = []
    for line in _lines("route")[1:]:
        words = line.split()
        address = socket.inet_ntoa(struct.pack("=I", int(words[1], 16)))
        mask = socket.inet_ntoa(struct.pack("=I", int(words[7], 16)))
        found.append(ipaddress.ip_network(f"{address}/{mask}", strict=False))
    for line in _lines("ipv6_route"):
        words = line.split()
        network = ipaddress.ip_network((bytes.fromhex(words[0]), int(words[1], 16)), strict=False)
        if words[9] != "lo" and not network.is_link_local and not network.is_multicast:
            found.append(network)
    return [network for network in dict.fromkeys(found) if network.prefixlen > 0]


def foreign_networks(directories: Iterable[Path] = PODMAN_DIRECTORIES) -> list[Network]:
    """The subnets of podman's networks, its default one included; what cannot be read is not ours to judge."""
    found: list[Network] = [PODMAN_DEFAULT]
    for directory in directories:
        for path in sorted(directory.glob("*.json")):
            try:
                plain = _DECODER.decode(path.read_bytes())
                found += [ipaddress.ip_network(item["subnet"]) for item in plain.get("subnets") or ()]
            except (OSError, msgspec.MsgspecError, ValueError, KeyError, TypeError, AttributeError):
                continue
    return found


def host_link_names() -> set[str]:
    """The names of the host's network interfaces."""
    return {line.partition(":")[0].strip() for line in _lines("dev")[2:]}


def collides(network: Network, others: Iterable[Network]) -> bool:
    """Whether *network* shares an address with one of *others*."""
    return any(network.version == other.version and network.overlaps(other) for other in others)


def _lines(name: str) -> Sequence[str]:
    try:
        return Path(f"/proc/thread-self/net/{name}").read_text().splitlines()
    except FileNotFoundError:  # a kernel without IPv6
        return ()
