"""What CRIU says about processors: its description of this one, and whether another's processes can go on here.

The description is CRIU's own image, in base64, so that it can travel as a word. `criu.describe_cpu` keeps it.

Covers: nothing upstream; criu(8), `cpuinfo dump` and `cpuinfo check`
"""

from __future__ import annotations

import base64
import binascii
import logging
import tempfile
from pathlib import Path

from libpod.define.errors import CommandError
from libpod.linux.process import run

logger = logging.getLogger(__name__)

IMAGE = "cpuinfo.img"
_TIMEOUT = 30.0
_LARGEST = 64 << 10


def describe(criu: Path) -> str:
    """This processor in CRIU's words; empty where CRIU cannot tell."""
    with tempfile.TemporaryDirectory(prefix="libpod-cpuinfo-") as directory:
        try:
            run([criu, "cpuinfo", "dump", "--images-dir", directory], timeout=_TIMEOUT)
            return base64.b64encode(Path(directory, IMAGE).read_bytes()).decode("ascii")
        except (CommandError, FileNotFoundError) as error:
            logger.info("CRIU does not describe this processor: %s", error)
            return ""


def mismatch(criu: Path, description: str) -> str | None:
    """What CRIU has against processes from the processor of *description*, its own last line; None for nothing.

    Raises ValueError for what is no description.
    """
    if len(description) > _LARGEST:
        raise ValueError("a description of a processor is shorter")
    try:
        image = base64.b64decode(description, validate=True)
    except binascii.Error as error:
        raise ValueError("not in base64") from error
    with tempfile.TemporaryDirectory(prefix="libpod-cpuinfo-") as directory:
        Path(directory, IMAGE).write_bytes(image)
        try:
            run([criu, "cpuinfo", "check", "--images-dir", directory], timeout=_TIMEOUT)
        except CommandError as error:
            said = error.stderr.strip().splitlines()
            return said[-1].partition("): ")[2] or said[-1] if said else f"status {error.returncode}"
    return None
