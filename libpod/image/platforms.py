"""Operating system and architecture, in the words images use.

Covers: libimage/platform.go, containerd/platforms (normalisation)
"""

from __future__ import annotations

import os

from libpod.define.errors import InvalidArgumentError
from libpod.spec.image import Platform

_ARCHITECTURES = {
    "x86_64": "amd64",
    "i386": "386",
    "i486": "386",
    "i586": "386",
    "i686": "386",
    "aarch64": "arm64",
    "armv5tel": "arm",
    "armv6l": "arm",
    "armv7l": "arm",
    "armv8l": "arm",
    "loongarch64": "loong64",
    "mips64el": "mips64le",
    "ppc64le": "ppc64le",
    "riscv64": "riscv64",
    "s390x": "s390x",
}
_VARIANTS = {"armv5tel": "v5", "armv6l": "v6", "armv7l": "v7", "armv8l": "v8"}


def host_platform() -> Platform:
    """What images must be made for to run here."""
    machine = os.uname().machine
    platform: Platform = {"os": "linux", "architecture": _ARCHITECTURES.get(machine, machine)}
    if machine in _VARIANTS:
        platform["variant"] = _VARIANTS[machine]
    return platform


def parse_platform(text: str) -> Platform:
    """`os/architecture[/variant]`, or an architecture alone; kernel names such as aarch64 are understood.

    Raises InvalidArgumentError.
    """
    parts = text.split("/")
    if not all(parts) or len(parts) > 3:
        raise InvalidArgumentError(
            f'"{text}" is not a platform', resolution="write it as linux/arm64 or linux/arm/v7"
        )
    if len(parts) == 1:
        parts = ["linux", *parts]
    platform: Platform = {
        "os": parts[0].lower(),
        "architecture": _ARCHITECTURES.get(parts[1], parts[1].lower()),
    }
    variant = parts[2] if len(parts) == 3 else _VARIANTS.get(parts[1], "")
    if variant and (platform["architecture"], variant) != ("arm64", "v8"):
        platform["variant"] = variant  # arm64 has only v8, and images do not say so
    return platform


def platform_text(platform: Platform) -> str:
    """`linux/arm/v7`."""
    parts = [platform["os"], platform["architecture"], platform.get("variant", "")]
    return "/".join(part for part in parts if part)
