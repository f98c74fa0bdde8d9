"""class Container: one short method a verb, its contract in the docstring.

A handle holds the configuration as it was when the handle was made; everything that changes is read under the
container's lock at each call. Two handles of one container know nothing of each other and need not.

Covers: libpod/container_api.go, libpod/container.go (accessors)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from libpod.container_internal import lifecycle
from libpod.container_internal.locked import locked
from libpod.container_internal.services import Services
from libpod.define.signals import parse_signal
from libpod.define.status import ContainerStatus
from libpod.model.container_config import ContainerConfig
from libpod.model.container_state import ContainerState

if TYPE_CHECKING:
    from libpod.checkpoint.report import CheckpointReport, RestoreReport
    from libpod.container_internal.copying import PathStat
    from libpod.container_internal.files import ContainerSize
    from libpod.container_internal.logs import LogLine, LogOptions
    from libpod.container_internal.stats import ContainerStats
    from libpod.model.exec_options import ExecOptions
    from libpod.model.move_options import CheckpointOptions, RestoreOptions
    from libpod.oci.attach import AttachStream
    from libpod.storage.changes import Change


class Container:
    """One container. Made by `Runtime`; see the module."""

    def __init__(self, services: Services, config: ContainerConfig) -> None:
        self._services = services
        self.config = config

    def __repr__(self) -> str:
        return f"<libpod.Container {self.name} {self.config.short_id}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Container) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    # -- what it is ---------------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """64 hex digits."""
        return self.config.id

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def image(self) -> str:
        """Name of the image it was made from; empty for a root directory."""
        return self.config.rootfs_image_name

    @property
    def labels(self) -> dict[str, str]:
        return dict(self.config.labels)

    def state(self) -> ContainerState:
        """The state now. Allowed always; raises NoSuchContainerError. Upstream: `ContainerState`."""
        with locked(self._services, self.id) as held:
            return held.state

    def status(self) -> ContainerStatus:
        """Where it is in its life now."""
        return self.state().status

    # -- life ---------------------------------------------------------------------------------------------------

    def init(self) -> None:
        """Create it in the OCI runtime without running its command.

        From created, stopped or exited to initialized; all that it depends on must run. On any error it is as before.
        Raises ContainerStateError, DependencyError, CommandNotFoundError, OciRuntimeError, StorageError, NetworkError.
        Upstream: `libpod/container_api.go`, `Init`.
        """
        lifecycle.start_infra(self._services, self.config)
        with locked(self._services, self.id) as held:
            lifecycle.init(held)

    def start(self, *, recursive: bool = False) -> None:
        """Run its command.

        From created, initialized, stopped or exited to running. With *recursive* the containers that it depends on are
        started first. Errors as for `init`; a failed start leaves it created or exited, never in between.
        Upstream: `Start`.
        """
        if recursive:
            self._start_dependencies()
        lifecycle.start_infra(self._services, self.config)
        with locked(self._services, self.id) as held:
            lifecycle.start(held)

    def start_and_attach(self, *, back_pressure: bool = False, will_remove: bool = False) -> AttachStream:
        """Start it with its streams connected before its first byte; the caller reads the stream to its end.

        With *will_remove* the caller will also remove it then: conmon's clean-up, which removes one that asked for it,
        gives the caller a second for that, and does it should the caller be gone. States and errors as for `start`;
        *back_pressure* as for `attach`. Upstream: `StartAndAttach`.
        """
        from libpod.container_internal import attaching

        lifecycle.start_infra(self._services, self.config)
        with locked(self._services, self.id) as held:
            return attaching.start_attached(held, back_pressure=back_pressure, will_remove=will_remove)

    def attach(self, *, back_pressure: bool = False) -> AttachStream:
        """Connect to its streams; what it wrote before is in the log only.

        Allowed while initialized or running. A reader that falls far behind is disconnected; with *back_pressure* the
        container waits for it instead, as long as it takes. Upstream: `Attach`.
        """
        from libpod.container_internal import attaching

        with locked(self._services, self.id) as held:
            return attaching.attach(held, back_pressure=back_pressure)

    def stop(self, timeout: float | None = None) -> None:
        """Send its stop signal, wait *timeout* seconds (default: its own), then kill it.

        One that does not run is left alone, and marked as stopped on purpose so that no policy restarts it. Other calls
        see it as "stopping" meanwhile. Upstream: `StopWithTimeout`.
        """
        with locked(self._services, self.id) as held:
            lifecycle.stop(held, timeout)

    def kill(self, signal: str | int = "KILL") -> None:
        """Send a signal to its first process. Allowed while a process exists. Upstream: `Kill`."""
        number = parse_signal(signal)
        with locked(self._services, self.id) as held:
            lifecycle.kill(held, number)
        if number == 9:
            # As podman: whoever looks after a KILL finds the container ended.
            self.wait(timeout=5.0, or_none=True)

    def restart(self, timeout: float | None = None) -> None:
        """Stop it if it runs, then start it. Allowed in every state from which it can start. Upstream: `Restart`."""
        lifecycle.start_infra(self._services, self.config)
        with locked(self._services, self.id) as held:
            lifecycle.restart(held, timeout)

    def pause(self) -> None:
        """Freeze all its processes. Allowed while running. Upstream: `Pause`."""
        with locked(self._services, self.id) as held:
            lifecycle.pause(held)

    def unpause(self) -> None:
        """Let it go on. Allowed while paused. Upstream: `Unpause`."""
        with locked(self._services, self.id) as held:
            lifecycle.unpause(held)

    def wait(
        self,
        condition: ContainerStatus | Sequence[ContainerStatus] | None = None,
        *,
        timeout: float | None = None,
        or_none: bool = False,
    ) -> int:
        """Wait until it has ended, or until it is in one of the states of *condition*; returns the exit code.

        No polling: the process and the exit file wake us. *timeout* in seconds raises WaitTimeoutError, unless
        *or_none*, which returns −1. A container that was removed meanwhile still gives its exit code. One that never
        ran gives 0. Upstream: `WaitForConditionWithInterval`.
        """
        from libpod.container_internal import waiting

        return waiting.wait(self._services, self.config, condition, timeout=timeout, or_none=or_none)

    def clean_up(self) -> None:
        """Release what an ended container still holds: runtime entry, network, mounts. Repeating it is fine.

        Refused while it runs. Upstream: `Cleanup`.
        """
        with locked(self._services, self.id) as held:
            lifecycle.clean_up(held)

    def remove(self, *, force: bool = False, volumes: bool = False, timeout: float | None = None) -> None:
        """Remove it; with *force* a running one is stopped first, with *volumes* its anonymous volumes go too.

        Raises ContainerStateError, ContainerInUseError. Upstream: `libpod/runtime_ctr.go`, `RemoveContainer`.
        """
        from libpod.container_internal import removal

        removal.remove_container(self._services, self.id, force=force, volumes=volumes, timeout=timeout)

    def rename(self, name: str) -> None:
        """Give it another name. Allowed in every state. Raises ContainerExistsError. Upstream: `RenameContainer`."""
        from libpod.container_internal import naming

        self.config = naming.rename_container(self._services, self.id, name)

    def update(self, resources: Mapping[str, Any]) -> None:
        """Change its limits; *resources* is an OCI `linux.resources` object. Upstream: `Update`."""
        from libpod.container_internal import updating

        with locked(self._services, self.id) as held:
            self.config = updating.update(held, resources)

    # -- moving -------------------------------------------------------------------------------------------------

    def checkpoint(self, options: CheckpointOptions | None = None) -> CheckpointReport:
        """Freeze it into files, or into one archive with `options.export`.

        From running to exited, or running still with `options.leave_running`. On any error it runs as before, and no
        archive is left. Raises CheckpointError, NotSupportedError, ContainerStateError. Upstream: `Checkpoint`.
        """
        from libpod.container_internal import checkpointing
        from libpod.model.move_options import CheckpointOptions as Options

        with locked(self._services, self.id) as held:
            return checkpointing.checkpoint(held, options or Options())

    def restore(self, options: RestoreOptions | None = None) -> RestoreReport:
        """Wake it from its own checkpoint.

        From created or exited to running; there must be a checkpoint of it. On any error it is as before, checkpoint
        included. Raises RestoreError, NotSupportedError, ContainerStateError. Upstream: `Restore`.
        """
        from libpod.container_internal import restoring
        from libpod.model.move_options import RestoreOptions as Options

        lifecycle.start_infra(self._services, self.config)
        with locked(self._services, self.id) as held:
            return restoring.restore(held, options or Options())

    # -- inside -------------------------------------------------------------------------------------------------

    def exec(self, options: ExecOptions) -> ExecHandle:
        """Run one more process in it; the handle has its streams and waits for its exit code.

        Allowed while running. Raises ContainerStateError, CommandNotFoundError, CommandNotExecutableError.
        Upstream: `Exec`.
        """
        from libpod.container_internal import executing

        with locked(self._services, self.id) as held:
            return executing.execute(held, options)

    def run(self, *command: str, input: bytes = b"", **options: Any) -> ExecResult:
        """Run a command in it to its end and return what it printed: `exec` for the common case.

        *options* are fields of ExecOptions. Errors as for `exec`.
        """
        from libpod.container_internal import executing

        return executing.run(self, command, input, options)

    def logs(self, options: LogOptions | None = None) -> Iterator[LogLine]:
        """What it wrote, from its log file; goes on while it runs with `options.follow`. Upstream: `ReadLog`."""
        from libpod.container_internal import logs

        return logs.read(self._services, self.config, options)

    def top(self, *descriptors: str) -> list[list[str]]:
        """Its processes: a heading and a row each, as ps prints them. Running or paused. Upstream: `Top`."""
        from libpod.container_internal import top

        with locked(self._services, self.id) as held:
            return top.top(held, descriptors)

    def stats(self) -> ContainerStats:
        """What it uses now; zeros when it does not run. Upstream: `GetContainerStats`."""
        from libpod.container_internal import stats

        with locked(self._services, self.id) as held:
            return stats.stats(held)

    def resize(self, rows: int, columns: int) -> None:
        """Set the size of its terminal. Initialized or running. Upstream: `Resize`."""
        from libpod.container_internal import attaching

        with locked(self._services, self.id) as held:
            attaching.resize(held, rows, columns)

    # -- files --------------------------------------------------------------------------------------------------

    def mount(self) -> Path:
        """Mount its root file system on the host and return where; undone by `unmount`. Upstream: `Mount`."""
        from libpod.container_internal import files

        with locked(self._services, self.id) as held:
            return files.mount(held)

    def unmount(self, *, force: bool = False) -> None:
        """Undo one `mount`. Refused when the mount is the running container's own. Upstream: `Unmount`."""
        from libpod.container_internal import files

        with locked(self._services, self.id) as held:
            files.unmount(held, force=force)

    def size(self) -> ContainerSize:
        """The bytes of its own layer, and of everything its root shows. Upstream: `RWSize`, `RootFsSize`."""
        from libpod.container_internal import files

        with locked(self._services, self.id) as held:
            return files.size(held)

    def diff(self) -> list[Change]:
        """What differs from its image. Upstream: `libpod/diff.go`, `GetDiff`."""
        from libpod.container_internal import files

        with locked(self._services, self.id) as held:
            return files.diff(held)

    def export(self, sink: BinaryIO) -> None:
        """Write its whole root file system as a tar. Upstream: `Export`."""
        from libpod.container_internal import files

        with locked(self._services, self.id) as held:
            files.export(held, sink)

    def stat(self, path: str) -> PathStat:
        """What is at *path*, links followed as in the container; raises NoSuchPathError. Upstream: `Stat`."""
        from libpod.container_internal import copying

        with copying.view(self._services, self.id) as seen:
            return copying.stat_path(seen, path)

    def copy_out(self, path: str, sink: BinaryIO, *, name: str | None = None) -> PathStat:
        """Write the file or directory *path*, with all below it, to *sink* as a tar; returns what it was.

        The entry is called as what *path* leads to, or *name*; of a directory whose path ends in "/." only what is in
        it is written. Volumes are part of it; a running container's tmpfs mounts too. Owners are the container's ids.
        Raises NoSuchPathError, ImageError when something changed while it was read. Upstream: `CopyToArchive`.
        """
        from libpod.container_internal import copying

        with copying.view(self._services, self.id) as seen:
            copying.write_tar(seen, path, sink, name=name)
            return copying.stat_path(seen, path)

    def copy_in(
        self, source: BinaryIO, path: str = "/", *, overwrite: bool = False, chown: bool = False
    ) -> tuple[str, ...]:
        """Unpack a tar, compressed or not, in the directory *path*; returns a sentence for all that was left out.

        Nothing is made outside of the container, whatever links it has or the tar brings. Without *overwrite* a
        directory does not replace a file, nor a file a directory. With *chown* everything belongs to the container's
        user. What was unpacked before an error stays. Raises NoSuchPathError, InvalidArgumentError for a bad tar.
        Upstream: `CopyFromArchive`.
        """
        from libpod.container_internal import copying

        with copying.view(self._services, self.id) as seen:
            return copying.read_tar(seen, source, path, overwrite=overwrite, chown=chown)

    def commit(self, name: str = "", **request: Any) -> str:
        """Make an image of what it has become, and return the image's id; a running one is paused meanwhile.

        *request* are fields of `CommitRequest`: author, message, changes, format, pause, squash, include_volumes.
        Raises ImageError, InvalidStateError, InvalidArgumentError. Upstream: `libpod/container_commit.go`, `Commit`.
        """
        from libpod.container_internal import committing

        with locked(self._services, self.id) as held:
            return committing.commit_container(held, name, committing.CommitRequest(**request))

    def inspect(self, *, size: bool = False) -> dict[str, Any]:
        """podman's `container inspect` document. Upstream: `libpod/container_inspect.go`, `Inspect`."""
        from libpod.container_internal import inspecting

        with locked(self._services, self.id) as held:
            return inspecting.inspect(held, size=size)

    # -- the rest -----------------------------------------------------------------------------------------------

    def _start_dependencies(self) -> None:
        from libpod.container_internal import graph

        edges = graph.with_dependencies(self._services, self.id)
        for level in graph.in_start_order(edges)[:-1]:
            for ctr_id in level:
                with locked(self._services, ctr_id) as held:
                    if held.status is not ContainerStatus.RUNNING:
                        lifecycle.start(held)


if TYPE_CHECKING:
    from libpod.container_internal.executing import ExecHandle, ExecResult
