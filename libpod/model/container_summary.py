"""What a listing shows of a container's configuration, without decoding the whole of it.

A configuration holds the complete runtime specification: ten kilobytes of which `ps` shows two hundred bytes. The
summary is derived from the configuration, stored beside it in the same transaction, and never changed on its own.

Covers: cmd/podman/containers/ps.go (its fields), pkg/ps/ps.go
"""

# Annotations are not put off here: to read 150 of them back from text takes msgspec milliseconds in every process.

import msgspec

from libpod.model.container_config import ContainerConfig, PortMapping
from libpod.model.times import ZERO_TIME, age


class ContainerSummary(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The part of a ContainerConfig that listings and their filters need.

    gc=False, here and in the state: records hold plain data, in which no cycle can arise, and a listing of a thousand
    otherwise spends more time in the garbage collector than in reading.
    """

    id: str
    name: str
    image: str = ""
    image_id: str = msgspec.field(default="", name="imageID")
    command: tuple[str, ...] = ()
    """Entrypoint and command as the container runs them."""
    created_time: str = msgspec.field(default=ZERO_TIME, name="createdTime")
    created: int = 0
    """The same in nanoseconds since 1970: listings are ordered by it."""
    labels: dict[str, str] = {}
    port_mappings: tuple[PortMapping, ...] = msgspec.field(default=(), name="portMappings")
    exposed_ports: dict[str, tuple[str, ...]] = msgspec.field(default={}, name="exposedPorts")
    networks: tuple[str, ...] = ()
    network_mode: str = msgspec.field(default="", name="networkMode")
    net_ns_container: str = msgspec.field(default="", name="netNsCtr")
    """The container whose network this one shares; its ports are shown here too."""
    pod: str = ""
    mounts: tuple[str, ...] = ()
    """Destinations of the mounts that the user asked for."""
    volumes: tuple[str, ...] = ()
    """Names of the volumes in use."""
    is_infra: bool = msgspec.field(default=False, name="isInfra")
    auto_remove: bool = msgspec.field(default=False, name="autoRemove")
    restart_policy: str = msgspec.field(default="", name="restartPolicy")
    has_health_check: bool = msgspec.field(default=False, name="hasHealthCheck")
    lock_id: int = msgspec.field(default=0, name="lockID")

    @property
    def short_id(self) -> str:
        """The first twelve characters of the id."""
        return self.id[:12]


def summary_of(config: ContainerConfig) -> ContainerSummary:
    """The summary of a configuration."""
    process = config.spec.get("process")
    arguments = process.get("args") if isinstance(process, dict) else None
    return ContainerSummary(
        id=config.id,
        name=config.name,
        image=config.rootfs_image_name,
        image_id=config.rootfs_image_id,
        command=tuple(map(str, arguments)) if arguments else (*config.entrypoint, *config.command),
        created_time=config.created_time,
        created=age(config.created_time),
        labels=config.labels,
        port_mappings=config.port_mappings,
        exposed_ports=config.exposed_ports,
        networks=tuple(config.networks),
        network_mode=config.network_mode,
        net_ns_container=config.net_ns_ctr,
        pod=config.pod,
        mounts=config.user_volumes,
        volumes=config.volume_names,
        is_infra=config.is_infra,
        auto_remove=config.auto_remove,
        restart_policy=config.restart_policy,
        has_health_check=config.health_check is not None,
        lock_id=config.lock_id,
    )
