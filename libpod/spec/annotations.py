"""Annotations that podman and those who read its containers understand.

Covers: libpod/define/annotations.go, pkg/annotations
"""

from __future__ import annotations

MANAGER = "io.container.manager"
CREATED = "io.kubernetes.cri-o.Created"
TTY = "io.kubernetes.cri-o.TTY"
SANDBOX_ID = "io.kubernetes.cri-o.SandboxID"
CONTAINER_TYPE = "io.kubernetes.cri-o.ContainerType"
STOP_SIGNAL = "org.opencontainers.image.stopSignal"
AUTO_REMOVE = "io.podman.annotations.autoremove"
INIT = "io.podman.annotations.init"
PRIVILEGED = "io.podman.annotations.privileged"
PUBLISH_ALL = "io.podman.annotations.publish-all"
VOLUMES_FROM = "io.podman.annotations.volumes-from"
SECCOMP = "io.podman.annotations.seccomp"
APPARMOR = "io.podman.annotations.apparmor"
LABEL = "io.podman.annotations.label"

MANAGER_NAME = "libpod"
"""Readers of checkpoint archives know podman's by this."""

TRUE, FALSE = "TRUE", "FALSE"


def flag(value: bool) -> str:
    """TRUE or FALSE, as podman writes them."""
    return TRUE if value else FALSE
