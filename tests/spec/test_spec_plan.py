"""From a request to a record and its template."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libpod.config import ContainerDefaults, RuntimeConfig
from libpod.define.errors import InvalidArgumentError, NotSupportedError
from libpod.linux.devices import DeviceNode
from libpod.model.codec import CONTAINER_CONFIG
from libpod.model.container_config import (
    HealthCheck,
    IDMap,
    ImageVolume,
    NamedVolume,
    NetworkOptions,
    OverlayVolume,
    PortMapping,
)
from libpod.model.pod import PodConfig
from libpod.spec.document import check_document
from libpod.spec.image import ImageSettings
from libpod.spec.plan import plan_container
from libpod.spec.seccomp import parse_profile
from libpod.spec.surroundings import Surroundings, named_containers
from tests.spec.plans import CONFIG, CTR_ID, V1, V2, changed, mounts_of, on, planned


def namespaces(record: Any) -> list[str]:
    return [
        entry["type"] + (f"={entry['path']}" if entry.get("path") else "")
        for entry in record.spec["linux"]["namespaces"]
    ]


def test_a_plan_is_a_record_that_survives_json() -> None:
    record = planned(volumes=["/a:/b", "v:/c"], publish=["80:80"], network="bridge", labels=["a=b"])
    assert CONTAINER_CONFIG.decode(CONTAINER_CONFIG.encode(record)) == record
    check_document(record.spec, "the template")


def test_the_same_request_gives_the_same_plan() -> None:
    assert planned(volumes=["/x"], env=["A=1"]) == planned(volumes=["/x"], env=["A=1"])


def test_identity_comes_from_the_caller_and_the_image() -> None:
    record = planned(
        labels=["mine=1", "both=mine"], settings=ImageSettings(labels={"both": "image", "theirs": "2"})
    )
    assert (record.id, record.name) == (CTR_ID, "sample")
    assert record.rootfs_image_name == "localhost/bb:latest"
    assert record.labels == {"both": "mine", "theirs": "2", "mine": "1"}


def test_a_root_directory_needs_no_image() -> None:
    from libpod.model.create_options import CreateOptions

    record = plan_container(
        CreateOptions(rootfs="/tree", command=["x"]),
        image=None,
        host=V1,
        config=CONFIG,
        container_id=CTR_ID,
        name="n",
        created="",
    )
    assert (record.rootfs, record.rootfs_image_id, record.create_working_dir) == ("/tree", "", False)


@pytest.mark.parametrize(
    ("entrypoint", "command", "arguments"),
    [
        (None, (), ["entry", "cmd"]),
        (None, ("mine",), ["entry", "mine"]),
        (("other",), (), ["other"]),
        (("other",), ("mine",), ["other", "mine"]),
        (("",), ("mine",), ["mine"]),
        ((), ("mine",), ["mine"]),
        ((), (), ["cmd"]),
    ],
)
def test_an_own_entry_point_drops_the_images_command(
    entrypoint: Any, command: Any, arguments: list[str]
) -> None:
    settings = ImageSettings(entrypoint=("entry",), cmd=("cmd",))
    record = planned(settings=settings, entrypoint=entrypoint, command=command)
    assert record.spec["process"]["args"] == arguments


def test_nothing_to_run_is_an_error() -> None:
    with pytest.raises(InvalidArgumentError, match="no command to run"):
        planned(command=())


def test_an_init_program_comes_first_and_is_mounted() -> None:
    record = planned(init=True, around=Surroundings(init_program="/usr/bin/catatonit"))
    assert record.spec["process"]["args"] == ["/run/podman-init", "--", "/bin/sh"]
    assert mounts_of(record.spec)["/run/podman-init"]["source"] == "/usr/bin/catatonit"
    with pytest.raises(InvalidArgumentError, match="no init program"):
        planned(init=True)


def test_the_environment_has_an_order_of_precedence() -> None:
    settings = ImageSettings(env=("A=image", "B=image", "C=image"))
    around = Surroundings(environment={"B": "host", "HOME": "/me"})
    record = planned(settings=settings, env=["C=mine"], unset_env=["A", "TERM"], env_host=True, around=around)
    assert record.spec["process"]["env"] == [
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "container=podman", "B=host", "C=mine", "HOME=/me",
    ]  # fmt: skip
    assert planned(unset_env_all=True, env=["X=1"]).spec["process"]["env"] == ["X=1"]


def test_the_image_gives_user_place_and_signal_unless_the_request_does() -> None:
    settings = ImageSettings(user="dave", working_dir="/home/dave", stop_signal="SIGINT")
    record = planned(settings=settings)
    assert (record.user, record.spec["process"]["cwd"], record.stop_signal) == ("dave", "/home/dave", 2)
    assert record.create_working_dir
    record = planned(settings=settings, user="0", workdir="/x", stop_signal="HUP")
    assert (record.user, record.spec["process"]["cwd"], record.stop_signal) == ("0", "/x", 1)
    assert not record.create_working_dir
    assert planned().stop_signal == 15


def test_a_health_check_of_the_image_gets_default_times() -> None:
    settings = ImageSettings(healthcheck={"Test": ["CMD", "x"], "Retries": 7})
    assert planned(settings=settings).health_check == HealthCheck(
        test=("CMD", "x"), interval=30 * 10**9, timeout=30 * 10**9, retries=7
    )
    assert planned(settings=settings, no_health_check=True).health_check == HealthCheck(test=("NONE",))
    own = HealthCheck(test=("CMD", "y"))
    assert planned(settings=settings, health_check=own).health_check == own
    assert planned().health_check is None


# ---- namespaces -----------------------------------------------------------------------------------------------


def test_on_v1_the_cgroup_namespace_is_the_hosts_and_on_v2_an_own_one() -> None:
    assert namespaces(planned()) == ["pid", "network", "ipc", "uts", "mount"]
    assert namespaces(planned(host=V2)) == ["pid", "network", "ipc", "uts", "mount", "cgroup"]
    assert namespaces(planned(host=V2, cgroupns="host")) == ["pid", "network", "ipc", "uts", "mount"]


def test_host_namespaces_have_no_entry_and_paths_are_joined() -> None:
    record = planned(pid="host", network="ns:/run/netns/x", ipc="host", uts="host")
    assert namespaces(record) == ["network=/run/netns/x", "mount"]
    assert (record.shm_dir, record.network_mode, record.create_net_ns) == (
        "/dev/shm",
        "ns:/run/netns/x",
        False,
    )


def test_another_containers_namespace_makes_a_dependency() -> None:
    owner = changed(planned(hostname="theirs"), id="b" * 64, shm_dir="/their/shm")
    around = Surroundings(containers={"other": owner})
    record = planned(ipc="container:other", network="container:other", uts="container:other", around=around)
    assert record.all_dependencies == (owner.id,)
    assert (record.ipc_ns_ctr, record.net_ns_ctr, record.uts_ns_ctr) == (owner.id,) * 3
    assert (record.shm_dir, record.network_mode) == ("/their/shm", f"container:{owner.id}")
    assert record.spec["hostname"] == "theirs"
    with pytest.raises(InvalidArgumentError, match="was not looked up"):
        planned(pid="container:gone")


def test_an_ipc_namespace_that_is_not_shared_cannot_be_joined() -> None:
    owner = changed(planned(ipc="private"), id="b" * 64)
    assert owner.no_shm_share
    with pytest.raises(InvalidArgumentError, match="does not share its IPC"):
        planned(ipc="container:other", around=Surroundings(containers={"other": owner}))


def test_a_pod_gives_what_it_shares() -> None:
    pod = PodConfig(id="c" * 64, name="pod", shares_net=True, shares_ipc=True, uses_pod_cgroup=True)
    infra = changed(planned(), id="d" * 64, pod=pod.id)
    around = Surroundings(pod=pod, infra=infra, pod_cgroup="/libpod_parent/pod")
    record = planned(pod="pod", network="", around=around)
    assert (record.pod, record.net_ns_ctr, record.ipc_ns_ctr, record.pid_ns_ctr) == (
        pod.id,
        infra.id,
        infra.id,
        "",
    )
    assert record.cgroup_parent == "/libpod_parent/pod"
    assert record.spec["annotations"]["io.kubernetes.cri-o.SandboxID"] == infra.id
    assert planned(pod="pod", network="none", around=around).net_ns_ctr == ""
    with pytest.raises(InvalidArgumentError, match="not in the same pod"):
        planned(pid="container:x", around=Surroundings(pod=pod, infra=infra, containers={"x": planned()}))
    with pytest.raises(InvalidArgumentError, match="infra container"):
        planned(pid="pod")


def test_a_user_namespace_has_its_mapping() -> None:
    maps = (IDMap(container_id=0, host_id=1000, size=5),)
    record = planned(userns="private", uid_map=maps)
    assert record.spec["linux"]["uidMappings"] == [{"containerID": 0, "hostID": 1000, "size": 5}]
    assert record.spec["linux"]["gidMappings"] == record.spec["linux"]["uidMappings"]
    assert record.id_mappings.uid_map == maps
    assert not record.id_mappings.host_uid_mapping
    assert "gid=5" not in mounts_of(record.spec)["/dev/pts"]["options"]
    assert "devices" not in record.spec["linux"]["resources"]
    with pytest.raises(InvalidArgumentError, match="needs a mapping"):
        planned(userns="private")
    assert planned(uid_map=maps).spec["linux"]["uidMappings"] == record.spec["linux"]["uidMappings"]
    with pytest.raises(InvalidArgumentError, match="needs a user namespace"):
        planned(userns="host", uid_map=maps)
    with pytest.raises(InvalidArgumentError, match="id 0 is not part"):
        planned(uid_map=(IDMap(container_id=1, host_id=1000, size=5),))


def test_the_hosts_network_in_a_user_namespace_means_the_hosts_sysfs() -> None:
    record = planned(
        userns="private", uid_map=(IDMap(container_id=0, host_id=1000, size=65536),), network="host"
    )
    found = mounts_of(record.spec)
    assert found["/sys"]["type"] == "bind"
    assert "/sys/fs/cgroup" not in found


# ---- network --------------------------------------------------------------------------------------------------


def test_a_bridge_hangs_on_the_default_network() -> None:
    record = planned(network="", ip="10.87.0.9", network_alias=["web"], mac_address="02:00:00:00:00:01")
    assert record.create_net_ns
    assert record.network_mode == "bridge"
    assert record.networks == {
        "podman": NetworkOptions(
            static_ips=("10.87.0.9",), aliases=("web",), static_mac="02:00:00:00:00:01", interface_name="eth0"
        )
    }


def test_every_network_gets_an_interface_of_its_own() -> None:
    record = planned(network=["a", "b:interface_name=eth0", "c"])
    assert {name: item.interface_name for name, item in record.networks.items()} == {
        "a": "eth1",
        "b": "eth0",
        "c": "eth2",
    }


def test_ports_are_published_and_exposed() -> None:
    settings = ImageSettings(exposed_ports=("80/tcp", "53/udp", "9000-9001"))
    record = planned(network="bridge", publish=["8080:80"], expose=["99"], settings=settings)
    assert record.port_mappings == (PortMapping(container_port=80, host_port=8080),)
    assert record.exposed_ports == {"53": ("udp",), "9000": ("tcp",), "9001": ("tcp",), "99": ("tcp",)}
    record = planned(network="bridge", publish=["8080:80"], publish_all=True, settings=settings)
    published = {(item.container_port, item.host_port, item.protocol) for item in record.port_mappings}
    assert published == {(80, 8080, "tcp"), (53, 0, "udp"), (9000, 0, "tcp"), (9001, 0, "tcp")}
    assert record.exposed_ports == {}


@pytest.mark.parametrize(
    ("publish", "clash"),
    [
        (["80:1", "80:2"], True),
        (["80:1", "80:2/udp"], False),
        (["80-90:1-11", "85:2"], True),
        (["1.1.1.1:80:1", "2.2.2.2:80:2"], False),
        (["1.1.1.1:80:1", "80:2"], True),
        (["80-90:1-11", "1.1.1.1:70:5", "90:7"], True),
        (["0:1", "0:2"], False),
    ],
)
def test_a_port_of_the_host_is_published_once(publish: list[str], clash: bool) -> None:
    if clash:
        with pytest.raises(InvalidArgumentError, match="published twice"):
            planned(network="bridge", publish=publish)
    else:
        planned(network="bridge", publish=publish)


def test_ports_without_a_bridge_are_dropped() -> None:
    assert planned(network="host", publish=["80:80"]).port_mappings == ()


def test_name_resolution_comes_from_the_request_or_the_machine() -> None:
    config = RuntimeConfig(containers=ContainerDefaults(dns_servers=("9.9.9.9",), no_hosts=True))
    record = planned(config=config)
    assert (record.dns_servers, record.use_image_hosts) == (("9.9.9.9",), True)
    record = planned(
        config=config,
        dns=["1.1.1.1"],
        dns_search=["x"],
        dns_option=["y"],
        no_hosts=False,
        add_host=["a:1.1.1.1"],
    )
    assert (record.dns_servers, record.dns_search, record.dns_options) == (("1.1.1.1",), ("x",), ("y",))
    assert (record.use_image_hosts, record.host_add) == (False, ("a:1.1.1.1",))
    record = planned(config=config, dns=["none"])
    assert (record.use_image_resolv_conf, record.dns_servers) == (True, ())


# ---- mounts ---------------------------------------------------------------------------------------------------


def test_each_kind_of_mount_goes_where_it_belongs() -> None:
    record = planned(
        volumes=["/h:/bind", "v:/named:ro", "/anonymous", "/h:/over:O"],
        mounts=["type=image,src=i,dst=/image", "type=devpts,dst=/pts"],
        tmpfs=["/tmpfs"],
    )
    found = mounts_of(record.spec)
    assert found["/bind"] == {
        "destination": "/bind",
        "type": "bind",
        "source": "/h",
        "options": ["rw", "rprivate", "rbind"],
    }
    assert found["/tmpfs"]["options"] == ["rw", "rprivate", "nosuid", "nodev", "tmpcopyup"]
    assert found["/pts"]["type"] == "devpts"
    assert record.named_volumes == (
        NamedVolume(name="v", dest="/named", options=("ro", "rprivate", "nosuid", "nodev", "rbind")),
        NamedVolume(
            name="anonymous0",
            dest="/anonymous",
            options=("rw", "rprivate", "nosuid", "nodev", "rbind"),
            is_anonymous=True,
        ),
    )
    assert record.overlay_volumes == (OverlayVolume(dest="/over", source="/h", options=("O",)),)
    assert record.image_volumes == (ImageVolume(source="i", dest="/image"),)
    assert set(record.user_volumes) == {"/bind", "/named", "/anonymous", "/over", "/image", "/pts", "/tmpfs"}


@pytest.mark.parametrize(
    ("mode", "volumes", "tmpfs"), [("", 1, 0), ("bind", 1, 0), ("tmpfs", 0, 1), ("ignore", 0, 0)]
)
def test_volumes_of_the_image_follow_the_mode(mode: str, volumes: int, tmpfs: int) -> None:
    record = planned(settings=ImageSettings(volumes=("/data/",)), image_volume=mode)
    assert len(record.named_volumes) == volumes
    assert ("/data" in mounts_of(record.spec)) == bool(tmpfs)
    assert all(volume.is_anonymous and volume.dest == "/data" for volume in record.named_volumes)


def test_a_stronger_mount_replaces_a_weaker_one() -> None:
    config = RuntimeConfig(containers=ContainerDefaults(volumes=("/conf:/data", "/conf:/more")))
    owner = changed(planned(volumes=["/theirs:/data", "named:/kept:ro"]), id="b" * 64)
    record = planned(
        settings=ImageSettings(volumes=("/data",)),
        config=config,
        volumes=["/mine:/more"],
        volumes_from=["other:ro"],
        around=Surroundings(containers={"other": owner}),
    )
    found = mounts_of(record.spec)
    assert found["/data"]["source"] == "/conf"
    assert found["/more"]["source"] == "/mine"
    assert [volume.name for volume in record.named_volumes] == ["named"]
    assert "ro" in record.named_volumes[0].options
    assert record.spec["annotations"]["io.podman.annotations.volumes-from"] == "other:ro"


def test_a_mount_on_dev_replaces_everything_below() -> None:
    assert [name for name in mounts_of(planned(volumes=["/dev:/dev"]).spec) if name.startswith("/dev")] == [
        "/dev"
    ]


def test_read_only_containers_may_write_to_memory() -> None:
    record = planned(read_only=True, volumes=["/h:/tmp"])
    found = mounts_of(record.spec)
    assert record.spec["root"]["readonly"]
    assert (found["/run"]["type"], found["/tmp"]["type"], found["/var/tmp"]["type"]) == (
        "tmpfs",
        "bind",
        "tmpfs",
    )
    assert "/run" not in mounts_of(planned(read_only=True, read_only_tmpfs=False).spec)


def test_without_message_queues_there_is_no_mount_for_them() -> None:
    assert "/dev/mqueue" not in mounts_of(planned(host=on(V1, mqueue=False)).spec)


# ---- resources and security -----------------------------------------------------------------------------------


def test_limits_become_numbers() -> None:
    disk = DeviceNode(path="/dev/x", type="b", major=8, minor=0, mode=0, uid=0, gid=0)
    record = planned(
        memory="1m", cpus=0.5, cpu_shares=9, pids_limit=5, blkio_weight=20, device_write_bps=["/dev/x:1k"],
        around=Surroundings(devices={"/dev/x": (disk,)}),
    )  # fmt: skip
    found = record.spec["linux"]["resources"]
    assert found["memory"] == {"limit": 1 << 20, "swap": 2 << 20}
    assert found["cpu"] == {"shares": 9, "quota": 50000, "period": 100000}
    assert found["pids"] == {"limit": 5}
    assert found["blockIO"] == {
        "weight": 20,
        "throttleWriteBpsDevice": [{"major": 8, "minor": 0, "rate": 1024}],
    }


@pytest.mark.parametrize("limit", [0, -1])
def test_no_limit_of_processes_is_no_entry(limit: int) -> None:
    assert "pids" not in planned(pids_limit=limit).spec["linux"]["resources"]


@pytest.mark.parametrize(
    ("fields", "host", "reason"),
    [
        ({"cgroup_conf": ["memory.high=1"]}, V1, "this machine has v1"),
        ({"memory": "1g", "memory_swappiness": 5}, V2, "no swappiness"),
        ({"memory": "1g", "oom_kill_disable": True}, V2, "OOM killer"),
        ({"cgroups": "split"}, V1, "split"),
        ({"security_opt": ["apparmor=mine"]}, V1, "AppArmor does not run"),
    ],
)
def test_what_this_machine_lacks_is_said(fields: dict[str, Any], host: Any, reason: str) -> None:
    with pytest.raises(NotSupportedError, match=reason):
        planned(host=host, **fields)


def test_unified_files_are_passed_through_on_v2() -> None:
    assert planned(host=V2, cgroup_conf=["memory.high=1"]).spec["linux"]["resources"]["unified"] == {
        "memory.high": "1"
    }


@pytest.mark.parametrize(
    ("manager", "parent", "kept"),
    [("cgroupfs", "", "/libpod_parent"), ("cgroupfs", "x/y", "/x/y"), ("systemd", "", "machine.slice"),
     ("systemd", "user.slice", "user.slice"), ("cgroupfs", "a.slice", None), ("systemd", "/x", None)],
)  # fmt: skip
def test_the_parent_cgroup_has_the_managers_form(manager: str, parent: str, kept: str | None) -> None:
    config = RuntimeConfig(cgroup_manager=manager)
    if kept is None:
        with pytest.raises(InvalidArgumentError, match="slice of systemd"):
            planned(config=config, cgroup_parent=parent)
    else:
        assert planned(config=config, cgroup_parent=parent).cgroup_parent == kept


def test_sysctls_need_the_namespace_they_belong_to() -> None:
    assert planned().spec["linux"]["sysctl"] == {"net.ipv4.ping_group_range": "0 0"}
    assert "sysctl" not in planned(network="host").spec["linux"]
    with pytest.raises(InvalidArgumentError, match="host's network namespace"):
        planned(network="host", sysctl=["net.x=1"])
    with pytest.raises(InvalidArgumentError, match="host's ipc namespace"):
        planned(ipc="host", sysctl=["fs.mqueue.msg_max=1"])


def test_devices_come_with_their_numbers_and_a_rule() -> None:
    node = DeviceNode(path="/dev/fuse", type="c", major=10, minor=229, mode=0o20666, uid=0, gid=0)
    record = planned(devices=["/dev/fuse:/dev/f:rw"], around=Surroundings(devices={"/dev/fuse": (node,)}))
    assert record.spec["linux"]["devices"] == [
        {"path": "/dev/f", "type": "c", "major": 10, "minor": 229, "fileMode": 0o20666, "uid": 0, "gid": 0}
    ]
    assert record.spec["linux"]["resources"]["devices"] == [
        {"allow": False, "access": "rwm"},
        {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rw"},
    ]
    with pytest.raises(InvalidArgumentError, match="/dev/none is not a device"):
        planned(devices=["/dev/none"])


def test_a_directory_of_devices_keeps_its_tree() -> None:
    nodes = [
        DeviceNode(path=f"/dev/d/{name}", type="c", major=1, minor=1, mode=0, uid=0, gid=0)
        for name in ("a", "s/b")
    ]
    record = planned(devices=["/dev/d:/dev/e"], around=Surroundings(devices={"/dev/d": nodes}))
    assert [entry["path"] for entry in record.spec["linux"]["devices"]] == ["/dev/e/a", "/dev/e/s/b"]


def test_a_named_seccomp_profile_is_compiled_into_the_template() -> None:
    profile = parse_profile(
        b'{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"name": "x", "action": "SCMP_ACT_ERRNO"}]}', "p"
    )
    record = planned(security_opt=["seccomp=/p"], around=Surroundings(seccomp=profile))
    assert record.spec["linux"]["seccomp"] == {
        "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["x"], "action": "SCMP_ACT_ERRNO"}]
    }  # fmt: skip
    assert record.spec["annotations"]["io.podman.annotations.seccomp"] == "/p"


def test_apparmor_profiles_are_set_where_it_runs() -> None:
    host = on(V1, apparmor=True)
    config = RuntimeConfig(containers=ContainerDefaults(apparmor_profile="ours"))
    assert planned(host=host, config=config).spec["process"]["apparmorProfile"] == "ours"
    assert "apparmorProfile" not in planned(host=host, config=config, privileged=True).spec["process"]
    assert planned(host=host, security_opt=["apparmor=x"]).spec["process"]["apparmorProfile"] == "x"


def test_logging_and_restarting_are_kept() -> None:
    record = planned(
        log_opts=["max-size=1m", "tag=t", "path=/l"], restart_policy="on-failure:3", stop_timeout=0
    )
    assert (record.log_size, record.log_tag, record.log_path, record.log_driver) == (
        1 << 20,
        "t",
        "/l",
        "k8s-file",
    )
    assert (record.restart_policy, record.restart_retries, record.stop_timeout) == ("on-failure", 3, 0)
    assert planned(auto_remove=True).spec["annotations"]["io.podman.annotations.autoremove"] == "TRUE"


def test_the_names_of_other_containers_can_be_looked_up_first() -> None:
    from libpod.model.create_options import CreateOptions

    options = CreateOptions(
        image="i", pid="container:a", network="container:b", volumes_from=["c:ro", "a"], requires=["d"]
    )
    assert named_containers(options) == ("a", "b", "c", "d")


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "privileged": st.booleans(),
            "read_only": st.booleans(),
            "tty": st.booleans(),
            "user": st.sampled_from(["", "0", "dave", "1:2"]),
            "network": st.sampled_from(["none", "host", "bridge", ""]),
            "pid": st.sampled_from(["", "host", "private"]),
            "ipc": st.sampled_from(["", "host", "none", "private", "shareable"]),
            "cap_add": st.lists(st.sampled_from(["net_raw", "ALL", "CAP_SYS_ADMIN"]), unique=True),
            "memory": st.sampled_from([None, "64m"]),
            "volumes": st.lists(st.sampled_from(["/a:/b", "v:/c:ro", "/d"]), unique=True),
        },
    ),
    st.sampled_from([V1, V2]),
)
def test_every_plan_is_a_well_formed_specification(fields: dict[str, Any], host: Any) -> None:
    record = planned(host=host, **fields)
    check_document(record.spec, "the template")
    assert CONTAINER_CONFIG.decode(CONTAINER_CONFIG.encode(record)) == record
