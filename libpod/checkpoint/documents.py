"""config.dump, spec.dump, network.status and deleted.files as every podman wrote and reads them.

Pure functions over JSON objects; who owns the record of a container converts it to and from such an object.

Written, beyond the record itself: the networks as the map `newNetworks` (4.x, 5.x and 6.0 read it; `orderedNetworks`
alone would leave 4.x and 5.x without a network) and without the alias that is the container's short id, since a copy
gets another id; `rootfsImage`, `checkpointedTime` and `restored`, which checkpointctl and CRI-O look for;
in the specification `io.container.manager` = `libpod`, by which checkpointctl knows the engine, and an empty
`io.kubernetes.cri-o.Annotations`, without which CRI-O refuses the archive. podman ignores all of these.

Read: keys match without regard to case and `null` means absent, as in Go. Three generations of networks and two of
ports become `newNetworks` and `newPortMappings`:

    1.4 – 3.4   networks (names), staticIP, staticMAC, networkAliases, portMappings
    4.0 – 5.8   newNetworks (map), newPortMappings
    6.0         orderedNetworks (list of {name, ...options}), newPortMappings

Covers: pkg/checkpoint/checkpoint_restore.go, libpod/container_internal_common.go (prepareCheckpointExport)
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from libpod.checkpoint import members
from libpod.define.errors import ArchiveError, short

Document = dict[str, Any]

_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
MANAGER_KEY = "io.container.manager"
CRIO_ANNOTATIONS_KEY = "io.kubernetes.cri-o.Annotations"


# ---- writing ---------------------------------------------------------------------------------------------------


def encode_document(document: object) -> bytes:
    """Two-space indented JSON with the characters escaped that Go escapes."""
    text = json.dumps(document, indent=2, ensure_ascii=False)
    for character, escape in _ESCAPES.items():
        if character in text:
            text = text.replace(character, escape)
    return text.encode(errors="surrogateescape")


def config_document(config: Mapping[str, Any], *, checkpointed: str, own_network: bool = False) -> Document:
    """The object for config.dump. *checkpointed* is the moment in RFC 3339.

    *own_network*: the engine made the network namespace, as ours does for `--network none` too. podman has to be told,
    or it would look for that namespace at the path it had here.
    """
    document = dict(config)
    if own_network:
        document["createNetNS"] = True
    networks = _networks(document)
    for key in ("orderedNetworks", "networks", "staticIP", "staticMAC", "networkAliases"):
        document.pop(key, None)
    own_alias = short(str(document.get("id", "")))
    if networks:
        document["newNetworks"] = {
            name: _without_alias(options, own_alias) for name, options in networks.items()
        }
    else:
        document.pop("newNetworks", None)
    document["rootfsImage"] = document.get("rootfsImageName", "")
    document["checkpointedTime"] = checkpointed
    document["restored"] = False
    return document


def spec_document(spec: Mapping[str, Any], *, sources: Mapping[str, str] | None = None) -> Document:
    """The object for spec.dump: the specification as it ran, with what other engines look for.

    *sources* replaces the sources of bind mounts: podman makes a volume anew in its own place, but takes the path of
    its content from here.
    """
    document = dict(spec)
    if sources:
        document["mounts"] = [
            mount | {"source": sources[mount["source"]]} if mount.get("source") in sources else mount
            for mount in document.get("mounts") or ()
        ]
    annotations = dict(document.get("annotations") or {})
    annotations.setdefault(MANAGER_KEY, "libpod")
    annotations.setdefault(CRIO_ANNOTATIONS_KEY, "{}")
    document["annotations"] = annotations
    return document


def containerd_status(config: Mapping[str, Any], *, created_ns: int) -> Document:
    """The object for status.dump, by which containerd knows a container: a CRI ContainerStatus, as it was running."""
    return {
        "id": config.get("id", ""),
        "metadata": {"name": config.get("name", "")},
        "state": 1,
        "created_at": created_ns,
        "started_at": created_ns,
        "image": {"image": config.get("rootfsImageName", "")},
        "image_ref": config.get("rootfsImageID", ""),
        "labels": config.get("labels") or {},
        "annotations": {},
    }


def _without_alias(options: Any, own_alias: str) -> Any:
    if not isinstance(options, dict) or own_alias not in (options.get("aliases") or ()):
        return options
    kept = [alias for alias in options["aliases"] if alias != own_alias]
    changed = {key: value for key, value in options.items() if key != "aliases"}
    return changed | ({"aliases": kept} if kept else {})


# ---- reading ---------------------------------------------------------------------------------------------------


def read_config(data: bytes, *, archive: str) -> Document:
    """config.dump as an object with today's keys for networks and ports; raises ArchiveError.

    What only describes the archive (`rootfsImage`, `checkpointedTime`, `restoredTime`, `restored`) is left out.
    """
    document = _object(data, members.CONFIG_DUMP, archive)
    spelled = {key.lower(): key for key in document}
    for lower in ("rootfsimage", "rootfsimageref", "checkpointedtime", "restoredtime", "restored"):
        if lower in spelled:
            del document[spelled[lower]]
    for known in _NORMALISED:
        found = spelled.get(known.lower())
        if found is not None and known not in document:
            document[known] = document.pop(found)
    document = {key: value for key, value in document.items() if value is not None}
    for known in ("newPortMappings", "portMappings", "orderedNetworks"):
        if not isinstance(document.get(known, []), list):
            raise ArchiveError(archive, f"its {members.CONFIG_DUMP} has {known} that is no list")
    networks, ports = _networks(document), _ports(document)
    for key in _NORMALISED:
        document.pop(key, None)
    if networks:
        document["newNetworks"] = networks
    if ports:
        document["newPortMappings"] = ports
    for key in ("id", "name"):
        if not isinstance(document.get(key), str):
            raise ArchiveError(archive, f"its {members.CONFIG_DUMP} has no {key}")
    return document


_NORMALISED = (
    "orderedNetworks",
    "newNetworks",
    "networks",
    "staticIP",
    "staticMAC",
    "networkAliases",
    "newPortMappings",
    "portMappings",
)


def read_spec(data: bytes, *, archive: str) -> Document:
    """spec.dump as an object; raises ArchiveError unless it has the parts that every specification has."""
    document = _object(data, members.SPEC_DUMP, archive)
    for key in ("process", "root", "linux"):
        if not isinstance(document.get(key), dict):
            raise ArchiveError(archive, f"its {members.SPEC_DUMP} has no {key}")
    return document


def read_network_status(data: bytes) -> dict[str, Document]:
    """network.status by network name; empty for podman 1.4 to 3.4, which wrote a list of CNI results.

    The addresses in such a list belong to no network by name, so fresh ones are used, as podman does.
    """
    try:
        document = json.loads(data)
    except ValueError:
        return {}
    if not isinstance(document, dict):
        return {}
    return {name: status for name, status in document.items() if isinstance(status, dict)}


def _object(data: bytes, member: str, archive: str) -> Document:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ArchiveError(archive, f"its {member} is not JSON") from error
    if not isinstance(document, dict):
        raise ArchiveError(archive, f"its {member} is not an object")
    return document


def _networks(document: Mapping[str, Any]) -> Document:
    """The networks of any generation as the map of the second."""
    current = document.get("newNetworks")
    if isinstance(current, dict) and current:
        return {name: options if isinstance(options, dict) else {} for name, options in current.items()}
    ordered = document.get("orderedNetworks")
    if isinstance(ordered, list) and ordered:
        return {
            entry["name"]: {key: value for key, value in entry.items() if key != "name"}
            for entry in ordered
            if isinstance(entry, dict) and isinstance(entry.get("name"), str)
        }
    return _first_generation(document)


def _first_generation(document: Mapping[str, Any]) -> Document:
    names = document.get("networks")
    if not isinstance(names, list):
        return {}
    aliases = document.get("networkAliases")
    address, mac = document.get("staticIP"), document.get("staticMAC")
    networks: Document = {}
    for index, name in enumerate(name for name in names if isinstance(name, str)):
        options: Document = {"interface_name": f"eth{index}"}
        if isinstance(aliases, dict) and aliases.get(name):
            options["aliases"] = list(aliases[name])
        if index == 0 and address:
            options["static_ips"] = [address]
        if index == 0 and mac:
            options["static_mac"] = mac
        networks[name] = options
    return networks


def _ports(document: Mapping[str, Any]) -> list[Document]:
    current = document.get("newPortMappings")
    if isinstance(current, list) and current:
        return [port for port in current if isinstance(port, dict)]
    old = document.get("portMappings")
    if not isinstance(old, list):
        return []
    return [
        {
            "host_ip": port.get("hostIP") or "",
            "container_port": port.get("containerPort", 0),
            "host_port": port.get("hostPort", 0),
            "range": 1,
            "protocol": port.get("protocol") or "tcp",
        }
        for port in old
        if isinstance(port, dict)
    ]
