"""Our specifications are podman's, field by field, for what can be asked for on this machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from libpod.linux import cgroups
from libpod.model.create_options import CreateOptions
from libpod.spec.image import ImageSettings
from tests.spec.podman_specs import Podman, comparable, differences, ours

pytestmark = [
    pytest.mark.root,
    pytest.mark.podman,
    pytest.mark.skipif(shutil.which("podman") is None, reason="podman is not installed"),
]

LIMITS = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000"]
PARENT = f"/libpod_tests_{os.getpid()}"
OURS = {"ulimits": ["nofile=1024:1024", "nproc=1000:1000"], "network": "none"}
RICH = ImageSettings(
    env=("PATH=/bin", "COLOUR=blue"),
    entrypoint=("/bin/sh", "-c"),
    cmd=("sleep 9",),
    user="dave",
    working_dir="/home/dave",
    volumes=("/data",),
    labels={"maker": "us"},
    stop_signal="SIGUSR1",
)
RICH_CHANGES = (
    "ENV PATH=/bin", "ENV COLOUR=blue", 'ENTRYPOINT ["/bin/sh", "-c"]', 'CMD ["sleep 9"]', "USER dave",
    "WORKDIR /home/dave", "VOLUME /data", "LABEL maker=us", "STOPSIGNAL SIGUSR1",
)  # fmt: skip


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    engine = Podman(tmp_path_factory.mktemp("p"))
    engine.import_image("bb")
    engine.import_image("rich", *RICH_CHANGES)
    yield engine
    engine.close()
    cgroups.remove(PARENT)


CASES: dict[str, tuple[list[str], dict[str, Any]]] = {
    "plain": ([], {}),
    "environment and place": (
        [
            "--env",
            "A=1",
            "--env",
            "TERM=vt100",
            "--unsetenv",
            "PATH",
            "--workdir",
            "/etc",
            "--hostname",
            "box",
        ],
        {"env": ["A=1", "TERM=vt100"], "unset_env": ["PATH"], "workdir": "/etc", "hostname": "box"},
    ),
    "terminal": (["--tty", "--interactive"], {"tty": True, "interactive": True}),
    "another user": (["--user", "dave"], {"user": "dave"}),
    "a user with a capability and a group": (
        ["--user", "dave", "--cap-add", "net_raw", "--group-add", "50", "--group-add", "wheel"],
        {"user": "dave", "cap_add": ["net_raw"], "groups": ["50", "wheel"]},
    ),
    "a user with another group": (["--user", "1000:50"], {"user": "1000:50"}),
    "an unknown number": (["--user", "4711"], {"user": "4711"}),
    "capabilities": (
        ["--cap-add", "NET_ADMIN", "--cap-drop", "CAP_CHOWN"],
        {"cap_add": ["NET_ADMIN"], "cap_drop": ["CAP_CHOWN"]},
    ),
    "all capabilities but one": (
        ["--cap-add", "all", "--cap-drop", "mknod"],
        {"cap_add": ["all"], "cap_drop": ["mknod"]},
    ),
    "no capabilities": (["--cap-drop", "all"], {"cap_drop": ["all"]}),
    "privileged": (["--privileged"], {"privileged": True}),
    "unconfined": (
        [
            "--security-opt",
            "seccomp=unconfined",
            "--security-opt",
            "no-new-privileges",
            "--security-opt",
            "unmask=ALL",
        ],
        {"security_opt": ["seccomp=unconfined", "no-new-privileges", "unmask=ALL"]},
    ),
    "masks": (
        ["--security-opt", "mask=/proc/cpuinfo:/proc/meminfo", "--security-opt", "unmask=/proc/a*"],
        {"security_opt": ["mask=/proc/cpuinfo:/proc/meminfo", "unmask=/proc/a*"]},
    ),
    "read-only": (["--read-only"], {"read_only": True}),
    "read-only, also in memory": (
        ["--read-only", "--read-only-tmpfs=false"],
        {"read_only": True, "read_only_tmpfs": False},
    ),
    "memory file systems": (
        [
            "--tmpfs",
            "/a:size=1m,mode=1777",
            "--tmpfs",
            "/b:exec,ro,notmpcopyup",
            "--mount",
            "type=tmpfs,dst=/c,tmpfs-size=2m",
        ],
        {
            "tmpfs": ["/a:size=1m,mode=1777", "/b:exec,ro,notmpcopyup"],
            "mounts": ["type=tmpfs,dst=/c,tmpfs-size=2m"],
        },
    ),
    "binds": (
        [
            "--volume",
            "/etc:/e:ro",
            "--volume",
            "/usr:/u/v/w:rslave,noexec",
            "--mount",
            "type=bind,src=/usr,dst=/x,ro=true",
        ],
        {
            "volumes": ["/etc:/e:ro", "/usr:/u/v/w:rslave,noexec"],
            "mounts": ["type=bind,src=/usr,dst=/x,ro=true"],
        },
    ),
    "binds over what the engine makes": (
        ["--volume", "/etc/hosts:/etc/hosts:ro", "--tmpfs", "/dev/shm"],
        {"volumes": ["/etc/hosts:/etc/hosts:ro"], "tmpfs": ["/dev/shm"]},
    ),
    "volumes": (
        ["--volume", "one:/one", "--volume", "/two", "--mount", "type=volume,src=three,dst=/three,ro=true"],
        {"volumes": ["one:/one", "/two"], "mounts": ["type=volume,src=three,dst=/three,ro=true"]},
    ),
    "cpu and processes": (
        ["--cpus", "1.5", "--cpu-shares", "512", "--cpuset-cpus", "0", "--pids-limit", "77"],
        {"cpus": 1.5, "cpu_shares": 512, "cpuset_cpus": "0", "pids_limit": 77},
    ),
    "memory": (
        ["--memory", "512m", "--memory-reservation", "256m", "--memory-swappiness", "10"],
        {"memory": "512m", "memory_reservation": "256m", "memory_swappiness": 10},
    ),
    "memory and swap": (["--memory", "64m", "--memory-swap", "-1"], {"memory": "64m", "memory_swap": "-1"}),
    "quota": (
        ["--cpu-quota", "30000", "--cpu-period", "60000"],
        {"cpu_quota": 30000, "cpu_period": 60000},
    ),
    "host namespaces": (
        ["--pid", "host", "--ipc", "host", "--uts", "host"],
        {"pid": "host", "ipc": "host", "uts": "host"},
    ),
    "no shared memory": (["--ipc", "none"], {"ipc": "none"}),
    "host network": (["--network", "host"], {"network": "host"}),
    "devices": (
        ["--device", "/dev/fuse", "--device", "/dev/kmsg:/dev/log2:r", "--device-cgroup-rule", "c 10:200 rw"],
        {"devices": ["/dev/fuse", "/dev/kmsg:/dev/log2:r"], "device_cgroup_rules": ["c 10:200 rw"]},
    ),
    "sysctls": (["--sysctl", "net.core.somaxconn=77"], {"sysctl": ["net.core.somaxconn=77"]}),
    "signals and removal": (
        ["--stop-signal", "HUP", "--rm", "--oom-score-adj", "500", "--umask", "0077"],
        {"stop_signal": "HUP", "auto_remove": True, "oom_score_adj": 500, "umask": "0077"},
    ),
    "annotations": (["--annotation", "who=me"], {"annotations": ["who=me"]}),
    "cgroup parent": (["--cgroup-parent", PARENT], {"cgroup_parent": PARENT}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_specification_is_the_one_podman_makes(podman: Podman, case: str) -> None:
    words, fields = CASES[case]
    network = [] if "--network" in words else ["--network", "none"]
    ctr_id, theirs = podman.document(*LIMITS, *network, *words, "bb", "/bin/sleep", "9")
    options = CreateOptions(**{"image": "bb", "command": ["/bin/sleep", "9"], **OURS, **fields})
    _, found = ours(options, ctr_id, theirs["annotations"]["io.kubernetes.cri-o.Created"], ImageSettings())
    assert differences(comparable(found), comparable(theirs)) == []


RICH_CASES: dict[str, tuple[list[str], list[str], dict[str, Any]]] = {
    "as it is": ([], [], {}),
    "another command": ([], ["sleep 8"], {"command": ["sleep 8"]}),
    "another entry point": (
        ["--entrypoint", "/bin/sleep"],
        ["7"],
        {"entrypoint": ["/bin/sleep"], "command": ["7"]},
    ),
    "no entry point": (
        ["--entrypoint", ""],
        ["/bin/sleep", "6"],
        {"entrypoint": [""], "command": ["/bin/sleep", "6"]},
    ),
    "volumes in memory": (["--image-volume", "tmpfs"], [], {"image_volume": "tmpfs"}),
    "volumes ignored": (["--image-volume", "ignore"], [], {"image_volume": "ignore"}),
    "a bind instead of its volume": (["--volume", "/usr:/data"], [], {"volumes": ["/usr:/data"]}),
}


@pytest.mark.parametrize("case", RICH_CASES)
def test_an_image_shows_in_the_specification_as_with_podman(podman: Podman, case: str) -> None:
    words, command, fields = RICH_CASES[case]
    ctr_id, theirs = podman.document(*LIMITS, "--network", "none", *words, "rich", *command)
    options = CreateOptions(**{"image": "rich", **OURS, **fields})
    _, found = ours(options, ctr_id, theirs["annotations"]["io.kubernetes.cri-o.Created"], RICH)
    assert differences(comparable(found), comparable(theirs)) == []
