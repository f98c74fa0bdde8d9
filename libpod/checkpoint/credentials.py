"""What rights the frozen processes say they have: CRIU gives them back whatever its images say.

Read from `core-N.img` alone: the capabilities of every thread. A file is a magic, then messages with their length; a
thread's credentials are fields of fields (criu: images/core.proto, images/creds.proto), so that a few lines of decoding
do. A process inside a user namespace holds its capabilities there, and not here.

Covers: nothing upstream
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from libpod.checkpoint.statistics import fields
from libpod.define.errors import ArchiveError

_MAGIC = 8
_THREAD_CORE, _CREDENTIALS = 5, 9
_PERMITTED, _EFFECTIVE, _BOUNDING = 10, 11, 12
_MAX_IMAGE = 64 << 20


def capability_bits(images: Path) -> int:
    """All capabilities that any thread of the images is permitted, has, or may get, as one number.

    Raises ArchiveError for an image that cannot be read.
    """
    bits = 0
    for path in sorted(images.glob("core-*.img")):
        try:
            if path.stat().st_size > _MAX_IMAGE:
                raise ValueError("too large")
            for message in _messages(path.read_bytes()):
                bits |= _bits_of(message)
        except (ValueError, IndexError, struct.error) as error:
            raise ArchiveError(str(path.name), f"it is not an image of CRIU ({error})") from error
    return bits


def _messages(data: bytes) -> Iterator[bytes]:
    position = _MAGIC
    while position < len(data):
        (length,) = struct.unpack_from("<I", data, position)
        position += 4
        if position + length > len(data):
            raise ValueError("cut short")
        yield data[position : position + length]
        position += length


def _bits_of(core: bytes) -> int:
    bits = 0
    for thread in _inner(core, _THREAD_CORE):
        for credentials in _inner(thread, _CREDENTIALS):
            words: dict[int, list[int]] = {}
            for number, value in fields(credentials):
                if number in (_PERMITTED, _EFFECTIVE, _BOUNDING):
                    words.setdefault(number, []).extend(_varints(value))
            for parts in words.values():
                bits |= sum((part & 0xFFFFFFFF) << (32 * place) for place, part in enumerate(parts))
    return bits


def _inner(message: bytes, wanted: int) -> Iterator[bytes]:
    for number, value in fields(message):
        if number == wanted:
            if not isinstance(value, bytes):
                raise ValueError("a field has another form")
            yield value


def _varints(value: int | bytes) -> list[int]:
    """One number, or several that are packed."""
    if isinstance(value, int):
        return [value]
    found, number, shift = [], 0, 0
    for byte in value:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            found.append(number)
            number = shift = 0
    return found
