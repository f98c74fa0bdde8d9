"""What the OCI driver has to know about a container: its bundle, and the processes that belong to it.

Covers: libpod/oci_conmon_common.go (the paths and names that createOCIContainer hands to conmon)
"""

from __future__ import annotations

from pathlib import Path

from libpod.container_internal.exit_command import exit_command
from libpod.container_internal.held import LockedContainer
from libpod.container_internal.services import Services
from libpod.linux.pidfd import ProcessIdentity
from libpod.model.container_config import ContainerConfig
from libpod.model.container_state import ContainerState
from libpod.oci.base import Bundle, Launched
from libpod.spec.namespaces import cgroups_path


def bundle_for(held: LockedContainer) -> Bundle:
    """The bundle of a container whose lock is held."""
    return bundle_of(held.services, held.config)


def bundle_of(services: Services, config: ContainerConfig) -> Bundle:
    """The bundle of a container: explicit paths, nothing that changes while it lives."""
    return Bundle(
        id=config.id,
        name=config.name,
        directory=services.bundle_directory(config.id),
        run_dir=services.run_directory(config.id),
        exit_dir=services.paths.exits,
        persist_dir=services.paths.persist(config.id),
        log_driver=config.log_driver or "k8s-file",
        log_path=Path(config.log_path) if config.log_path else None,
        log_size_max=config.log_size,
        log_tag=config.log_tag,
        terminal=bool(config.spec.get("process", {}).get("terminal", False)),
        stdin_open=config.stdin,
        cgroup_manager=config.cgroup_manager or "cgroupfs",
        cgroup_path=cgroups_path(config),
        cgroups_enabled=not config.no_cgroups,
        exit_command=exit_command(services.exit_program, config.id, services.bundle_directory(config.id)),
        no_pivot=services.config.no_pivot_root,
        runtime_flags=(f"root={services.paths.oci_root(Path(config.runtime).name or 'default')}",),
        timeout=config.timeout,
    )


def identity_of_init(state: ContainerState) -> ProcessIdentity:
    """The container's own process, as recorded."""
    return ProcessIdentity(state.pid, state.pid_start)


def identity_of_conmon(state: ContainerState) -> ProcessIdentity:
    """The monitor, as recorded."""
    return ProcessIdentity(state.conmon_pid, state.conmon_start)


def launched_of(state: ContainerState) -> Launched:
    """Both."""
    return Launched(init=identity_of_init(state), conmon=identity_of_conmon(state))


def pids_of(launched: Launched) -> dict[str, int]:
    """The fields of a state that record *launched*."""
    return {
        "pid": launched.init.pid,
        "pid_start": launched.init.start_time,
        "conmon_pid": launched.conmon.pid,
        "conmon_start": launched.conmon.start_time,
    }


NO_PROCESSES = {"pid": 0, "pid_start": 0, "conmon_pid": 0, "conmon_start": 0}
"""The fields of a state of which nothing runs."""
