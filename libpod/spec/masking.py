"""Paths of /proc and /sys that a container cannot see or cannot write.

Paths that the kernel does not have are skipped by the runtime, so the list is the same everywhere.

Covers: pkg/specgen/generate/config_linux.go (BlockAccessToKernelFilesystems)
"""

from __future__ import annotations

import fnmatch
import posixpath
from collections.abc import Sequence

MASKED = (
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/fs/selinux",
    "/sys/dev/block",
)
READ_ONLY = ("/proc/asound", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


def masked_paths(*, privileged: bool, mask: Sequence[str], unmask: Sequence[str]) -> list[str]:
    """What cannot be seen. What is masked on request is so for a privileged container too."""
    defaults = [] if privileged else [path for path in MASKED if not _matches(path, unmask)]
    return defaults + [path for path in mask if path not in defaults]


def read_only_paths(*, privileged: bool, unmask: Sequence[str]) -> list[str]:
    """What cannot be written."""
    return [] if privileged else [path for path in READ_ONLY if not _matches(path, unmask)]


def _matches(path: str, patterns: Sequence[str]) -> bool:
    return any(
        pattern.upper() == "ALL" or fnmatch.fnmatchcase(path, posixpath.normpath(pattern))
        for pattern in patterns
    )
