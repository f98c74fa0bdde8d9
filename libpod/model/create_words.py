"""The words of a request for a container, made into values: the converters of `CreateOptions`.

Each takes what the command line would write or the value itself, so that a request can be made either way. Plain named
functions, because the type checker reads their signatures as those of the fields.

Covers: pkg/specgenutil/specgen.go (FillOutSpecGen)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from libpod.define.errors import InvalidArgumentError
from libpod.define.signals import parse_signal
from libpod.model.container_config import IDMap, PortMapping
from libpod.model.id_maps import check_maps
from libpod.model.limits import (
    DeviceLimit,
    DeviceRequest,
    DeviceRule,
    Ulimit,
    parse_device,
    parse_device_bytes,
    parse_device_operations,
    parse_device_rule,
    parse_device_weight,
    parse_ulimit,
)
from libpod.model.mount_text import parse_mount, parse_tmpfs, parse_volume
from libpod.model.mounts import Mount, TmpfsMount
from libpod.model.namespace_mode import NamespaceMode, parse_namespace
from libpod.model.network_request import parse_address, parse_expose, parse_mac, parse_publish
from libpod.model.units import parse_size

T = TypeVar("T")
V = TypeVar("V")


def texts(values: Iterable[str]) -> tuple[str, ...]:
    """One text, or several."""
    return (values,) if isinstance(values, str) else tuple(values)


def optional_texts(values: Iterable[str] | None) -> tuple[str, ...] | None:
    """None stays None: "not said" differs from "nothing"."""
    return None if values is None else texts(values)


def pairs(values: Mapping[str, str] | Iterable[str]) -> dict[str, str]:
    """`{"A": "1"}`, or `["A=1", "B"]` where B is empty."""
    if isinstance(values, Mapping):
        return dict(values)
    found = {}
    for text in texts(values):
        name, _, value = text.partition("=")
        if not name:
            raise InvalidArgumentError(f'"{text}" has no name', resolution="write name=value")
        found[name] = value
    return found


def _parsed(values: Iterable[V], parse: Callable[[V], T]) -> tuple[T, ...]:
    if isinstance(values, str):
        raise InvalidArgumentError(
            f'"{values}" is one text where a list is wanted', resolution="put it into a list"
        )
    return tuple(parse(value) for value in values)


def volumes(values: Iterable[str | Mount]) -> tuple[Mount, ...]:
    """Words of `-v`."""
    return _parsed(values, lambda value: parse_volume(value) if isinstance(value, str) else value)


def mounts(values: Iterable[str | Mount]) -> tuple[Mount, ...]:
    """Words of `--mount`."""
    return _parsed(values, lambda value: parse_mount(value) if isinstance(value, str) else value)


def tmpfs_mounts(values: Iterable[str | TmpfsMount]) -> tuple[TmpfsMount, ...]:
    """Words of `--tmpfs`."""
    return _parsed(values, lambda value: parse_tmpfs(value) if isinstance(value, str) else value)


def published(values: Iterable[str | PortMapping]) -> tuple[PortMapping, ...]:
    """Words of `--publish`."""
    return _parsed(values, lambda value: parse_publish(value) if isinstance(value, str) else value)


def exposed(values: Iterable[str | int | tuple[int, int, str]]) -> tuple[tuple[int, int, str], ...]:
    """Words of `--expose`: first port, number of ports, protocol."""
    return _parsed(values, lambda value: value if isinstance(value, tuple) else parse_expose(str(value)))


def ulimits(values: Iterable[str | Ulimit]) -> tuple[Ulimit, ...]:
    """Words of `--ulimit`."""
    return _parsed(values, parse_ulimit)


def devices(values: Iterable[str | DeviceRequest]) -> tuple[DeviceRequest, ...]:
    """Words of `--device`."""
    return _parsed(values, parse_device)


def device_rules(values: Iterable[str | DeviceRule]) -> tuple[DeviceRule, ...]:
    """Words of `--device-cgroup-rule`."""
    return _parsed(values, parse_device_rule)


def device_weights(values: Iterable[str | DeviceLimit]) -> tuple[DeviceLimit, ...]:
    """Words of `--blkio-weight-device`."""
    return _parsed(values, parse_device_weight)


def device_bytes(values: Iterable[str | DeviceLimit]) -> tuple[DeviceLimit, ...]:
    """Words of `--device-read-bps` and `--device-write-bps`."""
    return _parsed(values, parse_device_bytes)


def device_operations(values: Iterable[str | DeviceLimit]) -> tuple[DeviceLimit, ...]:
    """Words of `--device-read-iops` and `--device-write-iops`."""
    return _parsed(values, parse_device_operations)


def size(value: str | int | None) -> int | None:
    """Bytes."""
    return parse_size(value) if isinstance(value, str) else value


def signed_size(value: str | int | None) -> int | None:
    """Bytes, or −1."""
    return -1 if value in ("-1", -1) else size(value)


def signal(value: str | int | None) -> int | None:
    """The number of a signal."""
    return None if value is None or value == "" else parse_signal(value)


def address(value: str) -> str:
    """An IP address, or nothing."""
    return parse_address(value) if value else ""


def mac(value: str) -> str:
    """A hardware address, or nothing."""
    return parse_mac(value) if value else ""


def pid_namespace(value: str | NamespaceMode) -> NamespaceMode:
    """Words of `--pid`."""
    return parse_namespace(value, "pid")


def ipc_namespace(value: str | NamespaceMode) -> NamespaceMode:
    """Words of `--ipc`."""
    return parse_namespace(value, "ipc")


def uts_namespace(value: str | NamespaceMode) -> NamespaceMode:
    """Words of `--uts`."""
    return parse_namespace(value, "uts")


def user_namespace(value: str | NamespaceMode) -> NamespaceMode:
    """Words of `--userns`."""
    return parse_namespace(value, "user")


def id_maps(values: Iterable[str | IDMap]) -> tuple[IDMap, ...]:
    """Words of `--uidmap` and `--gidmap`: ID inside, ID on the host, how many. Raises InvalidArgumentError."""
    found = tuple(_id_map(value) if isinstance(value, str) else value for value in values)
    check_maps(found, "mapping")
    return found


def _id_map(text: str) -> IDMap:
    parts = text.split(":")
    if not 2 <= len(parts) <= 3 or not all(part.isdecimal() for part in parts):
        raise InvalidArgumentError(
            f'"{text}" is not a mapping of ids', resolution="write CONTAINER_ID:HOST_ID[:HOW_MANY]"
        )
    inside, outside, size = (int(part) for part in (*parts, "1")[:3])
    return IDMap(container_id=inside, host_id=outside, size=size)


def cgroup_namespace(value: str | NamespaceMode) -> NamespaceMode:
    """Words of `--cgroupns`."""
    return parse_namespace(value, "cgroup")
