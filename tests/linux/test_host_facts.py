"""What the kernel says about this machine and this process."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from libpod.linux import capabilities, devices, rlimits, security
from libpod.linux.architecture import native_architecture
from libpod.linux.cgroups import CgroupMode
from libpod.linux.host import HostFacts, in_user_namespace, read_host_facts


def test_the_facts_are_those_of_this_process() -> None:
    facts = read_host_facts()
    status = Path("/proc/self/status").read_text()
    mask = next(line.split()[1] for line in status.splitlines() if line.startswith("CapBnd"))
    assert facts.bounding == capabilities.names_of(int(mask, 16))
    assert facts.rlimits["RLIMIT_NOFILE"][0] == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert facts.oom_score_adj == int(Path("/proc/self/oom_score_adj").read_text())
    assert facts.kernel == platform.release()
    assert facts.hostname == os.uname().nodename
    assert facts.systemd == Path("/run/systemd/system").is_dir()
    assert isinstance(facts.cgroup_mode, CgroupMode)


@pytest.mark.processes
def test_a_lowered_limit_shows() -> None:
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 4096));"
        "from libpod.linux.host import read_host_facts; print(read_host_facts().rlimits['RLIMIT_CORE'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "(0, 4096)"


def test_infinity_is_the_specifications() -> None:
    for soft, hard in rlimits.read_limits().values():
        assert 0 <= soft <= hard <= rlimits.INFINITY
    assert rlimits.read_nr_open() >= 1024


def test_capability_sets_are_read_by_name() -> None:
    found = capabilities.parse_sets(
        "Name:\tx\nCapInh:\t0000000000000000\nCapEff:\t0000000000200001\nSeccomp:\t0\n"
    )
    assert found == {"CapInh": frozenset(), "CapEff": {"CAP_CHOWN", "CAP_SYS_ADMIN"}}
    assert capabilities.names_of(1 << 63) == frozenset()
    assert capabilities.NAMES.index("CAP_CHECKPOINT_RESTORE") == 40


def test_who_may_raise_limits() -> None:
    assert HostFacts().may_raise_limits
    assert not HostFacts(effective=frozenset()).may_raise_limits
    assert not HostFacts(user_namespace=True).may_raise_limits


def test_a_hybrid_host_counts_as_v1() -> None:
    assert HostFacts().cgroup_v2
    assert not HostFacts(cgroup_mode=CgroupMode.HYBRID).cgroup_v2


def test_architectures_have_the_names_of_images() -> None:
    assert [native_architecture(name) for name in ("x86_64", "aarch64", "s390x", "odd")] == [
        "amd64",
        "arm64",
        "s390x",
        "odd",
    ]


def test_the_initial_user_namespace_is_known_by_its_map() -> None:
    assert not in_user_namespace("         0          0 4294967295\n")
    assert in_user_namespace("         0       1000          1\n")
    assert in_user_namespace("")


def test_a_device_has_its_numbers() -> None:
    null = devices.read_device("/dev/null")
    assert null is not None
    assert (null.type, null.major, null.minor) == ("c", 1, 3)
    assert devices.read_device("/etc/passwd") is None
    with pytest.raises(FileNotFoundError):
        devices.devices_at("/dev/no such device")


def test_a_link_leads_to_its_device_and_a_directory_to_all_below(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/dev/null")
    assert [node.path for node in devices.devices_at(str(tmp_path / "link"))] == ["/dev/null"]
    assert devices.devices_at(str(tmp_path)) == []


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_the_hosts_devices_leave_out_what_a_container_has_of_its_own() -> None:
    found = [node.path for node in devices.host_devices()]
    assert "/dev/null" in found
    assert "/dev/console" not in found
    assert not any(path.startswith(("/dev/pts/", "/dev/shm/", "/dev/mqueue/")) for path in found)
    assert len(set(found)) == len(found)


def test_security_modules_are_asked_about_without_failing() -> None:
    for answer in (security.selinux_enabled(), security.apparmor_enabled(), security.seccomp_supported()):
        assert isinstance(answer, bool)
    assert not security.apparmor_profile_loaded("no such profile is here")
