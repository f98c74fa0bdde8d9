"""Which OCI runtime new containers get, remembered for the boot.

Asking each candidate for its version and abilities costs several processes; the answer holds as long as the binaries
and the kernel are the same.

Covers: libpod/runtime.go (the default of OCIRuntime)
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from libpod.config import RuntimeConfig
from libpod.linux.files import write_atomic
from libpod.linux.pidfd import boot_id


def default_runtime(config: RuntimeConfig, cache: Path) -> str:
    """The name of the first runtime that works here and can checkpoint; see `libpod.oci.discovery.choose`."""
    signature = _signature(config)
    try:
        known = json.loads(cache.read_bytes())
        if known["signature"] == signature:
            return str(known["name"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # not there, or of another format: ask
    from libpod.oci import discovery

    chosen = discovery.choose(places=config.runtimes)
    write_atomic(cache, json.dumps({"signature": signature, "name": chosen.name}).encode(), durable=False)
    return chosen.name


def _signature(config: RuntimeConfig) -> list[Any]:
    """What the answer depends on: this boot, and every binary that could be asked."""
    seen = []
    for name, places in sorted(config.runtimes.items()):
        for place in places:
            try:
                found = os.stat(place)
            except OSError:
                continue
            seen.append([name, place, found.st_size, found.st_mtime_ns])
    return [boot_id(), seen]
