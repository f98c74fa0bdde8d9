"""What becomes of a container whose checkpointing process was killed.

The lock is ours, so nobody is at work on it. Its init tells: alive, it is thawed and runs on as if nothing had been
asked; dead with a complete set of images, the images are its checkpoint and it is restorable; dead without, it has
ended like any other.

Covers: nothing upstream; podman takes the dead container for one that was killed.
"""

from __future__ import annotations

import logging

from libpod.checkpoint import members
from libpod.container_internal.held import LockedContainer
from libpod.container_internal.launching import bundle_for, identity_of_init
from libpod.define.status import ContainerStatus
from libpod.model.times import now

logger = logging.getLogger(__name__)


def settle(held: LockedContainer) -> None:
    """Finish or forget the checkpoint that was interrupted."""
    runtime = held.services.runtimes.for_container(held.config)
    bundle = bundle_for(held)
    if identity_of_init(held.state).alive():
        runtime.resume(bundle)
        held.update(checkpointing=False)
        logger.warning("container %s: its checkpoint was interrupted; it runs on", held.name)
        return
    images = bundle.directory / members.CHECKPOINT_DIR
    complete = (images / members.INVENTORY).exists() and (bundle.directory / members.STATS_DUMP).exists()
    if not complete:
        held.update(checkpointing=False)
        return  # an ordinary end: sync finds its exit file
    ended = runtime.exit_status(bundle)
    held.update(
        status=ContainerStatus.STOPPED,
        checkpointing=False,
        checkpointed=True,
        checkpointed_time=now(),
        checkpoint_path=str(images),
        finished_time=ended.finished if ended is not None else now(),
        exited=True,
        exit_code=0,
        stopped_by_user=True,
    )
    logger.warning(
        "container %s: its checkpoint was interrupted; it can be restored from its own images", held.name
    )
