"""Limits of the container's cgroup.

The numbers are those of cgroup v1, as the specification has them; on v2 the runtime converts. What only v2 knows goes
into `unified` as it is.

Covers: pkg/specgenutil/specgen.go (getCPULimits, getIOLimits, getMemoryLimits), pkg/specgen/generate/validate_linux.go
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from libpod.define.errors import InvalidArgumentError, NotSupportedError
from libpod.linux.devices import DeviceNode
from libpod.linux.host import HostFacts
from libpod.model.create_options import CreateOptions
from libpod.model.limits import DeviceLimit

if TYPE_CHECKING:
    from libpod.spec.document_parts import Resources

CPU_PERIOD = 100_000
"""Microseconds; what `--cpus` is a share of."""

UNLIMITED_PIDS = (0, -1)


def resources(
    options: CreateOptions, *, pids_limit: int, host: HostFacts, devices: Mapping[str, Sequence[DeviceNode]]
) -> Resources:
    """Everything but the rules for devices. *pids_limit* is the configuration's."""
    _check_host(options, host)
    result: Resources = {}
    for key, value in (
        ("memory", _memory(options)),
        ("cpu", _cpu(options)),
        ("pids", _pids(options, pids_limit)),
        ("blockIO", _block_io(options, devices)),
        ("unified", dict(options.cgroup_conf)),
    ):
        if value:
            result[key] = value  # type: ignore[literal-required]
    return result


def _check_host(options: CreateOptions, host: HostFacts) -> None:
    if options.cgroup_conf and not host.cgroup_v2:
        raise NotSupportedError("cgroup_conf writes files of cgroup v2, and this machine has v1")
    if host.cgroup_v2 and options.memory_swappiness not in (None, -1):
        raise NotSupportedError(
            "cgroup v2 has no swappiness for a container", resolution="leave memory_swappiness out"
        )
    if host.cgroup_v2 and options.oom_kill_disable:
        raise NotSupportedError(
            "cgroup v2 cannot switch off the OOM killer", resolution="leave oom_kill_disable out"
        )


def _memory(options: CreateOptions) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if options.memory is not None:
        found["limit"] = options.memory
    if options.memory_reservation is not None:
        found["reservation"] = options.memory_reservation
    if options.memory_swap is not None and options.memory_swap >= 0:
        found["swap"] = options.memory_swap
    elif options.memory is not None and options.memory_swap is None:
        found["swap"] = 2 * options.memory
    if options.memory_swappiness is not None and options.memory_swappiness >= 0:
        found["swappiness"] = options.memory_swappiness
    if options.oom_kill_disable:
        found["disableOOMKiller"] = True
    return found


def _cpu(options: CreateOptions) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if options.cpu_shares:
        found["shares"] = options.cpu_shares
    if options.cpus:
        found["quota"], found["period"] = round(options.cpus * CPU_PERIOD), CPU_PERIOD
    if options.cpu_quota:
        found["quota"] = options.cpu_quota
    if options.cpu_period:
        found["period"] = options.cpu_period
    if options.cpu_rt_runtime:
        found["realtimeRuntime"] = options.cpu_rt_runtime
    if options.cpu_rt_period:
        found["realtimePeriod"] = options.cpu_rt_period
    if options.cpuset_cpus:
        found["cpus"] = options.cpuset_cpus
    if options.cpuset_mems:
        found["mems"] = options.cpuset_mems
    return found


def _pids(options: CreateOptions, configured: int) -> dict[str, int]:
    if options.cgroups == "disabled":
        return {}
    limit = configured if options.pids_limit is None else options.pids_limit
    return {} if limit in UNLIMITED_PIDS else {"limit": limit}


def _block_io(options: CreateOptions, devices: Mapping[str, Sequence[DeviceNode]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if options.blkio_weight:
        found["weight"] = options.blkio_weight
    for key, value_key, limits in (
        ("weightDevice", "weight", options.blkio_weight_device),
        ("throttleReadBpsDevice", "rate", options.device_read_bps),
        ("throttleWriteBpsDevice", "rate", options.device_write_bps),
        ("throttleReadIOPSDevice", "rate", options.device_read_iops),
        ("throttleWriteIOPSDevice", "rate", options.device_write_iops),
    ):
        if limits:
            found[key] = [_device_entry(limit, value_key, devices) for limit in limits]
    return found


def _device_entry(
    limit: DeviceLimit, value_key: str, devices: Mapping[str, Sequence[DeviceNode]]
) -> dict[str, int]:
    nodes = devices.get(limit.path, ())
    if len(nodes) != 1 or nodes[0].type != "b":
        raise InvalidArgumentError(f"{limit.path} is not a block device of this machine")
    return {"major": nodes[0].major, "minor": nodes[0].minor, value_key: limit.value}


def limited_devices(options: CreateOptions) -> tuple[str, ...]:
    """The paths whose device numbers `resources` needs."""
    limits = (
        *options.blkio_weight_device,
        *options.device_read_bps,
        *options.device_write_bps,
        *options.device_read_iops,
        *options.device_write_iops,
    )
    return tuple(dict.fromkeys(limit.path for limit in limits))
