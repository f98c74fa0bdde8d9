"""Which image a text means."""

from __future__ import annotations

import pytest

from libpod.define.errors import AmbiguousNameError, InvalidArgumentError, NoSuchImageError
from libpod.image.look_up import held_name, look_up
from libpod.image.registries import RegistriesConfig
from tests.image.stored import digest, image, image_id

ALPINE = image("alpine", "docker.io/library/alpine:latest", "localhost/mine:1", layer="l")
LOCAL_ALPINE = image("local", "localhost/alpine:edge", layer="l")
QUAY = image("quay", "quay.io/org/tool:v1", layer="l")
OTHER_TOOL = image("other", "example.org/tool:v1", "example.org/only:v1", layer="l")
PINNED = image("pinned", f"quay.io/org/pinned@{digest('manifest of pinned')}", layer="l")
NAMELESS = image("nameless", id="abc" + "0" * 61, layer="l")
SIBLING = image("sibling", id="abd" + "0" * 61, layer="l")
IMAGES = [ALPINE, LOCAL_ALPINE, QUAY, OTHER_TOOL, PINNED, NAMELESS, SIBLING]
CONFIG = RegistriesConfig(search=("quay.io",), aliases={"short": "quay.io/org/tool"})


def meant(text: str, config: RegistriesConfig = CONFIG) -> str:
    return look_up(IMAGES, text, config).image.id


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("docker.io/library/alpine:latest", ALPINE),
        ("docker.io/library/alpine", ALPINE),
        ("docker.io/alpine", ALPINE),
        ("alpine", ALPINE),
        ("alpine:edge", LOCAL_ALPINE),
        ("mine:1", ALPINE),
        ("localhost/mine:1", ALPINE),
        ("short:v1", QUAY),
        ("org/tool:v1", QUAY),
        ("only:v1", OTHER_TOOL),
        (ALPINE.id, ALPINE),
        (f"sha256:{ALPINE.id}", ALPINE),
        (ALPINE.id[:12], ALPINE),
        (f"sha256:{ALPINE.id[:12]}", ALPINE),
        ("abc", NAMELESS),
        (digest("manifest of quay"), QUAY),
        (f"quay.io/org/tool@{digest('manifest of quay')}", QUAY),
        (f"quay.io/org/tool:whatever@{digest('manifest of quay')}", QUAY),
        (f"org/tool@{digest('manifest of quay')}", QUAY),
        (f"quay.io/org/pinned@{digest('manifest of pinned')}", PINNED),
        ("containers-storage:alpine", ALPINE),
        (f"containers-storage:[overlay@/g+/r]@{ALPINE.id}", ALPINE),
    ],
)
def test_an_image_is_found(text: str, expected: object) -> None:
    assert meant(text) == expected.id  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "text",
    [
        "alpine:none",
        "nothing",
        "docker.io/library/mine:1",
        f"quay.io/org/other@{digest('manifest of quay')}",
        image_id("not here"),
        digest("not here"),
        "docker://quay.io/org/tool:v1",
    ],
)
def test_what_is_not_here_is_not_found(text: str) -> None:
    with pytest.raises(NoSuchImageError):
        meant(text)


def test_a_prefix_or_an_ending_of_several_images_is_ambiguous() -> None:
    with pytest.raises(AmbiguousNameError):
        meant("ab")
    with pytest.raises(AmbiguousNameError):
        meant("tool:v1", RegistriesConfig())


def test_a_name_wins_over_an_id_that_begins_like_it() -> None:
    named = image("named", "localhost/abc:latest", layer="l")
    assert look_up([*IMAGES, named], "abc", CONFIG).image is named


def test_what_can_be_neither_name_nor_id_is_an_invalid_argument() -> None:
    with pytest.raises(InvalidArgumentError):
        meant("NOT A NAME")


def test_the_name_that_matched_is_told() -> None:
    assert look_up(IMAGES, "alpine", CONFIG).name == "docker.io/library/alpine:latest"
    assert look_up(IMAGES, "only:v1", CONFIG).name == "example.org/only:v1"
    assert look_up(IMAGES, ALPINE.id, CONFIG).name == ""


def test_a_name_that_the_image_holds_is_found_by_its_short_form() -> None:
    assert held_name(ALPINE, "mine:1", CONFIG) == "localhost/mine:1"
    assert held_name(ALPINE, "alpine", CONFIG) == "docker.io/library/alpine:latest"
    assert held_name(OTHER_TOOL, "tool:v1", RegistriesConfig()) == "example.org/tool:v1"
    assert held_name(ALPINE, "mine:2", CONFIG) is None
    assert held_name(ALPINE, "NO NAME", CONFIG) is None
