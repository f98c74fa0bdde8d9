"""The texts of ``/etc/hosts``, ``/etc/resolv.conf`` and ``/etc/hostname`` of a container.

Pure functions from texts and values to texts; `host_resolver` and `rewrite_in_place` are the two that touch
files. The files are bind-mounted into the container, so a change has to keep the inode: never replace them
by a rename. A kill in the middle of `rewrite_in_place` leaves a mixed text, which the next start writes
anew.

Rules, as podman has them:

* hosts – what the user added comes first, then the base file, then (only names that nobody defined yet)
  localhost, the host under ``host.containers.internal``, the container itself, its neighbours.
* resolv.conf – name servers are the networks' own (aardvark-dns), else the user's, else the host's; search
  domains are the networks' followed by the user's or the host's; options the user's or the host's. A search
  domain ``.`` means none at all. In a namespace of its own the container cannot reach the host's loopback:
  those servers are left out, the servers behind a local stub are looked up, and public ones stand in when
  none is left.

Covers: container_internal_linux.go (makeBindMounts, generateResolvConf, getHosts),
container-libs common/libnetwork/etchosts, resolvconf
"""

from __future__ import annotations

import fcntl
import ipaddress
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from libpod.define.errors import InvalidArgumentError

HOST_NAMES = ("host.containers.internal", "host.docker.internal")
HOST_GATEWAY = "host-gateway"
PUBLIC_SERVERS = ("8.8.8.8", "8.8.4.4")
PUBLIC_SERVERS_V6 = ("2001:4860:4860::8888", "2001:4860:4860::8844")

_STUBS = {
    "127.0.0.53": Path("/run/systemd/resolve/resolv.conf"),
    "127.0.0.1": Path("/run/NetworkManager/no-stub-resolv.conf"),
}


class HostEntry(msgspec.Struct, frozen=True):
    """One line of a hosts file: an address and its names."""

    address: str
    names: tuple[str, ...]

    def line(self) -> str:
        return f"{self.address}\t{' '.join(self.names)}\n"


class Resolver(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a resolv.conf, without what nobody needs."""

    servers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


# ---- hosts -------------------------------------------------------------------------------------------------


def parse_hosts(text: str) -> tuple[HostEntry, ...]:
    """The entries of a hosts file; comments, and addresses without a name, are left out."""
    entries = []
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if len(words) > 1:
            entries.append(HostEntry(words[0], tuple(words[1:])))
    return tuple(entries)


def parse_add_host(text: str) -> HostEntry:
    """``name:address`` or ``name;name:address``; the address may be ``host-gateway``."""
    names, separator, address = text.partition(":")
    given = tuple(name for name in names.split(";") if name)
    if not separator or not given or not address:
        raise InvalidArgumentError(
            f'"{text}" is not an entry for the hosts file', resolution="write it as name:address"
        )
    if address == HOST_GATEWAY:
        return HostEntry(address, given)
    try:
        ipaddress.ip_address(address.strip("[]"))
    except ValueError as error:
        raise InvalidArgumentError(
            f'"{address}" in the hosts entry "{text}" is not an IP address',
            resolution="write it as name:address",
        ) from error
    return HostEntry(address.strip("[]"), given)


def hosts_text(
    *,
    base: str = "",
    extra: Sequence[str] = (),
    own: Iterable[HostEntry] = (),
    host_address: str | None = None,
    neighbours: Iterable[HostEntry] = (),
) -> str:
    """A whole hosts file.

    *base* is the text of the base file ("" for none), *extra* the ``--add-host`` arguments, *own* the
    container's addresses with its names (`own_entries`), *host_address* where the host can be reached from
    inside (None for no such line), *neighbours* other containers on the same networks where no DNS server
    runs.
    """
    entries = []
    for argument in extra:
        entry = parse_add_host(argument)
        if entry.address == HOST_GATEWAY:
            if host_address is None:
                raise InvalidArgumentError(
                    f'"{argument}" asks for the address of the host, which is not known',
                    resolution="set host_containers_internal_ip in containers.conf",
                )
            entry = HostEntry(host_address, entry.names)
        entries.append(entry)
    entries += parse_hosts(base)
    added = [HostEntry("127.0.0.1", ("localhost",)), HostEntry("::1", ("localhost",))]
    if host_address is not None:
        added.append(HostEntry(host_address, HOST_NAMES))
    taken = {name for entry in entries for name in entry.names}
    mine = [*added, *own]
    lines = [entry.line() for entry in entries]
    lines += [entry.line() for entry in _free_names(mine, taken)]
    taken |= {name for entry in mine for name in entry.names}
    lines += [entry.line() for entry in _free_names(neighbours, taken)]
    return "".join(lines)


def own_entries(
    addresses: Iterable[str], names: Sequence[str], *, isolated: bool = False
) -> tuple[HostEntry, ...]:
    """The container's own lines: each address with all *names* (hostname and name, doubles left out).

    A container without a network (*isolated*) resolves its names to loopback; with the host's network it
    has no lines of its own.
    """
    unique = tuple(dict.fromkeys(name for name in names if name))
    found = tuple(HostEntry(address.partition("/")[0], unique) for address in addresses)
    return found or ((HostEntry("127.0.0.1", unique),) if isolated else ())


def hosts_with(text: str, entries: Iterable[HostEntry]) -> str:
    """*text* with *entries* appended, except for lines that are there already."""
    present = {(entry.address, entry.names) for entry in parse_hosts(text)}
    new = [entry for entry in entries if (entry.address, entry.names) not in present]
    separator = "" if not text or text.endswith("\n") else "\n"
    return text + separator + "".join(entry.line() for entry in new)


def hosts_without(text: str, entries: Iterable[HostEntry]) -> str:
    """*text* without the lines that have the address and at least one name of one of *entries*."""
    gone: dict[str, set[str]] = {}
    for entry in entries:
        gone.setdefault(entry.address, set()).update(entry.names)
    kept = []
    for line in text.splitlines(keepends=True):
        parsed = parse_hosts(line)
        if not parsed or gone.get(parsed[0].address, set()).isdisjoint(parsed[0].names):
            kept.append(line)
    return "".join(kept)


def _free_names(entries: Iterable[HostEntry], taken: set[str]) -> Iterable[HostEntry]:
    for entry in entries:
        names = tuple(name for name in entry.names if name not in taken)
        if names:
            yield HostEntry(entry.address, names)


# ---- resolv.conf -------------------------------------------------------------------------------------------


def parse_resolver(text: str) -> Resolver:
    """What a resolv.conf says; the last ``search`` or ``domain`` line counts, options add up."""
    servers: list[str] = []
    searches: list[str] = []
    options: list[str] = []
    for line in text.splitlines():
        words = line.split()
        if len(words) < 2 or words[0].startswith(("#", ";")):
            continue
        values = [word for word in words[1:] if not word.startswith(("#", ";"))]
        if words[0] == "nameserver":
            servers += values[:1]
        elif words[0] in ("search", "domain"):
            searches = values
        elif words[0] == "options":
            options += values
    return Resolver(servers=tuple(servers), searches=tuple(searches), options=tuple(options))


def resolv_text(
    host: Resolver,
    *,
    private: bool,
    ipv6: bool = False,
    servers: Sequence[str] = (),
    searches: Sequence[str] = (),
    options: Sequence[str] = (),
    network_servers: Sequence[str] = (),
    network_searches: Sequence[str] = (),
) -> str:
    """A whole resolv.conf. *private* is a network namespace other than the host's; *ipv6* whether it has
    IPv6.

    *servers*, *searches* and *options* are the user's (``--dns``, ``--dns-search``, ``--dns-opt``); those
    of the networks come from their status.
    """
    chosen_servers = tuple(network_servers) or tuple(servers) or usable_servers(host.servers, private, ipv6)
    chosen_searches = tuple(dict.fromkeys([*network_searches, *(searches or host.searches)]))
    if "." in searches:
        chosen_searches = ()
    chosen_options = tuple(options) or host.options
    lines = []
    if chosen_searches:
        lines.append(f"search {' '.join(chosen_searches)}\n")
    lines += [f"nameserver {server}\n" for server in dict.fromkeys(chosen_servers)]
    if chosen_options:
        lines.append(f"options {' '.join(chosen_options)}\n")
    return "".join(lines)


def usable_servers(servers: Iterable[str], private: bool, ipv6: bool) -> tuple[str, ...]:
    """The *servers* that can be reached from the namespace; public ones when none is left."""
    if not private:
        return tuple(servers)
    found = tuple(server for server in servers if _reachable(server, ipv6))
    return found or PUBLIC_SERVERS + (PUBLIC_SERVERS_V6 if ipv6 else ())


def _reachable(server: str, ipv6: bool) -> bool:
    try:
        address = ipaddress.ip_address(server.partition("%")[0])
    except ValueError:
        return False
    if address.is_loopback or address.is_unspecified:
        return False
    # A scoped address names an interface of the host, which the namespace does not have.
    return address.version == 4 or (ipv6 and "%" not in server)


def host_resolver(
    *, private: bool, path: Path = Path("/etc/resolv.conf"), stubs: Mapping[str, Path] | None = None
) -> Resolver:
    """The host's resolver; for a private namespace the servers behind a local stub, where they are known.

    A missing file is an empty one.
    """
    resolver = parse_resolver(_text_or_empty(path))
    behind = (
        (_STUBS if stubs is None else stubs).get(resolver.servers[0]) if len(resolver.servers) == 1 else None
    )
    if private and behind is not None:
        real = parse_resolver(_text_or_empty(behind))
        if real.servers:
            return msgspec.structs.replace(
                real,
                searches=real.searches or resolver.searches,
                options=real.options or resolver.options,
            )
    return resolver


# ---- hostname and files ------------------------------------------------------------------------------------


def hostname_text(hostname: str) -> str:
    """The text of ``/etc/hostname``."""
    return f"{hostname}\n"


def rewrite_in_place(path: Path, text: str) -> None:
    """Give the file at *path* a new text and keep its inode, so that bind mounts of it see the change."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        _write_at_start(descriptor, text.encode())
    finally:
        os.close(descriptor)


def edit_in_place(path: Path, change: Callable[[str], str]) -> None:
    """Change the text of a file that exists, as `rewrite_in_place` does, one editor at a time; none is fine."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        before = os.pread(descriptor, os.fstat(descriptor).st_size, 0).decode(errors="surrogateescape")
        after = change(before)
        if after != before:
            _write_at_start(descriptor, after.encode(errors="surrogateescape"))
    finally:
        os.close(descriptor)


def _write_at_start(descriptor: int, data: bytes) -> None:
    written = 0
    while written < len(data):
        written += os.pwrite(descriptor, data[written:], written)
    os.ftruncate(descriptor, len(data))


def _text_or_empty(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return ""
