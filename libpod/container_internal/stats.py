"""What a container uses, from its cgroups and its network namespace.

Covers: libpod/stats_linux.go, libpod/stats_common.go
"""

from __future__ import annotations

import os
from pathlib import Path

import attrs

from libpod.container_internal import lifecycle
from libpod.container_internal.held import LockedContainer
from libpod.container_internal.launching import bundle_for
from libpod.define.status import LIVE
from libpod.spec.namespaces import has_entry


@attrs.frozen(kw_only=True)
class ContainerStats:
    """One reading. Times in nanoseconds, sizes in bytes; all zero when the container does not run."""

    id: str
    name: str
    moment: int = 0
    cpu: int = 0
    """CPU time used since it was started."""
    cpu_system: int = 0
    memory_usage: int = 0
    memory_limit: int = 0
    """The smaller of its limit and the machine's memory."""
    pids: int = 0
    block_input: int = 0
    block_output: int = 0
    network_input: int = 0
    network_output: int = 0

    @property
    def memory_percent(self) -> float:
        return 100.0 * self.memory_usage / self.memory_limit if self.memory_limit else 0.0

    def cpu_percent(self, before: ContainerStats) -> float:
        """CPU used since the reading *before*, in percent of one processor."""
        elapsed = self.moment - before.moment
        return 100.0 * (self.cpu - before.cpu) / elapsed if elapsed > 0 else 0.0


def stats(held: LockedContainer) -> ContainerStats:
    """See `Container.stats`."""
    if held.status not in LIVE or held.config.no_cgroups:
        return ContainerStats(id=held.id, name=held.name)
    try:
        found = lifecycle.runtime_of(held).stats(bundle_for(held))
    except FileNotFoundError:
        return ContainerStats(id=held.id, name=held.name)  # it ended between our look and this one
    received, sent = _network(held.state.pid) if has_entry(held.config.spec, "network") else (0, 0)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return ContainerStats(
        id=held.id,
        name=held.name,
        moment=found.moment_ns,
        cpu=found.cpu_ns,
        cpu_system=found.cpu_system_ns,
        memory_usage=max(0, found.memory_usage - found.memory_inactive_file),
        memory_limit=min(found.memory_limit or memory, memory),
        pids=found.pids,
        block_input=found.block_read,
        block_output=found.block_written,
        network_input=received,
        network_output=sent,
    )


def _network(pid: int) -> tuple[int, int]:
    """Bytes received and sent by all interfaces but loopback, in the network namespace of a process."""
    received = sent = 0
    try:
        rows = Path(f"/proc/{pid}/net/dev").read_text().splitlines()[2:]
    except FileNotFoundError:
        return 0, 0
    for row in rows:
        name, _, numbers = row.partition(":")
        fields = numbers.split()
        if name.strip() != "lo" and len(fields) >= 9:
            received += int(fields[0])
            sent += int(fields[8])
    return received, sent
