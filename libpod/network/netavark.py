"""The driver that runs podman's netavark, for whoever wants exactly podman's networks.

Definitions, addresses and names are ours and go in as JSON; what comes out is podman's status. netavark
chooses its own link names and keeps its rules where it likes (iptables or nft, by its version), so that
this driver cannot tell what of that is a stray; a tear-down of the same request is the only repair.

What differs from the interface's promise elsewhere: `reload` interrupts the container, because netavark can
only take down and set up; rules of netavark's base chains stay when the last container went.

Covers: container-libs common/libnetwork/netavark (run.go, exec.go)
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import msgspec

from libpod.define.errors import CommandError, NetworkError, last_lines, short
from libpod.linux.file_locks import locked_file
from libpod.linux.links import links as links_of
from libpod.linux.namespaces import (
    create_network_namespace,
    delete_network_namespace,
    is_network_namespace,
    opened_namespace,
    run_in_netns,
)
from libpod.linux.process import find_program, run
from libpod.network import wiring
from libpod.network.aardvark import Aardvark
from libpod.network.base import ContainerNetwork, NetworkBackend, Stray
from libpod.network.definitions import BRIDGE, NetworkDefinition, encode_definition
from libpod.network.plan import PlannedLink, plan
from libpod.network.status import NetworkStatus, decode_status
from libpod.network.wiring import Wiring

_PLACES = "/usr/libexec/podman:/usr/lib/podman:/usr/local/libexec/podman:/usr/local/lib/podman"
_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder()
_SECONDS = 60


def find_netavark() -> str | None:
    """Where netavark is installed, None when it is not."""
    return find_program("netavark", path=_PLACES)


class NetavarkBackend(NetworkBackend):
    """See the module. *run_directory* is the runtime's own; netavark keeps its state below it."""

    name = "netavark"

    def __init__(self, run_directory: Path, *, program: str, aardvark: str | None = None) -> None:
        self._run_directory = run_directory
        self._program = program
        self._aardvark = aardvark

    def setup(self, request: ContainerNetwork) -> NetworkStatus:
        return self.connect(request, [attachment.network for attachment in request.attachments])

    def connect(self, request: ContainerNetwork, networks: Collection[str]) -> NetworkStatus:
        planned = [link for link in plan("netavark", request) if link.attachment.network in networks]
        if not is_network_namespace(request.namespace):
            raise NetworkError(
                f"the network namespace of container {short(request.container_id)} does not exist at "
                f"{request.namespace}"
            )
        with self._locked():
            if _present(request, planned):
                self._take_down(request, planned)
            try:
                output = self._run("setup", request, planned, request.namespace)
            except NetworkError as error:
                try:
                    self._take_down(request, planned)
                except NetworkError as second:
                    error.add_note(f"roll-back: {second}")
                raise
        return decode_status(output)

    def teardown(self, request: ContainerNetwork) -> None:
        self.disconnect(request, [attachment.network for attachment in request.attachments])

    def disconnect(self, request: ContainerNetwork, networks: Collection[str]) -> None:
        planned = [link for link in plan("netavark", request) if link.attachment.network in networks]
        with self._locked():
            self._take_down(request, planned)

    def reload(self, request: ContainerNetwork) -> None:
        with contextlib.suppress(NetworkError):
            self.teardown(request)  # what it wants to remove may have been flushed
        self.setup(request)

    def rename(self, request: ContainerNetwork) -> None:
        if self._aardvark is None:
            return
        # netavark has no word for it; the server reads the same files as ours.
        server = Aardvark(self._run_directory / "netavark", self._aardvark)
        named = [link for link in plan("netavark", request) if link.definition.dns_enabled]
        with self._locked():
            server.add(request.container_id, request.container_name, named, request.dns_servers)

    def strays(self, live: Collection[str], definitions: Sequence[NetworkDefinition]) -> list[Stray]:
        return []

    def remove_strays(self, strays: Sequence[Stray]) -> None:
        return

    def _take_down(self, request: ContainerNetwork, planned: Sequence[PlannedLink]) -> None:
        """netavark wants to find the interfaces even to remove the rest; those that are gone are stood in for."""
        if is_network_namespace(request.namespace):
            if _present(request, planned):
                self._run("teardown", request, planned, request.namespace)
            return
        present = {link.name for link in links_of()}
        planned = [
            link
            for link in planned
            if link.definition.driver != BRIDGE or link.definition.network_interface in present
        ]
        if not planned:
            return  # the bridges went with their last container
        substitute = self._run_directory / f"netavark-{request.container_id}"
        delete_network_namespace(substitute)
        create_network_namespace(substitute)
        try:
            with opened_namespace(substitute) as namespace:
                wiring.inside(namespace, lambda there: _make_dummies(there, namespace, planned))
            self._run("teardown", request, planned, substitute)
        finally:
            delete_network_namespace(substitute)

    def _run(
        self, verb: str, request: ContainerNetwork, planned: Sequence[PlannedLink], namespace: Path
    ) -> bytes:
        argv = [
            self._program,
            "--config", str(self._run_directory / "netavark"),
            "--rootless=false",
            *([f"--aardvark-binary={self._aardvark}"] if self._aardvark else []),
            verb, str(namespace),
        ]  # fmt: skip
        (self._run_directory / "netavark").mkdir(parents=True, exist_ok=True)
        try:
            result = run(argv, stdin=options_text(request, planned), timeout=_SECONDS, accept=range(256))
        except CommandError as error:
            raise self._failure(verb, request, error.stderr) from error
        if result.returncode != 0:
            raise self._failure(verb, request, _message(result.stdout) or result.stderr)
        return result.stdout

    def _failure(self, verb: str, request: ContainerNetwork, cause: str) -> NetworkError:
        words = {"setup": "set up", "teardown": "take down"}[verb]
        return NetworkError(
            f"netavark could not {words} the network of container {short(request.container_id)} "
            f"({last_lines(cause, 1)})",
            details=last_lines(cause),
        )

    def _locked(self) -> contextlib.AbstractContextManager[None]:
        return locked_file(self._run_directory / "network.lock")


def options_text(request: ContainerNetwork, planned: Sequence[PlannedLink]) -> bytes:
    """What netavark reads: the container, its networks and ports, and the definitions."""
    networks = {
        link.attachment.network: {
            "interface_name": link.attachment.interface,
            "static_ips": [address.address for address in link.addresses] or None,
            "static_mac": link.mac,
            "aliases": [*link.attachment.aliases, short(request.container_id)],
        }
        for link in planned
    }
    document: dict[str, Any] = {
        "container_id": request.container_id,
        "container_name": request.container_name,
        "networks": networks,
        "network_info": {
            link.definition.name: _DECODER.decode(encode_definition(link.definition)) for link in planned
        },
        "port_mappings": [msgspec.to_builtins(port) for port in request.ports],
    }
    if request.dns_servers:
        document["dns_servers"] = list(request.dns_servers)
    return _ENCODER.encode(document)


def _make_dummies(there: Wiring, namespace: int, planned: Sequence[PlannedLink]) -> None:
    for number, link in enumerate(planned):
        there.add_veth(
            link.attachment.interface,
            peer=f"dummy{number}",
            peer_mac="02:00:00:00:00:01",
            namespace=namespace,
            mtu=0,
            group=0,
        )


def _present(request: ContainerNetwork, planned: Sequence[PlannedLink]) -> bool:
    """Whether one of the interfaces is in the namespace."""
    there = {link.name for link in run_in_netns(request.namespace, links_of)}
    return any(link.attachment.interface in there for link in planned)


def _message(output: bytes) -> str:
    """The text of ``{"error": …}``, which netavark prints when it fails."""
    try:
        return str(_DECODER.decode(output)["error"])
    except (msgspec.MsgspecError, KeyError, TypeError):
        return output.decode(errors="replace")
