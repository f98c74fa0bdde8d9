"""The contract of the OCI driver, and its vocabulary.

Nothing here reads the state store. A *bundle* says where the files of one container are and how it is to be run; an
*identity* says which process is meant; both are handed in with every call, and nothing is remembered between calls.

    remove_leftovers ─▶ launching ─▶ go ─▶ created ──start──▶ running ⇄ paused
                            │ (restore)──────────────────────▲  │
                            └─▶ nothing (block left early)      └─▶ exited ──delete──▶ unknown to the runtime

What a crash leaves: a driver killed before the start byte leaves a conmon that goes on by itself, finds no
config.json, fails and ends; one killed after it leaves a created (or restored) container with its monitor, which
`rediscover` finds and `delete(force=True)` ends. The next `launching` removes everything else.

Covers: oci.go, oci_missing.go
"""

from __future__ import annotations

import abc
import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from libpod.linux.pidfd import ProcessIdentity

if TYPE_CHECKING:
    from libpod.linux.cgroup_stats import CgroupStats
    from libpod.oci.attach import AttachStream
    from libpod.oci.execution import ExecProcess
    from libpod.oci.freezing import Frozen
    from libpod.oci.launch import Launch

__all__ = [
    "DEFAULT_BUFFER",
    "Bundle",
    "DumpRequest",
    "ExecRequest",
    "ExitStatus",
    "Launched",
    "OciRuntime",
    "ProcessIdentity",
    "RestoreRequest",
    "RuntimeCapabilities",
]


DEFAULT_BUFFER = 16 * 1024 * 1024
"""Bytes of output that are kept for a consumer that does not read for a while."""


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """Where the files of one container are and how conmon is to run it. All paths are absolute."""

    id: str
    name: str
    directory: Path
    """Holds config.json; conmon adds attach, ctl, winsz, and CRIU its logs. conmon's working directory."""
    run_dir: Path
    """pidfile, conmon.pid, oci-log; exec bundles belong here too. Gone after a reboot, or worthless."""
    exit_dir: Path
    """One directory for all containers; conmon renames the exit file <id> into it."""
    persist_dir: Path
    """This container's own directory for `exit` and `oom`."""
    log_driver: str = "k8s-file"
    """k8s-file, json-file (the same file), journald, none, passthrough."""
    log_path: Path | None = None
    log_size_max: int = 0
    """Bytes after which the log starts anew; 0: never."""
    log_tag: str = ""
    log_level: str = "warning"
    terminal: bool = False
    """Must agree with process.terminal of config.json."""
    stdin_open: bool = False
    cgroup_manager: str = "cgroupfs"
    """cgroupfs or systemd."""
    cgroup_path: str = ""
    """linux.cgroupsPath of config.json: /parent/libpod-<id>, or slice:prefix:name with systemd."""
    cgroups_enabled: bool = True
    exit_command: tuple[str, ...] = ()
    """Run by conmon after the end, also after a failed create and after a checkpoint."""
    exit_delay: int = 0
    """Seconds that conmon waits before it runs it."""
    no_pivot: bool = False
    no_new_keyring: bool = False
    runtime_flags: tuple[str, ...] = ()
    """Global options of the runtime, one word each: root=/x or --root=/x."""
    timeout: int = 0
    """Seconds after which conmon kills the container; 0: never."""
    sdnotify_socket: Path | None = None

    @property
    def config_file(self) -> Path:
        return self.directory / "config.json"

    @property
    def attach_socket(self) -> Path:
        return self.directory / "attach"

    @property
    def control_fifo(self) -> Path:
        return self.directory / "ctl"

    @property
    def pid_file(self) -> Path:
        return self.run_dir / "pidfile"

    @property
    def conmon_pid_file(self) -> Path:
        return self.run_dir / "conmon.pid"

    @property
    def oci_log(self) -> Path:
        return self.run_dir / "oci-log"

    @property
    def exit_file(self) -> Path:
        return self.exit_dir / self.id


class Launched(msgspec.Struct, frozen=True, kw_only=True):
    """The two processes of a container that exists."""

    init: ProcessIdentity
    conmon: ProcessIdentity


class ExitStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a container ended. `code` is 0–255, 128+signal, or −1 when nobody saw it or conmon's timeout struck."""

    code: int
    finished: str
    """RFC 3339 in UTC with nanoseconds: when the exit file appeared."""
    oom_killed: bool = False


class RestoreRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a launch from images needs beside the bundle."""

    image_dir: Path
    tcp_established: bool = False
    tcp_close: bool = False
    file_locks: bool = False
    lsm_profile: str = ""
    """TYPE:NAME, e.g. selinux:LABEL; for pods."""
    lsm_mount_context: str = ""


class DumpRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What CRIU is to save, and how."""

    image_dir: Path
    work_dir: Path
    """Where dump.log and stats-dump go; image_dir and work_dir exist already."""
    leave_running: bool = False
    tcp_established: bool = False
    file_locks: bool = False
    pre_dump: bool = False
    parent_path: str = ""
    """The images of the dump before this one, relative to image_dir."""
    link_remap: bool = False
    """runc 1.3 and later only."""
    lock_network: bool = True
    """False only where no packet can come, and with CRIU 3.19 or later."""


class ExecRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One more process in a running container."""

    session_id: str
    directory: Path
    """The exec bundle; made here, under the run directory, and removed by whoever takes the exit code."""
    process: Mapping[str, Any]
    """The OCI process document; its `terminal` must agree with `terminal`."""
    terminal: bool = False
    stdin: bool = False
    """Whether anybody is going to send input."""
    detach: bool = False
    size: tuple[int, int] | None = None
    """Rows and columns of the terminal, set before the process starts."""
    streams: tuple[int, int, int] | None = None
    """Descriptors to hand to a process without terminal as its own streams; pipes are made otherwise."""
    exit_command: tuple[str, ...] = ()
    exit_delay: int = 0
    preserve_fds: tuple[int, ...] = ()
    """Descriptors that the process gets as 3, 4, …"""

    @property
    def pid_file(self) -> Path:
        return self.directory / "exec_pid"


class RuntimeCapabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What one runtime binary is and can do."""

    name: str
    """runc, crun, or the first word of --version."""
    path: Path
    version: str
    version_text: str
    """All that --version prints."""
    can_checkpoint: bool
    works_here: bool
    """Whether it can make containers with this host's cgroups."""
    obstacle: str = ""
    """Why it does not work here."""
    features: Mapping[str, Any] = msgspec.field(default_factory=dict)
    """The document that `features` prints, empty where the command is unknown."""


class OciRuntime(abc.ABC):
    """Creates, watches, signals, freezes and removes container processes.

    All methods may be called from several threads and processes at once for different containers; for one container
    the caller holds its lock. None keeps anything between calls. Errors are OciRuntimeError and its subclasses
    (CommandNotFoundError, CommandNotExecutableError), InvalidStateError when the container is in the wrong state,
    ContainerExistsError, CheckpointError, RestoreError, ProgramMissingError; their `details` are the runtime's own
    last lines.
    """

    @property
    @abc.abstractmethod
    def capabilities(self) -> RuntimeCapabilities:
        """What the runtime is and can do; asked once for the life of the process."""

    @abc.abstractmethod
    def remove_leftovers(self, bundle: Bundle) -> None:
        """Remove what an earlier life left: sockets, FIFOs, exit file, persist directory, oci-log, pid files.

        A conmon that a dead driver left creating is killed; one that is about to unlink its socket is awaited, for a
        moment. InvalidStateError when the container runs.
        """

    @abc.abstractmethod
    def launching(
        self,
        bundle: Bundle,
        restore: RestoreRequest | None = None,
        *,
        pass_fds: Sequence[int] = (),
        preserve_fds: Sequence[int] = (),
    ) -> contextlib.AbstractContextManager[Launch]:
        """Start conmon early and hold it back while the block prepares mounts, network and, last, config.json.

        ``launch.go()`` in the block lets it create the container (or restore it, which leaves it running) and returns
        `Launched`. A block left without go() kills conmon: nothing gets created and nothing stays. An earlier
        config.json is removed on entry. *pass_fds* stay open in conmon for the container's life (reserved ports);
        *preserve_fds* are the container's own descriptors 3, 4, …. After go() the container is the caller's to delete.
        """

    @abc.abstractmethod
    def rediscover(self, bundle: Bundle) -> Launched | None:
        """The live processes of a container that a dead driver created, or None when there are none.

        `conmon` has start time 0 when the container has no monitor any more.
        """

    @abc.abstractmethod
    def has_started(self, bundle: Bundle) -> bool:
        """Whether a container that was created has been let go. One stat call; False when the runtime cannot tell."""

    @abc.abstractmethod
    def start(self, bundle: Bundle, launched: Launched) -> None:
        """Let a created container run its command."""

    @abc.abstractmethod
    def signal(self, bundle: Bundle, init: ProcessIdentity, signal: int, *, everyone: bool = False) -> bool:
        """Send a signal to init, or to *everyone* in its cgroup; False when it is gone already.

        A paused container is woken for SIGKILL only: every other signal waits until it is resumed.
        """

    @abc.abstractmethod
    def stop(
        self, bundle: Bundle, launched: Launched, *, signal: int, timeout: float, everyone: bool = False
    ) -> ExitStatus:
        """Signal, wait *timeout* seconds, kill; returns when the exit status is known."""

    @abc.abstractmethod
    def pause(self, bundle: Bundle) -> None:
        """Freeze every process; returns when all stand still. Repeating it is fine."""

    @abc.abstractmethod
    def resume(self, bundle: Bundle) -> None:
        """Thaw every process; repeating it is fine."""

    @abc.abstractmethod
    def update(self, bundle: Bundle, resources: Mapping[str, Any]) -> None:
        """Change limits to *resources* (linux.resources of the specification)."""

    @abc.abstractmethod
    def delete(self, bundle: Bundle, *, init: ProcessIdentity | None = None, force: bool = False) -> None:
        """Remove the container from the runtime, and its cgroups in every hierarchy. Idempotent.

        With *force* a container that lives is killed first; without, that is an InvalidStateError. *init* is asked
        from the runtime's state file when it is not given.
        """

    @abc.abstractmethod
    def exit_status(self, bundle: Bundle) -> ExitStatus | None:
        """How the container ended, or None while no exit file exists. One or two stat calls."""

    @abc.abstractmethod
    def wait_exit(
        self, bundle: Bundle, launched: Launched, timeout: float | None = None
    ) -> ExitStatus | None:
        """Wait for the end; None when *timeout* seconds pass first. conmon died unseen: code −1 once init is dead."""

    @abc.abstractmethod
    def monitor_alive(self, bundle: Bundle, conmon: ProcessIdentity) -> bool:
        """Whether conmon still watches the container."""

    @abc.abstractmethod
    def freezing(self, bundle: Bundle) -> contextlib.AbstractContextManager[Frozen]:
        """Freeze when CRIU is about to, until the end of the block: saves CRIU's 100 ms, keeps files still.

        Whatever happens in the block, the container is thawed at its end, unless ``frozen.stay()`` was called or it
        was frozen before.
        """

    @abc.abstractmethod
    def checkpoint(self, bundle: Bundle, request: DumpRequest, launched: Launched) -> int:
        """Dump the container with CRIU; returns microseconds. Unless it is left running or this is a pre-dump, the
        container is gone afterwards: exit file and persist directory of this end are removed here.

        On a CheckpointError the container runs on.
        """

    @abc.abstractmethod
    def attach(self, bundle: Bundle, *, buffer: int | None = DEFAULT_BUFFER) -> AttachStream:
        """Connect to the streams of a created or running container."""

    @abc.abstractmethod
    def resize(self, bundle: Bundle, rows: int, columns: int) -> None:
        """Set the terminal's size, also before start; a container without monitor is an InvalidStateError."""

    @abc.abstractmethod
    def reopen_log(self, bundle: Bundle) -> None:
        """Have conmon start the log file anew."""

    @abc.abstractmethod
    def exec(self, bundle: Bundle, request: ExecRequest) -> ExecProcess:
        """Run one more process; returns when it runs."""

    @abc.abstractmethod
    def processes(self, bundle: Bundle) -> list[int]:
        """The pids of all processes of the container, sorted, as the host sees them."""

    @abc.abstractmethod
    def stats(self, bundle: Bundle) -> CgroupStats:
        """What the container uses, read from its cgroups."""
