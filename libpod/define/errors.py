"""The one tree of errors.

    LibpodError
    ├── InvalidArgumentError            the request makes no sense, whatever the state (ErrInvalidArg)
    │   └── ConfigError                 containers.conf, storage.conf or an override is wrong
    ├── NotFoundError                   NoSuchContainerError, NoSuchPodError, NoSuchVolumeError, …
    ├── AlreadyExistsError              ContainerExistsError, PodExistsError, VolumeExistsError, …
    ├── AmbiguousNameError              an id prefix that several objects share
    ├── InUseError                      something else still needs the object
    ├── InvalidStateError               the object is in the wrong state now
    │   ├── ContainerStateError         … a container (ErrCtrStateInvalid)
    │   ├── ObjectRemovedError          the handle's object is gone (ErrCtrRemoved)
    │   └── RuntimeClosedError          the Runtime was closed (ErrRuntimeStopped)
    ├── HostError                       this machine cannot do it
    │   ├── NotPrivilegedError, NotSupportedError, CommandError
    ├── OciRuntimeError                 conmon, runc or crun refused
    │   ├── CommandNotFoundError (127), CommandNotExecutableError (126)
    ├── StorageError, NetworkError, StateStoreError, LockError
    ├── ImageError                      RegistryAccessError, RegistryUnreachableError, ImagePolicyError
    ├── CheckpointError                 a step of a checkpoint failed
    ├── CheckpointArchiveChangedError   files changed while they were archived
    ├── RestoreError                    a step of a restore failed
    └── ArchiveError                    the file is not a checkpoint archive that can be trusted

The class says what a program can do about it, the attributes carry the facts, the text is for the reader: one
sentence, lower case, no full stop, the object's name in it. `resolution` says what to do next, `details` keeps the
last lines of the tool underneath.

Covers: libpod/define/errors.go
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

SHORT_ID = 12


class LibpodError(Exception):
    """Base of every error the library raises on purpose."""

    def __init__(self, message: str, *, resolution: str | None = None, details: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.resolution = resolution
        self.details = details

    def __str__(self) -> str:
        return f"{self.message}: {self.resolution}" if self.resolution else self.message


def short(object_id: str) -> str:
    """An id as people read it: its first twelve characters."""
    return object_id[:SHORT_ID]


def last_lines(text: str, count: int = 5) -> str:
    """The last non-empty lines of what a tool printed, for `details`."""
    return "\n".join([line.rstrip() for line in text.splitlines() if line.strip()][-count:])


# ---- the request ----------------------------------------------------------------------------------------------


class InvalidArgumentError(LibpodError):
    """The request makes no sense, whatever the state of things (Go: ErrInvalidArg)."""


class ConfigError(InvalidArgumentError):
    """A configuration file or an override is wrong (Go: ErrInvalidConfig, ErrDBBadConfig)."""


# ---- objects that are not there, or are there already ---------------------------------------------------------


class NotFoundError(LibpodError):
    """An object that was asked for by name or id does not exist."""

    kind = "object"

    def __init__(self, name: str, *, message: str | None = None, resolution: str | None = None) -> None:
        self.name = name
        super().__init__(message or f'no {self.kind} with name or ID "{name}" found', resolution=resolution)


class NoSuchContainerError(NotFoundError):
    """Go: ErrNoSuchCtr."""

    kind = "container"


class NoSuchPodError(NotFoundError):
    """Go: ErrNoSuchPod."""

    kind = "pod"


class NoSuchVolumeError(NotFoundError):
    """Go: ErrNoSuchVolume."""

    kind = "volume"


class NoSuchImageError(NotFoundError):
    """Go: ErrImageUnknown of containers/storage."""

    kind = "image"


class NoSuchNetworkError(NotFoundError):
    """Go: ErrNoSuchNetwork."""

    kind = "network"


class NoSuchExecSessionError(NotFoundError):
    """Go: ErrNoSuchExecSession."""

    kind = "exec session"


class NoSuchExitCodeError(NotFoundError):
    """Go: ErrNoSuchExitCode."""

    kind = "exit code of a container"


class NoSuchPathError(NotFoundError):
    """A path that is to be copied from or to leads nowhere; *place* says where it was looked for."""

    kind = "file"

    def __init__(self, path: str, place: str) -> None:
        super().__init__(path, message=f'"{path}" could not be found on {place}: no such file or directory')


class AlreadyExistsError(LibpodError):
    """A name or an id is taken."""

    kind = "object"

    def __init__(self, name: str, *, message: str | None = None, resolution: str | None = None) -> None:
        self.name = name
        super().__init__(
            message or f'the {self.kind} name or ID "{name}" is already in use',
            resolution=resolution or "choose another name or remove the one that holds it",
        )


class ContainerExistsError(AlreadyExistsError):
    """Go: ErrCtrExists."""

    kind = "container"


class PodExistsError(AlreadyExistsError):
    """Go: ErrPodExists."""

    kind = "pod"


class VolumeExistsError(AlreadyExistsError):
    """Go: ErrVolumeExists."""

    kind = "volume"


class NetworkExistsError(AlreadyExistsError):
    """Go: ErrNetworkExists."""

    kind = "network"


class ExecSessionExistsError(AlreadyExistsError):
    """Go: ErrExecSessionExists."""

    kind = "exec session"


class AmbiguousNameError(LibpodError):
    """More than one object begins with the id prefix that was given (Go: ErrCtrExists, ErrPodExists)."""

    def __init__(self, kind: str, prefix: str, matches: Sequence[str]) -> None:
        self.kind, self.prefix, self.matches = kind, prefix, tuple(matches)
        shown = ", ".join(short(match) for match in matches[:4])
        super().__init__(
            f'more than one {kind} begins with "{prefix}" ({shown})',
            resolution="give more characters of the ID",
        )


class InUseError(LibpodError):
    """Something else still needs the object."""

    def __init__(
        self, kind: str, name: str, users: Sequence[str], *, resolution: str = "remove or stop those first"
    ) -> None:
        self.kind, self.name, self.users = kind, name, tuple(users)
        shown = ", ".join(short(user) for user in users[:4])
        super().__init__(f"{kind} {name} is in use by {shown}", resolution=resolution)


class ContainerInUseError(InUseError):
    """Other containers depend on this one (Go: ErrCtrExists, "has dependent containers")."""

    def __init__(self, name: str, users: Sequence[str]) -> None:
        super().__init__("container", name, users)


class VolumeInUseError(InUseError):
    """Go: ErrVolumeBeingUsed."""

    def __init__(self, name: str, users: Sequence[str]) -> None:
        super().__init__("volume", name, users)


class ImageInUseError(InUseError):
    """Containers or other images need the image (Go: ErrImageUsedByContainer)."""

    def __init__(self, name: str, users: Sequence[str]) -> None:
        super().__init__("image", name, users)


class NetworkInUseError(InUseError):
    """Go: ErrNetworkInUse."""

    def __init__(self, name: str, users: Sequence[str]) -> None:
        super().__init__("network", name, users)


class NamespaceMismatchError(LibpodError):
    """The object lives in another libpod namespace than the one that was set (Go: ErrNSMismatch)."""


# ---- wrong moment ---------------------------------------------------------------------------------------------


class InvalidStateError(LibpodError):
    """The object exists and is in the wrong state now."""


class ContainerStateError(InvalidStateError):
    """A container is in the wrong state for the operation (Go: ErrCtrStateInvalid)."""

    def __init__(
        self,
        *,
        operation: str,
        container: str,
        status: str,
        allowed: Sequence[str],
        resolution: str | None = None,
    ) -> None:
        self.operation, self.container, self.status, self.allowed = (
            operation,
            container,
            status,
            tuple(allowed),
        )
        super().__init__(
            f"cannot {operation} container {container}: it is {status}, must be {' or '.join(allowed)}",
            resolution=resolution,
        )


class ObjectRemovedError(InvalidStateError):
    """The object behind a handle has been removed since (Go: ErrCtrRemoved, ErrPodRemoved, ErrVolumeRemoved)."""


class RuntimeClosedError(InvalidStateError):
    """The Runtime, or its state store, was closed (Go: ErrRuntimeStopped, ErrDBClosed)."""


class WaitTimeoutError(InvalidStateError):
    """What was waited for did not happen in time."""


class DependencyError(InvalidStateError):
    """A container that this one depends on is not running."""


class PodPartialError(InvalidStateError):
    """A verb was done to some members of a pod and failed for others: `errors` has each by container id."""

    def __init__(self, *, pod: str, verb: str, errors: Mapping[str, LibpodError]) -> None:
        self.pod, self.verb, self.errors = pod, verb, dict(errors)
        first = next(iter(errors.values()))
        more = f" and {len(errors) - 1} more failed" if len(errors) > 1 else ""
        super().__init__(
            f"cannot {verb} every container of pod {pod}: {first.message}{more}", resolution=first.resolution
        )


# ---- this machine ---------------------------------------------------------------------------------------------


class HostError(LibpodError):
    """This machine cannot do it, or a part of it failed."""


class NotPrivilegedError(HostError):
    """Root rights, or one capability, are missing."""


class NotSupportedError(HostError):
    """The kernel, CRIU or the OCI runtime of this machine lacks what the request needs."""


class CommandError(HostError):
    """A program that was run ended with a status that was not expected."""

    def __init__(
        self, *, argv: Sequence[str], returncode: int, stderr: str, resolution: str | None = None
    ) -> None:
        self.argv, self.returncode, self.stderr = tuple(argv), returncode, stderr
        lines = last_lines(stderr)
        last = lines.splitlines()[-1] if lines else "no output on stderr"
        super().__init__(
            f"{argv[0]} exited with status {returncode} ({last})",
            resolution=resolution,
            details=lines or None,
        )


class ProgramMissingError(HostError):
    """A program that the operation needs is not installed."""

    def __init__(self, program: str, *, purpose: str, resolution: str | None = None) -> None:
        self.program = program
        super().__init__(
            f"{program} is needed to {purpose} and was not found",
            resolution=resolution or f"install {program}",
        )


# ---- drivers --------------------------------------------------------------------------------------------------


class OciRuntimeError(LibpodError):
    """conmon or the OCI runtime refused (Go: ErrOCIRuntime)."""

    exit_code = 126


class CommandNotFoundError(OciRuntimeError):
    """The command does not exist in the container (Go: ErrOCIRuntimeNotFound)."""

    exit_code = 127


class CommandNotExecutableError(OciRuntimeError):
    """The command exists and may not be run (Go: ErrOCIRuntimePermissionDenied)."""

    exit_code = 126


class StorageError(LibpodError):
    """The layer and container store refused or is damaged."""


class ImageError(LibpodError):
    """An image cannot be read, copied or built."""


class RegistryAccessError(ImageError):
    """A registry wants other credentials, or any at all."""


class RegistryUnreachableError(ImageError):
    """A registry does not answer, breaks off, or is not trusted; a later try may succeed."""


class ImagePolicyError(ImageError):
    """The signature policy of this machine forbids the image."""


class NetworkError(LibpodError):
    """A network namespace, link, address or rule could not be set up."""


class StateStoreError(LibpodError):
    """The database refused, is damaged, or has a schema this version does not know."""


class LockError(LibpodError):
    """A lock could not be taken (in time), or was asked for in the wrong order."""


class VolumeError(LibpodError):
    """A volume's content could not be made, read or mounted."""


# ---- moving containers ----------------------------------------------------------------------------------------


class _StepError(LibpodError):
    """What checkpoints and restores have in common: they fail in a step, and CRIU may have left a log."""

    _verb: ClassVar[str]

    def __init__(
        self,
        *,
        container: str,
        step: str,
        cause: str,
        resolution: str | None = None,
        details: str | None = None,
        log: str | None = None,
    ) -> None:
        self.container, self.step, self.cause, self.log = container, step, cause, log
        message = f"{self._verb} of container {container} failed while {step}: {cause}"
        if log is not None:
            message += f" (log: {log})"
        super().__init__(message, resolution=resolution, details=details)


class CheckpointError(_StepError):
    """A step of a checkpoint failed. `step` names it; `log` is CRIU's log where there is one."""

    _verb = "checkpoint"


class CheckpointArchiveChangedError(LibpodError):
    """Files changed while an archive was made of them; it was not kept. `changed` has a sentence for each."""

    def __init__(self, path: str, changed: Sequence[str]) -> None:
        self.path, self.changed = path, tuple(changed)
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        super().__init__(
            f"the archive {path} was not made because {changed[0]}{more}",
            resolution="stop whoever writes there, or leave the volumes out",
            details="\n".join(changed[:5]),
        )


class RestoreError(_StepError):
    """A step of a restore failed. `step` names it; `log` is CRIU's log where there is one."""

    _verb = "restore"


class ArchiveError(LibpodError):
    """The file is not a checkpoint archive, is cut short, or asks for something an archive may not ask for."""

    def __init__(self, path: str, cause: str, *, resolution: str | None = None) -> None:
        self.path, self.cause = path, cause
        super().__init__(f"{path} cannot be used as a checkpoint archive: {cause}", resolution=resolution)
