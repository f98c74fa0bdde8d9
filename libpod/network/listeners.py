"""Host ports and the programs of this host: which are free, who has one, and holding them.

nft would translate a published port even where a program of the host listens on it already, and the other
way round a program could take a port that is published; both would be puzzling. Therefore the engine
*reserves* the host ports of a container by ordinary sockets before set-up, and may hand them to the
container's monitor, so that they are held as long as the container runs and vanish with it, whatever
happens to us.

A TCP socket has listened for a moment, which is the kernel's test of whether anybody else does, and is then closed for
reading: it occupies the port and refuses connections. (One that listened on would take a connection in the moment when
the port is not published yet, and never answer.)

A port without an address is reserved for IPv4 only: nothing listens on ::1 then, and programs that try
``localhost`` by IPv6 first fall back at once to 127.0.0.1, where the port is published. (The kernel cannot
translate ::1.)

All functions act on the network namespace of the calling thread.

Covers: libpod/oci_util.go (bindPorts), pkg/specgen/generate/ports.go (random host ports)
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import socket
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from libpod.define.errors import NetworkError
from libpod.model.container_config import PortMapping
from libpod.network.firewall import port_taken
from libpod.network.ports import PortClaim, claims_of, expand, first_conflict

_FIRST, _LAST = 10000, 65535
_ATTEMPTS = 200
_MOST = 1024
_KINDS = {
    "tcp": (socket.SOCK_STREAM, socket.IPPROTO_TCP),
    "udp": (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
    "sctp": (socket.SOCK_STREAM, socket.IPPROTO_SCTP),
}
_LISTEN = "0A"


@contextlib.contextmanager
def reserved(mappings: Iterable[PortMapping]) -> Iterator[tuple[socket.socket, ...]]:
    """Hold the host ports of *mappings* during the block; NetworkError names whoever has one of them.

    Who is to hold them longer inherits the descriptors (``pass_fds`` of the monitor's start). Of a very long range
    the first are held and the rest only tried, for a process may have so many descriptors and no more.
    """
    room = min(_MOST, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4)
    with contextlib.ExitStack() as held:
        sockets: list[socket.socket] = []
        for mapping in mappings:
            for host_port, _ in expand(mapping):
                found = _bound(mapping.protocol, mapping.host_ip, host_port)
                if found is None:
                    continue
                if len(sockets) < room:
                    sockets.append(held.enter_context(found))
                else:
                    found.close()
        yield tuple(sockets)


def with_host_ports(
    mappings: Sequence[PortMapping], taken: Collection[PortClaim] = ()
) -> tuple[PortMapping, ...]:
    """*mappings* with a free host port, or range of ports, wherever none was asked for.

    *taken* are the claims of all containers. Free is free now: the claim that follows decides, and the caller
    tries again when another process was faster.
    """
    busy = dict.fromkeys([*taken, *claims_of(mappings)], "")
    complete = []
    for mapping in mappings:
        chosen = mapping if mapping.host_port else _with_free_port(mapping, busy)
        busy.update(dict.fromkeys(claims_of([chosen]), ""))
        complete.append(chosen)
    return tuple(complete)


def _with_free_port(mapping: PortMapping, busy: dict[PortClaim, str]) -> PortMapping:
    room = _LAST - _FIRST + 1 - mapping.range
    for _ in range(_ATTEMPTS if room > 0 else 0):
        candidate = msgspec.structs.replace(
            mapping, host_port=_FIRST + int.from_bytes(os.urandom(4), "little") % (room + 1)
        )
        if first_conflict(claims_of([candidate]), busy) is not None:
            continue
        try:
            with reserved([candidate]):
                return candidate
        except NetworkError:
            continue
    raise NetworkError(
        f"no {mapping.range} free host ports in a row were found for container port "
        f"{mapping.container_port}/{mapping.protocol}",
        resolution="name a host port",
    )


def _bound(protocol: str, host_ip: str, port: int) -> socket.socket | None:
    """A socket that occupies the port; None where this kernel has no such protocol."""
    kind, number = _KINDS[protocol]
    family = socket.AF_INET6 if ":" in host_ip else socket.AF_INET
    try:
        holder = socket.socket(family, kind | socket.SOCK_CLOEXEC, number)
    except OSError as error:
        if error.errno in (errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT, errno.EAFNOSUPPORT):
            return None
        raise NetworkError(f"host port {port}/{protocol} cannot be held ({error.strerror})") from error
    try:
        if family == socket.AF_INET6:
            holder.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if protocol != "udp":
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((host_ip or "0.0.0.0", port))
        if protocol != "udp":
            holder.listen(1)
        if protocol == "tcp":
            # Others may share a port whose holders all allow it and do not listen.
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
            holder.shutdown(socket.SHUT_RD)
    except OSError as error:
        holder.close()
        claim = PortClaim(protocol, port, host_ip)
        if error.errno == errno.EADDRINUSE:
            raise port_taken(claim, owner_of(protocol, port)) from error
        if error.errno == errno.EADDRNOTAVAIL:
            raise NetworkError(
                f"host port {host_ip}:{port}/{protocol} cannot be published: the host has no address {host_ip}",
                resolution="publish it on an address of this host",
            ) from error
        raise NetworkError(
            f"host port {port}/{protocol} cannot be held ({error.strerror})",
            resolution="publish another port",
        ) from error
    return holder


# ---- who has it --------------------------------------------------------------------------------------------


def owner_of(protocol: str, port: int) -> str:
    """The program that has a port of this host, in words."""
    inodes = {f"socket:[{inode}]" for inode in _inodes(protocol, port)}
    for process in _processes():
        directory = Path(f"/proc/{process}")
        try:
            descriptors = os.listdir(directory / "fd")
        except OSError:
            continue  # ended meanwhile
        for descriptor in descriptors:
            with contextlib.suppress(OSError):
                if os.readlink(directory / "fd" / descriptor) in inodes:
                    name = (directory / "comm").read_text().strip()
                    return f"{name} (process {process})"
    return "a program that holds it without listening, perhaps another engine's container"


def _inodes(protocol: str, port: int) -> set[str]:
    found = set()
    for table in (protocol, f"{protocol}6"):
        try:
            lines = Path(f"/proc/thread-self/net/{table}").read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            words = line.split()
            if int(words[1].rpartition(":")[2], 16) == port and (protocol != "tcp" or words[3] == _LISTEN):
                found.add(words[9])
    return found


def _processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]
