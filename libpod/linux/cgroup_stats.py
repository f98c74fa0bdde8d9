"""What a group of processes uses, read from its cgroup files: no child process, no daemon.

A number is 0 where the kernel does not count it, and a limit None where there is none. The values are read one after
the other and so are not of exactly one moment.

Covers: libpod/stats_linux.go, pkg/cgroups (Stat), container-libs/common/pkg/cgroups
"""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from libpod.linux import cgroups

_UNLIMITED = 1 << 62
"""v1 writes a limit close to 2^63 (rounded down to a page) when there is none."""

_SECTOR_OPERATIONS = ("Read", "Write")


class CgroupStats(msgspec.Struct, frozen=True, kw_only=True):
    """Counters since the group was made, and what is used now."""

    moment_ns: int
    """CLOCK_REALTIME when they were read: the difference of two readings gives rates."""
    cpu_ns: int
    cpu_user_ns: int
    cpu_system_ns: int
    cpu_throttled_ns: int
    memory_usage: int
    memory_peak: int
    memory_inactive_file: int
    """The part of memory_usage that the kernel would give back first."""
    memory_limit: int | None
    memory_failures: int
    oom_kills: int
    swap_usage: int
    pids: int
    pids_limit: int | None
    block_read: int
    block_written: int
    """Bytes."""
    per_cpu_ns: tuple[int, ...] = ()
    """v1 only."""


def read(path: str) -> CgroupStats:
    """The statistics of group *path*; FileNotFoundError when there is no such group."""
    memory = cgroups.controller_directory(path, "memory")
    if memory is None or not any(h.directory(path).is_dir() for h in cgroups.hierarchies()):
        raise FileNotFoundError(2, "no such cgroup", path)
    if cgroups.mode() is cgroups.CgroupMode.UNIFIED:
        return _read_v2(memory)
    return _read_v1(path)


def _read_v1(path: str) -> CgroupStats:
    def of(controller: str) -> Path:
        return cgroups.controller_directory(path, controller) or Path("/nonexistent")

    cpu, cpuacct, memory, pids, blkio = (of(name) for name in ("cpu", "cpuacct", "memory", "pids", "blkio"))
    statistics, shares = _table(memory / "memory.stat"), _table(cpuacct / "cpuacct.stat")
    block = _blkio_v1(blkio)
    usage = _number(memory / "memory.usage_in_bytes")
    return CgroupStats(
        moment_ns=time.time_ns(),
        cpu_ns=_number(cpuacct / "cpuacct.usage"),
        cpu_user_ns=_number(cpuacct / "cpuacct.usage_user") or shares.get("user", 0) * 10_000_000,
        cpu_system_ns=_number(cpuacct / "cpuacct.usage_sys") or shares.get("system", 0) * 10_000_000,
        cpu_throttled_ns=_table(cpu / "cpu.stat").get("throttled_time", 0),
        memory_usage=usage,
        memory_peak=_number(memory / "memory.max_usage_in_bytes"),
        memory_inactive_file=statistics.get("total_inactive_file", 0),
        memory_limit=_limit(memory / "memory.limit_in_bytes"),
        memory_failures=_number(memory / "memory.failcnt"),
        oom_kills=_table(memory / "memory.oom_control").get("oom_kill", 0),
        swap_usage=max(0, _number(memory / "memory.memsw.usage_in_bytes") - usage),
        pids=_number(pids / "pids.current"),
        pids_limit=_limit(pids / "pids.max"),
        block_read=block.get("Read", 0),
        block_written=block.get("Write", 0),
        per_cpu_ns=tuple(int(word) for word in _text(cpuacct / "cpuacct.usage_percpu").split()),
    )


def _read_v2(directory: Path) -> CgroupStats:
    cpu, statistics = _table(directory / "cpu.stat"), _table(directory / "memory.stat")
    events = _table(directory / "memory.events")
    read_bytes = written = 0
    for line in _text(directory / "io.stat").splitlines():
        fields = dict(word.split("=", 1) for word in line.split()[1:] if "=" in word)
        read_bytes += int(fields.get("rbytes", 0))
        written += int(fields.get("wbytes", 0))
    return CgroupStats(
        moment_ns=time.time_ns(),
        cpu_ns=cpu.get("usage_usec", 0) * 1000,
        cpu_user_ns=cpu.get("user_usec", 0) * 1000,
        cpu_system_ns=cpu.get("system_usec", 0) * 1000,
        cpu_throttled_ns=cpu.get("throttled_usec", 0) * 1000,
        memory_usage=_number(directory / "memory.current"),
        memory_peak=_number(directory / "memory.peak"),
        memory_inactive_file=statistics.get("inactive_file", 0),
        memory_limit=_limit(directory / "memory.max"),
        memory_failures=events.get("max", 0),
        oom_kills=events.get("oom_kill", 0),
        swap_usage=_number(directory / "memory.swap.current"),
        pids=_number(directory / "pids.current"),
        pids_limit=_limit(directory / "pids.max"),
        block_read=read_bytes,
        block_written=written,
    )


def _blkio_v1(directory: Path) -> dict[str, int]:
    """Bytes by operation; schedulers other than bfq count in the throttle files."""
    for name in (
        "blkio.bfq.io_service_bytes_recursive",
        "blkio.io_service_bytes_recursive",
        "blkio.throttle.io_service_bytes_recursive",
        "blkio.throttle.io_service_bytes",
    ):
        sums: dict[str, int] = {}
        for line in _text(directory / name).splitlines():
            words = line.split()
            if len(words) == 3 and words[1] in _SECTOR_OPERATIONS:
                sums[words[1]] = sums.get(words[1], 0) + int(words[2])
        if sums:
            return sums
    return {}


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # not on this kernel, or the group went away in between: counts as nothing used
        return ""


def _number(path: Path) -> int:
    word = _text(path).strip()
    return int(word) if word.isdecimal() else 0


def _limit(path: Path) -> int | None:
    word = _text(path).strip()
    return int(word) if word.isdecimal() and int(word) < _UNLIMITED else None


def _table(path: Path) -> dict[str, int]:
    """The lines "name number" of a file."""
    table = {}
    for line in _text(path).splitlines():
        name, _, value = line.partition(" ")
        if value.strip().isdecimal():
            table[name] = int(value)
    return table
