"""Events out of what skopeo draws."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libpod.image.progress import BlobProgress, BlobState, ProgressReader, parse_line

TRANSCRIPT = (
    b"Getting image source signatures\r\n"
    b"Copying blob 06a974a31446 [==>-----------------------------------] 5.0MiB / 59.1MiB\r\n\x1b[1A\x1b[J"
    b"Copying blob 06a974a31446 [========================>-------------] 39.0MiB / 59.1MiB\r\n\x1b[1A\x1b[J"
    b"Copying blob 06a974a31446 done  \r\n"
    b"Copying blob 0123456789ab skipped: already exists  \r\n"
    b"Copying config f2e55620b8 [======================================] 409.0b / 409.0b\r\n\x1b[1A\x1b[J"
    b"Copying config f2e55620b8 done  \r\n"
    b"Writing manifest to image destination\r\nStoring signatures\r\n"
)


def events(pieces: list[bytes]) -> list[BlobProgress]:
    found: list[BlobProgress] = []
    reader = ProgressReader(found.append)
    for piece in pieces:
        reader.feed(piece)
    return found


def test_a_recorded_copy_gives_its_events_in_order() -> None:
    assert [(event.kind, event.digest, event.state, event.done >> 20) for event in events([TRANSCRIPT])] == [
        ("blob", "06a974a31446", BlobState.COPYING, 5),
        ("blob", "06a974a31446", BlobState.COPYING, 39),
        ("blob", "06a974a31446", BlobState.DONE, 0),
        ("blob", "0123456789ab", BlobState.SKIPPED, 0),
        ("config", "f2e55620b8", BlobState.COPYING, 0),
        ("config", "f2e55620b8", BlobState.DONE, 0),
    ]


@given(st.lists(st.integers(0, len(TRANSCRIPT)), max_size=20))
def test_the_events_do_not_depend_on_how_the_output_is_cut(cuts: list[int]) -> None:
    borders = [0, *sorted(cuts), len(TRANSCRIPT)]
    pieces = [TRANSCRIPT[start:end] for start, end in itertools.pairwise(borders)]
    assert events(pieces) == events([TRANSCRIPT])


@pytest.mark.parametrize(
    ("line", "state", "done", "total"),
    [
        ("Copying blob sha256:" + "0" * 64, BlobState.STARTED, 0, 0),
        (
            "Copying blob 0123456789ab [=>--] 1.5MiB / 3.0MiB | 10.2 MiB/s",
            BlobState.COPYING,
            3 << 19,
            3 << 20,
        ),
        ("Copying blob 0123456789ab done   | ", BlobState.DONE, 0, 0),
        ("Copying blob 0123456789ab skipped: already exists", BlobState.SKIPPED, 0, 0),
        ("Copying blob 0123456789ab [--] 0.0b / 2.2GiB (skipped: 0.0b = 0.00%)", BlobState.SKIPPED, 0, None),
    ],
)
def test_the_drawings_of_other_versions_are_understood(
    line: str, state: BlobState, done: int, total: int | None
) -> None:
    event = parse_line(line)
    assert event is not None
    assert (event.state, event.done) == (state, done)
    assert total is None or event.total == total


@given(st.binary(max_size=200))
def test_other_output_is_no_event_and_no_error(data: bytes) -> None:
    events([data, b"\n"])
