"""What CRIU is told past the OCI runtime, which has no flag for it.

CRIU reads the file that `$CRIU_CONFIG_FILE` names before it hears the runtime, and after that the one that the
annotation `org.criu.config` of a container names: who says the contrary there wins. What the environment names already
comes first in our file, which lies in the bundle for one dump or one restore. A kill leaves it; nobody reads it by
chance, for it must be named.

Covers: nothing upstream; criu(8) describes the file
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from libpod.linux.files import write_atomic

VARIABLE = "CRIU_CONFIG_FILE"
FILE = "criu.conf"


@contextlib.contextmanager
def telling(
    environment: Mapping[str, str], directory: Path, words: Sequence[str]
) -> Iterator[Mapping[str, str]]:
    """The environment in which CRIU hears *words*, one option each without dashes, as long as the block lasts."""
    if not words:
        yield environment
        return
    named = environment.get(VARIABLE, "")
    own = [Path(named).read_text(encoding="utf-8")] if named else []
    path = directory / FILE
    write_atomic(path, ("\n".join([*own, *words]) + "\n").encode(), durable=False)
    try:
        yield {**environment, VARIABLE: str(path)}
    finally:
        path.unlink(missing_ok=True)
