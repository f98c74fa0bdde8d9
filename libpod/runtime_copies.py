"""Wake many containers from one archive: it is unpacked once, and the copies are woken side by side.

    head read ▶ n configurations judged ▶ archive unpacked once ▶ n threads: view ▶ record, layer, files ▶ woken

Every copy has a *view* of what was unpacked: hard links to the same files, which nobody writes to, and a file of its
own for the log, which goes on. So memory images are on the disk, and in its cache, once.

Copies are containers of their own: name and id are new, volumes have the copy's number after their names, addresses
and MACs are fresh, and a published port that the archive fixes becomes a free one for each, since only one container
can have it. Whatever fails in one of them takes all back. A process that is killed leaves finished copies running, and
of the others what any import leaves.

Covers: nothing upstream, where each `podman container restore --name` reads the archive anew
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import attrs
import msgspec

from libpod import runtime_import
from libpod.checkpoint import documents, members
from libpod.checkpoint.reader import ArchiveHead, UnpackedArchive, open_archive
from libpod.checkpoint.timeline import Timeline
from libpod.container_api import Container
from libpod.container_internal import preflight, removal, restoring
from libpod.container_internal.services import Services
from libpod.container_internal.undertakings import Kind, undertaking
from libpod.container_internal.undoing import undo
from libpod.define.errors import InvalidArgumentError, NoSuchContainerError, NoSuchVolumeError
from libpod.model.container_config import ContainerConfig, PortMapping
from libpod.model.move_options import RestoreOptions

_OWN = frozenset({members.CTR_LOG})
"""Files that go on: each copy needs its own."""
MAX_COPIES = 1000
_AT_ONCE = 4
"""Copies woken at once for each processor: most of the time one waits for conmon, the runtime or CRIU."""


@attrs.frozen(kw_only=True)
class _Plan:
    """One copy before anything of it is made."""

    config: ContainerConfig
    spec: dict[str, Any]
    volumes: dict[str, str]
    """The archive's name of a volume → this copy's."""


def restore_copies(services: Services, options: RestoreOptions, copies: int) -> list[Container]:
    """See `Runtime.restore_copies`."""
    services.require_open()
    assert options.import_ is not None
    _require_sensible(options, copies)
    path = options.import_
    timeline = Timeline(options.progress)
    preflight.require_criu(services)
    with contextlib.ExitStack() as stack:
        stack.enter_context(restoring.translated(options.name or path.name, timeline))
        staging = stack.enter_context(undertaking(services.paths.staging, Kind.IMPORT))
        whole = staging / "whole"
        whole.mkdir(mode=0o700)
        archive = stack.enter_context(open_archive(path, staging=whole))
        with timeline.phase(runtime_import.READING):
            head = archive.head()
        with timeline.phase(runtime_import.JUDGING):
            plans = _plans(services, head, options, copies)
        with timeline.phase(runtime_import.UNPACKING):
            unpacked = runtime_import.unpacked_whole(archive, timeline)
        with timeline.phase(restoring.WAKING):
            return _all_or_none(services, plans, unpacked, staging, options)


def _require_sensible(options: RestoreOptions, copies: int) -> None:
    if not 1 <= copies <= MAX_COPIES:
        raise InvalidArgumentError(f"{copies} copies cannot be made", resolution=f"ask for 1 to {MAX_COPIES}")
    for word in ("tcp_established", "pod"):
        if getattr(options, word):
            raise InvalidArgumentError(
                f"{word} and copies exclude each other", resolution="restore one container after the other"
            )


# ---- planning -----------------------------------------------------------------------------------------------------


def _plans(services: Services, head: ArchiveHead, options: RestoreOptions, copies: int) -> list[_Plan]:
    shown = str(options.import_)
    document = documents.read_config(head.config, archive=shown)
    name = options.name or document["name"]
    wish = attrs.evolve(options, ignore_static_ip=True, ignore_static_mac=True)
    plans: list[_Plan] = []
    for number in range(1, copies + 1):
        suffix = f"-{number}"
        changed, volumes = _copied_document(document, suffix, services)
        own_head = ArchiveHead(config=documents.encode_document(changed), spec=head.spec)
        config, spec = runtime_import.judge(services, own_head, attrs.evolve(wish, name=f"{name}{suffix}"))
        config = _with_own_ports(services, config, [plan.config for plan in plans])
        plans.append(_Plan(config=config, spec=spec, volumes=volumes))
    return plans


def _copied_document(
    document: dict[str, Any], suffix: str, services: Services
) -> tuple[dict[str, Any], dict[str, str]]:
    """The record with volumes of the copy's own and without fixed host ports, and the volumes' old and new names."""
    volumes: dict[str, str] = {}
    changed = dict(document)
    named = document.get("namedVolumes")
    if isinstance(named, list):
        changed["namedVolumes"] = [_renamed_volume(item, suffix, volumes) for item in named]
    ports = document.get("newPortMappings")
    if isinstance(ports, list):
        changed["newPortMappings"] = [
            port | {"host_port": 0} if isinstance(port, dict) else port for port in ports
        ]
    return changed, volumes


def _renamed_volume(item: Any, suffix: str, volumes: dict[str, str]) -> Any:
    if not isinstance(item, dict) or not isinstance(item.get("volumeName"), str):
        return item
    old = item["volumeName"]
    volumes[old] = f"{old}{suffix}"
    return item | {"volumeName": volumes[old]}


def _with_own_ports(
    services: Services, config: ContainerConfig, others: Sequence[ContainerConfig]
) -> ContainerConfig:
    """Host ports that no other copy has: they are claimed only when a container starts."""
    if not config.port_mappings or not others:
        return config
    from libpod.network.listeners import with_host_ports
    from libpod.network.ports import PortClaim, claims_of

    mine = claims_of(config.port_mappings)
    theirs = [claim for other in others for claim in claims_of(other.port_mappings)]
    if not set(mine) & set(theirs):
        return config
    taken = [PortClaim.from_key(claim.key) for claim in services.state.claims(kind="port")]
    open_ports: list[PortMapping] = [
        msgspec.structs.replace(mapping, host_port=0) for mapping in config.port_mappings
    ]
    return msgspec.structs.replace(config, port_mappings=with_host_ports(open_ports, [*taken, *theirs]))


# ---- waking -------------------------------------------------------------------------------------------------------


def _all_or_none(
    services: Services,
    plans: Sequence[_Plan],
    unpacked: UnpackedArchive,
    staging: Path,
    options: RestoreOptions,
) -> list[Container]:
    """Wake every copy; when one fails, those that are awake are removed and its error is raised."""
    workers = min(len(plans), _AT_ONCE * len(os.sched_getaffinity(0)))
    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="copy") as pool:
        futures = [pool.submit(_wake_one, services, plan, unpacked, staging, options) for plan in plans]
        _wait_or_cancel(futures)
    failed = [future for future in futures if not future.cancelled() and future.exception() is not None]
    if not failed:
        return [future.result() for future in futures]
    error = failed[0].exception()
    assert error is not None
    for plan, future in zip(plans, futures, strict=True):
        if not future.cancelled() and future.exception() is None:
            undo(error, lambda plan=plan: _take_back(services, plan))  # type: ignore[misc]
    raise error


def _wait_or_cancel(futures: Sequence[Future[Container]]) -> None:
    """Until all are done; after a first failure, or an interruption, none is begun any more."""
    try:
        done, _ = wait(futures, return_when="FIRST_EXCEPTION")
    except BaseException:
        for future in futures:
            future.cancel()
        raise
    if any(future.exception() is not None for future in done):
        for future in futures:
            future.cancel()


def _wake_one(
    services: Services, plan: _Plan, unpacked: UnpackedArchive, staging: Path, options: RestoreOptions
) -> Container:
    view = _view(unpacked, staging / plan.config.id, plan.volumes)
    own = attrs.evolve(
        options, name=plan.config.name, ignore_static_ip=True, ignore_static_mac=True, progress=None
    )
    held, _ = runtime_import.make_and_wake(services, plan.config, plan.spec, lambda: view, own, Timeline())
    return Container(services, held.config)


def _view(unpacked: UnpackedArchive, directory: Path, volumes: dict[str, str]) -> UnpackedArchive:
    """The unpacked archive once more, under names of a copy's own."""
    sizes = dict(unpacked.sizes)
    whole = unpacked.staging
    for above, _, files in os.walk(whole):
        target = directory / Path(above).relative_to(whole)
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in files:
            source = Path(above, name)
            if name in _OWN and above == str(whole):
                shutil.copyfile(source, target / name)
            else:
                os.link(source, target / name, follow_symlinks=False)
    for old, new in volumes.items():
        member, renamed = members.volume_member(old), members.volume_member(new)
        if member in sizes:
            sizes[renamed] = sizes.pop(member)
            (directory / member).rename(directory / renamed)
    return attrs.evolve(unpacked, staging=directory, sizes=sizes)


def _take_back(services: Services, plan: _Plan) -> None:
    from libpod import runtime_volume

    with contextlib.suppress(NoSuchContainerError):
        removal.remove_container(services, plan.config.id, force=True, volumes=True, timeout=0)
    for name in plan.volumes.values():
        with contextlib.suppress(NoSuchVolumeError):
            runtime_volume.remove_volume(services, name)
