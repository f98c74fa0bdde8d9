"""Sizes and durations."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libpod.define.errors import InvalidArgumentError
from libpod.model.units import parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("17", 17), ("1k", 1024), ("1KiB", 1024), ("1kb", 1024), ("1.5m", 1572864), ("64000K", 65536000),
     ("2 g", 2 << 30), ("1t", 1 << 40), ("3b", 3), ("0.1k", 102)],
)  # fmt: skip
def test_sizes_are_binary_however_they_are_spelt(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "k", "-1", "1x", "1 kk", "1,5m", "0x10", "1e3"])
def test_what_is_not_a_size_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match="is not a size"):
        parse_size(text)


@given(st.integers(min_value=0, max_value=1 << 50), st.sampled_from(["", "k", "m", "g"]))
def test_a_whole_size_is_exact(number: int, unit: str) -> None:
    assert parse_size(f"{number}{unit}") == number * 1024 ** ["", "k", "m", "g"].index(unit)


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [("0", 0), ("1s", 10**9), ("1h2m3.5s", 3723 * 10**9 + 5 * 10**8), ("300ms", 3 * 10**8), ("1us", 1000),
     ("1µs", 1000), (".5s", 5 * 10**8), ("1.s", 10**9), ("-2s", -2 * 10**9), ("+2s", 2 * 10**9)],
)  # fmt: skip
def test_durations_are_gos(text: str, nanoseconds: int) -> None:
    assert parse_duration(text) == nanoseconds


@pytest.mark.parametrize("text", ["", "1", "s", "1x", "1s2", "--1s", "1s 2m", "."])
def test_what_is_not_a_duration_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match="is not a duration"):
        parse_duration(text)
