"""The driver that runs podman's netavark, for whoever wants exactly podman's networks.

Definitions, addresses and names are ours and go in as JSON; what comes out is podman's status. netavark
chooses its own link names and keeps its rules where it likes (iptables or nft, by its version). It names its chains
after the network, and podman has a network of the same name: so netavark is told ours with the number of this runtime
behind it, ``podman@1a2b3c4d``, which no network of podman's can be called.

What a kill leaves, of us or of netavark, is taken back by netavark itself, by the document that it was given
(`netavark_log`). A tear-down of half a set-up stops at the first chain that it misses; so what is not whole is set up
once more, in a namespace that stands in for the container's, and then taken down. A netavark that outlived us, or a
program that outlived netavark, is waited for before anything else is done.

What differs from the interface's promise elsewhere: `reload` interrupts the container, because netavark can
only take down and set up; rules of netavark's base chains stay when the last container went.

Covers: container-libs common/libnetwork/netavark (run.go, exec.go)
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from libpod.define.errors import CommandError, NetworkError, last_lines, short
from libpod.linux import pidfd
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
from libpod.network import strays, wiring
from libpod.network.aardvark import Aardvark
from libpod.network.base import ContainerNetwork, NetworkBackend, Stray
from libpod.network.definitions import BRIDGE, NetworkDefinition, encode_definition, network_id
from libpod.network.netavark_log import (
    Connection,
    Document,
    NetavarkLog,
    dns_lines,
    joined,
    part,
    without_names,
)
from libpod.network.plan import PlannedLink, installation, plan
from libpod.network.status import NetworkStatus, decode_status

logger = logging.getLogger(__name__)

_PLACES = "/usr/libexec/podman:/usr/lib/podman:/usr/local/libexec/podman:/usr/local/lib/podman"
_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder()
_SECONDS = 60
_PATIENCE = 5.0
"""Seconds for the kernel to take away what went with a namespace, and for the last words of a killed netavark."""


def find_netavark() -> str | None:
    """Where netavark is installed, None when it is not."""
    return find_program("netavark", path=_PLACES)


class NetavarkBackend(NetworkBackend):
    """See the module. *run_directory* is the runtime's own; netavark keeps its state below it."""

    name = "netavark"

    def __init__(self, run_directory: Path, *, program: str, aardvark: str | None = None) -> None:
        self.owner = installation(run_directory)
        self._run_directory = run_directory
        self._directory = run_directory / "netavark"
        self._at_work = self._directory / "at-work"
        self._log = NetavarkLog(self._directory / "connections")
        self._program = program
        self._aardvark = aardvark
        self._dns = Aardvark(self._directory, aardvark) if aardvark else None

    # -- the interface
    # ------------------------------------------------------------------------------------------

    def setup(self, request: ContainerNetwork) -> NetworkStatus:
        return self.connect(request, [attachment.network for attachment in request.attachments])

    def connect(self, request: ContainerNetwork, networks: Collection[str]) -> NetworkStatus:
        planned = [link for link in plan("netavark", request) if link.attachment.network in networks]
        if not is_network_namespace(request.namespace):
            raise NetworkError(
                f"the network namespace of container {short(request.container_id)} does not exist at "
                f"{request.namespace}"
            )
        if not planned:
            return {}
        document = self._document(request, planned)
        wanted = frozenset(document["networks"])
        with self._locked():
            self._take_down(request.container_id, request.namespace, wanted)
            before = self._log.get(request.container_id)
            connection = Connection(
                namespace=str(request.namespace),
                document=joined(before.document, document) if before else document,
                unsettled=(before.unsettled if before else frozenset()) | wanted,
            )
            self._log.put(request.container_id, connection)
            try:
                output = self._run("setup", document, request.namespace)
            except NetworkError as error:
                try:
                    self._take_down(request.container_id, request.namespace, wanted)
                except NetworkError as second:
                    error.add_note(f"roll-back: {second}")
                raise
            settled = msgspec.structs.replace(connection, unsettled=connection.unsettled - wanted)
            self._log.put(request.container_id, settled)
        return {_own(name): block for name, block in decode_status(output).items()}

    def teardown(self, request: ContainerNetwork) -> None:
        with self._locked():
            self._take_down(request.container_id, request.namespace)

    def disconnect(self, request: ContainerNetwork, networks: Collection[str]) -> None:
        with self._locked():
            self._take_down(
                request.container_id, request.namespace, frozenset(self._driven(name) for name in networks)
            )

    def reload(self, request: ContainerNetwork) -> None:
        self.teardown(request)
        self.setup(request)

    def rename(self, request: ContainerNetwork) -> None:
        if self._dns is None:
            return
        # netavark has no word for it; the server reads the same files as ours.
        named = [self._driven_link(link) for link in plan("netavark", request) if link.definition.dns_enabled]
        with self._locked():
            self._dns.add(request.container_id, request.container_name, named, request.dns_servers)
            known = self._log.get(request.container_id)
            if known is not None:
                document = {**known.document, "container_name": request.container_name}
                self._log.put(request.container_id, msgspec.structs.replace(known, document=document))

    def strays(self, live: Collection[str], definitions: Sequence[NetworkDefinition]) -> list[Stray]:
        found: list[Stray] = []
        with self._locked():
            connected = self._log.ids()
            for container_id in connected:
                known = self._log.get(container_id)
                if container_id not in live and known is not None:
                    found += [
                        Stray(kind="connection", name=_own(name), container_id=container_id)
                        for name in sorted(known.networks)
                    ]
            if self._dns is not None:
                found += strays.names(self._dns.known(), {*live, *connected})
                found += strays.servers(idle=self._dns.is_idle())
        return found

    def remove_strays(self, found: Sequence[Stray]) -> None:
        errors: list[NetworkError] = []
        with self._locked():
            for container_id in dict.fromkeys(
                item.container_id for item in found if item.kind == "connection"
            ):
                known = self._log.get(container_id)
                if known is None:
                    continue
                try:
                    self._take_down(container_id, Path(known.namespace))
                except NetworkError as error:
                    errors.append(error)
            if self._dns is not None:
                for item in found:
                    if item.kind == strays.NAME:
                        self._dns.remove(item.container_id, [item.name])
                self._dns.end_idle()
        if errors:
            raise errors[0]

    # -- down
    # ---------------------------------------------------------------------------------------------------

    def _take_down(self, container_id: str, namespace: Path, networks: Collection[str] | None = None) -> None:
        """Take back what netavark was told of *networks* (default: all), whatever became of it."""
        known = self._log.get(container_id)
        if known is None:
            return
        gone = known.networks if networks is None else known.networks & frozenset(networks)
        if not gone:
            return
        half = gone & known.unsettled
        self._log.put(container_id, msgspec.structs.replace(known, unsettled=known.unsettled | gone))
        present = _interfaces(namespace)
        whole = {
            name for name in gone - half if known.document["networks"][name]["interface_name"] in present
        }
        if whole:
            self._await_idle_bridges(container_id, part(known.document, whole), ports=1)
            try:
                self._run("teardown", part(known.document, whole), namespace)
            except NetworkError as error:
                # Its rules were flushed, or it was killed.
                logger.debug("a second attempt follows: %s", error)
                whole = set()
        if gone - whole:
            self._restore_and_take_down(container_id, part(known.document, gone - whole), namespace)
        left = known.networks - gone
        self._log.put(
            container_id,
            Connection(
                namespace=known.namespace,
                document=part(known.document, left),
                unsettled=known.unsettled & left,
            ),
        )

    def _restore_and_take_down(self, container_id: str, document: Document, namespace: Path) -> None:
        """Make whole what is half there, elsewhere than in the container, and let netavark remove that."""
        substitute = self._run_directory / f"netavark-{container_id}"
        delete_network_namespace(substitute)
        _delete_interfaces(namespace, document)
        present = {link.name for link in links_of()}
        bridged = {
            name
            for name, definition in document["network_info"].items()
            if definition.get("driver") == BRIDGE
            and (not _is_unmanaged(definition) or definition["network_interface"] in present)
        }
        for name in document["networks"]:
            self._restore_names(name, without=container_id)
        if not bridged:
            return  # the host has no part in it
        document = without_names(part(document, bridged))
        self._await_idle_bridges(container_id, document, ports=0)
        create_network_namespace(substitute)
        try:
            try:
                self._run("setup", document, substitute)
            except NetworkError as error:
                logger.debug("taken down as it is: %s", error)
            self._run("teardown", document, substitute)
        finally:
            delete_network_namespace(substitute)

    def _restore_names(self, network: str, *, without: str) -> None:
        """What the name server knows of *network*, from the log: netavark writes its file in place, and may have been
        killed over it; nor does a server outlive reading half a file."""
        entries, header = [], ""
        for container_id in sorted(self._log.users(network) - {without}):
            known = self._log.get(container_id)
            if known is not None and network not in known.unsettled:
                header, entry = dns_lines(known.document, network)
                entries += [entry] if entry else []
        if self._dns is not None:
            self._dns.rewrite(network, header, entries)

    def _await_idle_bridges(self, container_id: str, document: Document, *, ports: int) -> None:
        """Where nobody else is: until there are no more than *ports* on the bridge.

        The kernel takes interfaces away some time after their namespace, and netavark leaves a bridge that has one.
        """
        bridges = {
            definition["network_interface"]
            for name, definition in document["network_info"].items()
            if definition.get("driver") == BRIDGE
            and not _is_unmanaged(definition)
            and self._log.users(name) <= {container_id}
        }
        limit = time.monotonic() + _PATIENCE
        while bridges and time.monotonic() < limit:
            links = links_of()
            masters = [link.master for link in links if link.master]
            bridges = {
                link.name for link in links if link.name in bridges and masters.count(link.index) > ports
            }
            if bridges:
                time.sleep(0.01)

    # -- netavark
    # -----------------------------------------------------------------------------------------------

    def _run(self, verb: str, document: Document, namespace: Path) -> bytes:
        argv = [
            self._program,
            "--config", str(self._directory),
            "--rootless=false",
            *([f"--aardvark-binary={self._aardvark}"] if self._aardvark else []),
            verb, str(namespace),
        ]  # fmt: skip
        self._directory.mkdir(parents=True, exist_ok=True)
        self._at_work.touch()
        container_id = document["container_id"]
        try:
            result = run(argv, stdin=_ENCODER.encode(document), timeout=_SECONDS, accept=range(256))
        except CommandError as error:
            _await_ends(self._survivors())
            raise _failure(verb, container_id, error.stderr) from error
        finally:
            self._at_work.unlink(missing_ok=True)
        if result.returncode != 0:
            raise _failure(verb, container_id, _message(result.stdout) or result.stderr)
        return result.stdout

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with locked_file(self._run_directory / "network.lock"):
            if self._at_work.exists():  # whoever had the lock was killed meanwhile
                _await_ends(self._survivors())
                self._at_work.unlink(missing_ok=True)
            yield

    def _survivors(self) -> list[pidfd.ProcessIdentity]:
        """A netavark of ours whose master was killed, and programs whose master, a netavark, was killed."""
        found = []
        for process in pidfd.all_processes():
            words = pidfd.command_line(process.pid)
            ours = str(self._directory).encode() in words and b"--rootless=false" in words
            rules = (
                bool(words) and words[0].endswith(b"tables") and any(b"NETAVARK" in word for word in words)
            )
            if ours or rules:
                found.append(process)
        return found

    def _driven(self, network: str) -> str:
        return f"{network}@{self.owner}"

    def _driven_link(self, link: PlannedLink) -> PlannedLink:
        name = self._driven(link.definition.name)
        definition = msgspec.structs.replace(link.definition, name=name, id=network_id(name))
        attachment = msgspec.structs.replace(link.attachment, definition=definition)
        return msgspec.structs.replace(link, attachment=attachment)

    def _document(self, request: ContainerNetwork, planned: Sequence[PlannedLink]) -> Document:
        """What netavark reads: the container, its networks and ports, and the definitions."""
        driven = [self._driven_link(link) for link in planned]
        document: Document = {
            "container_id": request.container_id,
            "container_name": request.container_name,
            "networks": {
                link.definition.name: {
                    "interface_name": link.attachment.interface,
                    "static_ips": [address.address for address in link.addresses] or None,
                    "static_mac": link.mac,
                    "aliases": [*link.attachment.aliases, short(request.container_id)],
                }
                for link in driven
            },
            "network_info": {
                link.definition.name: _DECODER.decode(encode_definition(link.definition)) for link in driven
            },
            "port_mappings": [msgspec.to_builtins(port) for port in request.ports],
        }
        if request.dns_servers:
            document["dns_servers"] = list(request.dns_servers)
        return document


def _own(driven: str) -> str:
    """The network that netavark knows as *driven*."""
    return driven.rpartition("@")[0]


def _is_unmanaged(definition: Mapping[str, Any]) -> bool:
    return (definition.get("options") or {}).get("mode") == "unmanaged"


def _interfaces(namespace: Path) -> set[str]:
    """The names of the interfaces in a namespace; none when it is gone."""
    if not is_network_namespace(namespace):
        return set()
    return {link.name for link in run_in_netns(namespace, links_of)}


def _delete_interfaces(namespace: Path, document: Document) -> None:
    names = {item["interface_name"] for item in document["networks"].values()} & _interfaces(namespace)
    if names:
        with opened_namespace(namespace) as opened:
            wiring.inside(opened, lambda there: [there.delete(name) for name in names])


def _await_ends(processes: Sequence[pidfd.ProcessIdentity]) -> None:
    for process in processes:
        if not pidfd.wait_end(process, _PATIENCE):
            pidfd.stop_process(process)


def _failure(verb: str, container_id: str, cause: str) -> NetworkError:
    words = {"setup": "set up", "teardown": "take down"}[verb]
    return NetworkError(
        f"netavark could not {words} the network of container {short(container_id)} ({last_lines(cause, 1)})",
        details=last_lines(cause),
    )


def _message(output: bytes) -> str:
    """The text of ``{"error": …}``, which netavark prints when it fails."""
    try:
        return str(_DECODER.decode(output)["error"])
    except (msgspec.MsgspecError, KeyError, TypeError):
        return output.decode(errors="replace")
