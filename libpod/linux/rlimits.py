"""Resource limits of this process, by the names of the OCI specification.

Infinity is the specification's: 2**64 − 1, not Python's −1.

Covers: pkg/util (rlimits), cmd/podman/early_init_linux.go
"""

from __future__ import annotations

import resource
from pathlib import Path

INFINITY = 2**64 - 1

NUMBERS = {
    "RLIMIT_AS": resource.RLIMIT_AS,
    "RLIMIT_CORE": resource.RLIMIT_CORE,
    "RLIMIT_CPU": resource.RLIMIT_CPU,
    "RLIMIT_DATA": resource.RLIMIT_DATA,
    "RLIMIT_FSIZE": resource.RLIMIT_FSIZE,
    "RLIMIT_LOCKS": 10,
    "RLIMIT_MEMLOCK": resource.RLIMIT_MEMLOCK,
    "RLIMIT_MSGQUEUE": resource.RLIMIT_MSGQUEUE,
    "RLIMIT_NICE": resource.RLIMIT_NICE,
    "RLIMIT_NOFILE": resource.RLIMIT_NOFILE,
    "RLIMIT_NPROC": resource.RLIMIT_NPROC,
    "RLIMIT_RSS": resource.RLIMIT_RSS,
    "RLIMIT_RTPRIO": resource.RLIMIT_RTPRIO,
    "RLIMIT_RTTIME": resource.RLIMIT_RTTIME,
    "RLIMIT_SIGPENDING": resource.RLIMIT_SIGPENDING,
    "RLIMIT_STACK": resource.RLIMIT_STACK,
}
"""Every limit that may stand in a specification, with the kernel's number."""


def read_limits() -> dict[str, tuple[int, int]]:
    """Soft and hard limit of this process for every name in NUMBERS."""
    return {name: _both(resource.getrlimit(number)) for name, number in NUMBERS.items()}


def read_nr_open() -> int:
    """The largest RLIMIT_NOFILE that the kernel accepts from anybody."""
    return int(Path("/proc/sys/fs/nr_open").read_text())


def _both(limit: tuple[int, int]) -> tuple[int, int]:
    soft, hard = limit
    return (
        INFINITY if soft == resource.RLIM_INFINITY else soft,
        INFINITY if hard == resource.RLIM_INFINITY else hard,
    )
