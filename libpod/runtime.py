"""class Runtime: opens the drivers, owns them, and is the way to everything.

    with libpod.Runtime() as rt:
        web = rt.run("busybox", "httpd", "-f", name="web")
        rt.checkpoint("web", export="web.tar.gz", leave_running=True)

Opening is cheap: directories, the state, nothing else; the layer store and the OCI runtime are opened by the first call
that needs them. The first opening after a boot takes the alive lock and refreshes the state; every opening finishes
what a killed process left, when there is a sign that one did.

A Runtime may be used by several threads. It must not be used in a forked child: open another one there.

Covers: libpod/runtime.go
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, overload

from libpod import runtime_opening

# The rest is imported by the methods that need it: a listing must not pay for what creates containers.
if TYPE_CHECKING:
    from libpod.checkpoint.fitness import FitnessReport
    from libpod.checkpoint.inspection import CheckpointComparison, CheckpointInspection
    from libpod.checkpoint.report import CheckpointReport, RestoreReport
    from libpod.container_api import Container
    from libpod.container_internal.services import Services
    from libpod.events.base import EventQuery
    from libpod.image.describing import ImageSummary
    from libpod.image.progress import Progress
    from libpod.image.removing import RemovalReport
    from libpod.image.search import SearchResult
    from libpod.image_api import Image
    from libpod.model.create_options import CreateOptions
    from libpod.model.event import Event
    from libpod.model.pod_options import PodOptions
    from libpod.network.creation import NetworkCreateOptions
    from libpod.network_api import Network
    from libpod.pod_api import Pod
    from libpod.runtime_check import CheckReport
    from libpod.runtime_listing import Listed
    from libpod.runtime_migrate import MigrationReport
    from libpod.runtime_renumber import LockInfo
    from libpod.storage.changes import Change
    from libpod.volume import Volume

StrPath = str | os.PathLike[str]


class Runtime:
    """One engine: a pair of directories and what is in them.

    *root* (default `/var/lib/containers/storage`) keeps images, containers and what must survive a reboot; *runroot*
    (default `/run/containers/storage`) the rest. Further keywords are settings of `RuntimeConfig`: `runtime`,
    `events_backend`, `cgroup_manager`, … They stand above containers.conf and storage.conf.

    Raises NotPrivilegedError unless run as root, ConfigError, StateStoreError. Upstream: `libpod/runtime.go`,
    `NewRuntime`.
    """

    def __init__(self, root: StrPath | None = None, runroot: StrPath | None = None, **settings: Any) -> None:
        if root is not None:
            settings["graph_root"] = Path(root)
        if runroot is not None:
            settings["run_root"] = Path(runroot)
        self._services: Services = runtime_opening.open_services(settings)

    def __enter__(self) -> Runtime:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<libpod.Runtime {self._services.config.graph_root}>"

    def close(self) -> None:
        """Let go of the state and the locks; containers run on. Idempotent. Upstream: `Shutdown`."""
        runtime_opening.close_services(self._services)

    @property
    def root(self) -> Path:
        """Where images and containers are kept."""
        return self._services.config.graph_root

    @property
    def runroot(self) -> Path:
        """Where everything is that a reboot may erase."""
        return self._services.config.run_root

    # -- containers ---------------------------------------------------------------------------------------------

    def create(self, image: str | CreateOptions, *command: str, **options: Any) -> Container:
        """Make a container; *options* are fields of `CreateOptions`.

        Raises NoSuchImageError, ContainerExistsError, InvalidArgumentError. On an error nothing is left.
        Upstream: `NewContainer`.
        """
        from libpod import runtime_ctr

        return runtime_ctr.create_container(self._services, _create_options(image, command, options))

    def run(self, image: str | CreateOptions, *command: str, **options: Any) -> Container:
        """Make a container and start it. A container that cannot start is removed again.

        Errors as for `create` and `Container.start`.
        """
        container = self.create(image, *command, **options)
        try:
            container.start()
        except BaseException:
            container.remove(force=True, volumes=True)
            raise
        return container

    def container(self, name_or_id: str) -> Container:
        """By full id, name or unique id prefix; raises NoSuchContainerError, AmbiguousNameError."""
        from libpod import runtime_ctr

        return runtime_ctr.get_container(self._services, name_or_id)

    def has_container(self, name_or_id: str) -> bool:
        """Whether there is one; raises AmbiguousNameError."""
        from libpod import runtime_ctr

        return runtime_ctr.has_container(self._services, name_or_id)

    def containers(self, *filters: Callable[[Listed], bool], all: bool = True) -> list[Listed]:
        """What `ps` shows, oldest first: light records, made without opening the layer store.

        Ends that nobody has recorded yet are recorded first. Without *all* only running ones.
        Upstream: `GetContainers`.
        """
        from libpod import runtime_listing

        return runtime_listing.containers(self._services, filters, all=all)

    def start_all(self, *filters: Callable[[Container], bool]) -> list[Container]:
        """Start every container that does not run and passes the filters; returns those that were started.

        What they depend on is started first. One that cannot start does not keep the others from it: the errors come
        together, as an ExceptionGroup, at the end. After a boot: `start_all(should_start_on_boot)`.
        """
        from libpod import runtime_ctr

        return runtime_ctr.start_all(self._services, *filters)

    def latest(self) -> Container:
        """The container that was created last; raises NoSuchContainerError when there is none."""
        from libpod import runtime_ctr

        return runtime_ctr.latest_container(self._services)

    def prune_containers(self, *filters: Callable[[Container], bool]) -> list[str]:
        """Remove all that do not run; returns their ids. Upstream: `PruneContainers`."""
        from libpod import runtime_ctr

        return runtime_ctr.prune_containers(self._services, *filters)

    def copy(
        self,
        source: StrPath | BinaryIO,
        destination: StrPath | BinaryIO,
        *,
        overwrite: bool = False,
        archive: bool = True,
    ) -> None:
        """Copy a file or directory between containers and the host, by the rules of cp.

        A side is "container:path", a path of the host, or a stream of a tar. Containers may run or not. In a container
        everything belongs to its user then, or without *archive* to whom it belonged; on the host to the caller.
        Without *overwrite* a directory does not replace a file, nor a file a directory. Raises NoSuchPathError,
        NoSuchContainerError, InvalidArgumentError.
        """
        from libpod import runtime_copy

        runtime_copy.copy(self._services, source, destination, overwrite=overwrite, archive=archive)

    # -- moving -------------------------------------------------------------------------------------------------

    def checkpoint(
        self, container: str | Container, export: StrPath | None = None, **options: Any
    ) -> CheckpointReport:
        """Freeze a running container; *options* are fields of `CheckpointOptions`.

        With *export* one archive is written, which podman restores too. See `Container.checkpoint`.
        """
        from libpod.model.move_options import CheckpointOptions

        target = Path(export) if export is not None else None
        return self._found(container).checkpoint(CheckpointOptions(export=target, **options))

    def can_checkpoint(
        self, container: str | Container, export: StrPath | None = None, **options: Any
    ) -> FitnessReport:
        """Whether `checkpoint` with the same arguments would succeed, and what the archive would hold.

        The container runs on, untouched. `report.fit` says it in a word, `report.findings` have causes and cures.
        """
        from libpod.container_internal.dump_fitness import dump_fitness
        from libpod.container_internal.locked import locked
        from libpod.model.move_options import CheckpointOptions

        wanted = CheckpointOptions(export=Path(export) if export is not None else None, **options)
        with locked(self._services, self._found(container).id) as held:
            return dump_fitness(held, wanted)

    def can_restore(self, archive: StrPath, name: str | None = None, **options: Any) -> FitnessReport:
        """Whether `restore(import_=archive)` with the same arguments would succeed on this host; nothing is made."""
        from libpod import runtime_fitness
        from libpod.model.move_options import RestoreOptions

        wanted = RestoreOptions(import_=Path(archive), name=name or "", **options)
        return runtime_fitness.restore_fitness(self._services, wanted)

    @overload
    def restore(
        self,
        container: str | Container | None = None,
        import_: StrPath | None = None,
        name: str | None = None,
        *,
        copies: None = None,
        **options: Any,
    ) -> Container: ...

    @overload
    def restore(
        self,
        container: None = None,
        import_: StrPath | None = None,
        name: str | None = None,
        *,
        copies: int,
        **options: Any,
    ) -> list[Container]: ...

    def restore(
        self,
        container: str | Container | None = None,
        import_: StrPath | None = None,
        name: str | None = None,
        *,
        copies: int | None = None,
        **options: Any,
    ) -> Container | list[Container]:
        """Wake a container from its own checkpoint, or a new one from the archive *import_*; returns it.

        With *copies* that many new ones, as a list; see `restore_copies`.

        With `image=NAME` the new one comes from a checkpoint image, which `checkpoint(create_image=NAME)` makes.
        *options* are fields of `RestoreOptions`. A failed import leaves nothing behind. The report of the last restore
        is in `Container.restore_report`. Raises RestoreError, ArchiveError, NoSuchImageError, ContainerExistsError.
        Upstream: `Restore`, `pkg/checkpoint/checkpoint_restore.go`.
        """
        if copies is None:
            return self.restore_with_report(container, import_, name, **options)[0]
        if import_ is None or container is not None:
            from libpod.define.errors import InvalidArgumentError

            raise InvalidArgumentError("copies are made from an archive", resolution="set import_")
        return self.restore_copies(import_, copies=copies, name=name, **options)

    def restore_with_report(
        self,
        container: str | Container | None = None,
        import_: StrPath | None = None,
        name: str | None = None,
        **options: Any,
    ) -> tuple[Container, RestoreReport]:
        """As `restore`, with the timeline, sizes and CRIU's statistics."""
        from libpod import runtime_import
        from libpod.define.errors import InvalidArgumentError
        from libpod.model.move_options import RestoreOptions

        wanted = RestoreOptions(
            import_=Path(import_) if import_ is not None else None, name=name or "", **options
        )
        if wanted.is_import:
            if container is not None:
                raise InvalidArgumentError("a container to wake and an archive exclude each other")
            if wanted.image:
                from libpod import runtime_import_image

                return runtime_import_image.restore_image(self._services, wanted)
            return runtime_import.restore_import(self._services, wanted)
        if container is None:
            raise InvalidArgumentError(
                "there is nothing to restore", resolution="name a container or an archive"
            )
        found = self._found(container)
        return found, found.restore(wanted)

    # -- pods ---------------------------------------------------------------------------------------------------

    def create_pod(self, options: PodOptions | None = None, **fields: Any) -> Pod:
        """Make a pod; *fields* are those of `PodOptions`. Raises PodExistsError. Upstream: `NewPod`."""
        from libpod import runtime_pod
        from libpod.model.pod_options import PodOptions as Options

        return runtime_pod.create_pod(self._services, options or Options(**fields))

    def pod(self, name_or_id: str) -> Pod:
        """By full id, name or unique id prefix; raises NoSuchPodError, AmbiguousNameError."""
        from libpod import runtime_pod

        return runtime_pod.get_pod(self._services, name_or_id)

    def has_pod(self, name_or_id: str) -> bool:
        """Whether there is one; raises AmbiguousNameError."""
        from libpod import runtime_pod

        return runtime_pod.has_pod(self._services, name_or_id)

    def pods(self, *filters: Callable[[Pod], bool]) -> list[Pod]:
        """All of them, oldest first."""
        from libpod import runtime_pod

        return runtime_pod.pods(self._services, *filters)

    def prune_pods(self) -> list[str]:
        """Remove the pods in which nothing runs; returns their ids."""
        from libpod import runtime_pod

        return runtime_pod.prune_pods(self._services)

    def restore_copies(
        self, import_: StrPath, *, copies: int, name: str | None = None, **options: Any
    ) -> list[Container]:
        """Wake *copies* new containers from one archive, named NAME-1 and so on; it is unpacked once.

        *name* defaults to that of the archive's container. Each copy gets volumes and addresses of its own, and a free
        host port for every published one. *options* are fields of `RestoreOptions`. All of them run when the call
        returns; on any error none of them is left. Raises what `restore` raises.
        """
        from libpod import runtime_copies
        from libpod.model.move_options import RestoreOptions

        wanted = RestoreOptions(import_=Path(import_), name=name or "", **options)
        return runtime_copies.restore_copies(self._services, wanted, copies)

    def inspect_checkpoint(self, path: StrPath, *, environment: bool = False) -> CheckpointInspection:
        """What an archive holds, without restoring it: processes, memory, files, sockets, mounts, changes, timings.

        With *environment* the variables of every process too. Raises ArchiveError, and NotSupportedError where CRIU's
        definitions of its images (`pycriu`) or protobuf are missing.
        """
        from libpod import runtime_inspect

        return runtime_inspect.inspect_checkpoint(self._services, Path(path), environment=environment)

    def compare_checkpoints(self, before: StrPath, after: StrPath) -> CheckpointComparison:
        """What changed from one archive to another. Raises as `inspect_checkpoint`."""
        from libpod import runtime_inspect

        return runtime_inspect.compare_checkpoints(self._services, Path(before), Path(after))

    # -- volumes ------------------------------------------------------------------------------------------------

    def create_volume(
        self,
        name: str | None = None,
        *,
        labels: Mapping[str, str] | None = None,
        driver: str = "local",
        options: Mapping[str, str] | None = None,
        ignore_existing: bool = False,
    ) -> Volume:
        """Make a named volume; raises VolumeExistsError. Upstream: `NewVolume`."""
        from libpod import runtime_volume

        return runtime_volume.create_volume(
            self._services,
            name,
            labels=labels,
            driver=driver,
            options=options,
            ignore_existing=ignore_existing,
        )

    def volume(self, name: str) -> Volume:
        """By name or unique beginning; raises NoSuchVolumeError, AmbiguousNameError."""
        from libpod import runtime_volume

        return runtime_volume.get_volume(self._services, name)

    def volumes(self, *filters: Callable[[Volume], bool]) -> list[Volume]:
        """All of them, oldest first."""
        from libpod import runtime_volume

        return runtime_volume.volumes(self._services, *filters)

    def prune_volumes(self, *filters: Callable[[Volume], bool]) -> list[str]:
        """Remove those that nothing uses; returns their names."""
        from libpod import runtime_volume

        return runtime_volume.prune_volumes(self._services, *filters)

    # -- networks -----------------------------------------------------------------------------------------------

    def create_network(
        self, name: str | NetworkCreateOptions = "", *, ignore_existing: bool = False, **fields: Any
    ) -> Network:
        """Make a network, with free name and subnet where none are given; *fields* are those of `NetworkCreateOptions`.

        Raises NetworkExistsError, InvalidArgumentError, NetworkError. Upstream: `pkg/domain/infra/abi/network.go`.
        """
        from libpod import runtime_networks
        from libpod.network.creation import NetworkCreateOptions as Options

        options = Options(name=name, **fields) if isinstance(name, str) else name
        return runtime_networks.create_network(self._services, options, ignore_existing=ignore_existing)

    def network(self, name_or_id: str) -> Network:
        """By name, id or unique prefix of an id; raises NoSuchNetworkError, AmbiguousNameError."""
        from libpod import runtime_networks

        return runtime_networks.get_network(self._services, name_or_id)

    def has_network(self, name_or_id: str) -> bool:
        """Whether there is one; raises AmbiguousNameError."""
        from libpod import runtime_networks

        return runtime_networks.has_network(self._services, name_or_id)

    def networks(self, *filters: Callable[[Network], bool]) -> list[Network]:
        """All of them by name, the default one included."""
        from libpod import runtime_networks

        return runtime_networks.networks(self._services, *filters)

    def remove_network(self, name_or_id: str, *, force: bool = False, timeout: float | None = None) -> None:
        """See `Network.remove`."""
        self.network(name_or_id).remove(force=force, timeout=timeout)

    def prune_networks(self, *filters: Callable[[Network], bool]) -> list[str]:
        """Remove those that no container hangs on, the default one excepted; returns their names."""
        from libpod import runtime_networks

        return runtime_networks.prune_networks(self._services, *filters)

    def connect_network(self, network: str, container: str | Container, **wishes: Any) -> None:
        """Connect a container to one more network, running or not; *wishes* are those of `Network.connect`."""
        self.network(network).connect(container, **wishes)

    def disconnect_network(self, network: str, container: str | Container) -> None:
        """See `Network.disconnect`."""
        self.network(network).disconnect(container)

    def reload_networks(self, *containers: str | Container) -> list[str]:
        """Load the host's rules for containers again (for all, when none is named), after somebody flushed them.

        Returns the ids of those that had any.
        """
        from libpod import runtime_networks

        found = [self._found(item) for item in containers] or self.containers(all=False)
        return runtime_networks.reload_networks(self._services, [item.id for item in found])

    # -- images -------------------------------------------------------------------------------------------------

    def image(self, name_or_id: str) -> Image:
        """By name, id or unique id prefix; raises NoSuchImageError, AmbiguousNameError."""
        from libpod import runtime_img

        return runtime_img.get_image(self._services, name_or_id)

    def images(self, *filters: str) -> list[Image]:
        """All of them; *filters* are podman's "key=value"."""
        from libpod import runtime_img

        return runtime_img.images(self._services, filters)

    def list_images(self, *filters: str, name: str = "", steps: bool = False) -> list[ImageSummary]:
        """What `images` shows, newest first; *name* is a name or pattern, *steps* shows those of builds too."""
        from libpod import runtime_img

        return runtime_img.list_images(self._services, filters, name=name, steps=steps)

    def import_image(
        self,
        source: StrPath | BinaryIO,
        reference: str = "",
        *,
        changes: Sequence[str] = (),
        message: str = "",
        created: str = "",
    ) -> Image:
        """Make an image of one layer from a root file system: a directory, a tar or a stream of one.

        The same source with the same *created* (RFC 3339) gives the same id. Upstream: `Import`.
        """
        from libpod import runtime_img

        return runtime_img.import_image(
            self._services, source, reference, changes=changes, message=message, created=created
        )

    def build(
        self, context: StrPath, *, on_output: Callable[[bytes], None] | None = None, **options: Any
    ) -> Image:
        """Build the directory *context* with buildah; *options* are fields of `libpod.image.build.BuildOptions`.

        *on_output* gets what the build prints, piece by piece. Raises ProgramMissingError without buildah, ImageError
        with the last lines of a build that failed. Upstream: `Build`.
        """
        from libpod import runtime_img

        return runtime_img.build(self._services, context, on_output=on_output, **options)

    def load_images(
        self, archive: StrPath | BinaryIO, *, only: str = "", progress: Progress | None = None
    ) -> list[Image]:
        """Load the images of a docker or OCI archive; *only* is a name in it or `@number`. Upstream: `LoadImage`."""
        from libpod import runtime_img

        return runtime_img.load_images(self._services, archive, only=only, progress=progress)

    def save_images(
        self,
        names: Sequence[str],
        target: StrPath | BinaryIO,
        *,
        format: str = "docker-archive",
        compress: bool = False,
        uncompressed: bool = False,
        progress: Progress | None = None,
    ) -> None:
        """Write images into *target*, which must not exist: docker-archive, oci-archive, oci-dir or docker-dir."""
        from libpod import runtime_img

        runtime_img.save_images(
            self._services,
            names,
            target,
            format=format,
            compress=compress,
            uncompressed=uncompressed,
            progress=progress,
        )

    def remove_image(
        self, name_or_id: str, *, force: bool = False, prune: bool = True
    ) -> list[RemovalReport]:
        """Remove an image, or a name of one that has several; with *force* its containers first.

        With *prune* the nameless steps that led to it go too. Raises NoSuchImageError, ImageInUseError, ImageError.
        Upstream: `RemoveImage`.
        """
        from libpod import runtime_img

        return runtime_img.remove_image(self._services, name_or_id, force=force, prune=prune)

    def prune_images(self, *filters: str, everything: bool = False) -> list[RemovalReport]:
        """Remove the nameless images that nothing needs; with *everything* all that no container is based on."""
        from libpod import runtime_img

        return runtime_img.prune_images(self._services, filters, everything=everything)

    def push(self, name_or_id: str, destination: str = "", **options: Any) -> str:
        """Copy an image to a registry or another place, and return its digest there; see `libpod.runtime_img.push`."""
        from libpod import runtime_img

        return runtime_img.push(self._services, name_or_id, destination, **options)

    def search(self, term: str, **options: Any) -> list[SearchResult]:
        """What registries have for *term*; *options* are fields of `libpod.image.search.SearchOptions`."""
        from libpod import runtime_img

        return runtime_img.search(self._services, term, **options)

    def pull(self, reference: str, **options: Any) -> Image:
        """Fetch an image; see `libpod.runtime_img.pull` for the options. Upstream: `Pull`."""
        from libpod import runtime_img

        return runtime_img.pull(self._services, reference, **options)

    def pull_all_tags(self, repository: str, **options: Any) -> list[Image]:
        """Fetch every tag that the registry has of *repository*; *options* as for `pull`, without a policy."""
        from libpod import runtime_img

        return runtime_img.pull_all_tags(self._services, repository, **options)

    def diff(self, new: str, old: str = "") -> list[Change]:
        """What a container or image changed, or what is different in it when one comes from *old*, another of them.

        A container counts before an image of the same name. Without *old* a container is compared with its image, an
        image with the layers below its last. Upstream: `GetDiff`.
        """
        from libpod import runtime_diff

        return runtime_diff.diff(self._services, new, old)

    # -- the whole ----------------------------------------------------------------------------------------------

    def events(self, query: EventQuery | None = None) -> Iterator[Event]:
        """What happened, and with `query.follow` what is going to happen. Upstream: `Events`."""
        from libpod.events.base import EventQuery as Query

        self._services.require_open()
        return self._services.events.read(query or Query())

    def check(self, *, repair: bool = False) -> CheckReport:
        """Look for everything that is not in order: leftovers of killed processes, damage, what others removed.

        With *repair* it is put right, as far as nobody has to decide about it. What living processes are at work on is
        left to them. Opening a runtime does the cheap part of this by itself when there is a sign of a kill.
        Upstream: `SystemCheck`.
        """
        from libpod import runtime_check

        return runtime_check.check(self._services, repair=repair)

    def locks(self) -> list[LockInfo]:
        """The locks that somebody holds now, and those that several objects share. Upstream: `LockConflicts`."""
        from libpod import runtime_renumber

        return runtime_renumber.locks(self._services)

    def renumber(self, *, everything: bool = False) -> dict[str, int]:
        """Give objects that share a lock locks of their own; returns what got which. Upstream: `RenumberLocks`.

        With *everything* all objects get new ones. Others may be at work meanwhile.
        """
        from libpod import runtime_renumber

        return runtime_renumber.renumber(self._services, everything=everything)

    def reset(self) -> None:
        """Remove all containers, pods, volumes and networks, and the engine's own files; closes the runtime.

        Images stay, and so does everything that other engines have in the same directories. Upstream: `Reset`.
        """
        from libpod import runtime_reset

        runtime_reset.reset(self._services)

    @staticmethod
    def migrate(
        root: StrPath | None = None, runroot: StrPath | None = None, *, new_runtime: str = "", **settings: Any
    ) -> MigrationReport:
        """Bring the records in line with directories that were moved, or give all containers another OCI runtime.

        *root* and *runroot* are where the engine is now. Every container must be stopped. Raises ContainerStateError,
        ConfigError. Upstream: `libpod/runtime_migrate.go`, `Migrate`.
        """
        from libpod import runtime_migrate

        if root is not None:
            settings["graph_root"] = Path(root)
        if runroot is not None:
            settings["run_root"] = Path(runroot)
        return runtime_migrate.migrate(settings, new_runtime=new_runtime)

    def info(self) -> dict[str, Any]:
        """podman's `info` document. Upstream: `libpod/info.go`, `Info`."""
        from libpod import runtime_info

        return runtime_info.info(self._services)

    @staticmethod
    def version() -> dict[str, Any]:
        """Versions of the library and what it is compatible with; needs no engine.

        Upstream: `libpod/define/version.go`.
        """
        from libpod.version import version_document

        return version_document()

    def _found(self, container: str | Container) -> Container:
        return self.container(container) if isinstance(container, str) else container


def _create_options(
    image: str | CreateOptions, command: Sequence[str], options: Mapping[str, Any]
) -> CreateOptions:
    from libpod.model.create_options import CreateOptions as Options

    if isinstance(image, Options):
        return image
    return Options(image=image, command=tuple(command), **options)
