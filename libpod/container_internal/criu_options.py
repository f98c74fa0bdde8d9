"""Options that CRIU has and the OCI runtime has no flag for, told through CRIU's configuration file.

runc hands the file that the annotation `org.criu.config` names to CRIU, where it wins over everything else. The file
and the annotation are there for one restore only: a later dump must not see them. What a user's own annotation names is
put first in the file.

A kill in between leaves both; the words are those of a restore, and a dump does not mind them.

Covers: nothing upstream; runc.8 and criu(8) describe the file
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from libpod.container_internal import specification
from libpod.container_internal.held import LockedContainer
from libpod.linux.files import write_atomic
from libpod.oci.base import RuntimeCapabilities
from libpod.oci.discovery import version_tuple

ANNOTATION = "org.criu.config"
FILE = "criu.conf"
_TCP_CLOSE_SINCE = (1, 23)


def has_tcp_close(capabilities: RuntimeCapabilities) -> bool:
    """Whether the runtime has a flag of its own for it: crun since 1.23, runc never."""
    return capabilities.name == "crun" and version_tuple(capabilities.version) >= _TCP_CLOSE_SINCE


@contextlib.contextmanager
def told(held: LockedContainer, *words: str) -> Iterator[None]:
    """CRIU hears *words*, one option each without dashes, for the duration of the block."""
    if not words:
        yield
        return
    config_file = held.directory / "config.json"
    original = specification.read_config(config_file)
    annotations = dict(original.get("annotations") or {})
    own = annotations.get(ANNOTATION, "")
    with contextlib.suppress(OSError):
        words = (Path(own).read_text(encoding="utf-8"), *words) if own else words
    path = held.directory / FILE
    write_atomic(path, ("\n".join(words) + "\n").encode(), durable=False)
    changed = {**original, "annotations": {**annotations, ANNOTATION: str(path)}}
    specification.put_back(config_file, changed)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        specification.put_back(config_file, original)
