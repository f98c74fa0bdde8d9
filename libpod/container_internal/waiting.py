"""Waiting for a container, without polling and without its lock.

The end of a container is awaited on the exit file and its processes' pidfds; other conditions are awaited on the
events, and looked at afresh after each. A container that is removed meanwhile left its exit code.

Covers: libpod/container_api.go (Wait, WaitForExit, WaitForConditionWithInterval)
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from libpod.container_internal.launching import bundle_of, launched_of
from libpod.container_internal.locked import locked
from libpod.container_internal.services import Services
from libpod.define.errors import NoSuchContainerError, NoSuchExitCodeError, WaitTimeoutError
from libpod.define.status import LIVE, ContainerStatus
from libpod.model.container_config import ContainerConfig

NO_EXIT = -1
_STEP = 0.1


def wait(
    services: Services,
    config: ContainerConfig,
    condition: ContainerStatus | Sequence[ContainerStatus] | None,
    *,
    timeout: float | None,
    or_none: bool = False,
) -> int:
    """See `Container.wait`."""
    deadline = None if timeout is None else time.monotonic() + timeout
    wanted = (
        None
        if condition is None
        else {condition}
        if isinstance(condition, ContainerStatus)
        else set(condition)
    )
    while True:
        try:
            with locked(services, config.id) as held:
                status, state = held.status, held.state
        except NoSuchContainerError:
            return _code_of_removed(services, config)
        if wanted is None:
            if status not in LIVE or status is ContainerStatus.CREATED:
                return state.exit_code
        elif status in wanted:
            return state.exit_code if state.exited else NO_EXIT
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            if or_none:
                return NO_EXIT
            raise WaitTimeoutError(
                f"container {config.name} is {status.word} still after {timeout:g} seconds",
                resolution="wait longer, or stop it",
            )
        if status in LIVE and wanted is None:
            services.runtimes.for_container(config).wait_exit(
                bundle_of(services, config), launched_of(state), left
            )
        else:
            _pause(services, config, state_is_live=status in LIVE, left=left)


def _pause(services: Services, config: ContainerConfig, *, state_is_live: bool, left: float | None) -> None:
    """Until something may have changed. Changes that are no exits are made by other programs under the lock, which
    leaves no trace to wait on: a short step, and for a live container at once when it ends."""
    step = _STEP if left is None else min(_STEP, left)
    if state_is_live:
        state = services.state.container_state(config.id)
        services.runtimes.for_container(config).wait_exit(
            bundle_of(services, config), launched_of(state), step
        )
    else:
        time.sleep(step)


def _code_of_removed(services: Services, config: ContainerConfig) -> int:
    try:
        return services.state.exit_record(config.id).code
    except NoSuchExitCodeError:
        raise NoSuchContainerError(config.name) from None
