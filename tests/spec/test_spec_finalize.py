"""From a template to the document that runs."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libpod.define.errors import InvalidArgumentError, NotSupportedError, VolumeError
from libpod.linux.devices import DeviceNode
from libpod.spec.document import check_document
from libpod.spec.finalize import (
    PASSES,
    copied,
    finalize_for_restore,
    finalize_spec,
    import_template,
    precreate_hooks,
    working_directory,
)
from libpod.spec.hooks import parse_hook
from libpod.spec.namespaces import borrowed, cgroups_path, proc_path
from libpod.spec.seccomp import SEARCH, default_profile, parse_profile
from libpod.spec.users import ResolvedUser
from tests.spec.plans import CREATED, CTR_ID, V1, V2, changed, facts, mounts_of, on, planned

PROFILE = parse_profile(
    json.dumps(
        {
            "defaultAction": "SCMP_ACT_ERRNO",
            "syscalls": [
                {"names": ["read"], "action": "SCMP_ACT_ALLOW"},
                {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
            ],
        }
    ).encode(),
    "test",
)
BINDS = {
    "/etc/hosts": "/r/hosts",
    "/dev/shm": "/b/shm",
    "/run/.containerenv": "/r/.containerenv",
    "/etc/hostname": "/r/hostname",
}
CAPABILITIES = [
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_SETFCAP",
    "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT",
]  # fmt: skip
CAPTURED: dict[str, Any] = {
    "ociVersion": "1.0.2-dev",
    "process": {
        "user": {"uid": 0, "gid": 0, "umask": 18},
        "args": ["/bin/sh", "-c", "echo hi; sleep 1000"],
        "env": [
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "TERM=xterm",
            "container=podman",
            "HOSTNAME=17dc1347c5d9",
        ],
        "cwd": "/",
        "capabilities": {"bounding": CAPABILITIES, "effective": CAPABILITIES, "permitted": CAPABILITIES},
        "rlimits": [
            {"type": "RLIMIT_NOFILE", "hard": 20000, "soft": 20000},
            {"type": "RLIMIT_NPROC", "hard": 1000, "soft": 1000},
        ],
    },
    "root": {"path": "/g/merged"},
    "hostname": "17dc1347c5d9",
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
        {
            "destination": "/dev",
            "type": "tmpfs",
            "source": "tmpfs",
            "options": ["nosuid", "noexec", "strictatime", "mode=755", "size=65536k"],
        },
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
        {
            "destination": "/dev/pts",
            "type": "devpts",
            "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        },
        {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"]},
        {"destination": "/etc/hosts", "type": "bind", "source": "/r/hosts", "options": ["bind", "rprivate"]},
        {
            "destination": "/dev/shm",
            "type": "bind",
            "source": "/b/shm",
            "options": ["bind", "rprivate", "nosuid", "noexec", "nodev"],
        },
        {
            "destination": "/run/.containerenv",
            "type": "bind",
            "source": "/r/.containerenv",
            "options": ["bind", "rprivate"],
        },
        {"destination": "/etc/hostname", "type": "bind", "source": "/r/hostname", "options": ["bind", "rprivate"]},
        {
            "destination": "/sys/fs/cgroup",
            "type": "cgroup",
            "source": "cgroup",
            "options": ["rprivate", "nosuid", "noexec", "nodev", "relatime", "ro"],
        },
    ],
    "annotations": {
        "io.container.manager": "libpod",
        "io.kubernetes.cri-o.Created": CREATED,
        "io.kubernetes.cri-o.TTY": "false",
        "io.podman.annotations.autoremove": "FALSE",
        "io.podman.annotations.init": "FALSE",
        "io.podman.annotations.privileged": "FALSE",
        "io.podman.annotations.publish-all": "FALSE",
        "org.opencontainers.image.stopSignal": "15",
    },
    "linux": {
        "sysctl": {"net.ipv4.ping_group_range": "0 0"},
        "resources": {"devices": [{"allow": False, "access": "rwm"}], "pids": {"limit": 2048}},
        "cgroupsPath": f"/libpod_parent/libpod-{CTR_ID}",
        "namespaces": [{"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}],
        "maskedPaths": [
            "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
            "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/fs/selinux", "/sys/dev/block",
        ],
        "readonlyPaths": [
            "/proc/asound", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
        ],
    },
}  # fmt: skip
"""What podman 4.3.1 made of a plain container, but for the seccomp rules."""


def plain(**fields: Any) -> Any:
    return changed(
        planned(
            command=["/bin/sh", "-c", "echo hi; sleep 1000"],
            ulimits=["nofile=20000:20000", "nproc=1000:1000"],
            **fields,
        ),
        shm_dir="/b/shm",
    )


def test_a_plain_container_runs_as_podmans_does() -> None:
    found = finalize_spec(plain(), facts(user=ResolvedUser(home=""), bind_mounts=BINDS))
    assert found == CAPTURED


@pytest.mark.skipif(not any(map(os.path.exists, SEARCH)), reason="the machine has no seccomp profile")
def test_the_machines_filter_is_added_for_everybody_but_the_privileged() -> None:
    profile = default_profile("")
    found = finalize_spec(plain(), facts(seccomp=profile))["linux"]["seccomp"]
    assert found["defaultAction"] == "SCMP_ACT_ERRNO"
    assert found["architectures"][0] == "SCMP_ARCH_X86_64"
    assert sum(len(rule["names"]) for rule in found["syscalls"]) > 300
    assert "seccomp" not in finalize_spec(plain(privileged=True), facts(seccomp=profile))["linux"]


def test_the_template_is_never_touched() -> None:
    record = plain(
        volumes=["v:/v", "/h:/x:z,U"], tmpfs=["/t:U"], privileged=True, oom_score_adj=-5, hostname="h"
    )
    before = copied(record.spec)
    node = DeviceNode(path="/dev/x", type="c", major=1, minor=1, mode=0, uid=0, gid=0)
    known = facts(
        bind_mounts=BINDS, volumes={"v": "/v"}, namespaces={"network": "/n"}, devices=[node], seccomp=PROFILE,
        hooks=[hook("prestart")], extra_env={"A": "1"}, process_label="p", mount_label="m",
    )  # fmt: skip
    first = finalize_spec(record, known)
    assert record.spec == before
    assert finalize_spec(record, known) == first
    check_document(first, "the result")


@given(st.permutations(PASSES[4:]))
def test_no_pass_shares_anything_with_the_template(order: list[Any]) -> None:
    record = plain(tmpfs=["/t:U"])
    before = copied(record.spec)
    document = copied(record.spec)
    for step in order:
        step(document, record, facts(bind_mounts=BINDS, seccomp=PROFILE, hooks=[hook("poststart")]))
    assert record.spec == before


def test_a_copy_is_deep() -> None:
    original = {"a": [{"b": (1, 2)}]}
    copy = copied(original)
    assert copy == {"a": [{"b": [1, 2]}]}
    copy["a"][0]["b"].append(3)
    assert original == {"a": [{"b": (1, 2)}]}


def test_the_user_is_written_in_numbers() -> None:
    user = ResolvedUser(uid=7, gid=8, additional_gids=(8, 9), home="/h")
    process = finalize_spec(plain(umask="0077"), facts(user=user))["process"]
    assert process["user"] == {"uid": 7, "gid": 8, "additionalGids": [8, 9], "umask": 0o77}
    assert "HOME=/h" in process["env"]
    assert (
        finalize_spec(plain(env=["HOME=/mine"]), facts(user=user))["process"]["env"].count("HOME=/mine") == 1
    )


def test_namespaces_get_their_paths() -> None:
    record = plain()
    found = finalize_spec(record, facts(namespaces={"network": "/run/netns/x", "pid": proc_path(4, "pid")}))
    assert {"type": "network", "path": "/run/netns/x"} in found["linux"]["namespaces"]
    assert {"type": "pid", "path": "/proc/4/ns/pid"} in found["linux"]["namespaces"]
    assert proc_path(4, "network") == "/proc/4/ns/net"
    assert borrowed(changed(record, net_ns_ctr="a", user_ns_ctr="b")) == {"network": "a", "user": "b"}


def test_volumes_are_bound_from_where_they_are_mounted() -> None:
    record = plain(volumes=["v:/v:ro,nocopy", "/h:/over:O"], mounts=["type=image,src=i,dst=/i"])
    found = mounts_of(
        finalize_spec(
            record, facts(volumes={"v": "/vols/v/_data"}, mounted={"/over": "/m/over", "/i": "/m/i"})
        )
    )
    assert found["/v"]["source"] == "/vols/v/_data"
    assert "nocopy" not in found["/v"]["options"]
    assert "ro" in found["/v"]["options"]
    assert (found["/over"]["source"], found["/i"]["source"]) == ("/m/over", "/m/i")
    assert "ro" in found["/i"]["options"]
    with pytest.raises(VolumeError, match="the volume on /v is not mounted"):
        finalize_spec(record, facts())


def test_what_a_user_mounted_wins_over_the_engines_files() -> None:
    record = plain(volumes=["/mine:/etc/hosts"], tmpfs=["/run"])
    found = mounts_of(finalize_spec(record, facts(bind_mounts=BINDS)))
    assert found["/etc/hosts"]["source"] == "/mine"
    assert "/run/.containerenv" not in found
    assert found["/etc/hostname"]["source"] == "/r/hostname"


def test_a_read_only_container_cannot_write_the_engines_files_but_shared_memory() -> None:
    found = mounts_of(finalize_spec(plain(read_only=True, read_only_tmpfs=False), facts(bind_mounts=BINDS)))
    assert found["/etc/hosts"]["options"] == ["bind", "rprivate", "ro", "nosuid", "noexec", "nodev"]
    assert "ro" not in found["/dev/shm"]["options"]


def test_no_mount_hides_another_and_no_word_for_the_engine_remains() -> None:
    record = plain(volumes=["/a:/x/y/z:z", "/b:/x:U,Z", "/c:/x/y"], tmpfs=["/link:U"])
    found = finalize_spec(
        record, facts(tmpfs_targets={"/link": "/real/place"}, user=ResolvedUser(uid=5, gid=6))
    )
    order = [entry["destination"] for entry in found["mounts"]]
    assert order.index("/x") < order.index("/x/y") < order.index("/x/y/z")
    words = {word for entry in found["mounts"] for word in entry["options"]}
    assert not words & {"z", "Z", "U", "O", "copy", "nocopy"}
    assert {"uid=5", "gid=6"} <= set(mounts_of(found)["/real/place"]["options"])


@pytest.mark.parametrize(
    ("options", "propagation"),
    [("", None), (":shared", "shared"), (":rslave", "rslave"), (":rshared", "shared")],
)
def test_the_root_propagates_when_a_mount_must(options: str, propagation: str | None) -> None:
    found = finalize_spec(plain(volumes=[f"/a:/b{options}"]), facts())
    assert found["linux"].get("rootfsPropagation") == propagation


def test_the_cgroup_path_has_the_managers_form() -> None:
    record = plain()
    assert cgroups_path(record) == f"/libpod_parent/libpod-{CTR_ID}"
    systemd = changed(record, cgroup_manager="systemd", cgroup_parent="a/user.slice")
    assert cgroups_path(systemd) == f"user.slice:libpod:{CTR_ID}"
    none = changed(record, no_cgroups=True)
    assert cgroups_path(none) == ""
    assert "cgroupsPath" not in finalize_spec(none, facts())["linux"]


def test_the_host_name_needs_a_namespace() -> None:
    assert finalize_spec(plain(hostname="box"), facts())["hostname"] == "box"
    found = finalize_spec(plain(uts="host"), facts())
    assert "hostname" not in found
    assert "HOSTNAME=vm" in found["process"]["env"]
    shared = changed(plain(hostname="theirs"), uts_ns_ctr="x")
    found = finalize_spec(shared, facts(namespaces={"uts": "/proc/1/ns/uts"}))
    assert "hostname" not in found
    assert "HOSTNAME=theirs" in found["process"]["env"]


def test_limits_are_lowered_to_what_can_be_set() -> None:
    weak = on(
        V1,
        effective=frozenset(),
        rlimits={"RLIMIT_NOFILE": (500, 1000), "RLIMIT_NPROC": (10, 20)},
        oom_score_adj=100,
    )
    process = finalize_spec(planned(oom_score_adj=-500), facts(host=weak))["process"]
    assert process["rlimits"] == [
        {"type": "RLIMIT_NOFILE", "hard": 1000, "soft": 1000},
        {"type": "RLIMIT_NPROC", "hard": 20, "soft": 20},
    ]
    assert process["oomScoreAdj"] == 100
    strong = on(V1, rlimits=weak.rlimits, nr_open=5000)
    process = finalize_spec(planned(oom_score_adj=-500, ulimits=["nofile=9000"]), facts(host=strong))[
        "process"
    ]
    assert process["rlimits"][0] == {"type": "RLIMIT_NOFILE", "hard": 5000, "soft": 5000}
    assert process["rlimits"][1]["hard"] == 1048576
    assert process["oomScoreAdj"] == -500


def test_what_we_may_not_hand_on_is_left_out() -> None:
    host = on(V1, bounding=frozenset({"CAP_CHOWN", "CAP_KILL"}))
    assert finalize_spec(plain(), facts(host=host))["process"]["capabilities"] == {
        key: ["CAP_CHOWN", "CAP_KILL"] for key in ("bounding", "effective", "permitted")
    }
    assert "capabilities" in finalize_spec(plain(cap_drop=["ALL"]), facts())["process"]


def test_the_filter_depends_on_the_final_capabilities() -> None:
    def names(host: Any, **fields: Any) -> list[str]:
        document = finalize_spec(planned(host=V1, **fields), facts(host=host, seccomp=PROFILE))
        return [name for rule in document["linux"]["seccomp"]["syscalls"] for name in rule["names"]]

    assert names(V1) == ["read"]
    assert names(V1, cap_add=["SYS_ADMIN"]) == ["read", "mount"]
    assert names(on(V1, bounding=V1.bounding - {"CAP_SYS_ADMIN"}), cap_add=["SYS_ADMIN"]) == ["read"]
    for fields in ({"security_opt": ["seccomp=unconfined"]}, {"privileged": True}):
        assert "seccomp" not in finalize_spec(planned(**fields), facts(seccomp=PROFILE))["linux"]
    assert (
        "seccomp" not in finalize_spec(planned(), facts(host=on(V1, seccomp=False), seccomp=PROFILE))["linux"]
    )


def test_a_privileged_container_has_the_hosts_devices() -> None:
    node = DeviceNode(path="/dev/x", type="c", major=1, minor=1, mode=0, uid=0, gid=0)
    found = finalize_spec(planned(privileged=True), facts(devices=[node]))["linux"]
    assert [entry["path"] for entry in found["devices"]] == ["/dev/x"]
    assert found["resources"]["devices"] == [{"allow": True, "access": "rwm"}]
    assert "devices" not in finalize_spec(planned(), facts(devices=[node]))["linux"]


def hook(*stages: str) -> Any:
    return parse_hook(
        json.dumps(
            {
                "version": "1.0.0",
                "hook": {"path": "/bin/true"},
                "when": {"always": True},
                "stages": list(stages),
            }
        ).encode(),
        "h.json",
    )


def test_hooks_go_to_the_runtime_but_for_precreate() -> None:
    loaded = [hook("precreate", "poststop")]
    found = finalize_spec(plain(), facts(hooks=loaded))
    assert found["hooks"] == {"poststop": [{"path": "/bin/true"}]}
    assert precreate_hooks(plain(), loaded) == [{"path": "/bin/true"}]
    assert precreate_hooks(plain(), []) == []


def test_labels_are_set_when_there_are_any() -> None:
    found = finalize_spec(plain(), facts(process_label="p", mount_label="m"))
    assert (found["process"]["selinuxLabel"], found["linux"]["mountLabel"]) == ("p", "m")


def test_the_working_directory_is_clean() -> None:
    assert working_directory(planned(workdir="/a/../b/")) == "/b"


# ---- restore --------------------------------------------------------------------------------------------------


def moved(**fields: Any) -> tuple[Any, dict[str, Any]]:
    """A record, and the document that it ran with on another machine."""
    record = plain(volumes=["v:/v", "/h:/own"], **fields)
    ran = finalize_spec(
        record,
        facts(
            root_path="/other/merged",
            bind_mounts={key: f"/other{value}" for key, value in BINDS.items()},
            volumes={"v": "/other/v"},
            namespaces={"network": "/other/netns"},
            seccomp=PROFILE,
            hooks=[hook("prestart")],
        ),
    )
    return record, ran


def test_a_restore_keeps_the_process_and_replaces_the_machine() -> None:
    record, ran = moved(env=["A=1"])
    new = changed(record, id="f" * 64, name="copy")
    here = facts(
        root_path="/here", bind_mounts=BINDS, volumes={"v": "/here/v"}, namespaces={"network": "/here/netns"}
    )
    found = finalize_for_restore(ran, new, here)
    for key in ("process", "hostname", "annotations", "ociVersion"):
        assert found[key] == ran[key]
    for key in ("seccomp", "maskedPaths", "resources", "sysctl"):
        assert found["linux"][key] == ran["linux"][key]
    assert found["root"]["path"] == "/here"
    assert found["linux"]["cgroupsPath"] == f"/libpod_parent/libpod-{'f' * 64}"
    assert {"type": "network", "path": "/here/netns"} in found["linux"]["namespaces"]
    mounts = mounts_of(found)
    assert mounts["/v"]["source"] == "/here/v"
    assert mounts["/own"]["source"] == "/h"
    assert mounts["/etc/hosts"]["source"] == "/r/hosts"
    assert "/other" not in json.dumps(found)
    assert set(mounts) == set(mounts_of(ran))


def test_an_archives_hooks_never_run() -> None:
    record, ran = moved()
    assert "hooks" in ran
    here = facts(volumes={"v": "/here/v"})
    assert "hooks" not in finalize_for_restore(ran, record, here)
    ours = finalize_for_restore(ran, record, facts(volumes={"v": "/v"}, hooks=[hook("poststop")]))
    assert list(ours["hooks"]) == ["poststop"]


def test_an_imported_template_starts_like_a_fresh_one() -> None:
    record, ran = moved()
    again = changed(record, spec=import_template(ran, record))
    known = facts(bind_mounts=BINDS, volumes={"v": "/v"}, namespaces={"network": "/n"})
    fresh = finalize_spec(record, known)
    started = finalize_spec(again, known)
    started["linux"].pop("seccomp")  # the source's filter stays with it
    assert mounts_of(started) == mounts_of(fresh)
    assert {**started, "mounts": 0} == {**fresh, "mounts": 0}
    assert import_template(again.spec, again) == again.spec


def test_what_a_user_mounted_over_the_engines_files_stays_on_import() -> None:
    record = plain(volumes=["/mine:/etc/hosts"])
    ran = finalize_spec(record, facts(bind_mounts=BINDS))
    assert mounts_of(import_template(ran, record))["/etc/hosts"]["source"] == "/mine"
    assert "/etc/hostname" not in mounts_of(import_template(ran, record))


def test_limits_beyond_reach_are_refused_before_criu_fails() -> None:
    record, ran = moved()
    weak = on(V1, effective=frozenset(), rlimits={"RLIMIT_NOFILE": (500, 1000)})
    with pytest.raises(NotSupportedError, match=r"RLIMIT_NOFILE 20000 \(at most 1000 here\)"):
        finalize_for_restore(ran, record, facts(host=weak, volumes={"v": "/v"}))


@pytest.mark.parametrize(
    "damage",
    [
        {"mounts": [{"destination": 1}]},
        {"mounts": [{}]},
        {"process": {"args": "x"}},
        {"linux": {"namespaces": [{}]}},
        {"annotations": {"a": 1}},
        {"root": 1},
    ],
)
def test_a_malformed_specification_is_refused(damage: dict[str, Any]) -> None:
    record, ran = moved()
    with pytest.raises(InvalidArgumentError, match="specification of container sample is malformed"):
        finalize_for_restore({**ran, **damage}, record, facts(volumes={"v": "/v"}))


def test_on_v2_the_cgroup_namespace_is_private() -> None:
    found = finalize_spec(planned(host=V2), facts(host=V2))
    assert {"type": "cgroup"} in found["linux"]["namespaces"]
