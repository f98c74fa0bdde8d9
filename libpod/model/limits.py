"""Ulimits, devices and device rules as the command line writes them.

    --ulimit               NAME=SOFT[:HARD], `unlimited` or −1 for no limit; `host` to take over our own limits
    --device               HOST[:CONTAINER][:rwm]
    --device-cgroup-rule   a|b|c MAJOR:MINOR rwm, * for any number
    --blkio-weight-device  PATH:WEIGHT;  --device-read-bps and friends PATH:RATE

Covers: pkg/specgenutil/specgen.go (these flags), vendored go-units (ulimit)
"""

from __future__ import annotations

import msgspec

from libpod.define.errors import InvalidArgumentError
from libpod.define.patterns import pattern
from libpod.linux.rlimits import INFINITY, NUMBERS
from libpod.model.units import parse_size

_RULE = pattern(r"(a|b|c) (\*|\d+):(\*|\d+) ([rwm]{1,3})")
_ACCESS = pattern(r"[rwm]{1,3}")


class Ulimit(msgspec.Struct, frozen=True, kw_only=True):
    """A resource limit; 2**64 − 1 is none."""

    name: str
    """As the specification writes it: RLIMIT_NOFILE."""
    soft: int
    hard: int

    def __post_init__(self) -> None:
        if self.name not in NUMBERS:
            raise InvalidArgumentError(f'"{self.name}" is not a resource limit')
        if self.soft > self.hard:
            raise InvalidArgumentError(
                f"the soft limit {self.soft} of {self.name} is above the hard limit {self.hard}"
            )


def parse_ulimit(text: str | Ulimit) -> Ulimit:
    """The limit in `nofile=1024:2048`; raises InvalidArgumentError."""
    if isinstance(text, Ulimit):
        return text
    name, given, values = text.partition("=")
    word = name.strip().upper().removeprefix("RLIMIT_")
    soft_text, colon, hard_text = values.partition(":")
    if not given or not soft_text or (colon and not hard_text):
        raise InvalidArgumentError(f'"{text}" is not a resource limit', resolution="write name=soft[:hard]")
    soft = _limit(soft_text, text)
    hard = _limit(hard_text, text) if colon else soft
    return Ulimit(name=f"RLIMIT_{word}", soft=soft, hard=hard)


def _limit(text: str, whole: str) -> int:
    if text in ("-1", "unlimited"):
        return INFINITY
    if not text.isdecimal() or int(text) > INFINITY:
        raise InvalidArgumentError(f'"{text}" in "{whole}" is not a limit')
    return int(text)


class DeviceRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A device, or all devices below a directory, of the host."""

    source: str
    destination: str
    access: str = "rwm"


def parse_device(text: str | DeviceRequest) -> DeviceRequest:
    """The device in `/dev/fuse:/dev/fuse:rwm`; raises InvalidArgumentError."""
    if isinstance(text, DeviceRequest):
        return text
    parts = text.split(":")
    source = parts[0]
    destination, access = source, "rwm"
    if len(parts) == 2 and _ACCESS.fullmatch(parts[1]):
        access = parts[1]
    elif len(parts) == 2:
        destination = parts[1]
    elif len(parts) == 3:
        destination, access = parts[1] or source, parts[2]
    if (
        len(parts) > 3
        or not source.startswith("/")
        or not destination.startswith("/")
        or _ACCESS.fullmatch(access) is None
        or len(set(access)) != len(access)
    ):
        raise InvalidArgumentError(
            f'"{text}" is not a device', resolution="write host-path[:container-path][:rwm]"
        )
    return DeviceRequest(source=source, destination=destination, access=access)


class DeviceRule(msgspec.Struct, frozen=True, kw_only=True):
    """What the container may do with devices by number; None is any."""

    type: str
    major: int | None
    minor: int | None
    access: str


def parse_device_rule(text: str | DeviceRule) -> DeviceRule:
    """The rule in `c 10:200 rwm`; raises InvalidArgumentError."""
    if isinstance(text, DeviceRule):
        return text
    match = _RULE.fullmatch(text)
    if match is None:
        raise InvalidArgumentError(
            f'"{text}" is not a device rule', resolution='write "c 10:200 rwm", * for any number'
        )
    kind, major, minor, access = match.groups()
    return DeviceRule(
        type=kind,
        major=None if major == "*" else int(major),
        minor=None if minor == "*" else int(minor),
        access=access,
    )


class DeviceLimit(msgspec.Struct, frozen=True, kw_only=True):
    """A weight, a rate in bytes, or a rate in operations for one block device."""

    path: str
    value: int


def parse_device_weight(text: str | DeviceLimit) -> DeviceLimit:
    """`/dev/sda:200`; raises InvalidArgumentError."""
    limit = _device_limit(text, size=False)
    if not 10 <= limit.value <= 1000:
        raise InvalidArgumentError(f"the weight {limit.value} of {limit.path} is not between 10 and 1000")
    return limit


def parse_device_bytes(text: str | DeviceLimit) -> DeviceLimit:
    """`/dev/sda:1mb`; raises InvalidArgumentError."""
    return _device_limit(text, size=True)


def parse_device_operations(text: str | DeviceLimit) -> DeviceLimit:
    """`/dev/sda:1000`; raises InvalidArgumentError."""
    return _device_limit(text, size=False)


def _device_limit(text: str | DeviceLimit, *, size: bool) -> DeviceLimit:
    if isinstance(text, DeviceLimit):
        return text
    path, _, value = text.rpartition(":")
    if not path.startswith("/") or not value or not (size or value.isdecimal()):
        raise InvalidArgumentError(f'"{text}" is not a limit of a device', resolution="write /dev/name:value")
    return DeviceLimit(path=path, value=parse_size(value) if size else int(value))
