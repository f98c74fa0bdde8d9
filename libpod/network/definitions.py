"""Definitions of networks: podman's JSON files, one per network, in a directory of our own.

    <directory>/<name>.json     one definition
    <directory>/networks.lock   held while one is created or removed

A file appears whole or not at all, so readers take no lock. The default network is written the first time it is
needed: its bridge and subnet have to be chosen on the machine where they must not collide with anything, and
have to stay the same from then on. Its *name* is podman's, so that containers from podman's archives find it.

Covers: container-libs common/libnetwork/types/network.go, netavark/config.go (load, list, inspect, remove)
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from libpod.define.errors import (
    AmbiguousNameError,
    NetworkError,
    NetworkExistsError,
    NetworkInUseError,
    NoSuchNetworkError,
)
from libpod.linux.digest import sha256
from libpod.linux.file_locks import locked_file
from libpod.linux.files import sync_directory, write_atomic

BRIDGE, MACVLAN, IPVLAN = "bridge", "macvlan", "ipvlan"
DRIVERS = (BRIDGE, MACVLAN, IPVLAN)
IPAM_DRIVERS = ("host-local", "none", "dhcp")


class LeaseRange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The part of a subnet from which addresses are handed out; "" is the end of the subnet on that side."""

    start_ip: str = ""
    end_ip: str = ""


class Subnet(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One subnet; `gateway` is "" when the network has none there."""

    subnet: str
    gateway: str = ""
    lease_range: LeaseRange | None = None


class Route(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A static route that every container of the network gets."""

    destination: str
    gateway: str = ""
    metric: int | None = None
    route_type: str = ""


class NetworkDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """A network, with podman's key names. `network_interface` is the bridge, or the parent of a macvlan."""

    name: str
    id: str
    driver: str = BRIDGE
    network_interface: str = ""
    created: str = ""
    subnets: tuple[Subnet, ...] = ()
    routes: tuple[Route, ...] = ()
    ipv6_enabled: bool = False
    internal: bool = False
    dns_enabled: bool = False
    network_dns_servers: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    options: dict[str, str] = {}
    ipam_options: dict[str, str] = {}

    @property
    def ipam_driver(self) -> str:
        return self.ipam_options.get("driver", "host-local" if self.subnets else "none")

    @property
    def mtu(self) -> int:
        """0 for the kernel's choice."""
        return int(self.options.get("mtu") or self.options.get("com.docker.network.driver.mtu") or 0)

    @property
    def vlan(self) -> int:
        """0 for none."""
        return int(self.options.get("vlan") or 0)

    @property
    def isolation(self) -> str:
        """ "" (reachable from other networks), "isolate" (not from other isolated ones) or "strict"."""
        value = self.options.get("isolate", "").lower()
        return "strict" if value == "strict" else "isolate" if value in ("true", "1", "t") else ""

    @property
    def metric(self) -> int:
        return int(self.options.get("metric") or DEFAULT_METRIC)

    @property
    def has_default_route(self) -> bool:
        unwanted = self.options.get("no_default_route", "").lower() in ("true", "1", "t")
        return not self.internal and not unwanted

    @property
    def mode(self) -> str:
        """The mode of a macvlan or ipvlan, "unmanaged" for a bridge that is the administrator's."""
        return self.options.get("mode", "")

    @property
    def is_unmanaged(self) -> bool:
        return self.driver == BRIDGE and self.mode == "unmanaged"


DEFAULT_METRIC = 100

_DECODER = msgspec.json.Decoder(dict[str, Any])
_ENCODER = msgspec.json.Encoder()
_ALWAYS = frozenset(
    ("name", "id", "driver", "created", "ipv6_enabled", "internal", "dns_enabled", "ipam_options")
)


def network_id(name: str) -> str:
    """The id of the network called *name*, as podman derives it."""
    return sha256(name.encode()).hex()


def definition_document(definition: NetworkDefinition) -> dict[str, Any]:
    """podman's document: keys without a value are left out, except those that it always writes."""
    plain: dict[str, Any] = msgspec.to_builtins(definition)
    return {key: value for key, value in plain.items() if key in _ALWAYS or value not in ("", [], {}, ())}


def encode_definition(definition: NetworkDefinition) -> bytes:
    """podman's JSON."""
    return msgspec.json.format(_ENCODER.encode(definition_document(definition)), indent=5)


def decode_definition(data: bytes, source: str) -> NetworkDefinition:
    """A definition from podman's JSON; *source* is named when it is damaged."""
    try:
        plain = {key: value for key, value in _DECODER.decode(data).items() if value is not None}
        definition = msgspec.convert(plain, NetworkDefinition)
        for subnet in definition.subnets:
            ipaddress.ip_network(subnet.subnet)
    except (msgspec.MsgspecError, ValueError, AttributeError) as error:
        raise NetworkError(
            f"{source} is not the definition of a network ({error})", resolution="correct or remove the file"
        ) from error
    return definition


class NetworkDefinitions:
    """The definitions in one directory. Objects are cheap and keep nothing between calls."""

    def __init__(self, directory: Path, *, default_name: str = "podman", default_subnet: str = "") -> None:
        self.directory = directory
        self.default_name = default_name
        self.default_subnet = default_subnet

    def list(self) -> list[NetworkDefinition]:
        """All that exist on disk, by name; the default network only once it was needed."""
        try:
            names = sorted(entry for entry in os.listdir(self.directory) if _is_definition(entry))
        except FileNotFoundError:
            return []
        found = []
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # removed since the directory was read
                found.append(self._read(self.directory / name))
        return found

    def get(self, name_or_id: str) -> NetworkDefinition:
        """By name, else by full id or a unique prefix of it; raises NoSuchNetworkError, AmbiguousNameError."""
        if _is_definition(f"{name_or_id}.json"):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                return self._read(self._path(name_or_id))
        matches = [item for item in self.list() if name_or_id and item.id.startswith(name_or_id)]
        exact = [item for item in matches if item.id == name_or_id]
        if exact:
            return exact[0]
        if len(matches) > 1:
            raise AmbiguousNameError("network", name_or_id, [item.id for item in matches])
        if not matches:
            raise NoSuchNetworkError(name_or_id)
        return matches[0]

    def get_or_default(self, name: str) -> NetworkDefinition:
        """`get`; the default network is made when it does not exist yet."""
        try:
            return self.get(name)
        except NoSuchNetworkError:
            if name != self.default_name:
                raise
        from libpod.network.creation import default_definition

        def make(others: Sequence[NetworkDefinition]) -> NetworkDefinition:
            return default_definition(self.default_name, others, subnet=self.default_subnet)

        return self.add(make, exist_ok=True)

    def exists(self, name_or_id: str) -> bool:
        try:
            self.get(name_or_id)
        except NoSuchNetworkError:
            return False
        return True

    def add(
        self,
        make: Callable[[Sequence[NetworkDefinition]], NetworkDefinition],
        *,
        exist_ok: bool = False,
    ) -> NetworkDefinition:
        """Write what *make* returns for the definitions that exist, under the lock of the directory.

        Raises NetworkExistsError when the name is taken; with *exist_ok* the present definition is returned.
        """
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o755)
        with self.locked():
            present = self.list()
            definition = make(present)
            same = [item for item in present if item.name == definition.name]
            if same and exist_ok:
                return same[0]
            if same or any(item.id == definition.id for item in present):
                raise NetworkExistsError(definition.name)
            write_atomic(self._path(definition.name), encode_definition(definition), mode=0o644)
            return definition

    def remove(self, name_or_id: str, *, users: Sequence[str] = ()) -> NetworkDefinition:
        """Remove a definition that no container (*users*) needs; the default network stays."""
        definition = self.get(name_or_id)
        if definition.name == self.default_name:
            raise NetworkError(f"default network {definition.name} cannot be removed")
        if users:
            raise NetworkInUseError(definition.name, users)
        with self.locked(), contextlib.suppress(FileNotFoundError):
            os.unlink(self._path(definition.name))
            sync_directory(self.directory)
        return definition

    def locked(self) -> contextlib.AbstractContextManager[None]:
        """Nobody else creates or removes a definition during the block."""
        return locked_file(self.directory / "networks.lock")

    def _path(self, name: str) -> Path:
        return self.directory / f"{name}.json"

    def _read(self, path: Path) -> NetworkDefinition:
        definition = decode_definition(path.read_bytes(), str(path))
        if definition.name != path.stem:
            raise NetworkError(
                f'{path} defines a network called "{definition.name}"', resolution="rename the file"
            )
        return definition


def _is_definition(file_name: str) -> bool:
    return file_name.endswith(".json") and not file_name.startswith(".") and "/" not in file_name
