"""Devices of a container: nodes to make, and what the devices cgroup lets through.

The runtime itself makes null, zero, full, random, urandom, tty and ptmx and allows them. Everything else is denied
first and then allowed one by one; a privileged container has all devices of the host and may use any.

Covers: pkg/specgen/generate/config_linux.go (DevicesFromPath, addDevice), pkg/util (AddPrivilegedDevices)
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from libpod.define.errors import InvalidArgumentError
from libpod.linux.devices import DeviceNode
from libpod.model.limits import DeviceRequest, DeviceRule

if TYPE_CHECKING:
    from libpod.spec.document_parts import Device, DeviceAccess

DENY_ALL: DeviceAccess = {"allow": False, "access": "rwm"}
ALLOW_ALL: DeviceAccess = {"allow": True, "access": "rwm"}


def requested(
    requests: Iterable[DeviceRequest], nodes: Mapping[str, Sequence[DeviceNode]]
) -> tuple[list[Device], list[DeviceAccess]]:
    """The nodes and the rules for *requests*; *nodes* holds what was found at each source.

    Raises InvalidArgumentError when nothing was.
    """
    devices: list[Device] = []
    rules: list[DeviceAccess] = []
    for request in requests:
        found = nodes.get(request.source, ())
        if not found:
            raise InvalidArgumentError(f"{request.source} is not a device of this machine")
        single = len(found) == 1 and not _is_below(found[0].path, request.source)
        for node in found:
            path = request.destination
            if not single:
                path = posixpath.join(request.destination, posixpath.relpath(node.path, request.source))
            devices.append(entry(node, path))
            rules.append(
                {
                    "allow": True,
                    "type": node.type,
                    "major": node.major,
                    "minor": node.minor,
                    "access": request.access,
                }
            )
    return devices, rules


def _is_below(path: str, directory: str) -> bool:
    return path.startswith(f"{directory.rstrip('/')}/")


def entry(node: DeviceNode, path: str) -> Device:
    """A node of the host as one of the container, at *path*."""
    return {
        "path": path,
        "type": node.type,
        "major": node.major,
        "minor": node.minor,
        "fileMode": node.mode,
        "uid": node.uid,
        "gid": node.gid,
    }


def access(rule: DeviceRule) -> DeviceAccess:
    """A rule as the specification writes it: a number that is left out is any."""
    found: DeviceAccess = {"allow": True, "type": rule.type, "access": rule.access}
    if rule.major is not None:
        found["major"] = rule.major
    if rule.minor is not None:
        found["minor"] = rule.minor
    return found


def privileged(nodes: Iterable[DeviceNode]) -> list[Device]:
    """All devices of the host, where they are there."""
    return [entry(node, node.path) for node in nodes]
