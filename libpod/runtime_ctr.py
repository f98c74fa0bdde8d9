"""Containers of a runtime: create, find, remove, rename, prune.

Create: names are checked, volumes made, the layer made, and last the record; whatever fails undoes what this call did,
in reverse. A kill before the record leaves a layer marked as ours, which the store's recovery collects, and perhaps an
empty anonymous volume.

Remove: REMOVING is saved first, then everything is given back, last the record goes. A kill in between leaves a
container in state "removing", which `rm` or the next repair finishes.

Covers: libpod/runtime_ctr.go
"""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from libpod.container_api import Container
from libpod.container_internal import id_mapping, rootfs
from libpod.container_internal.held import LockedContainer
from libpod.container_internal.naming import is_taken
from libpod.container_internal.removal import finish_removal, remove_container
from libpod.container_internal.services import Services
from libpod.container_internal.undoing import Steps, undo, undoing
from libpod.define.errors import (
    ContainerExistsError,
    ContainerInUseError,
    ContainerStateError,
    InvalidArgumentError,
    LibpodError,
    NoSuchContainerError,
)
from libpod.define.ids import check_name, new_id
from libpod.define.status import LIVE, ContainerStatus
from libpod.linux.files import sync_directory
from libpod.lock.base import LockKind
from libpod.lock.presence import MAKE
from libpod.model.container_config import ContainerConfig, PortMapping
from libpod.model.container_state import ContainerState
from libpod.model.create_options import CreateOptions
from libpod.model.event import EventStatus
from libpod.model.times import now
from libpod.names import random_name
from libpod.spec.plan import ImageFacts, plan_container
from libpod.spec.surroundings import Surroundings, read_surroundings

logger = logging.getLogger(__name__)


def create_container(services: Services, options: CreateOptions, *, infra: bool = False) -> Container:
    """Make a container from an image or a root directory; it is in state "created" afterwards.

    *infra* marks the container that owns a pod's namespaces. Raises ContainerExistsError, NoSuchImageError,
    InvalidArgumentError, StorageError. On any error nothing is left.
    Upstream: `libpod/runtime_ctr.go`, `NewContainer`.
    """
    services.require_open()
    name = _free_name(services, options.name)
    image = _image_facts(services, options)
    config = plan_container(
        options,
        image=image,
        host=services.host,
        config=services.config,
        container_id=new_id(),
        name=name,
        created=now(),
        around=_surroundings(services, options, infra=infra),
    )
    if infra:
        config = msgspec.structs.replace(config, is_infra=True)
    with added(services, placed(services, config), ContainerState()) as held:
        return Container(services, held.config)


def _surroundings(services: Services, options: CreateOptions, *, infra: bool) -> Surroundings:
    """What the request names beside its image: other containers, devices, the pod."""
    pod = pod_infra = None
    pod_cgroup = ""
    if options.pod:
        state = services.state
        pod = state.pod_config(state.lookup_pod(options.pod))
        pod_state = state.pod_state(pod.id)
        pod_cgroup = pod_state.cgroup_path
        if not infra and pod_state.infra_container_id:
            pod_infra = state.container_config(pod_state.infra_container_id)
    return read_surroundings(
        options,
        services.config,
        container=lambda wanted: get_container(services, wanted).config,
        pod=pod,
        infra=pod_infra,
        pod_cgroup=pod_cgroup,
    )


def placed(services: Services, config: ContainerConfig) -> ContainerConfig:
    """Fill in what only the engine knows: directories and the OCI runtime."""
    directory = services.bundle_directory(config.id)
    # The plan has put another container's /dev/shm there already when its IPC namespace is joined.
    shm = config.shm_dir or ("" if config.no_shm or config.ipc_ns_ctr else str(directory / "shm"))
    own_shm = shm == str(directory / "shm")
    return msgspec.structs.replace(
        config,
        runtime=config.runtime or services.runtimes.default_name,
        static_dir=str(directory),
        shm_dir=shm,
        mounts=(shm,) if own_shm else (),
        log_path=config.log_path or _log_path(config, directory),
        cgroup_manager=config.cgroup_manager or services.config.cgroup_manager,
        port_mappings=_with_host_ports(services, config),
    )


def _with_host_ports(services: Services, config: ContainerConfig) -> tuple[PortMapping, ...]:
    if all(mapping.host_port for mapping in config.port_mappings):
        return config.port_mappings
    from libpod.container_internal import bridging

    return bridging.with_free_host_ports(services, config.port_mappings)


def _log_path(config: ContainerConfig, directory: Path) -> str:
    return str(directory / "ctr.log") if config.log_driver in {"", "k8s-file", "json-file"} else ""


@contextlib.contextmanager
def added(services: Services, config: ContainerConfig, state: ContainerState) -> Iterator[LockedContainer]:
    """Make everything that *config* describes, the record last, and hand it over with its lock held.

    When a step fails, everything is undone in reverse. When the block fails, the container is removed like any other;
    should that fail too, it stays in state "removing", and the next listing or opening tries again.
    """
    services.presence.announce()
    with contextlib.ExitStack() as stack:
        missing = [name for name in config.volume_names if not services.state.has_volume(name)]
        stack.enter_context(services.presence.at_work(MAKE, config.id, notes=missing))
        with undoing() as steps:
            lock_id = services.state.allocate_lock()
            steps.add(lambda: services.state.free_lock(lock_id))
            config = msgspec.structs.replace(config, lock_id=lock_id)
            lock = stack.enter_context(services.locks.lock(lock_id, LockKind.CONTAINER))
            lock.abandoned = False  # who had the number before is gone
            made = _make_volumes(services, config, steps)
            _make_storage(services, config, steps)
            if state.status is ContainerStatus.REMOVING:
                state = msgspec.structs.replace(state, volumes_to_remove=made)
            services.state.add_container(config, state)
        held = LockedContainer(services, config, state, lock)
        try:
            yield held
        except BaseException as error:
            undo(error, lambda: _take_back(held, made))
            raise
    held.emit(EventStatus.CREATE)


def _take_back(held: LockedContainer, made: tuple[str, ...]) -> None:
    if held.status is ContainerStatus.RUNNING:
        return  # it was woken; what failed afterwards is no reason to kill it
    held.update(status=ContainerStatus.REMOVING, volumes_to_remove=made)
    finish_removal(held, quietly=True)


def _make_storage(services: Services, config: ContainerConfig, steps: Steps) -> None:
    directory = services.bundle_directory(config.id)
    if config.rootfs:
        directory.mkdir(parents=True, mode=0o700)
        steps.add(lambda: rootfs.remove_directories(services, config.id))
    else:
        services.store.create_container(
            config.id,
            name=config.name,
            image_id=config.rootfs_image_id or None,
            image_name=config.rootfs_image_name,
            mount_label=config.mount_label,
            process_label=config.process_label,
            maps=id_mapping.store_maps(config),
        )
        steps.add(lambda: services.store.delete_container(config.id))
    (directory / "artifacts").mkdir(exist_ok=True)
    if config.mounts:
        (directory / "shm").mkdir(mode=0o700, exist_ok=True)
    services.run_directory(config.id).mkdir(parents=True, mode=0o700, exist_ok=True)
    sync_directory(directory)


def _make_volumes(services: Services, config: ContainerConfig, steps: Steps) -> tuple[str, ...]:
    """Make the volumes that are not there yet; returns their names."""
    from libpod import runtime_volume

    made = []
    for volume in config.named_volumes:
        if not services.state.has_volume(volume.name):
            uid, gid = id_mapping.root_on_host(config)
            runtime_volume.create_volume(
                services,
                volume.name,
                anonymous=volume.is_anonymous,
                ignore_existing=True,
                uid=uid,
                gid=gid,
            )
            steps.add(functools.partial(runtime_volume.remove_volume, services, volume.name))
            made.append(volume.name)
    return tuple(made)


def _free_name(services: Services, wanted: str) -> str:
    if wanted:
        check_name("container", wanted)
        if is_taken(services, wanted):
            raise ContainerExistsError(wanted)
        return wanted
    while True:
        name = random_name()
        if not is_taken(services, name):
            return name


def _image_facts(services: Services, options: CreateOptions) -> ImageFacts | None:
    if options.rootfs:
        if options.image:
            raise InvalidArgumentError("rootfs and image exclude each other", resolution="choose one of them")
        return None
    if not options.image:
        raise InvalidArgumentError(
            "a container needs an image or a root directory", resolution="name an image"
        )
    from libpod import runtime_img

    return runtime_img.image_facts(services, options.image, pull=options.pull, platform=options.platform)


# ---- finding ----------------------------------------------------------------------------------------------------


def get_container(services: Services, name_or_id: str) -> Container:
    """By full id, exact name or unique id prefix; raises NoSuchContainerError, AmbiguousNameError."""
    services.require_open()
    ctr_id = services.state.lookup_container(name_or_id)
    return Container(services, services.state.container_config(ctr_id))


def has_container(services: Services, name_or_id: str) -> bool:
    """Whether a container is meant by *name_or_id*; raises AmbiguousNameError."""
    services.require_open()
    try:
        services.state.lookup_container(name_or_id)
    except NoSuchContainerError:
        return False
    return True


def latest_container(services: Services) -> Container:
    """The one that was created last; raises NoSuchContainerError when there is none."""
    everything = services.state.containers()
    if not everything:
        raise NoSuchContainerError("", message="there are no containers")
    return Container(services, max((config for config, _ in everything), key=lambda item: item.created_time))


# ---- the rest ---------------------------------------------------------------------------------------------------


def should_start_on_boot(container: Container) -> bool:
    """Whether its restart policy wants it to run after a boot: always, or unless a user stopped it."""
    policy = container.config.restart_policy
    return policy == "always" or (policy == "unless-stopped" and not container.state().stopped_by_user)


def start_all(services: Services, *filters: Callable[[Container], bool]) -> list[Container]:
    """See `Runtime.start_all`."""
    started, errors = [], []
    for config, state in services.state.containers():
        container = Container(services, config)
        try:
            if state.status in LIVE - {ContainerStatus.CREATED} or not all(
                wanted(container) for wanted in filters
            ):
                continue
            container.start(recursive=True)
        except NoSuchContainerError:
            continue  # removed meanwhile
        except LibpodError as error:
            if isinstance(error, ContainerStateError) and container.status() is ContainerStatus.RUNNING:
                continue  # started by somebody else, or for one that needs it
            errors.append(error)
        else:
            started.append(container)
    if errors:
        raise ExceptionGroup(
            f"{len(errors)} of {len(errors) + len(started)} containers cannot be started", errors
        )
    return started


def prune_containers(services: Services, *filters: Callable[[Container], bool]) -> list[str]:
    """Remove every container that is created or exited and passes the filters; returns their ids."""
    removed = []
    for config, state in services.state.containers():
        container = Container(services, config)
        if state.status in LIVE or not all(wanted(container) for wanted in filters):
            continue
        try:
            remove_container(services, config.id, volumes=False)
        except (ContainerInUseError, ContainerStateError, NoSuchContainerError):
            continue  # it began to run, is needed, or somebody else was faster
        removed.append(config.id)
    return removed
