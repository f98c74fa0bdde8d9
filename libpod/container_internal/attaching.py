"""Connecting to a container's streams.

Covers: libpod/container_attach_linux.go, libpod/oci_conmon_attach_common.go
"""

from __future__ import annotations

from libpod.container_internal import lifecycle
from libpod.container_internal.held import LockedContainer
from libpod.container_internal.launching import bundle_for
from libpod.define.errors import InvalidStateError
from libpod.define.status import ContainerStatus, Operation
from libpod.model.event import EventStatus
from libpod.oci.attach import AttachStream
from libpod.oci.base import DEFAULT_BUFFER

TIME_TO_REMOVE = 1
"""Seconds; conmon counts no smaller ones."""


def attach(held: LockedContainer, *, back_pressure: bool = False) -> AttachStream:
    """Connect now; see `Container.attach`."""
    held.require(Operation.ATTACH)
    if held.config.log_driver.startswith("passthrough"):
        raise InvalidStateError(
            f"container {held.name} uses the log driver passthrough: its streams belong to whoever started it"
        )
    buffer = None if back_pressure else DEFAULT_BUFFER
    stream = lifecycle.runtime_of(held).attach(bundle_for(held), buffer=buffer)
    held.emit(EventStatus.ATTACH)
    return stream


def start_attached(
    held: LockedContainer, *, back_pressure: bool = False, will_remove: bool = False
) -> AttachStream:
    """Start with the streams connected first; a start that fails closes them."""
    held.require(Operation.START)
    if held.status is not ContainerStatus.CREATED:
        leave_it = will_remove and held.config.auto_remove and held.config.restart_policy in {"", "no"}
        lifecycle.init(held, exit_delay=TIME_TO_REMOVE if leave_it else 0)
    stream = attach(held, back_pressure=back_pressure)
    try:
        lifecycle.start(held)
    except BaseException:
        stream.close()
        raise
    return stream


def resize(held: LockedContainer, rows: int, columns: int) -> None:
    """Set the size of the terminal."""
    held.require(Operation.ATTACH)
    lifecycle.runtime_of(held).resize(bundle_for(held), rows, columns)
