"""Records follow their directories, or their containers another OCI runtime.

Records name directories below the graph root: bundles, logs, /dev/shm, volumes. Whoever moves the graph root elsewhere
is refused by the next opening, which names both places, and calls this. (The run root may change as it likes: what is
in it is of one boot, and a new one means a new boot.)

Every rewriting may be repeated. The state remembers the old directories until the last record is rewritten, so that a
kill in between is answered by calling again.

Covers: libpod/runtime_migrate.go
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import msgspec

from libpod import runtime_opening
from libpod.container_internal.locked import locked
from libpod.container_internal.services import Services
from libpod.define.errors import ContainerStateError
from libpod.define.status import LIVE, ContainerStatus
from libpod.linux.files import write_atomic
from libpod.model.container_config import ContainerConfig
from libpod.model.container_state import ContainerState

logger = logging.getLogger(__name__)


@attrs.frozen(kw_only=True)
class MigrationReport:
    """What was rewritten."""

    containers: tuple[str, ...] = ()
    """Names of the containers."""
    volumes: tuple[str, ...] = ()
    moved: Mapping[str, tuple[str, str]] = attrs.field(factory=dict)
    """Kind of directory → from where, to where."""


def migrate(settings: Mapping[str, Any], *, new_runtime: str = "") -> MigrationReport:
    """See `Runtime.migrate`."""
    services = runtime_opening.open_services(settings, moved=True)
    try:
        return _migrated(services, new_runtime)
    finally:
        runtime_opening.close_services(services)


def _migrated(services: Services, new_runtime: str) -> MigrationReport:
    state = services.state
    wanted = runtime_opening.recorded_paths(services.config)
    moves = {
        name: (old, wanted[name])
        for name, old in state.recorded_paths().items()
        if name in wanted and old != wanted[name]
    }
    if new_runtime:
        services.runtimes.named(new_runtime)  # says what is wrong with it before anything is rewritten
    _require_all_stopped(services)
    steps = list(moves.values())
    containers = []
    for config, _ in state.containers():
        with locked(services, config.id) as held:
            after = _config_after(held.config, steps, new_runtime)
            if after != held.config:
                state.rewrite_container_config(after)
                containers.append(config.name)
            changed = _state_after(held.state, steps)
            if changed != held.state:
                state.save_container_state(config.id, changed)
            for name in ("config.json", "config.json.before-restore"):
                _rewrite_document(services.bundle_directory(config.id) / name, steps)
    volumes = []
    for volume, _ in state.volumes():
        place = _moved(volume.mount_point, steps)
        if place != volume.mount_point:
            state.rewrite_volume_config(msgspec.structs.replace(volume, mount_point=place))
            volumes.append(volume.name)
    state.rewrite_paths(wanted)
    return MigrationReport(containers=tuple(containers), volumes=tuple(volumes), moved=moves)


def _require_all_stopped(services: Services) -> None:
    for config, _ in services.state.containers():
        with locked(services, config.id) as held:
            if held.status in LIVE:
                raise ContainerStateError(
                    operation="migrate",
                    container=held.name,
                    status=held.status.word,
                    allowed=[ContainerStatus.CONFIGURED.word, ContainerStatus.EXITED.word],
                    resolution="stop all containers first, where the directories were before",
                )


def _moved(path: str, steps: list[tuple[str, str]]) -> str:
    """Where *path* is now. One that lies in the new place already stays, also when that is below the old one."""
    if any(path == new or path.startswith(f"{new}/") for _, new in steps):
        return path
    # The longest first: the volumes may lie below the graph root and have moved elsewhere.
    for old, new in sorted(steps, key=lambda step: -len(step[0])):
        if path == old or path.startswith(f"{old}/"):
            return new + path[len(old) :]
    return path


def _config_after(config: ContainerConfig, steps: list[tuple[str, str]], runtime: str) -> ContainerConfig:
    return msgspec.structs.replace(
        config,
        static_dir=_moved(config.static_dir, steps),
        shm_dir=_moved(config.shm_dir, steps),
        mounts=tuple(_moved(place, steps) for place in config.mounts),
        log_path=_moved(config.log_path, steps),
        conmon_pid_file=_moved(config.conmon_pid_file, steps),
        pid_file=_moved(config.pid_file, steps),
        secrets_path=_moved(config.secrets_path, steps),
        spec=_document_after(config.spec, steps),
        runtime=runtime or config.runtime,
    )


def _state_after(state: ContainerState, steps: list[tuple[str, str]]) -> ContainerState:
    return msgspec.structs.replace(
        state,
        config_path=_moved(state.config_path, steps),
        checkpoint_path=_moved(state.checkpoint_path, steps),
        checkpoint_log=_moved(state.checkpoint_log, steps),
        restore_log=_moved(state.restore_log, steps),
    )


def _document_after(spec: dict[str, Any], steps: list[tuple[str, str]]) -> dict[str, Any]:
    """A specification with the sources of its mounts and its root where they are now."""
    changed = dict(spec)
    if isinstance(spec.get("mounts"), list):
        changed["mounts"] = [
            {**item, "source": _moved(item["source"], steps)} if item.get("source") else item
            for item in spec["mounts"]
        ]
    if isinstance(spec.get("root"), dict) and spec["root"].get("path"):
        changed["root"] = {**spec["root"], "path": _moved(spec["root"]["path"], steps)}
    return changed


def _rewrite_document(path: Path, steps: list[tuple[str, str]]) -> None:
    """A container that is frozen wakes with its config.json."""
    try:
        document = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return
    changed = _document_after(document, steps)
    if changed != document:
        write_atomic(path, json.dumps(changed).encode(), mode=0o644)
