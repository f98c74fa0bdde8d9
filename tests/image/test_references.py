"""Names: parsing, normalisation, candidates, locations."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libpod.define.errors import InvalidArgumentError
from libpod.image.references import (
    Location,
    Reference,
    Transport,
    is_image_id,
    lookup_candidates,
    normalise,
    pull_candidates,
)
from libpod.image.registries import RegistriesConfig

DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("text", "domain", "path", "tag", "digest"),
    [
        ("busybox", "", "busybox", "", ""),
        ("busybox:1.36", "", "busybox", "1.36", ""),
        ("library/busybox", "", "library/busybox", "", ""),
        ("docker.io/busybox", "docker.io", "busybox", "", ""),
        ("quay.io/a/b/c:T_a-g.1", "quay.io", "a/b/c", "T_a-g.1", ""),
        ("localhost/x", "localhost", "x", "", ""),
        ("localhost:5000/x:1", "localhost:5000", "x", "1", ""),
        ("host:80/x", "host:80", "x", "", ""),
        ("[fe80::1]:5000/x", "[fe80::1]:5000", "x", "", ""),
        ("UPPER/x", "UPPER", "x", "", ""),
        (f"a/b@{DIGEST}", "", "a/b", "", DIGEST),
        (f"a/b:1@{DIGEST}", "", "a/b", "1", DIGEST),
        ("a__b/c-d/e.f---g", "", "a__b/c-d/e.f---g", "", ""),
    ],
)
def test_a_name_is_taken_apart(text: str, domain: str, path: str, tag: str, digest: str) -> None:
    reference = Reference.parse(text)
    assert (reference.domain, reference.path, reference.tag, reference.digest) == (domain, path, tag, digest)
    assert str(reference) == text


@pytest.mark.parametrize(
    "text",
    [
        "", ":", ":tag", "a:", "a:-x", "A", "a/B", "a//b", "/a", "a/", "-a", "a-", "a..b", "a___b", "a b", "a\n",
        "a@sha256:12", "a@", f"a@{DIGEST}0", "a@sha256:" + "AB" * 32, "ab" * 32, "x" * 256, "host:port/x", "ä",
        "a:" + "t" * 129, "docker.io/", "a:b:c", "../x", "a@b@c",
    ],
)  # fmt: skip
def test_what_is_no_name_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match="is not the name of an image"):
        Reference.parse(text)


def test_a_capital_letter_is_explained() -> None:
    with pytest.raises(InvalidArgumentError, match="lower case"):
        Reference.parse("BusyBox")


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("x", "localhost/x:latest"),
        ("a/b:1", "localhost/a/b:1"),
        ("docker.io/busybox", "docker.io/library/busybox:latest"),
        ("index.docker.io/busybox:1", "docker.io/library/busybox:1"),
        ("docker.io/a/b", "docker.io/a/b:latest"),
        ("quay.io/x", "quay.io/x:latest"),
        (f"quay.io/x:1@{DIGEST}", f"quay.io/x@{DIGEST}"),
        ("localhost/x:1", "localhost/x:1"),
    ],
)
def test_what_is_made_here_is_stored_under_its_normal_form(text: str, stored: str) -> None:
    assert str(normalise(text)) == stored


components = st.from_regex(r"[a-z0-9]{1,8}([._-][a-z0-9]{1,4})?", fullmatch=True)


@st.composite
def names(draw: st.DrawFn) -> str:
    domain = draw(st.sampled_from(["", "docker.io/", "localhost/", "r.example.org:5000/", "[::1]/"]))
    path = "/".join(draw(st.lists(components, min_size=1, max_size=3)))
    tag = draw(st.sampled_from(["", ":latest", ":1.0", ":A_b"]))
    return domain + path + tag + draw(st.sampled_from(["", f"@{DIGEST}"]))


@given(names())
def test_parsing_and_printing_are_inverse_and_normalising_is_idempotent(text: str) -> None:
    reference = Reference.parse(text)
    assert str(reference) == text
    normal = reference.normalised()
    assert normal.normalised() == normal
    assert Reference.parse(str(normal)) == normal
    assert not normal.is_short
    assert bool(normal.tag) != bool(normal.digest)


@given(st.text(max_size=40))
def test_no_text_causes_another_error(text: str) -> None:
    try:
        Reference.parse(text)
        Location.parse(text)
    except InvalidArgumentError:
        pass


CONFIG = RegistriesConfig(
    search=("quay.io", "docker.io"), aliases={"fedora": "registry.fedoraproject.org/fedora"}
)


def shown(references: list[Reference]) -> list[str]:
    return [str(reference) for reference in references]


def test_a_short_name_is_looked_up_by_alias_then_localhost_then_the_registries() -> None:
    assert shown(lookup_candidates(Reference.parse("fedora:40"), CONFIG)) == [
        "registry.fedoraproject.org/fedora:40",
        "localhost/fedora:40",
        "quay.io/fedora:40",
        "docker.io/library/fedora:40",
    ]
    assert shown(lookup_candidates(Reference.parse("x"), RegistriesConfig())) == [
        "localhost/x:latest",
        "docker.io/library/x:latest",
    ]
    assert shown(lookup_candidates(Reference.parse("quay.io/x"), CONFIG)) == ["quay.io/x:latest"]


def test_a_short_name_is_pulled_by_its_alias_only_or_from_every_registry() -> None:
    assert shown(pull_candidates(Reference.parse("fedora"), CONFIG)) == [
        "registry.fedoraproject.org/fedora:latest"
    ]
    assert shown(pull_candidates(Reference.parse("x:1"), CONFIG)) == ["quay.io/x:1", "docker.io/library/x:1"]
    assert shown(pull_candidates(Reference.parse(f"x:1@{DIGEST}"), CONFIG))[0] == f"quay.io/x@{DIGEST}"


def test_a_short_name_that_leads_nowhere_says_what_to_do() -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        pull_candidates(Reference.parse("x"), RegistriesConfig(path="/etc/containers/registries.conf"))
    assert "docker.io/library/x" in str(caught.value)
    assert "/etc/containers/registries.conf" in str(caught.value)


def test_enforcing_does_not_choose_between_registries() -> None:
    enforcing = RegistriesConfig(search=("a.io", "b.io"), short_name_mode="enforcing")
    with pytest.raises(InvalidArgumentError, match=r"a\.io, b\.io"):
        pull_candidates(Reference.parse("x"), enforcing)
    one = RegistriesConfig(search=("a.io",), short_name_mode="enforcing")
    assert shown(pull_candidates(Reference.parse("x"), one)) == ["a.io/x:latest"]


@pytest.mark.parametrize(
    ("text", "transport", "details"),
    [
        ("docker://quay.io/x:1", Transport.REGISTRY, "quay.io/x:1"),
        ("docker-archive:/a/b.tar", Transport.DOCKER_ARCHIVE, "/a/b.tar"),
        ("docker-archive:b.tar:x:1", Transport.DOCKER_ARCHIVE, "b.tar:x:1"),
        ("oci-archive:/a", Transport.OCI_ARCHIVE, "/a"),
        ("oci:/a:tag", Transport.OCI_LAYOUT, "/a:tag"),
        ("dir:/a", Transport.DIRECTORY, "/a"),
        ("containers-storage:[overlay@/g+/r]x", Transport.STORE, "[overlay@/g+/r]x"),
    ],
)
def test_a_location_is_recognised_and_printed_as_it_was(
    text: str, transport: Transport, details: str
) -> None:
    location = Location.parse(text)
    assert location == Location(transport=transport, details=details)
    assert str(location) == text


@pytest.mark.parametrize("text", ["busybox", "busybox:1", "docker:dind", "quay.io/x:1", "localhost:5000/x"])
def test_a_plain_name_is_no_location(text: str) -> None:
    assert Location.parse(text) is None


@pytest.mark.parametrize("text", ["docker-daemon:x:1", "ostree:x@/y", "sif:/x", "tarball:/x"])
def test_transports_we_do_not_have_are_refused_with_a_reason(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match="is not supported: "):
        Location.parse(text)


def test_a_location_without_anything_behind_it_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="names no image"):
        Location.parse("oci:")


def test_full_ids_are_recognised() -> None:
    assert is_image_id("ab" * 32) == "ab" * 32
    assert is_image_id(DIGEST) == "ab" * 32
    assert is_image_id("ab" * 31) == ""
    assert is_image_id("AB" * 32) == ""
