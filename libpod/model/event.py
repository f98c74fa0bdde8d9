"""Events: what happened to an object, one JSON object a line as podman writes it.

Covers: libpod/events/config.go, libpod/events/events.go
"""

from __future__ import annotations

import enum

import msgspec


class EventType(enum.StrEnum):
    """The kind of object."""

    CONTAINER = "container"
    IMAGE = "image"
    NETWORK = "network"
    POD = "pod"
    SYSTEM = "system"
    VOLUME = "volume"


class EventStatus(enum.StrEnum):
    """What happened."""

    ATTACH = "attach"
    AUTO_UPDATE = "auto-update"
    BUILD = "build"
    CHECKPOINT = "checkpoint"
    CLEANUP = "cleanup"
    COMMIT = "commit"
    CONNECT = "connect"
    COPY = "copy"
    CREATE = "create"
    DISCONNECT = "disconnect"
    DIED = "died"
    EXEC = "exec"
    EXEC_DIED = "exec_died"
    EXPORT = "export"
    HEALTH_STATUS = "health_status"
    HISTORY = "history"
    IMPORT = "import"
    INIT = "init"
    KILL = "kill"
    LOAD = "loadfromarchive"
    MOUNT = "mount"
    PAUSE = "pause"
    PRUNE = "prune"
    PULL = "pull"
    PUSH = "push"
    REFRESH = "refresh"
    REMOVE = "remove"
    RENAME = "rename"
    RENUMBER = "renumber"
    RESTART = "restart"
    RESTORE = "restore"
    ROTATE = "log-rotation"
    SAVE = "save"
    START = "start"
    STOP = "stop"
    SYNC = "sync"
    TAG = "tag"
    UNMOUNT = "unmount"
    UNPAUSE = "unpause"
    UNTAG = "untag"
    UPDATE = "update"


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One event, with podman's keys in the log file."""

    name: str = msgspec.field(default_factory=str, name="Name")
    status: EventStatus = msgspec.field(name="Status")
    time: str = msgspec.field(name="Time")
    type: EventType = msgspec.field(name="Type")
    id: str = msgspec.field(default="", name="ID")
    image: str = msgspec.field(default="", name="Image")
    network: str = msgspec.field(default="", name="Network")
    exit_code: int | None = msgspec.field(default=None, name="ContainerExitCode")
    pod_id: str = msgspec.field(default="", name="PodID")
    health_status: str = msgspec.field(default="", name="HealthStatus")
    error: str = msgspec.field(default="", name="Error")
    attributes: dict[str, str] | None = msgspec.field(default=None, name="Attributes")
