"""What a container is: written once at creation, the content of `config.dump`.

The keys, their order and which of them are always present are podman 4's and 5's (`newNetworks`, `newPortMappings`,
not the ordered list of 6.0: every version reads these). Only `rename`, `update`, renumber and migrate ever replace a
stored configuration.

Covers: libpod/container_config.go
"""

# Annotations are not put off here: to read 150 of them back from text takes msgspec milliseconds in every process.

from typing import Any

import msgspec

from libpod.model.times import ZERO_TIME


class NamedVolume(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A volume mounted into the container."""

    name: str = msgspec.field(name="volumeName")
    dest: str
    options: tuple[str, ...] = ()
    is_anonymous: bool = msgspec.field(default=False, name="setAnonymous")
    sub_path: str = msgspec.field(default="", name="SubPath")


class OverlayVolume(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A host directory mounted through an overlay (`-v src:dst:O`)."""

    dest: str
    source: str = ""
    options: tuple[str, ...] = ()


class ImageVolume(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An image mounted into the container."""

    source: str
    dest: str
    read_write: bool = msgspec.field(default=False, name="rw")


class PortMapping(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A published port, or a range of them."""

    host_ip: str = ""
    container_port: int
    host_port: int
    range: int = 1
    protocol: str = "tcp"


class NetworkOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a container hangs on one network."""

    static_ips: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    static_mac: str = ""
    interface_name: str = msgspec.field(default_factory=str)


class IDMap(msgspec.Struct, frozen=True, kw_only=True):
    """One range of a user namespace's mapping."""

    container_id: int
    host_id: int
    size: int


class IDMappingOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How user and group ids of the container relate to the host's."""

    host_uid_mapping: bool = msgspec.field(default=True, name="HostUIDMapping")
    host_gid_mapping: bool = msgspec.field(default=True, name="HostGIDMapping")
    uid_map: tuple[IDMap, ...] | None = msgspec.field(default=None, name="UIDMap")
    gid_map: tuple[IDMap, ...] | None = msgspec.field(default=None, name="GIDMap")
    auto_user_ns: bool = msgspec.field(default=False, name="AutoUserNs")
    auto_user_ns_options: dict[str, Any] = msgspec.field(
        default_factory=lambda: {
            "Size": 0,
            "InitialSize": 0,
            "PasswdFile": "",
            "GroupFile": "",
            "AdditionalUIDMappings": None,
            "AdditionalGIDMappings": None,
        },
        name="AutoUserNsOpts",
    )


class HealthCheck(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A health check; durations are nanoseconds."""

    test: tuple[str, ...] = msgspec.field(default=(), name="Test")
    start_period: int = msgspec.field(default=0, name="StartPeriod")
    interval: int = msgspec.field(default=0, name="Interval")
    timeout: int = msgspec.field(default=0, name="Timeout")
    retries: int = msgspec.field(default=0, name="Retries")


class ContainerConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The whole configuration of a container.

    `spec` is the OCI runtime specification as created; the one that runs is derived from it at every init. `extra`
    holds keys that this version does not know: they are kept and written back by the codec.
    """

    # Fields whose default comes from a factory are written even when empty: Go's struct has no omitempty there.
    spec: dict[str, Any]
    id: str
    name: str
    pod: str = ""
    namespace: str = ""
    lock_id: int = msgspec.field(default_factory=int, name="lockID")
    create_command: tuple[str, ...] = msgspec.field(default=(), name="CreateCommand")
    raw_image_name: str = msgspec.field(default="", name="RawImageName")
    id_mappings: IDMappingOptions = msgspec.field(default_factory=IDMappingOptions, name="idMappingsOptions")
    dependencies: tuple[str, ...] | None = msgspec.field(default_factory=lambda: None, name="Dependencies")

    rootfs_image_id: str = msgspec.field(default="", name="rootfsImageID")
    rootfs_image_name: str = msgspec.field(default="", name="rootfsImageName")
    rootfs: str = ""
    image_volumes: tuple[ImageVolume, ...] = msgspec.field(default=(), name="ctrImageVolumes")
    shm_dir: str = msgspec.field(default="", name="ShmDir")
    no_shm: bool = msgspec.field(default=False, name="NoShm")
    no_shm_share: bool = msgspec.field(default=False, name="NOShmShare")
    shm_size: int = msgspec.field(default_factory=lambda: 65536000, name="shmSize")
    static_dir: str = msgspec.field(default_factory=str, name="staticDir")
    mounts: tuple[str, ...] = ()
    named_volumes: tuple[NamedVolume, ...] = msgspec.field(default=(), name="namedVolumes")
    overlay_volumes: tuple[OverlayVolume, ...] = msgspec.field(default=(), name="overlayVolumes")
    create_working_dir: bool = msgspec.field(default=False, name="createWorkingDir")
    secrets_path: str = msgspec.field(default_factory=str, name="secretsPath")
    storage_opts: dict[str, str] | None = msgspec.field(default_factory=lambda: None, name="storageOpts")
    passwd: bool | None = None

    privileged: bool = msgspec.field(default_factory=bool)
    process_label: str = msgspec.field(default="", name="ProcessLabel")
    mount_label: str = msgspec.field(default="", name="MountLabel")
    label_opts: tuple[str, ...] = msgspec.field(default=(), name="labelopts")
    user: str = ""
    groups: tuple[str, ...] = ()

    ipc_ns_ctr: str = msgspec.field(default="", name="ipcNsCtr")
    mount_ns_ctr: str = msgspec.field(default="", name="mountNsCtr")
    net_ns_ctr: str = msgspec.field(default="", name="netNsCtr")
    pid_ns_ctr: str = msgspec.field(default="", name="pidNsCtr")
    user_ns_ctr: str = msgspec.field(default="", name="userNsCtr")
    uts_ns_ctr: str = msgspec.field(default="", name="utsNsCtr")
    cgroup_ns_ctr: str = msgspec.field(default="", name="cgroupNsCtr")

    create_net_ns: bool = msgspec.field(default_factory=bool, name="createNetNS")
    exposed_ports: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict, name="exposedPorts")
    port_mappings: tuple[PortMapping, ...] = msgspec.field(default=(), name="newPortMappings")
    use_image_resolv_conf: bool = msgspec.field(default_factory=bool, name="UseImageResolvConf")
    use_image_hosts: bool = msgspec.field(default_factory=bool, name="UseImageHosts")
    base_hosts_file: str = msgspec.field(default="", name="baseHostsFile")
    dns_servers: tuple[str, ...] = msgspec.field(default=(), name="dnsServer")
    dns_search: tuple[str, ...] = msgspec.field(default=(), name="dnsSearch")
    dns_options: tuple[str, ...] = msgspec.field(default=(), name="dnsOption")
    host_add: tuple[str, ...] = msgspec.field(default=(), name="hostsAdd")
    networks: dict[str, NetworkOptions] = msgspec.field(default_factory=dict, name="newNetworks")
    network_mode: str = msgspec.field(default="", name="networkMode")
    network_options: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict, name="network_options")

    user_volumes: tuple[str, ...] = msgspec.field(default=(), name="userVolumes")
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    stdin: bool = False
    labels: dict[str, str] = {}
    stop_signal: int = msgspec.field(default=0, name="stopSignal")
    stop_timeout: int = msgspec.field(default=0, name="stopTimeout")
    timeout: int = 0
    created_time: str = msgspec.field(default_factory=lambda: ZERO_TIME, name="createdTime")
    cgroup_manager: str = msgspec.field(default="", name="cgroupManager")
    no_cgroups: bool = msgspec.field(default=False, name="noCgroups")
    cgroups_mode: str = msgspec.field(default="", name="cgroupsMode")
    cgroup_parent: str = msgspec.field(default_factory=str, name="cgroupParent")
    log_path: str = msgspec.field(default_factory=str, name="logPath")
    log_tag: str = msgspec.field(default_factory=str, name="logTag")
    log_size: int = msgspec.field(default_factory=int, name="logSize")
    log_driver: str = msgspec.field(default_factory=str, name="logDriver")
    conmon_pid_file: str = msgspec.field(default="", name="conmonPidFile")
    pid_file: str = ""
    restart_policy: str = ""
    restart_retries: int = 0
    runtime: str = ""
    is_infra: bool = msgspec.field(default_factory=bool, name="pause")
    is_service: bool = msgspec.field(default_factory=bool, name="isService")
    systemd: bool | None = None
    health_check: HealthCheck | None = msgspec.field(default_factory=lambda: None, name="healthcheck")
    health_check_on_failure: int = msgspec.field(default_factory=int, name="healthcheck_on_failure_action")
    preserve_fds: int = msgspec.field(default=0, name="preserveFds")
    timezone: str = ""
    umask: str = ""
    auto_remove: bool = msgspec.field(default=False, name="autoRemove")
    """Ours: podman keeps it only as an annotation of the specification."""
    extra: dict[str, Any] = msgspec.field(default_factory=dict, name="")

    @property
    def short_id(self) -> str:
        """The first twelve characters of the id."""
        return self.id[:12]

    @property
    def all_dependencies(self) -> tuple[str, ...]:
        """Ids of the containers that must run before this one, each once."""
        wanted = (
            self.ipc_ns_ctr,
            self.mount_ns_ctr,
            self.net_ns_ctr,
            self.pid_ns_ctr,
            self.user_ns_ctr,
            self.uts_ns_ctr,
            self.cgroup_ns_ctr,
            *(self.dependencies or ()),
        )
        return tuple(dict.fromkeys(item for item in wanted if item))

    @property
    def volume_names(self) -> tuple[str, ...]:
        """Names of the volumes in use, each once."""
        return tuple(dict.fromkeys(volume.name for volume in self.named_volumes))

    @property
    def stop_signal_number(self) -> int:
        """The signal that asks the container to end; 15 unless set."""
        return self.stop_signal or 15
