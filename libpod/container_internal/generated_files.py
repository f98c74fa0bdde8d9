"""The files that the engine writes for a container and binds into it.

/etc/hosts, /etc/resolv.conf, /etc/hostname and /run/.containerenv live in the run directory. They are rewritten in
place at every init, because a bind mount holds the inode, not the name.

Covers: libpod/container_internal_common.go (makeBindMounts, generateHosts, generateResolvConf)
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from libpod.container_internal.held import LockedContainer
from libpod.container_internal.services import Services
from libpod.define.errors import NoSuchContainerError
from libpod.define.status import LIVE
from libpod.linux.files import write_atomic
from libpod.model.container_config import ContainerConfig
from libpod.network import texts

MOUNTED_AT = {
    "hosts": "/etc/hosts",
    "resolv.conf": "/etc/resolv.conf",
    "hostname": "/etc/hostname",
    ".containerenv": "/run/.containerenv",
}


def hostname_of(config: ContainerConfig) -> str:
    """The host name that the container sees."""
    return str(config.spec.get("hostname") or config.short_id)


def write(held: LockedContainer, *, network_status: Mapping[str, Any]) -> dict[str, str]:
    """Write the files and return the bind mounts: path in the container → path on the host."""
    config, directory = held.config, held.run_directory
    made = {
        "hostname": texts.hostname_text(hostname_of(config)),
        ".containerenv": _containerenv(config),
    }
    if config.net_ns_ctr:
        binds = _shared_with(held)
        _introduce(config, binds)
    else:
        binds = {}
        if not config.use_image_hosts:
            made["hosts"] = _hosts(held, network_status)
        if not config.use_image_resolv_conf and _has_network(config):
            made["resolv.conf"] = _resolver(held, network_status)
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, text in made.items():
        path = directory / name
        if path.exists():
            texts.rewrite_in_place(path, text)
        else:
            write_atomic(path, text.encode(), mode=0o700 if name == ".containerenv" else 0o644, durable=False)
        binds[MOUNTED_AT[name]] = str(path)
    if config.networks and "hosts" in made:
        from libpod.container_internal import bridging

        bridging.announce(held, directory / "hosts")
    if config.shm_dir:
        binds["/dev/shm"] = config.shm_dir
    return binds


def addresses_of(network_status: Mapping[str, Any]) -> list[str]:
    """The addresses of a container, in the order of its networks."""
    return [
        str(subnet["ipnet"]).partition("/")[0]
        for network in network_status.values()
        for interface in (network.get("interfaces") or {}).values()
        for subnet in interface.get("subnets") or ()
    ]


def forget_guest(services: Services, config: ContainerConfig) -> None:
    """Take a container that shares another's network out of that one's hosts file; nothing there is fine."""
    if config.net_ns_ctr:
        hosts = services.run_directory(config.net_ns_ctr) / "hosts"
        texts.edit_in_place(hosts, lambda text: texts.hosts_without(text, [_as_guest(config)]))


def _introduce(config: ContainerConfig, binds: Mapping[str, str]) -> None:
    if "/etc/hosts" in binds:
        texts.edit_in_place(
            Path(binds["/etc/hosts"]), lambda text: texts.hosts_with(text, [_as_guest(config)])
        )


def _as_guest(config: ContainerConfig) -> texts.HostEntry:
    """How those who share a network name one another: at loopback."""
    names = (config.name,) if config.uts_ns_ctr else (hostname_of(config), config.name)
    return texts.HostEntry("127.0.0.1", tuple(dict.fromkeys(names)))


def _guests(held: LockedContainer) -> list[texts.HostEntry]:
    """The entries of those that share this container's network now."""
    found = []
    for ctr_id in held.services.state.dependents(held.id):
        with contextlib.suppress(NoSuchContainerError):
            config = held.services.state.container_config(ctr_id)
            if config.net_ns_ctr == held.id and held.services.state.container_state(ctr_id).status in LIVE:
                found.append(_as_guest(config))
    return found


def _shared_with(held: LockedContainer) -> dict[str, str]:
    """Who joins another container's network uses that one's files."""
    owner = held.services.state.container_state(held.config.net_ns_ctr)
    return {
        path: owner.bind_mounts[path]
        for path in ("/etc/hosts", "/etc/resolv.conf")
        if path in owner.bind_mounts
    }


def _has_network(config: ContainerConfig) -> bool:
    return config.network_mode != "none"


def _names(config: ContainerConfig) -> Sequence[str]:
    return tuple(dict.fromkeys((hostname_of(config), config.name)))


def _hosts(held: LockedContainer, network_status: Mapping[str, Any]) -> str:
    config = held.config
    base = _base_hosts(config)
    addresses = addresses_of(network_status)
    own = texts.own_entries(addresses, _names(config), isolated=config.network_mode == "none")
    gateways = [
        str(subnet["gateway"])
        for network in network_status.values()
        for interface in (network.get("interfaces") or {}).values()
        for subnet in interface.get("subnets") or ()
        if subnet.get("gateway")
    ]
    return texts.hosts_text(
        base=base,
        extra=config.host_add,
        own=own,
        host_address=gateways[0] if gateways else None,
        neighbours=_guests(held) if held.status in LIVE else (),
    )


def _base_hosts(config: ContainerConfig) -> str:
    if config.base_hosts_file == "none":
        return ""
    path = Path(config.base_hosts_file or "/etc/hosts")
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def _resolver(held: LockedContainer, network_status: Mapping[str, Any]) -> str:
    config = held.config
    private = config.network_mode != "host"
    return texts.resolv_text(
        texts.host_resolver(private=private),
        private=private,
        servers=config.dns_servers,
        searches=config.dns_search,
        options=config.dns_options,
        network_servers=[
            str(server)
            for network in network_status.values()
            for server in network.get("dns_server_ips") or ()
        ],
        network_searches=[
            str(domain)
            for network in network_status.values()
            for domain in network.get("dns_search_domains") or ()
        ],
    )


def _containerenv(config: ContainerConfig) -> str:
    """What podman tells a container about itself; only a privileged one gets the details."""
    if not config.privileged:
        return ""
    from libpod.version import VERSION

    rows = (
        ("engine", f"libpod-py-{VERSION}"),
        ("name", config.name),
        ("id", config.id),
        ("image", config.rootfs_image_name),
        ("imageid", config.rootfs_image_id),
    )
    return "".join(f'{key}="{value}"\n' for key, value in rows) + f"rootless={int(os.geteuid() != 0)}\n"
