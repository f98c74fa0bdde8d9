"""Capabilities: the kernel's numbers, their names, and the sets this process holds.

Names are written as the OCI specification writes them, `CAP_NET_ADMIN`. The numbers are the kernel's and never change;
a kernel newer than this table knows more than we can name, and those are left out of every set we report.

Covers: pkg/capabilities of the common library
"""

from __future__ import annotations

from pathlib import Path

NAMES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
)
"""Every capability; the index is the kernel's number."""


def names_of(mask: int) -> frozenset[str]:
    """The names of the bits set in *mask*."""
    return frozenset(name for number, name in enumerate(NAMES) if mask >> number & 1)


def read_sets(process: int | str = "self") -> dict[str, frozenset[str]]:
    """The sets of a process by the kernel's names: CapInh, CapPrm, CapEff, CapBnd, CapAmb."""
    return parse_sets(Path(f"/proc/{process}/status").read_text())


def parse_sets(status: str) -> dict[str, frozenset[str]]:
    """The capability sets in the text of `/proc/<pid>/status`."""
    found = {}
    for line in status.splitlines():
        key, _, value = line.partition(":")
        if key.startswith("Cap"):
            found[key] = names_of(int(value.strip(), 16))
    return found
