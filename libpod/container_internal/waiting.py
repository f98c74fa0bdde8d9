"""Waiting for a container, without polling and without its lock.

The end of a container is awaited on the exit file and its processes' pidfds. For other conditions the file of the
volatile records is watched, which every change of a state is written to: the record is read after each, without a lock,
and the container is looked at when it differs. A container that is removed meanwhile left its exit code.

Covers: libpod/container_api.go (Wait, WaitForExit, WaitForConditionWithInterval)
"""

from __future__ import annotations

import contextlib
import errno
import time
from collections.abc import Sequence

from libpod.container_internal.launching import (
    bundle_of,
    identity_of_conmon,
    identity_of_init,
    launched_of,
)
from libpod.container_internal.locked import locked
from libpod.container_internal.services import Services
from libpod.define.errors import NoSuchContainerError, NoSuchExitCodeError, WaitTimeoutError
from libpod.define.status import LIVE, ContainerStatus
from libpod.linux import pidfd
from libpod.linux.inotify import IN_MODIFY, IN_MOVED_TO, Inotify
from libpod.model.container_config import ContainerConfig
from libpod.model.container_state import ContainerState

NO_EXIT = -1
_STEP = 0.1
"""Where nothing can be watched: no inotify instance left, or records in memory."""
_LONGEST = 5.0
"""Even so it is looked at afresh now and then: the watched file goes when somebody deletes the run root."""


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
    with contextlib.ExitStack() as stack:
        # Before the first look, so that no change falls between look and watch.
        watch = _watch(services, stack) if wanted is not None else None
        return _waited(services, config, wanted, watch, timeout, deadline, or_none)


def _waited(
    services: Services,
    config: ContainerConfig,
    wanted: set[ContainerStatus] | None,
    watch: Inotify | None,
    timeout: float | None,
    deadline: float | None,
    or_none: bool,
) -> int:
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
                f"container {config.name} is {status.word} still after {timeout or 0.0:g} seconds",
                resolution="wait longer, or stop it",
            )
        if status in LIVE and wanted is None:
            services.runtimes.for_container(config).wait_exit(
                bundle_of(services, config), launched_of(state), left
            )
        else:
            _until_changed(services, config, state, watch, left)


def _watch(services: Services, stack: contextlib.ExitStack) -> Inotify | None:
    files = services.state.change_files()
    if not files:
        return None
    try:
        watch = stack.enter_context(Inotify())
        watch.watch(services.paths.exits, IN_MOVED_TO)
        for path in files:
            watch.watch(path, IN_MODIFY)
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENOSPC, errno.ENOENT):
            return None
        raise
    return watch


def _until_changed(
    services: Services,
    config: ContainerConfig,
    seen: ContainerState,
    watch: Inotify | None,
    left: float | None,
) -> None:
    """Return when the container may be in another state than *seen*, or the time is over."""
    if watch is None:
        time.sleep(_STEP if left is None else min(_STEP, left))
        return
    end = time.monotonic() + (_LONGEST if left is None else min(_LONGEST, left))
    with pidfd.opened(identity_of_conmon(seen)) as conmon, pidfd.opened(identity_of_init(seen)) as init:
        # While conmon lives, the exit file tells of the end; a dead init may have to wait for it.
        process = conmon if conmon is not None and not pidfd.ended(conmon) else init
        waiting = [watch.fileno(), *([process] if process is not None else [])]
        while (now := time.monotonic()) < end:
            ready = pidfd.wait_readable(waiting, end - now)
            if process in ready or any(event.name == config.id for event in watch.read()):
                return
            try:
                if services.state.container_state(config.id) != seen:
                    return
            except NoSuchContainerError:
                return


def _code_of_removed(services: Services, config: ContainerConfig) -> int:
    try:
        return services.state.exit_record(config.id).code
    except NoSuchExitCodeError:
        raise NoSuchContainerError(config.name) from None
