"""Writing an OCI image layout: the form in which everything we make reaches skopeo.

    <layout>/oci-layout                   {"imageLayoutVersion": "1.0.0"}
    <layout>/index.json                   one manifest, under the tag `TAG`
    <layout>/blobs/sha256/<hex>           layers, configuration, manifest

The layout lies in a scratch directory and lives for one copy, so nothing here is durable. Layers are stored without
compression: in the store a layer is a directory, compressing it first would cost time and be undone at once; a
registry gets it compressed by skopeo on the way out. The digest of a layer is then its DiffID, computed while it is
written, and equal content gives an equal image.

Covers: image-spec v1.1 image-layout
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import queue
import secrets
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import attrs

from libpod.image.references import Location, Transport
from libpod.image.scratch import CHUNK, no_room
from libpod.linux.files import write_all
from libpod.spec.image import Descriptor, MediaType, descriptor, encode_document

TAG = "made"


@attrs.frozen(kw_only=True)
class WrittenLayer:
    """A layer that lies in the layout."""

    digest: str
    size: int


class BlobSink:
    """A writable stream that computes the digest of what goes through it; only `write` is offered.

    Hashing and writing take about equally long and need different parts of the machine, so the digest is computed in a
    thread of its own, a few pieces behind at most.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._hash = hashlib.sha256()
        self._pieces: queue.Queue[bytes | None] = queue.Queue(maxsize=4)
        self._thread = threading.Thread(target=self._digest, name="libpod-layer-digest", daemon=True)
        self._thread.start()
        self.size = 0

    def write(self, data: bytes | memoryview) -> int:
        """Append *data*; raises ImageError when there is no room."""
        self._pieces.put(bytes(data))  # no copy when it is bytes already
        self.size += len(data)
        try:
            write_all(self._descriptor, data)
        except OSError as error:
            raise no_room(error) from error
        return len(data)

    def close(self) -> None:
        """No more data will come. May be called twice."""
        if self._thread.is_alive():
            self._pieces.put(None)
            self._thread.join()

    def digest(self) -> str:
        """The digest of everything, after `close`."""
        return f"sha256:{self._hash.hexdigest()}"

    def _digest(self) -> None:
        while (piece := self._pieces.get()) is not None:
            self._hash.update(piece)


class Layout:
    """One layout under construction."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._blobs = path / "blobs" / "sha256"
        self._blobs.mkdir(parents=True)
        (path / "oci-layout").write_bytes(b'{"imageLayoutVersion":"1.0.0"}')

    @property
    def location(self) -> Location:
        """What to give to skopeo once `finish` was called."""
        return Location(transport=Transport.OCI_LAYOUT, details=f"{self.path}:{TAG}")

    def add(self, media: str, data: bytes) -> Descriptor:
        """Store a small blob."""
        described = descriptor(media, data)
        self._blob(described["digest"]).write_bytes(data)
        return described

    @contextlib.contextmanager
    def layer(self) -> Iterator[BlobSink]:
        """A sink for the tar of a layer, whose digest and size are known after the block."""
        temporary = self._blobs / f".tmp-{secrets.token_hex(6)}"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        sink = BlobSink(descriptor)
        try:
            yield sink
        finally:
            sink.close()
            os.close(descriptor)
        os.rename(temporary, self._blob(sink.digest()))

    def borrow_layer(self, path: Path, digest: str) -> None:
        """Let the uncompressed tar *path*, whose digest is known, be a layer without copying it.

        Should the file change meanwhile, skopeo notices: it verifies every blob.
        """
        blob = self._blob(digest)
        if not blob.exists():
            blob.symlink_to(path.resolve())

    def finish(
        self,
        config: Mapping[str, Any],
        layers: Sequence[WrittenLayer],
        *,
        base_layers: Sequence[Descriptor] = (),
        annotations: Mapping[str, str] | None = None,
    ) -> str:
        """Write configuration, manifest and index; returns the image's id."""
        described = self.add(MediaType.OCI_CONFIG, encode_document(config))
        manifest: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": MediaType.OCI_MANIFEST.value,
            "config": described,
            "layers": [
                *base_layers,
                *(
                    {"mediaType": MediaType.OCI_LAYER.value, "digest": each.digest, "size": each.size}
                    for each in layers
                ),
            ],
        }
        if annotations:
            manifest["annotations"] = dict(annotations)
        entry: dict[str, Any] = dict(self.add(MediaType.OCI_MANIFEST, encode_document(manifest)))
        entry["annotations"] = {"org.opencontainers.image.ref.name": TAG}
        index = {"schemaVersion": 2, "manifests": [entry]}
        (self.path / "index.json").write_bytes(encode_document(index))
        return described["digest"].removeprefix("sha256:")

    def _blob(self, digest: str) -> Path:
        return self._blobs / digest.removeprefix("sha256:")


def hashed(stream: BinaryIO) -> WrittenLayer:
    """Digest and size of what is left in *stream*."""
    state, size, buffer = hashlib.sha256(), 0, bytearray(CHUNK)
    view = memoryview(buffer)
    while count := stream.readinto(buffer):  # type: ignore[attr-defined]
        state.update(view[:count])
        size += count
    return WrittenLayer(digest=f"sha256:{state.hexdigest()}", size=size)
