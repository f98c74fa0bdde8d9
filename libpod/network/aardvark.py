"""Names by aardvark-dns: its configuration and its process, for the bridge driver.

    <run directory>/aardvark-dns/<network>     listening addresses, then one line per container:
                                               id, IPv4 addresses, IPv6 addresses, names (lists with commas)
    <run directory>/aardvark-dns/aardvark.pid  written by the server

Everything happens under the driver's lock. A file appears whole; the server reads all of them at its start
and at SIGHUP, and ends by itself when none is left. A kill between a file and the signal leaves a server
that is one change behind until the next, or until the clean-up of that container tells it.

Covers: netavark src/dns/aardvark.rs
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from libpod.define.errors import HostError, NetworkError
from libpod.linux import pidfd
from libpod.linux.daemons import start_daemon
from libpod.linux.process import find_program
from libpod.network.definitions import NetworkDefinition
from libpod.network.names import dns_names
from libpod.network.plan import PlannedLink

SEARCH_DOMAIN = "dns.podman"
_PLACES = "/usr/libexec/podman:/usr/lib/podman:/usr/local/libexec/podman:/usr/local/lib/podman"
_PORT = "53"
_SECONDS = 30


def find_aardvark() -> str | None:
    """Where the server is installed, None when it is not."""
    return find_program("aardvark-dns", path=_PLACES)


class Aardvark:
    """One server with the configuration in *run_directory*."""

    def __init__(self, run_directory: Path, program: str) -> None:
        self._directory = run_directory / "aardvark-dns"
        self._program = program

    def add(self, container_id: str, name: str, links: Sequence[PlannedLink], servers: Sequence[str]) -> None:
        """Make the container known on the networks of *links* that have DNS enabled."""
        for link in links:
            lines = self._lines(link.definition.name)
            kept = [line for line in lines[1:] if not line.startswith(f"{container_id} ")]
            addresses = [address.address for address in link.addresses]
            names = dns_names(container_id, name, link.attachment.aliases)
            entry = entry_line(container_id, addresses, names, servers)
            self._write(link.definition.name, [header_line(link.definition), *kept, entry])
        if links:
            self._notify(start=True)

    def remove(self, container_id: str, networks: Sequence[str]) -> None:
        """Forget the container on *networks*; unknown is fine.

        The server is told in any case: whoever has written the file may have been killed before he told it.
        """
        for network in networks:
            lines = self._lines(network)
            kept = [line for line in lines[1:] if not line.startswith(f"{container_id} ")]
            if len(kept) + 1 < len(lines):
                if kept:
                    self._write(network, [lines[0], *kept])
                else:
                    os.unlink(self._directory / network)
        self._notify(start=False)

    def rewrite(self, network: str, header: str, entries: Sequence[str]) -> None:
        """Make *entries* all that is known on *network*: another program's file may be half written."""
        if entries:
            self._write(network, [header, *entries])
        else:
            (self._directory / network).unlink(missing_ok=True)
        self._notify(start=bool(entries))

    def known(self) -> dict[str, list[str]]:
        """Network → ids of the containers that are known there."""
        try:
            names = [name for name in os.listdir(self._directory) if name != "aardvark.pid"]
        except FileNotFoundError:
            return {}
        return {name: [line.partition(" ")[0] for line in self._lines(name)[1:]] for name in names}

    def is_idle(self) -> bool:
        """Whether a server runs although no network has a name: it was not told that the last one went."""
        return not self.known() and self._pid() is not None

    def end_idle(self) -> None:
        """Tell such a server, and wait until it has ended."""
        pid = self._pid()
        if pid is not None and self.is_idle():
            server = pidfd.ProcessIdentity.of(pid)
            self._notify(start=False)
            pidfd.wait_end(server, _SECONDS)

    def _notify(self, *, start: bool) -> None:
        pid = self._pid()
        if pid is not None:
            _await_handler(pid)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGHUP)
        elif start:
            self._start()

    def _start(self) -> None:
        argv = [self._program, "--config", str(self._directory), "-p", _PORT, "run"]
        try:
            start_daemon(argv, timeout=_SECONDS)
        except HostError as error:
            raise NetworkError(
                f"the name server of the networks cannot be started ({error.message})",
                resolution="see whether another server has port 53 of the bridge, or disable DNS for the network",
            ) from error

    def _pid(self) -> int | None:
        """The running server; a number in the file that is somebody else's by now does not count."""
        pid = pidfd.read_pid(self._directory / "aardvark.pid")
        ours = pid is not None and os.fsencode(self._directory) in pidfd.command_line(pid)
        return pid if ours else None

    def _lines(self, network: str) -> list[str]:
        try:
            return (self._directory / network).read_text().splitlines() or [""]
        except FileNotFoundError:
            return [""]

    def _write(self, network: str, lines: Sequence[str]) -> None:
        # Prepared outside the directory: the server takes every file in it for a network.
        temporary = self._directory.parent / f".tmp-aardvark-{network}"
        self._directory.mkdir(parents=True, exist_ok=True)
        temporary.write_text("".join(f"{line}\n" for line in lines))
        os.rename(temporary, self._directory / network)


def _await_handler(pid: int) -> None:
    """Wait until the server has set its handler: a SIGHUP before that would end it.

    It says so nowhere, and it takes milliseconds after a start; a server that never does is signalled all the same.
    """
    limit = time.monotonic() + _SECONDS
    while time.monotonic() < limit:
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return
        caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
        if int(caught.split()[1], 16) & 1 << signal.SIGHUP - 1:
            return
        time.sleep(0.002)


def header_line(definition: NetworkDefinition) -> str:
    """The first line of a network's file: where the server listens, and whom it asks."""
    gateways = ",".join(subnet.gateway for subnet in definition.subnets if subnet.gateway)
    return " ".join(filter(None, (gateways, ",".join(definition.network_dns_servers))))


def entry_line(
    container_id: str, addresses: Sequence[str], names: Sequence[str], servers: Sequence[str]
) -> str:
    """The line of a container."""
    fields = [
        container_id,
        ",".join(item for item in addresses if ":" not in item),
        ",".join(item for item in addresses if ":" in item),
        ",".join(names),
    ]
    return " ".join([*fields, ",".join(servers)] if servers else fields)
