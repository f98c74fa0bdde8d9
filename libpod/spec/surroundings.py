"""What a plan has to know of the things around the container, beside its image.

`read_surroundings` is where a creation looks at the machine: device nodes, the seccomp profile that was named, the
caller's environment, the init program. Everything after it is arithmetic.

Covers: pkg/specgen/generate/container_create.go (the look-ups)
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

import msgspec

from libpod.config import RuntimeConfig
from libpod.define.errors import InvalidArgumentError
from libpod.linux.devices import DeviceNode, devices_at
from libpod.linux.process import find_program
from libpod.model.container_config import ContainerConfig
from libpod.model.create_options import CreateOptions
from libpod.model.limits import parse_device
from libpod.model.namespace_mode import NamespaceKind
from libpod.model.pod import PodConfig
from libpod.spec.resources import limited_devices
from libpod.spec.seccomp import UNCONFINED, SeccompProfile, load_profile

_INIT_PROGRAMS = ("/usr/libexec/podman/catatonit", "/usr/local/libexec/podman/catatonit", "catatonit")


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """Other objects and the machine, as far as a request names them."""

    containers: Mapping[str, ContainerConfig] = msgspec.field(default_factory=dict)
    """By the names the request uses."""
    pod: PodConfig | None = None
    infra: ContainerConfig | None = None
    """The pod's infra container."""
    pod_cgroup: str = ""
    devices: Mapping[str, Sequence[DeviceNode]] = msgspec.field(default_factory=dict)
    """By the path the request, or the configuration, uses."""
    seccomp: SeccompProfile | None = None
    """The profile that the request names; None when it names none."""
    environment: Mapping[str, str] = msgspec.field(default_factory=dict)
    """The caller's, for env_host."""
    init_program: str = ""


def named_containers(options: CreateOptions) -> tuple[str, ...]:
    """The names of other containers in a request, each once."""
    modes = (options.pid, options.ipc, options.uts, options.userns, options.cgroupns, options.network.mode)
    names = [mode.value for mode in modes if mode.kind is NamespaceKind.CONTAINER]
    names += [text.partition(":")[0] for text in options.volumes_from]
    return tuple(dict.fromkeys([*names, *options.requires]))


def read_surroundings(
    options: CreateOptions,
    config: RuntimeConfig,
    *,
    container: Callable[[str], ContainerConfig],
    pod: PodConfig | None = None,
    infra: ContainerConfig | None = None,
    pod_cgroup: str = "",
) -> Surroundings:
    """Look up what *options* name; *container* finds a container by name or id and raises when there is none.

    Raises InvalidArgumentError for a device that is not there and ConfigError for a bad seccomp profile.
    """
    profile = options.security_opt.seccomp
    return Surroundings(
        containers={name: container(name) for name in named_containers(options)},
        pod=pod,
        infra=infra,
        pod_cgroup=pod_cgroup,
        devices=_devices(options, config),
        seccomp=load_profile(profile) if profile and profile != UNCONFINED else None,
        environment=dict(os.environ) if options.env_host else {},
        init_program=_init_program(options, config),
    )


def _devices(options: CreateOptions, config: RuntimeConfig) -> dict[str, Sequence[DeviceNode]]:
    paths = [request.source for request in options.devices]
    paths += [parse_device(text).source for text in config.containers.devices]
    paths += limited_devices(options)
    found: dict[str, Sequence[DeviceNode]] = {}
    for path in dict.fromkeys(paths):
        try:
            found[path] = devices_at(path)
        except OSError as error:
            raise InvalidArgumentError(f"the device {path} cannot be used: {error.strerror}") from error
    return found


def _init_program(options: CreateOptions, config: RuntimeConfig) -> str:
    wanted = config.containers.init if options.init is None else options.init
    if not wanted:
        return ""
    configured = options.init_path or config.containers.init_path
    for name in (configured,) if configured else _INIT_PROGRAMS:
        found = find_program(name)
        if found is not None:
            return found
    raise InvalidArgumentError(
        f"the init program {configured or 'catatonit'} was not found",
        resolution="install catatonit or set init_path",
    )
