"""A container's log: the file that conmon writes.

Covers: libpod/container_log.go
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import attrs

from libpod.container_internal.launching import bundle_of, identity_of_conmon
from libpod.container_internal.services import Services
from libpod.define.errors import InvalidArgumentError, NotSupportedError
from libpod.define.status import LIVE
from libpod.model.container_config import ContainerConfig
from libpod.model.times import to_nanoseconds
from libpod.oci.logfile import LogRecord, LogSelection, Writer, read_log

LogLine = LogRecord


@attrs.frozen(kw_only=True)
class LogOptions:
    """Which part of a log is wanted."""

    tail: int | None = None
    """Only the last lines; None means all, 0 none of those that are there."""
    since: str | None = None
    """RFC 3339."""
    until: str | None = None
    follow: bool = False
    stdout: bool = True
    stderr: bool = True

    def __attrs_post_init__(self) -> None:
        if self.tail is not None and self.tail < 0:
            raise InvalidArgumentError(f"{self.tail} is not a number of lines")

    def selection(self) -> LogSelection:
        """The same as the driver wants it; raises InvalidArgumentError for a time that is none."""
        streams = {name for name, wanted in (("stdout", self.stdout), ("stderr", self.stderr)) if wanted}
        return LogSelection(
            tail=self.tail,
            since_ns=_moment(self.since),
            until_ns=_moment(self.until),
            streams=frozenset(streams),
        )


def read(services: Services, config: ContainerConfig, options: LogOptions | None) -> Iterator[LogLine]:
    """See `Container.logs`. Takes no lock: the file may be read while it is written."""
    wanted = options or LogOptions()
    services.require_open()
    if config.log_driver not in {"", "k8s-file", "json-file"}:
        raise NotSupportedError(
            f"container {config.name} logs to {config.log_driver}, and there is no file to read",
            resolution="use journalctl"
            if config.log_driver == "journald"
            else "create it with the log driver k8s-file",
        )
    selection = wanted.selection()
    follow = None
    if wanted.follow:
        state = services.state.container_state(config.id)
        if state.status in LIVE:
            follow = Writer(conmon=identity_of_conmon(state), exit_file=bundle_of(services, config).exit_file)
    return read_log(Path(config.log_path), selection, follow=follow)


def _moment(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return to_nanoseconds(text)
    except ValueError as error:
        raise InvalidArgumentError(str(error), resolution="write it as 2026-01-31T12:00:00Z") from error
