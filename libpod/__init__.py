"""libpod: containers in the caller's own process, and their moving between hosts.

    import libpod
    with libpod.Runtime() as rt:
        rt.checkpoint("web", export="web.tar.gz", leave_running=True)
        twin = rt.restore(import_="web.tar.gz", name="web-2")

Names are loaded when they are used first, so that importing the package costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from libpod.version import VERSION

if TYPE_CHECKING:
    from libpod.checkpoint.fitness import FitnessFinding, FitnessReport
    from libpod.checkpoint.inspection import (
        CheckpointComparison,
        CheckpointInspection,
        ProcessImage,
        TreeContent,
    )
    from libpod.checkpoint.report import CheckpointReport, RestoreReport
    from libpod.checkpoint.timeline import Phase
    from libpod.container_api import Container
    from libpod.container_internal.copying import PathStat
    from libpod.container_internal.executing import ExecHandle, ExecResult
    from libpod.container_internal.files import ContainerSize
    from libpod.container_internal.logs import LogLine, LogOptions
    from libpod.container_internal.stats import ContainerStats
    from libpod.define.errors import (
        AlreadyExistsError,
        AmbiguousNameError,
        ArchiveError,
        CheckpointError,
        CommandNotExecutableError,
        CommandNotFoundError,
        ConfigError,
        ContainerExistsError,
        ContainerInUseError,
        ContainerStateError,
        HostError,
        ImageError,
        ImageInUseError,
        InUseError,
        InvalidArgumentError,
        InvalidStateError,
        LibpodError,
        LockError,
        NetworkError,
        NetworkExistsError,
        NetworkInUseError,
        NoSuchContainerError,
        NoSuchImageError,
        NoSuchNetworkError,
        NoSuchPathError,
        NoSuchPodError,
        NoSuchVolumeError,
        NotFoundError,
        NotPrivilegedError,
        NotSupportedError,
        OciRuntimeError,
        PodExistsError,
        PodPartialError,
        RestoreError,
        RuntimeClosedError,
        StateStoreError,
        StorageError,
        VolumeError,
        VolumeExistsError,
        VolumeInUseError,
        WaitTimeoutError,
    )
    from libpod.define.status import ContainerStatus
    from libpod.events.base import EventQuery
    from libpod.image.describing import ImageSummary
    from libpod.image.graph import HistoryEntry
    from libpod.image.removing import RemovalReport
    from libpod.image.search import SearchResult, login, logout
    from libpod.image_api import Image
    from libpod.linux.terminal import raw_mode, watching_size
    from libpod.model.create_options import CreateOptions
    from libpod.model.event import Event, EventStatus, EventType
    from libpod.model.exec_options import ExecOptions
    from libpod.model.health import health_check
    from libpod.model.import_policy import ImportPolicy
    from libpod.model.move_options import CheckpointOptions, RestoreOptions
    from libpod.model.pod_options import PodOptions
    from libpod.network.creation import NetworkCreateOptions, SubnetRequest, subnet_requests
    from libpod.network_api import Network
    from libpod.oci.attach import AttachStream
    from libpod.oci.copying import Outcome, copy_attached, copy_exec
    from libpod.pod_api import Pod
    from libpod.runtime import Runtime
    from libpod.runtime_check import CheckReport, Finding
    from libpod.runtime_ctr import should_start_on_boot
    from libpod.runtime_listing import Listed
    from libpod.runtime_migrate import MigrationReport
    from libpod.runtime_renumber import LockInfo
    from libpod.storage.changes import Change
    from libpod.version import version_document
    from libpod.volume import Volume

__version__ = VERSION

_HOMES = {
    "AlreadyExistsError": "define.errors",
    "AmbiguousNameError": "define.errors",
    "ArchiveError": "define.errors",
    "AttachStream": "oci.attach",
    "Change": "storage.changes",
    "CheckReport": "runtime_check",
    "CheckpointComparison": "checkpoint.inspection",
    "CheckpointError": "define.errors",
    "CheckpointInspection": "checkpoint.inspection",
    "CheckpointOptions": "model.move_options",
    "CheckpointReport": "checkpoint.report",
    "CommandNotExecutableError": "define.errors",
    "CommandNotFoundError": "define.errors",
    "ConfigError": "define.errors",
    "Container": "container_api",
    "ContainerExistsError": "define.errors",
    "ContainerInUseError": "define.errors",
    "ContainerSize": "container_internal.files",
    "ContainerStateError": "define.errors",
    "ContainerStats": "container_internal.stats",
    "ContainerStatus": "define.status",
    "CreateOptions": "model.create_options",
    "Event": "model.event",
    "EventQuery": "events.base",
    "EventStatus": "model.event",
    "EventType": "model.event",
    "ExecHandle": "container_internal.executing",
    "ExecOptions": "model.exec_options",
    "ExecResult": "container_internal.executing",
    "Finding": "runtime_check",
    "HistoryEntry": "image.graph",
    "FitnessFinding": "checkpoint.fitness",
    "FitnessReport": "checkpoint.fitness",
    "HostError": "define.errors",
    "Image": "image_api",
    "ImageError": "define.errors",
    "ImageInUseError": "define.errors",
    "ImageSummary": "image.describing",
    "ImportPolicy": "model.import_policy",
    "InUseError": "define.errors",
    "InvalidArgumentError": "define.errors",
    "InvalidStateError": "define.errors",
    "LibpodError": "define.errors",
    "Listed": "runtime_listing",
    "LockError": "define.errors",
    "LockInfo": "runtime_renumber",
    "LogLine": "container_internal.logs",
    "LogOptions": "container_internal.logs",
    "MigrationReport": "runtime_migrate",
    "Network": "network_api",
    "NetworkCreateOptions": "network.creation",
    "NetworkError": "define.errors",
    "NetworkExistsError": "define.errors",
    "NetworkInUseError": "define.errors",
    "NoSuchContainerError": "define.errors",
    "NoSuchImageError": "define.errors",
    "NoSuchNetworkError": "define.errors",
    "NoSuchPathError": "define.errors",
    "NoSuchPodError": "define.errors",
    "NoSuchVolumeError": "define.errors",
    "NotFoundError": "define.errors",
    "NotPrivilegedError": "define.errors",
    "NotSupportedError": "define.errors",
    "OciRuntimeError": "define.errors",
    "Outcome": "oci.copying",
    "PathStat": "container_internal.copying",
    "Phase": "checkpoint.timeline",
    "Pod": "pod_api",
    "PodExistsError": "define.errors",
    "PodOptions": "model.pod_options",
    "PodPartialError": "define.errors",
    "ProcessImage": "checkpoint.inspection",
    "RemovalReport": "image.removing",
    "RestoreError": "define.errors",
    "RestoreOptions": "model.move_options",
    "RestoreReport": "checkpoint.report",
    "Runtime": "runtime",
    "RuntimeClosedError": "define.errors",
    "SearchResult": "image.search",
    "StateStoreError": "define.errors",
    "StorageError": "define.errors",
    "SubnetRequest": "network.creation",
    "TreeContent": "checkpoint.inspection",
    "Volume": "volume",
    "VolumeError": "define.errors",
    "VolumeExistsError": "define.errors",
    "VolumeInUseError": "define.errors",
    "WaitTimeoutError": "define.errors",
    "copy_attached": "oci.copying",
    "copy_exec": "oci.copying",
    "health_check": "model.health",
    "login": "image.search",
    "logout": "image.search",
    "raw_mode": "linux.terminal",
    "should_start_on_boot": "runtime_ctr",
    "subnet_requests": "network.creation",
    "version_document": "version",
    "watching_size": "linux.terminal",
}

__all__ = [
    "AlreadyExistsError",
    "AmbiguousNameError",
    "ArchiveError",
    "AttachStream",
    "Change",
    "CheckReport",
    "CheckpointComparison",
    "CheckpointError",
    "CheckpointInspection",
    "CheckpointOptions",
    "CheckpointReport",
    "CommandNotExecutableError",
    "CommandNotFoundError",
    "ConfigError",
    "Container",
    "ContainerExistsError",
    "ContainerInUseError",
    "ContainerSize",
    "ContainerStateError",
    "ContainerStats",
    "ContainerStatus",
    "CreateOptions",
    "Event",
    "EventQuery",
    "EventStatus",
    "EventType",
    "ExecHandle",
    "ExecOptions",
    "ExecResult",
    "Finding",
    "FitnessFinding",
    "FitnessReport",
    "HistoryEntry",
    "HostError",
    "Image",
    "ImageError",
    "ImageInUseError",
    "ImageSummary",
    "ImportPolicy",
    "InUseError",
    "InvalidArgumentError",
    "InvalidStateError",
    "LibpodError",
    "Listed",
    "LockError",
    "LockInfo",
    "LogLine",
    "LogOptions",
    "MigrationReport",
    "Network",
    "NetworkCreateOptions",
    "NetworkError",
    "NetworkExistsError",
    "NetworkInUseError",
    "NoSuchContainerError",
    "NoSuchImageError",
    "NoSuchNetworkError",
    "NoSuchPathError",
    "NoSuchPodError",
    "NoSuchVolumeError",
    "NotFoundError",
    "NotPrivilegedError",
    "NotSupportedError",
    "OciRuntimeError",
    "Outcome",
    "PathStat",
    "Phase",
    "Pod",
    "PodExistsError",
    "PodOptions",
    "PodPartialError",
    "ProcessImage",
    "RemovalReport",
    "RestoreError",
    "RestoreOptions",
    "RestoreReport",
    "Runtime",
    "RuntimeClosedError",
    "SearchResult",
    "StateStoreError",
    "StorageError",
    "SubnetRequest",
    "TreeContent",
    "Volume",
    "VolumeError",
    "VolumeExistsError",
    "VolumeInUseError",
    "WaitTimeoutError",
    "__version__",
    "copy_attached",
    "copy_exec",
    "health_check",
    "login",
    "logout",
    "raw_mode",
    "should_start_on_boot",
    "subnet_requests",
    "version_document",
    "watching_size",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"libpod.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
