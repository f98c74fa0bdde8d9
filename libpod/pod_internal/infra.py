"""The infra container: it owns the namespaces that a pod's members share, and does nothing.

Its root is a directory of the engine's own with one static program in it, `catatonit -P`, which waits for ever and
reaps what is handed to it; no image is needed, and nothing is pulled.

Covers: libpod/runtime_pod_linux.go, pkg/specgen/generate/pod_create.go
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from libpod.container_internal.services import Services
from libpod.define.errors import ProgramMissingError
from libpod.linux.files import replacing
from libpod.linux.process import find_program
from libpod.model.create_options import CreateOptions
from libpod.model.pod import PodConfig
from libpod.model.pod_options import PodOptions

PROGRAM = "catatonit"
_PLACES = ("/usr/libexec/podman/catatonit", "/usr/local/libexec/podman/catatonit")


def infra_options(services: Services, pod: PodConfig, options: PodOptions) -> CreateOptions:
    """The request for a pod's infra container."""
    asked: Mapping[str, Any] = options.infra_options
    fields: dict[str, Any] = {
        "rootfs": str(root_directory(services)),
        "name": options.infra_name or f"{pod.id[:12]}-infra",
        "command": (f"/{PROGRAM}", "-P"),
        "read_only": True,
        "pod": pod.id,
        "stop_timeout": 0,
        **({"hostname": pod.hostname or pod.name} if "uts" in options.share else {}),
        **asked,
    }
    if "net" not in options.share and "network" not in asked:
        fields["network"] = "none"
    return CreateOptions(**fields)


def root_directory(services: Services) -> Path:
    """The root of all infra containers, made at first use."""
    root = services.paths.durable / "infra"
    program = root / PROGRAM
    if not program.exists():
        source = next((place for place in _PLACES if os.access(place, os.X_OK)), None) or find_program(
            PROGRAM
        )
        if source is None:
            raise ProgramMissingError(
                PROGRAM,
                purpose="hold the namespaces of a pod",
                resolution=f"install {PROGRAM}, or make the pod without infra",
            )
        for name in ("proc", "sys", "dev", "etc", "run", "tmp"):
            (root / name).mkdir(parents=True, exist_ok=True, mode=0o755)
        with open(source, "rb") as original, replacing(program, mode=0o755) as copy:
            shutil.copyfileobj(original, copy)
    return root
