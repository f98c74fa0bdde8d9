"""Archives of other times: made from one of ours by writing its documents as each podman wrote them."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import libpod
from tests.engines import counts_on
from tests.network.conftest import Machine
from tests.runtime.test_networks import address_of

pytestmark = [pytest.mark.root, pytest.mark.criu, pytest.mark.network]

Members = dict[str, bytes]
ADDRESS, MAC = "10.77.0.88", "02:11:22:33:44:55"
COUNT = "i=0; while true; do i=$((i+1)); echo $i; sleep 0.1; done"


@pytest.fixture
def ours(runtime: libpod.Runtime, host: Machine, tmp_path: Path) -> Members:
    """The members of a container with an address, a MAC, a port, an alias and changed files."""
    container = host.do(
        lambda: runtime.run(
            "bb:1", "sh", "-c", COUNT, name="old", publish=["8080:80"], ip=ADDRESS, mac_address=MAC
        )
    )
    container.run("sh", "-c", "echo new > /new")
    counts_on(container, 2)
    host.do(lambda: runtime.checkpoint(container, export=tmp_path / "ours.tar"))
    host.do(container.remove)
    with tarfile.open(tmp_path / "ours.tar") as archive:
        return {item.name: _content(archive, item) for item in archive.getmembers() if item.isfile()}


def _content(archive: tarfile.TarFile, item: tarfile.TarInfo) -> bytes:
    stream = archive.extractfile(item)
    assert stream is not None
    return stream.read()


def packed(members: Members, target: Path, *, mode: str = "w", prefix: str = "") -> Path:
    with tarfile.open(target, mode) as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            item = tarfile.TarInfo(f"{prefix}{name}")
            item.size, item.mode = len(data), 0o600
            archive.addfile(item, io.BytesIO(data))
    return target


def with_config(members: Members, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Members:
    config = change(json.loads(members["config.dump"]))
    return members | {"config.dump": json.dumps(config).encode()}


def without(document: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in keys}


OURS = ("rootfsImage", "checkpointedTime", "restored")
CNI = [{"cniVersion": "0.4.0", "interfaces": [{"name": "cni-podman0"}],
        "ips": [{"version": "4", "address": f"{ADDRESS}/16"}]}]  # fmt: skip


def podman_1(members: Members) -> Members:
    """1.4: no root file system, no shared memory, no statistics; names of networks, CNI's own port mappings."""
    kept = {
        name: data
        for name, data in members.items()
        if name not in ("rootfs-diff.tar", "deleted.files", "devshm-checkpoint.tar", "stats-dump")
    }
    return podman_3(kept)


def podman_3(members: Members) -> Members:
    """3.4: networks by name with one static address, ports in CNI's words, CNI's status."""

    def change(config: dict[str, Any]) -> dict[str, Any]:
        old = without(config, "newNetworks", "newPortMappings", "passwd", *OURS)
        old["networks"] = ["podman"]
        old["networkAliases"] = {"podman": ["alias"]}
        old["staticIP"], old["staticMAC"] = ADDRESS, MAC
        old["portMappings"] = [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp", "hostIP": ""}]
        return old

    return with_config(members, change) | {"network.status": json.dumps(CNI).encode()}


def podman_4(members: Members) -> Members:
    """4.x and 5.x: as ours, without what we add for others, and in podman's order."""
    changed = with_config(members, lambda config: without(config, *OURS))
    first = ("devshm-checkpoint.tar",)
    return {name: changed[name] for name in first} | changed


def podman_6(members: Members) -> Members:
    """6.0: networks are an ordered list."""

    def change(config: dict[str, Any]) -> dict[str, Any]:
        new = without(config, "newNetworks", *OURS)
        new["orderedNetworks"] = [
            {"name": name, **options} for name, options in config["newNetworks"].items()
        ]
        return new

    return with_config(members, change)


def spelled_otherwise(members: Members) -> Members:
    """Go does not care about the case of keys, and writes null where there is nothing."""

    def change(config: dict[str, Any]) -> dict[str, Any]:
        respelled = {key.upper() if key.startswith("new") else key: value for key, value in config.items()}
        return respelled | {"userVolumes": None, "nobodyKnowsThis": {"a": 1}}

    return with_config(members, change)


@pytest.mark.parametrize(
    ("dialect", "mode"),
    [
        (podman_1, "w:gz"),
        (podman_3, "w:gz"),
        (podman_4, "w"),
        (podman_6, "w:xz"),
        (spelled_otherwise, "w:bz2"),
    ],
    ids=["1.4 gzip", "3.4 gzip", "4 and 5 plain", "6.0 xz", "other spelling bzip2"],
)
def test_every_generation_is_understood(
    runtime, host, ours: Members, tmp_path: Path, dialect: Callable[[Members], Members], mode: str
):
    archive = packed(dialect(ours), tmp_path / "old", mode=mode)
    twin = host.do(lambda: runtime.restore(import_=archive))
    counts_on(twin, 2)
    assert address_of(twin) == ADDRESS
    interface = twin.state().network_status["podman"]["interfaces"]["eth0"]
    assert interface["mac_address"] == MAC
    (port,) = twin.config.port_mappings
    assert (port.host_port, port.container_port, port.protocol) == (8080, 80, "tcp")
    there = twin.run("cat", "/new").stdout
    assert there == (b"" if dialect is podman_1 else b"new\n")
    host.do(lambda: twin.remove(force=True, timeout=0))


def test_an_archive_packed_by_hand_is_read(runtime, host, ours: Members, tmp_path: Path):
    """`tar -cf archive .` gives every name a ./ and an entry for the directory itself, in any order."""
    archive = packed(dict(reversed(ours.items())), tmp_path / "hand.tar", prefix="./")
    twin = host.do(lambda: runtime.restore(import_=archive))
    counts_on(twin, 2)
    host.do(lambda: twin.remove(force=True, timeout=0))


def test_an_address_of_another_subnet_is_replaced_unless_it_was_asked_for(
    runtime, host, ours: Members, tmp_path: Path
):
    """podman's default network has another subnet than ours."""

    def moved(members: Members, *, asked: bool) -> Members:
        def change(config: dict[str, Any]) -> dict[str, Any]:
            networks = {"podman": {"interface_name": "eth0", "static_mac": MAC}}
            if asked:
                networks["podman"]["static_ips"] = ["10.88.0.5"]
            return config | {"newNetworks": networks}

        status = members["network.status"].replace(ADDRESS.encode(), b"10.88.0.5")
        return with_config(members, change) | {"network.status": status}

    twin = host.do(lambda: runtime.restore(import_=packed(moved(ours, asked=False), tmp_path / "a.tar")))
    assert address_of(twin).startswith("10.77.")
    assert twin.state().network_status["podman"]["interfaces"]["eth0"]["mac_address"] == MAC
    host.do(lambda: twin.remove(force=True, timeout=0))
    with pytest.raises(libpod.RestoreError, match=r"10\.88\.0\.5"):
        host.do(lambda: runtime.restore(import_=packed(moved(ours, asked=True), tmp_path / "b.tar")))
