"""Writing tars quickly into streams that need not be seekable.

The standard library's stream mode copies every byte three times on its way; a TarFile over an object that only counts
and gathers small pieces (headers, padding, small files) copies the content of large files not at all. Layers of many
hundred megabytes are written this way at every commit.
"""

from __future__ import annotations

import contextlib
import tarfile
from collections.abc import Iterator
from typing import BinaryIO, Protocol, cast

BUFFER = 1 << 20
_LARGE = 1 << 16


class Sink(Protocol):
    """Takes all of what it is given."""

    def write(self, data: bytes, /) -> object: ...


class _Gathering:
    """What a TarFile writes to: knows its position, passes large pieces on and gathers small ones."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._pending: list[bytes] = []
        self._gathered = 0
        self._position = 0

    def tell(self) -> int:
        return self._position

    def write(self, data: bytes) -> int:
        self._position += len(data)
        if len(data) < _LARGE:
            self._pending.append(data)
            self._gathered += len(data)
            if self._gathered >= BUFFER:
                self.flush()
        else:
            self.flush()
            self._sink.write(data)
        return len(data)

    def flush(self) -> None:
        if self._pending:
            self._sink.write(b"".join(self._pending))
            self._pending, self._gathered = [], 0


@contextlib.contextmanager
def writing_tar(sink: Sink) -> Iterator[tarfile.TarFile]:
    """A tar in the PAX format, with names of any bytes, that is complete when the block ends well."""
    output = _Gathering(sink)
    with tarfile.TarFile(
        fileobj=cast("BinaryIO", output),
        mode="w",
        format=tarfile.PAX_FORMAT,
        encoding="utf-8",
        errors="surrogateescape",
        copybufsize=BUFFER,  # undocumented; the default of 16 KiB makes large files slow
    ) as tar:
        yield tar
    output.flush()
