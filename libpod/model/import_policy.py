"""What an archive may ask for when it is woken.

An archive says how its container is to be run, and whoever made it may want more than whoever wakes it: podman takes
all of it from the file, so that a restore there is as powerful as `run --privileged -v /:/host`. Here a policy says
what is granted. The default is for archives of unknown origin: what an ordinary container needs, published ports, named
volumes and bind mounts of ordinary directories included, and nothing that gives it power over the host.

    runtime.restore(import_=path)                                               the default
    runtime.restore(import_=path, policy=ImportPolicy(devices=True))            that much more
    runtime.restore(import_=path, policy=ImportPolicy.trusted())                an archive of one's own

The memory of the processes comes from the archive too, and CRIU believes it. The policy looks at what it says about
their rights; but who wakes an archive runs a stranger's program, as with a stranger's image.

Covers: nothing upstream
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import PurePath

import attrs

SENSITIVE = (
    "/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/root", "/run", "/sbin", "/sys",
    "/usr", "/var/lib", "/var/run", "/var/spool",
)  # fmt: skip
"""Directories of the host that the default policy shows to nobody, with all below them. So are all hidden ones."""


def _prefixes(value: Iterable[str | os.PathLike[str]] | None) -> tuple[str, ...] | None:
    return None if value is None else tuple(os.path.normpath(os.fspath(item)) for item in value)


def _names(value: Iterable[str]) -> frozenset[str]:
    return frozenset(value)


@attrs.frozen(kw_only=True)
class ImportPolicy:
    """What is granted. The defaults are those for archives of unknown origin."""

    bind_mounts: bool = True
    """Bind mounts of host paths at all: those in `bind_sources`, or all that are not sensitive."""
    bind_sources: tuple[str, ...] | None = attrs.field(default=None, converter=_prefixes)
    """Directories of the host that may be bound, with all below; None: any that is neither sensitive nor hidden."""
    other_mounts: bool = False
    """Mounts of other kinds than a container's own (proc, tmpfs, …): disks, overlays, network file systems."""
    privileged: bool = False
    devices: bool = False
    """Device nodes, and rules that grant access to more devices than every container has."""
    capabilities: frozenset[str] = attrs.field(default=frozenset(), converter=_names)
    """Capabilities beyond the usual ones; {"ALL"} for any."""
    host_namespaces: bool = False
    """The host's network, processes or IPC, or namespaces given by a path."""
    unconfined: bool = False
    """No seccomp filter, no AppArmor profile, kernel files that are usually masked."""
    ports: bool = True
    """Published ports."""
    runtime_settings: bool = False
    """Annotations by which the archive configures CRIU or the OCI runtime: they name files of this host."""
    host_files: bool = False
    """Files of this host that become part of the container's own: another hosts file."""

    @classmethod
    def trusted(cls) -> ImportPolicy:
        """Everything, as podman does: for archives that one has made oneself."""
        return cls(
            bind_sources=("/",),
            other_mounts=True,
            privileged=True,
            devices=True,
            capabilities=frozenset({"ALL"}),
            host_namespaces=True,
            unconfined=True,
            runtime_settings=True,
            host_files=True,
        )

    def may_bind(self, source: str) -> bool:
        """Whether a path of the host, links resolved, may be shown to the container."""
        if not self.bind_mounts:
            return False
        if self.bind_sources is not None:
            return any(_is_below(source, prefix) for prefix in self.bind_sources)
        hidden = any(part.startswith(".") for part in PurePath(source).parts)
        return source != "/" and not hidden and not any(_is_below(source, place) for place in SENSITIVE)

    def may_have(self, capability: str) -> bool:
        """Whether a capability beyond the usual ones is granted."""
        return bool({"ALL", capability} & self.capabilities)


def _is_below(path: str, directory: str) -> bool:
    return path == directory or path.startswith(f"{directory.rstrip('/')}/")
