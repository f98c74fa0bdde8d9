"""A running container becomes images.

The runtime drives CRIU, which freezes, dumps, and kills init unless the container is to go on. conmon takes that for
an ordinary end by SIGKILL: it writes exit file 137 and runs the exit command. So the end is awaited here and its traces
are removed, else a late exit file would make the restored container look dead. The exit command may wait for the lock
that our caller holds: the exit file is awaited, never conmon's end.

When the dump fails the container runs on, thawed; partial images and dump.log stay in the directories of the request.
Killed in between, the container is running, frozen or gone: the state of its init tells.

Covers: oci_conmon_common.go (CheckpointContainer)
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from libpod.define.errors import CommandError
from libpod.linux.files import remove_tree
from libpod.linux.process import run
from libpod.oci import arguments, criu_config
from libpod.oci.base import Bundle, DumpRequest, Launched
from libpod.oci.deleting import delete
from libpod.oci.ending import wait_exit
from libpod.oci.errors import Phase, log_text, read_log, runtime_error

if TYPE_CHECKING:
    from libpod.oci.programs import Programs

logger = logging.getLogger(__name__)

EXIT_TIMEOUT = 60.0
"""Seconds that conmon may take to notice the end."""


def checkpoint(programs: Programs, bundle: Bundle, request: DumpRequest, launched: Launched) -> int:
    """See `OciRuntime.checkpoint`."""
    bundle.oci_log.unlink(missing_ok=True)
    began = time.monotonic_ns()
    try:
        words = () if request.lock_network else ("network-lock skip",)
        with criu_config.telling(programs.environment, bundle.directory, words) as environment:
            run(arguments.checkpoint_args(programs.runtime, bundle, request), env=environment)
    except CommandError as error:
        text = read_log(bundle.oci_log) or log_text(error.stderr) or error.stderr
        raise runtime_error(
            Phase.CHECKPOINT, bundle.name, text, criu_log=request.work_dir / "dump.log"
        ) from error
    took = (time.monotonic_ns() - began) // 1000
    if not (request.leave_running or request.pre_dump):
        if wait_exit(bundle, launched, EXIT_TIMEOUT) is None:
            logger.warning("conmon of container %s has not noticed that it was checkpointed", bundle.name)
        # With its pid file gone, nobody takes this conmon for one that hangs; it may run the exit command for long.
        bundle.conmon_pid_file.unlink(missing_ok=True)
        bundle.exit_file.unlink(missing_ok=True)
        remove_tree(bundle.persist_dir)
        # The runtime has removed its state and cgroups already; this finds what it forgot.
        delete(programs, bundle, init=launched.init, force=True)
    return took
