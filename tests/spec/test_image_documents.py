"""Reading image documents that strangers wrote."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libpod.define.errors import ImageError
from libpod.spec.image import (
    MAX_DOCUMENT,
    ImageSettings,
    MediaType,
    decode_document,
    digest_of,
    encode_document,
    media_type,
    select_instance,
)

FULL: dict[str, Any] = {
    "created": "2024-01-02T03:04:05Z",
    "architecture": "arm",
    "variant": "v7",
    "os": "linux",
    "author": "somebody",
    "config": {
        "User": "1:2",
        "Env": ["A=1", "B=two words"],
        "Entrypoint": ["/init"],
        "Cmd": ["run"],
        "WorkingDir": "/w",
        "Volumes": {"/v": {}, "/a": {}},
        "ExposedPorts": {"80/tcp": {}},
        "Labels": {"x": "y"},
        "StopSignal": "SIGINT",
        "Healthcheck": {"Test": ["CMD", "true"], "Interval": 5},
        "Shell": ["/bin/ash", "-c"],
        "OnBuild": ["RUN x"],
        "Unknown": {"kept": True},
    },
    "rootfs": {"type": "layers", "diff_ids": ["sha256:" + "0" * 64]},
    "history": [{"created_by": "a"}, {"created_by": "b", "empty_layer": True}],
}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def test_every_key_is_read() -> None:
    settings = ImageSettings.read(FULL, subject="x")
    assert settings.env == ("A=1", "B=two words")
    assert settings.command == ("/init", "run")
    assert settings.volumes == ("/a", "/v")
    assert settings.exposed_ports == ("80/tcp",)
    assert (settings.user, settings.working_dir, settings.stop_signal) == ("1:2", "/w", "SIGINT")
    assert settings.healthcheck == {"Test": ["CMD", "true"], "Interval": 5}
    assert (settings.shell, settings.on_build) == (("/bin/ash", "-c"), ("RUN x",))
    assert (settings.architecture, settings.variant, settings.author) == ("arm", "v7", "somebody")
    assert len(settings.history) == 2


def test_absent_and_null_are_empty() -> None:
    assert ImageSettings.read({}, subject="x") == ImageSettings()
    nulls = {"config": dict.fromkeys(FULL["config"]), "rootfs": None, "history": None, "os": None}
    assert ImageSettings.read(nulls, subject="x") == ImageSettings()


def test_an_entry_point_that_is_not_set_differs_from_an_empty_one() -> None:
    assert ImageSettings.read({"config": {"Entrypoint": []}}, subject="x").entrypoint == ()
    assert ImageSettings.read({"config": {}}, subject="x").entrypoint is None


def test_a_command_that_is_one_string_is_one_word() -> None:
    settings = ImageSettings.read({"config": {"Cmd": "/bin/sh", "Entrypoint": "/init"}}, subject="x")
    assert settings.command == ("/init", "/bin/sh")


@pytest.mark.parametrize(
    "config",
    [
        {"Env": {"A": "1"}},
        {"Env": ["A=1", 2]},
        {"Labels": ["x"]},
        {"Labels": {"x": 1}},
        {"User": 0},
        {"Volumes": ["/v"]},
        {"Cmd": 5},
        {"Healthcheck": "true"},
    ],
)
def test_a_value_of_the_wrong_kind_is_one_sentence_that_names_the_image_and_the_key(
    config: dict[str, Any],
) -> None:
    with pytest.raises(ImageError) as caught:
        ImageSettings.read({"config": config}, subject="localhost/evil")
    assert "localhost/evil" in str(caught.value)
    assert next(iter(config)) in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.dictionaries(st.sampled_from([*FULL, *FULL["config"]]), json_values), json_values)
def test_no_document_can_cause_another_error_than_an_image_error(
    document: dict[str, Any], config: object
) -> None:
    for candidate in (document, {**document, "config": config}):
        try:
            ImageSettings.read(candidate, subject="x")
        except ImageError:
            pass


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"null", b"\xff", b'"x"', b"[" * 100_000, b'{"a":' * 5000, b"{}x"]
)
def test_what_is_no_json_object_is_refused(data: bytes) -> None:
    with pytest.raises(ImageError, match="the manifest of x"):
        decode_document(data, subject="the manifest of x")


def test_a_document_beyond_the_limit_is_not_parsed() -> None:
    with pytest.raises(ImageError, match="larger than"):
        decode_document(b" " * (MAX_DOCUMENT + 1), subject="x")


@given(st.dictionaries(st.text(), json_values))
def test_encoding_keeps_unknown_keys_and_their_order(document: dict[str, Any]) -> None:
    # Numbers beyond 64 bits do not occur in these documents.
    data = encode_document(json.loads(json.dumps(document)))
    assert list(json.loads(data)) == list(document)
    assert digest_of(data) == digest_of(encode_document(json.loads(data)))


def test_the_media_type_is_deduced_where_it_is_not_said() -> None:
    assert media_type({"mediaType": "x/y"}) == "x/y"
    assert media_type({"manifests": []}) == MediaType.OCI_INDEX
    assert media_type({"config": {"mediaType": MediaType.DOCKER_CONFIG}}) == MediaType.DOCKER_MANIFEST
    assert media_type({"config": {}}) == MediaType.OCI_MANIFEST


def entry(number: int, **platform: str) -> dict[str, Any]:
    return {"mediaType": "m", "digest": f"sha256:{number:064x}", "size": 1, "platform": platform}


def test_the_instance_for_a_platform_is_chosen() -> None:
    index = {
        "manifests": [
            entry(1, os="linux", architecture="arm", variant="v6"),
            entry(2, os="linux", architecture="arm", variant="v7"),
            entry(3, os="linux", architecture="amd64"),
            entry(4, os="windows", architecture="amd64"),
            {"digest": "nonsense", "platform": {"os": "linux", "architecture": "s390x"}},
            "garbage",
        ]
    }

    def chosen(**platform: str) -> int | None:
        found = select_instance(index, platform)  # type: ignore[arg-type]
        return int(found["digest"].removeprefix("sha256:"), 16) if found else None

    assert chosen(os="linux", architecture="amd64") == 3
    assert chosen(os="linux", architecture="arm", variant="v7") == 2
    assert chosen(os="linux", architecture="arm") == 1
    assert chosen(os="linux", architecture="arm", variant="v5") is None
    assert chosen(os="linux", architecture="s390x") is None
    assert select_instance({"manifests": None}, {"os": "linux", "architecture": "amd64"}) is None
