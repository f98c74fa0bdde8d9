"""The documents of every podman."""

from __future__ import annotations

import json

import pytest

from libpod.checkpoint.documents import (
    config_document,
    encode_document,
    read_config,
    read_network_status,
    read_spec,
    spec_document,
)
from libpod.define.errors import ArchiveError

ID = "0123456789ab" + "c" * 52


def config(**more: object) -> bytes:
    return json.dumps({"id": ID, "name": "web"} | more).encode()


def test_json_is_indented_and_escaped_as_go_does() -> None:
    assert encode_document({"a": ["<b>&", "ä\u2028"]}) == (
        b'{\n  "a": [\n    "\\u003cb\\u003e\\u0026",\n    "\xc3\xa4\\u2028"\n  ]\n}'
    )


def test_the_alias_that_is_the_short_id_does_not_travel() -> None:
    written = config_document(
        {
            "id": ID,
            "newNetworks": {
                "n": {"interface_name": "eth0", "aliases": [ID[:12], "web"]},
                "m": {"aliases": [ID[:12]]},
            },
        },
        checkpointed="2026-01-02T03:04:05.6Z",
    )
    assert written["newNetworks"] == {"n": {"interface_name": "eth0", "aliases": ["web"]}, "m": {}}


def test_other_engines_find_what_they_look_for() -> None:
    written = config_document(
        {"id": ID, "rootfsImageName": "docker.io/x:1"}, checkpointed="2026-01-02T03:04:05Z"
    )
    assert (written["rootfsImage"], written["checkpointedTime"], written["restored"]) == (
        "docker.io/x:1", "2026-01-02T03:04:05Z", False,
    )  # fmt: skip
    annotations = spec_document({"annotations": {"mine": "1"}})["annotations"]
    assert annotations == {
        "mine": "1", "io.container.manager": "libpod", "io.kubernetes.cri-o.Annotations": "{}",
    }  # fmt: skip
    assert spec_document({"annotations": None})["annotations"]["io.container.manager"] == "libpod"


def test_the_caller_keeps_its_record() -> None:
    record = {"id": ID, "newNetworks": {"n": {"aliases": [ID[:12]]}}}
    before = json.dumps(record)
    config_document(record, checkpointed="x")
    assert json.dumps(record) == before


NEW = {"a": {"interface_name": "eth0", "static_ips": ["10.0.0.2"]}}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"newNetworks": NEW}, NEW),
        ({"orderedNetworks": [{"name": "a"} | NEW["a"]]}, NEW),
        ({"newNetworks": NEW, "orderedNetworks": [{"name": "b"}]}, NEW),
        ({"NEWNETWORKS": NEW}, NEW),
        ({"newNetworks": None, "networks": ["a"]}, {"a": {"interface_name": "eth0"}}),
        (
            {
                "networks": ["a", "b"],
                "staticIP": "10.0.0.2",
                "staticMAC": "aa:bb",
                "networkAliases": {"b": ["x"]},
            },
            {
                "a": {"interface_name": "eth0", "static_ips": ["10.0.0.2"], "static_mac": "aa:bb"},
                "b": {"interface_name": "eth1", "aliases": ["x"]},
            },
        ),
        ({}, None),
        ({"newNetworks": {}}, None),
        ({"networks": None}, None),
    ],
)
def test_networks_of_every_generation_are_read(given: dict[str, object], expected: object) -> None:
    document = read_config(config(**given), archive="a")
    assert document.get("newNetworks") == expected
    assert not {"orderedNetworks", "networks", "staticIP", "staticMAC", "networkAliases"} & set(document)


def test_ports_of_both_generations_are_read() -> None:
    new = [{"host_ip": "", "container_port": 80, "host_port": 8080, "range": 1, "protocol": "tcp"}]
    old = [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp", "hostIP": ""}]
    assert read_config(config(newPortMappings=new), archive="a")["newPortMappings"] == new
    assert read_config(config(portMappings=old), archive="a")["newPortMappings"] == new


def test_what_describes_only_the_archive_does_not_come_back() -> None:
    document = config_document(json.loads(config(rootfsImageName="x")), checkpointed="t")
    assert read_config(encode_document(document), archive="a") == {
        "id": ID,
        "name": "web",
        "rootfsImageName": "x",
    }


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"null", b"{", b'{"id": 1, "name": "x"}', b'{"id": "x"}', b"\xff", b"[" * 100_000]
)
def test_a_configuration_that_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(ArchiveError, match="a cannot be used"):
        read_config(data, archive="a")


@pytest.mark.parametrize("data", [b"{}", b'{"process": [], "root": {}, "linux": {}}', b"x"])
def test_a_specification_that_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(ArchiveError):
        read_spec(data, archive="a")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"n": {"interfaces": {}}}', {"n": {"interfaces": {}}}),
        (b'[{"cniVersion": "0.4.0", "ips": []}]', {}),
        (b"null", {}),
        (b"{}", {}),
        (b"", {}),
        (b'{"n": null}', {}),
    ],
)
def test_network_status_of_every_generation_is_read(data: bytes, expected: object) -> None:
    assert read_network_status(data) == expected


def test_podman_is_told_that_the_network_namespace_is_the_engines() -> None:
    written = config_document({"id": "1", "networkMode": "none"}, checkpointed="", own_network=True)
    assert written["createNetNS"] is True
    assert "createNetNS" not in config_document({"id": "1", "networkMode": "host"}, checkpointed="")


def test_volumes_are_named_where_podman_will_have_them() -> None:
    mounts = [
        {"type": "bind", "source": "/o/v/_data", "destination": "/data"},
        {"type": "tmpfs", "destination": "/t"},
    ]
    written = spec_document({"mounts": mounts}, sources={"/o/v/_data": "/p/v/_data"})
    assert [mount.get("source") for mount in written["mounts"]] == ["/p/v/_data", None]
    assert mounts[0]["source"] == "/o/v/_data"
