"""This machine's architecture, in the words of images. A module of its own, because it needs no other."""

from __future__ import annotations

import os

ARCHITECTURES = {
    "x86_64": "amd64",
    "i686": "386",
    "i386": "386",
    "aarch64": "arm64",
    "armv7l": "arm",
    "armv6l": "arm",
    "ppc64le": "ppc64le",
    "ppc64": "ppc64",
    "s390x": "s390x",
    "riscv64": "riscv64",
    "loongarch64": "loong64",
    "mips": "mips",
    "mips64": "mips64",
}
"""The kernel's names of machines and those that images and profiles use."""


def native_architecture(machine: str | None = None) -> str:
    """The name that images use for *machine* (default: this one)."""
    kernel_name = os.uname().machine if machine is None else machine
    return ARCHITECTURES.get(kernel_name, kernel_name)
