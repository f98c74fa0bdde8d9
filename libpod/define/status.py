"""The states of a container and which operation is allowed in which of them.

The integers are podman's and are what is persisted; the words are those podman 4 and later print, where "created"
means *in the database* and "initialized" means *known to the OCI runtime*.

    CONFIGURED/EXITED ──init──▶ CREATED ──start──▶ RUNNING ──exit seen──▶ STOPPED ──clean-up──▶ EXITED
    RUNNING ⇄ PAUSED        RUNNING ──checkpoint──▶ EXITED        CONFIGURED/EXITED ──restore──▶ RUNNING
    anything ──remove──▶ REMOVING ──▶ gone            RUNNING ──stop──▶ STOPPING ──▶ STOPPED

Covers: libpod/define/containerstate.go
"""

from __future__ import annotations

import enum

from libpod.define.errors import InvalidArgumentError


class ContainerStatus(enum.IntEnum):
    """Where a container is in its life."""

    UNKNOWN = 0
    CONFIGURED = 1
    CREATED = 2
    RUNNING = 3
    STOPPED = 4
    PAUSED = 5
    EXITED = 6
    REMOVING = 7
    STOPPING = 8

    @property
    def word(self) -> str:
        """The word podman prints for it (4.0 and later)."""
        return _WORDS[self]

    @classmethod
    def parse(cls, word: str) -> ContainerStatus:
        """The status a user means by *word*; raises InvalidArgumentError."""
        for status, known in _WORDS.items():
            if known == word:
                return status
        if word == "configured":
            return cls.CONFIGURED
        raise InvalidArgumentError(
            f'"{word}" is not a container state', resolution=f"use one of {', '.join(_WORDS.values())}"
        )


_WORDS = {
    ContainerStatus.UNKNOWN: "unknown",
    ContainerStatus.CONFIGURED: "created",
    ContainerStatus.CREATED: "initialized",
    ContainerStatus.RUNNING: "running",
    ContainerStatus.STOPPED: "stopped",
    ContainerStatus.PAUSED: "paused",
    ContainerStatus.EXITED: "exited",
    ContainerStatus.REMOVING: "removing",
    ContainerStatus.STOPPING: "stopping",
}

S = ContainerStatus
ANY = frozenset(S)
LIVE = frozenset({S.CREATED, S.RUNNING, S.PAUSED, S.STOPPING})
"""The states in which the OCI runtime holds a process for the container."""


class Operation(enum.StrEnum):
    """What can be asked of a container; the value is the verb used in messages."""

    INIT = "init"
    START = "start"
    STOP = "stop"
    KILL = "kill"
    EXEC = "exec in"
    ATTACH = "attach to"
    PAUSE = "pause"
    UNPAUSE = "unpause"
    MOUNT = "mount"
    CLEANUP = "clean up"
    CHECKPOINT = "checkpoint"
    RESTORE = "restore"
    TOP = "list processes of"
    COMMIT = "commit"
    EXPORT = "export"
    COPY = "copy files of"
    UPDATE = "update"
    RENAME = "rename"
    NETWORK = "change the networks of"
    REMOVE = "remove"


ALLOWED: dict[Operation, frozenset[ContainerStatus]] = {
    Operation.INIT: frozenset({S.CONFIGURED, S.STOPPED, S.EXITED}),
    Operation.START: frozenset({S.CONFIGURED, S.CREATED, S.STOPPED, S.EXITED}),
    Operation.STOP: frozenset({S.CREATED, S.RUNNING, S.STOPPED, S.EXITED, S.STOPPING, S.PAUSED}),
    Operation.KILL: frozenset({S.CREATED, S.RUNNING, S.PAUSED, S.STOPPING}),
    Operation.EXEC: frozenset({S.RUNNING}),
    Operation.ATTACH: frozenset({S.CREATED, S.RUNNING}),
    Operation.PAUSE: frozenset({S.RUNNING}),
    Operation.UNPAUSE: frozenset({S.PAUSED}),
    Operation.MOUNT: ANY - {S.REMOVING},
    Operation.CLEANUP: ANY - {S.RUNNING, S.PAUSED, S.STOPPING},
    Operation.CHECKPOINT: frozenset({S.RUNNING}),
    Operation.RESTORE: frozenset({S.CONFIGURED, S.EXITED}),
    Operation.TOP: frozenset({S.RUNNING, S.PAUSED}),
    Operation.COMMIT: ANY - {S.REMOVING},
    Operation.EXPORT: ANY - {S.REMOVING},
    Operation.COPY: ANY - {S.REMOVING},
    Operation.UPDATE: ANY - {S.REMOVING},
    Operation.RENAME: ANY - {S.REMOVING},
    Operation.NETWORK: ANY - {S.REMOVING},
    Operation.REMOVE: frozenset({S.CONFIGURED, S.CREATED, S.STOPPED, S.EXITED, S.REMOVING, S.UNKNOWN}),
}
