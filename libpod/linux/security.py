"""Which security modules and filters the running kernel has.

Nothing is loaded or labelled here: these are the questions that decide whether a label, a profile or a filter may stand
in a specification at all.

Covers: pkg/apparmor of the common library, pkg/seccomp (IsEnabled), opencontainers/selinux (GetEnabled)
"""

from __future__ import annotations

from pathlib import Path


def selinux_enabled() -> bool:
    """Whether SELinux is active: its file system is mounted and this process has a label."""
    if not Path("/sys/fs/selinux/enforce").exists():
        return False
    try:
        label = Path("/proc/self/attr/current").read_bytes().rstrip(b"\0\n")
    except OSError:
        return False
    return label not in (b"", b"kernel")


def apparmor_enabled() -> bool:
    """Whether AppArmor is active, profiles can be loaded, and the parser is there to load them."""
    try:
        enabled = Path("/sys/module/apparmor/parameters/enabled").read_text().strip() == "Y"
    except OSError:
        return False
    return enabled and Path("/sys/kernel/security/apparmor/profiles").exists()


def apparmor_profile_loaded(name: str) -> bool:
    """Whether a profile called *name* is in the kernel."""
    try:
        text = Path("/sys/kernel/security/apparmor/profiles").read_text()
    except OSError:
        return False
    return any(line.rpartition(" (")[0] == name for line in text.splitlines())


def seccomp_supported() -> bool:
    """Whether the kernel can filter system calls."""
    return Path("/proc/sys/kernel/seccomp/actions_avail").exists()
