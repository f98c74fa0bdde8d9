"""Opening and closing an engine: which drivers, in which order, and what happens after a boot.

    1 configuration   2 root rights   3 directories   4 state, locks, events   5 under the alive lock, once a boot:
    refresh           6 repair, when a killed process left a sign (`runtime_repair`)

Nothing else: the layer store, the OCI runtime, CRIU and the host's facts are asked for by the calls that need them.

Covers: libpod/runtime.go (makeRuntime, refresh, Shutdown)
"""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from libpod.config import EnginePaths, RuntimeConfig
from libpod.container_internal.oci_runtimes import OciRuntimes
from libpod.container_internal.services import Services
from libpod.container_internal.undertakings import undertakings
from libpod.define.errors import ConfigError, NotPrivilegedError, ProgramMissingError
from libpod.events import open_backend
from libpod.linux.host import read_host_facts
from libpod.lock.file_lock import FileLockManager
from libpod.lock.presence import Presence
from libpod.state.lmdb_state import LmdbState

if TYPE_CHECKING:
    from libpod.oci.base import OciRuntime
    from libpod.storage.store import Store

logger = logging.getLogger(__name__)


def open_services(settings: Mapping[str, Any], *, moved: bool = False) -> Services:
    """Everything a Runtime needs. On an error nothing stays open.

    With *moved* the recorded directories may be others than the present ones (`runtime_migrate`).
    """
    if os.geteuid() != 0:
        raise NotPrivilegedError(
            "containers need root rights on this host, and this process has none", resolution="run it as root"
        )
    config = RuntimeConfig.load(**settings)
    paths = config.paths
    _make_directories(paths)
    state = LmdbState(paths.durable_state, paths.volatile_state, boot_id=config.boot_id or None)
    try:
        locks = FileLockManager(paths.locks, timeout=config.lock_timeout or None)
        services = Services(
            config=config,
            paths=paths,
            state=state,
            locks=locks,
            presence=Presence(paths.working),
            events=open_backend(config.events_backend, paths.events_log, max_size=config.events_log_max_size),
            runtimes=OciRuntimes(
                functools.partial(_open_runtime, config, paths),
                functools.partial(_default_runtime, config, paths),
            ),
            open_store=functools.partial(_open_store, config, paths),
            read_host=read_host_facts,
        )
        if not moved:
            state.check_paths(recorded_paths(config))
        if state.needs_refresh():
            from libpod import runtime_refresh

            runtime_refresh.refresh(services)
        if has_signs(services):
            from libpod import runtime_repair

            runtime_repair.repair(services)
    except BaseException:
        state.close()
        raise
    return services


def close_services(services: Services) -> None:
    """Let go of everything; idempotent."""
    services.close()


def recorded_paths(config: RuntimeConfig) -> dict[str, str]:
    """The directories that records name, as the state remembers them."""
    return {"graph root": str(config.graph_root), "volume path": str(config.paths.volumes)}


def has_signs(services: Services) -> bool:
    """Whether a process was killed at work. Three looks into directories that are nearly always empty."""
    return (
        any(item.is_over() for item in undertakings(services.paths.staging))
        or bool(services.presence.dead())
        or any(map(functools.partial(_is_unattended, services), os.listdir(services.paths.exits)))
    )


def _is_unattended(services: Services, ctr_id: str) -> bool:
    """Whether a container has ended, by its exit file, and its conmon, which waits for the exit command, is gone."""
    config = services.config
    directory = config.run_root / f"{config.storage_driver}-containers" / ctr_id / "userdata"
    try:
        return not os.path.exists(f"/proc/{int((directory / 'conmon.pid').read_text())}")
    except (FileNotFoundError, ValueError):
        return False  # just being cleaned up, or removed


def _make_directories(paths: EnginePaths) -> None:
    # One look when all is there, which is nearly always.
    for directory in paths.private_directories:
        try:
            directory.mkdir(parents=True, mode=0o700, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"{directory} cannot be made ({error.strerror})", resolution="choose another root or runroot"
            ) from error


def _open_store(config: RuntimeConfig, paths: EnginePaths) -> Store:
    from libpod.storage.options import StoreOptions
    from libpod.storage.store import Store

    return Store.open(
        config.graph_root,
        config.run_root,
        driver=config.storage_driver,
        options=StoreOptions.parse(
            config.storage_options, image_stores=[Path(store) for store in config.image_stores]
        ),
        owner=_identity(paths.durable_state),
    )


def _identity(state: Path) -> str:
    """The name of these records, by which the store tells our leftovers from those of an engine before us.

    It lives beside them: whoever deletes the records gives up the layers, and the next records do not collect them.
    """
    path = state / "identity"
    try:
        return path.read_text()
    except FileNotFoundError:
        pass
    draft = state / f".tmp-identity.{os.urandom(8).hex()}"
    draft.write_text(f"libpod-{os.urandom(16).hex()}")
    try:
        os.link(draft, path)
    except FileExistsError:
        pass  # another process was faster
    finally:
        draft.unlink()
    return path.read_text()


def _open_runtime(config: RuntimeConfig, paths: EnginePaths, name: str) -> OciRuntime:
    from libpod.checkpoint.criu import find_criu
    from libpod.linux.process import find_program, first_executable
    from libpod.oci.conmon import ConmonRuntime

    conmon = first_executable(config.conmon_paths) or find_program("conmon")
    if conmon is None:
        raise ProgramMissingError("conmon", purpose="run containers")
    try:
        criu: Path | None = find_criu(config.criu)
    except ProgramMissingError:
        if config.criu_path:
            raise
        criu = None  # containers run without it; whoever checkpoints is told
    return ConmonRuntime(
        conmon=Path(conmon),
        runtime=_runtime_path(config, name),
        criu_directory=criu.parent if criu is not None else None,
        environment=config.conmon_env,
    )


def _runtime_path(config: RuntimeConfig, name: str) -> Path:
    from libpod.linux.process import find_program

    if "/" in name:
        places: tuple[str, ...] = (name,)
    else:
        places = config.runtimes.get(name, ())
    found = next((place for place in places if os.access(place, os.X_OK)), None)
    if found is None and "/" not in name:
        found = find_program(name)
    if found is None:
        raise ProgramMissingError(
            name, purpose="run containers", resolution=f"install {name} or choose another runtime"
        )
    return Path(found)


def _default_runtime(config: RuntimeConfig, paths: EnginePaths) -> str:
    if config.runtime:
        return config.runtime
    from libpod import runtime_choice

    return runtime_choice.default_runtime(config, paths.volatile / "runtime.json")
