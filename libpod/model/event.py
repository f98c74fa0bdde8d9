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
    """One event: keys, their order and which of them are always there are podman's in its log file."""

    exit_code: int | None = msgspec.field(default=None, name="ContainerExitCode")
    id: str = msgspec.field(default="", name="ID")
    image: str = msgspec.field(default="", name="Image")
    """Of containers: the name of their image."""
    name: str = msgspec.field(default="", name="Name")
    network: str = ""
    status: EventStatus = msgspec.field(name="Status")
    time: str = msgspec.field(name="Time")
    type: EventType = msgspec.field(name="Type")
    health_status: str = ""
    error: str = ""
    pod_id: str = msgspec.field(default="", name="PodID")
    attributes: dict[str, str] | None = msgspec.field(default_factory=lambda: None, name="Attributes")
    """Of containers and pods: their labels. Written even when there are none."""
