"""The key sequence that lets go of a container."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libpod.define.errors import InvalidArgumentError
from libpod.oci.detach_keys import DEFAULT_KEYS, DetachFilter, parse_detach_keys


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        (DEFAULT_KEYS, b"\x10\x11"),
        ("", b""),
        ("ctrl-@,ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_", b"\x00\x1b\x1c\x1d\x1e\x1f"),
        ("a,Z,DEL", b"aZ\x7f"),
    ],
)
def test_names_of_keys(text: str, keys: bytes) -> None:
    assert parse_detach_keys(text) == keys


@pytest.mark.parametrize("text", ["ctrl-", "ctrl-ab", "ctrl-1", "ab", "a,,b", "ü"])
def test_names_that_are_none(text: str) -> None:
    with pytest.raises(InvalidArgumentError):
        parse_detach_keys(text)


def fed(keys: bytes, pieces: list[bytes], *, any_cut: bool) -> tuple[bytes, bool]:
    matcher = DetachFilter(keys, any_cut=any_cut)
    out = b""
    for piece in pieces:
        forward, detached = matcher.feed(piece)
        out += forward
        if detached:
            return out, True
    return out + matcher.rest(), False


@given(st.lists(st.binary(min_size=1, max_size=4).map(lambda b: bytes(c % 3 for c in b))))
def test_from_a_terminal_the_sequence_is_found_however_it_is_cut(pieces: list[bytes]) -> None:
    whole, keys = b"".join(pieces), b"\x01\x02"
    before, found, _ = whole.partition(keys)
    assert fed(keys, pieces, any_cut=True) == ((before, True) if found else (whole, False))


@given(st.lists(st.binary(min_size=2, max_size=8)))
def test_longer_reads_from_elsewhere_get_through_unchanged(pieces: list[bytes]) -> None:
    assert fed(b"\x10\x11", pieces, any_cut=False) == (b"".join(pieces), False)


def test_single_keys_count_from_everywhere() -> None:
    assert fed(b"\x10\x11", [b"ab", b"\x10", b"\x11", b"x"], any_cut=False) == (b"ab", True)
    assert fed(b"\x10\x11", [b"\x10", b"\x10", b"\x11"], any_cut=False) == (b"\x10", True)
    assert fed(b"\x10\x11", [b"\x10", b"xy", b"\x11"], any_cut=False) == (b"\x10xy\x11", False)


def test_without_keys_nothing_is_held_back() -> None:
    assert fed(b"", [b"\x10", b"\x11"], any_cut=True) == (b"\x10\x11", False)
