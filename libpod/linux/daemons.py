"""Programs that put themselves into the background.

Their standard streams lead nowhere: a pipe would stay open in the daemon, and whoever reads it would wait for ever.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from libpod.define.errors import CommandError
from libpod.linux.process import StrPath, spawned


def start_daemon(argv: Sequence[StrPath], *, timeout: float) -> None:
    """Run *argv* until its foreground part ends well; CommandError when it does not, or not within *timeout* s."""
    words = [str(word) for word in argv]
    with spawned(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
        try:
            status = child.wait(timeout=timeout)
        except subprocess.TimeoutExpired:
            raise CommandError(
                argv=words, returncode=-9, stderr=f"not in the background after {timeout:g} seconds"
            ) from None
    if status != 0:
        raise CommandError(argv=words, returncode=status, stderr="")
