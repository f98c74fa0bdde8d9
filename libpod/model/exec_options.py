"""What is asked of an exec.

Covers: libpod/container_exec.go (ExecConfig)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from libpod.define.errors import InvalidArgumentError


class ExecOptions(msgspec.Struct, frozen=True, kw_only=True):
    """One more process in a running container."""

    command: Sequence[str]
    env: Mapping[str, str] = {}
    user: str = ""
    """uid, name, uid:gid or name:group; empty: the container's."""
    workdir: str = ""
    """Empty: the container's."""
    tty: bool = False
    interactive: bool = False
    """Whether input is going to be sent."""
    detach: bool = False
    privileged: bool = False
    size: tuple[int, int] | None = None
    """Rows and columns of the terminal."""
    streams: tuple[int, int, int] | None = None
    """Descriptors to give the process as its own, without a terminal; pipes otherwise."""
    preserve_fds: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "command", tuple(self.command))
        if not self.command:
            raise InvalidArgumentError("there is no command to execute", resolution="give at least one word")
        if self.tty and self.streams is not None:
            raise InvalidArgumentError("a process with a terminal cannot be given other streams")
