"""What this machine and this process are, gathered once.

`HostFacts` is plain data, so that everything that is decided from it can be tested without such a machine.
`read_host_facts` takes about a millisecond; the runtime keeps the answer for its life. Nothing in it changes while a
process runs, except by the process itself (its rlimits, its oom_score_adj).

Covers: parts of pkg/rootless, pkg/cgroups, libpod/info.go, pkg/specgen (its questions to the host)
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from libpod.linux import capabilities, cgroups, rlimits, security
from libpod.linux.architecture import native_architecture
from libpod.linux.cgroups import CgroupMode


class HostFacts(msgspec.Struct, frozen=True, kw_only=True):
    """This machine as this process sees it. The defaults describe an unconfined root on a cgroup v2 host."""

    cgroup_mode: CgroupMode = CgroupMode.UNIFIED
    bounding: frozenset[str] = frozenset(capabilities.NAMES)
    """Capabilities that a child of ours can have at most."""
    effective: frozenset[str] = frozenset(capabilities.NAMES)
    rlimits: Mapping[str, tuple[int, int]] = msgspec.field(default_factory=dict)
    """Own soft and hard limits by name; infinity is 2**64 − 1. A name that is missing is not limited."""
    nr_open: int = 1048576
    oom_score_adj: int = 0
    user_namespace: bool = False
    """Whether we are inside a user namespace: then capabilities mean less than their names say."""
    selinux: bool = False
    apparmor: bool = False
    seccomp: bool = True
    kernel: str = ""
    """The release, as `uname -r` prints it."""
    mqueue: bool = True
    """Whether the kernel has POSIX message queues."""
    architecture: str = "amd64"
    """As images name it."""
    hostname: str = "localhost"
    systemd: bool = False
    """Whether systemd is the init of this machine."""

    @property
    def may_raise_limits(self) -> bool:
        """Whether hard limits can be raised and the OOM score lowered: CAP_SYS_RESOURCE, and not in a namespace."""
        return "CAP_SYS_RESOURCE" in self.effective and not self.user_namespace

    @property
    def cgroup_v2(self) -> bool:
        """Whether the resource controllers are in the unified hierarchy. A hybrid host counts as v1."""
        return self.cgroup_mode is CgroupMode.UNIFIED


def read_host_facts() -> HostFacts:
    """Ask the kernel."""
    sets = capabilities.read_sets()
    name = os.uname()
    return HostFacts(
        cgroup_mode=cgroups.mode(),
        bounding=sets["CapBnd"],
        effective=sets["CapEff"],
        rlimits=rlimits.read_limits(),
        nr_open=rlimits.read_nr_open(),
        oom_score_adj=int(Path("/proc/self/oom_score_adj").read_text()),
        user_namespace=in_user_namespace(Path("/proc/self/uid_map").read_text()),
        selinux=security.selinux_enabled(),
        apparmor=security.apparmor_enabled(),
        seccomp=security.seccomp_supported(),
        kernel=name.release,
        mqueue=Path("/proc/sys/fs/mqueue").is_dir(),
        architecture=native_architecture(name.machine),
        hostname=name.nodename,
        systemd=Path("/run/systemd/system").is_dir(),
    )


def in_user_namespace(uid_map: str) -> bool:
    """Whether the text of `/proc/self/uid_map` is anything but the map of the initial namespace."""
    return uid_map.split() != ["0", "0", "4294967295"]
