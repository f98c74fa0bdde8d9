"""Whether this host can wake an archive: the head of the archive is read, and everything that it needs is looked up.

All that is wrong is said at once, where an import stops at the first. Nothing is made and nothing is unpacked; whether
the memory images themselves are sound shows only when CRIU reads them.

Covers: nothing upstream; podman finds out while it restores
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from libpod import runtime_import
from libpod.checkpoint import cpuinfo, criu, documents, members
from libpod.checkpoint.fitness import FitnessFinding, FitnessReport, Severity
from libpod.checkpoint.origin import origin_of
from libpod.checkpoint.reader import read_head
from libpod.checkpoint.writer import free_space
from libpod.container_internal import import_judging, preflight
from libpod.container_internal.naming import is_taken
from libpod.container_internal.services import Services
from libpod.define.errors import InvalidArgumentError, LibpodError, ProgramMissingError
from libpod.linux import cpu
from libpod.model.codec import CONTAINER_CONFIG
from libpod.model.container_config import ContainerConfig
from libpod.model.move_options import RestoreOptions
from libpod.network.listeners import reserved
from libpod.network.ports import PortClaim, claims_of, first_conflict
from libpod.spec import rlimits

_O, _L, _R = Severity.OBSTACLE, Severity.LOSS, Severity.REMARK


def restore_fitness(services: Services, options: RestoreOptions) -> FitnessReport:
    """See `Runtime.can_restore`."""
    services.require_open()
    if options.import_ is None:
        raise InvalidArgumentError("there is no archive to look at", resolution="name one")
    path = options.import_
    findings: list[FitnessFinding] = []
    size = os.stat(path).st_size if path.exists() else 0
    try:
        head = read_head(path)
        document = documents.read_config(head.config, archive=str(path))
        spec = documents.read_spec(head.spec, archive=str(path))
        config = CONTAINER_CONFIG.from_document(document)
    except LibpodError as error:
        findings.append(FitnessFinding(_O, error.message, error.resolution or ""))
        return FitnessReport(subject=str(path), findings=tuple(findings))
    except msgspec.ValidationError as error:
        findings.append(FitnessFinding(_O, f"its {members.CONFIG_DUMP} is no configuration ({error})"))
        return FitnessReport(subject=str(path), findings=tuple(findings))
    config = msgspec.structs.replace(preflight.with_ports(config, options), runtime=Path(config.runtime).name)
    for look in _looks(services, config, spec, options, str(path)):
        findings += look()
    free = free_space(services.paths.staging)
    if free < size:
        findings.append(
            FitnessFinding(
                _O, f"the archive has {size >> 20} MiB and {free >> 20} MiB are free in {services.paths.staging}",
                "free some space",
            )
        )  # fmt: skip
    return FitnessReport(
        subject=str(path), findings=tuple(findings), needed=size, free=free, directory=services.paths.staging
    )


Look = Callable[[], list[FitnessFinding]]


def _looks(
    services: Services, config: ContainerConfig, spec: Mapping[str, Any], options: RestoreOptions, shown: str
) -> Iterator[Look]:
    def refusing(step: Callable[[], object]) -> Look:
        return lambda: _refusal(step)

    yield refusing(lambda: preflight.require_criu(services))
    yield lambda: list(_origin(services, config, spec))
    yield lambda: list(_names(services, config, options))
    yield lambda: list(_ports(services, config))
    yield refusing(lambda: _judged(services, config, spec, options, shown))
    yield refusing(lambda: preflight.image_of(services, config))
    yield lambda: list(_limits(services, config, spec))
    yield lambda: list(_networks(services, config))
    yield lambda: list(_labels(services, config))


def _refusal(step: Callable[[], object]) -> list[FitnessFinding]:
    try:
        step()
    except LibpodError as error:
        return [FitnessFinding(_O, error.message, error.resolution or "")]
    return []


def _judged(
    services: Services, config: ContainerConfig, spec: Mapping[str, Any], options: RestoreOptions, shown: str
) -> None:
    template = runtime_import.template_of(dict(spec), config, shown)
    judged = msgspec.structs.replace(config, spec=template)
    import_judging.require_granted(services, judged, options.policy, archive=shown)
    preflight.judge_import(services, judged, options, archive=shown)


def _origin(services: Services, config: ContainerConfig, spec: Mapping[str, Any]) -> Iterator[FitnessFinding]:
    origin, host = origin_of(spec), services.host
    if not origin.architecture:
        yield FitnessFinding(_R, "the archive does not say on which processor and kernel it was made")
        return
    if origin.architecture != host.architecture:
        yield FitnessFinding(
            _O, f"it was made on {origin.architecture}, and this host is {host.architecture}",
            "restore it on a host of that architecture",
        )  # fmt: skip
        return
    missing = sorted(set(origin.cpu) - set(cpu.features())) if origin.cpu else []
    if missing:
        yield FitnessFinding(
            _O, f"this processor lacks what the other had: {', '.join(missing[:8])}",
            "restore it on a processor of the same or a newer kind",
        )  # fmt: skip
    elif origin.cpuinfo:
        yield from _processor(services, origin.cpuinfo)
    here = "v2" if host.cgroup_v2 else "v1"
    if origin.cgroups and origin.cgroups != here:
        yield FitnessFinding(
            _O, f"it was made with cgroups {origin.cgroups}, and this host has {here}",
            "restore it on a host with the same cgroup version",
        )  # fmt: skip
    if origin.kernel and origin.kernel != host.kernel:
        yield FitnessFinding(_R, f"it was made on Linux {origin.kernel}, and this is {host.kernel}")


def _processor(services: Services, description: str) -> Iterator[FitnessFinding]:
    try:
        said = cpuinfo.mismatch(criu.find_criu(services.config.criu), description)
    except ProgramMissingError:
        return  # said by `require_criu`
    except ValueError:
        yield FitnessFinding(_R, "what it says about the processor that it was made on cannot be read")
        return
    if said is not None:
        yield FitnessFinding(
            _O, f"CRIU will not restore it on this processor ({said})",
            "restore it on a processor of the same or a newer kind",
        )  # fmt: skip


def _names(services: Services, config: ContainerConfig, options: RestoreOptions) -> Iterator[FitnessFinding]:
    name = options.name or config.name
    if not options.name and services.state.has_container(config.id):
        yield FitnessFinding(
            _O, f"the container exists here already, under the name {services.state.container_config(config.id).name}",
            "remove it first, or give the new one another name",
        )  # fmt: skip
    elif is_taken(services, name):
        yield FitnessFinding(_O, f"the name {name} is in use", "remove the other one, or choose another name")
    if not options.ignore_volumes:
        for volume in config.volume_names:
            if services.state.has_volume(volume):
                yield FitnessFinding(
                    _O, f"volume {volume} exists already",
                    "remove that volume, or keep it with ignore_volumes",
                )  # fmt: skip


def _ports(services: Services, config: ContainerConfig) -> Iterator[FitnessFinding]:
    wanted = claims_of(config.port_mappings)
    claimed = {PortClaim.from_key(claim.key): claim.owner for claim in services.state.claims(kind="port")}
    conflict = first_conflict(wanted, claimed)
    if conflict is not None:
        claim, owner = conflict
        name = services.state.container_config(owner).name if services.state.has_container(owner) else owner
        yield FitnessFinding(
            _O, f"port {claim.key} is in use by container {name}", "publish another one with publish"
        )
        return
    fixed = [mapping for mapping in config.port_mappings if mapping.host_port]

    def hold() -> None:
        with reserved(fixed):
            pass  # bound for a moment, which nobody notices, to see whether somebody has them

    yield from _refusal(hold)


def _limits(services: Services, config: ContainerConfig, spec: Mapping[str, Any]) -> Iterator[FitnessFinding]:
    try:
        beyond = rlimits.out_of_reach(dict(spec), services.host)
    except (KeyError, TypeError, AttributeError):
        return  # `_judged` says that it is no specification
    if beyond:
        yield FitnessFinding(
            _O, f"it has resource limits that this process may not set: {', '.join(beyond)}",
            "restore with CAP_SYS_RESOURCE, or make the container with smaller ulimits",
        )  # fmt: skip
    if config.cgroup_manager and config.cgroup_manager != services.config.cgroup_manager:
        yield FitnessFinding(
            _L,
            f"its cgroups were managed by {config.cgroup_manager}, here by {services.config.cgroup_manager}",
        )


def _networks(services: Services, config: ContainerConfig) -> Iterator[FitnessFinding]:
    from libpod.container_internal import bridging

    known = bridging.definitions_of(services)
    for name in config.networks:
        if name != services.config.default_network and not known.exists(name):
            yield FitnessFinding(_O, f"there is no network {name} here", f"create the network {name} first")


def _labels(services: Services, config: ContainerConfig) -> Iterator[FitnessFinding]:
    if config.process_label and not services.host.selinux:
        yield FitnessFinding(
            _O, "its processes have an SELinux label, and this host has no SELinux",
            "restore it on a host with SELinux",
        )  # fmt: skip
