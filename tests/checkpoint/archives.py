"""Archives made by hand, so that they may be wrong in every way."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from pathlib import Path
from typing import Any

from libpod.checkpoint.codec import CompressedOutput, CompressionKind
from libpod.checkpoint.tarformat import END, TarHeader, TarKind, encode, padding

CONFIG = b'{"id": "' + b"a" * 64 + b'", "name": "c"}'
SPEC = b'{"process": {}, "root": {}, "linux": {}}'


def member(name: str, content: bytes = b"", **facts: Any) -> bytes:
    """One member with its padding."""
    if facts.get("kind", TarKind.FILE) is TarKind.FILE:
        facts.setdefault("size", len(content))
    return encode(TarHeader(name=name, **facts)) + content + bytes(padding(len(content)))


def directory(name: str) -> bytes:
    return member(name, kind=TarKind.DIRECTORY, mode=0o600)


def resealed(block: bytes, changes: dict[int, bytes]) -> bytes:
    """A header block with some bytes replaced and the right checksum again."""
    raw = bytearray(block)
    for offset, value in changes.items():
        raw[offset : offset + len(value)] = value
    raw[148:156] = b"        "
    raw[148:156] = b"%06o\0 " % sum(raw[:512])
    return bytes(raw)


HEAD = member("config.dump", CONFIG) + member("spec.dump", SPEC)
IMAGES = directory("checkpoint") + member("checkpoint/inventory.img", b"inventory")
GOOD = HEAD + IMAGES + END


def compressed(data: bytes, kind: CompressionKind) -> bytes:
    if kind is CompressionKind.BZIP2:
        return bz2.compress(data)
    if kind is CompressionKind.XZ:
        return lzma.compress(data)
    if kind is CompressionKind.GZIP:
        return gzip.compress(data, 1)
    out = io.BytesIO()
    output = CompressedOutput(out, kind)
    output.write(data)
    output.finish()
    return out.getvalue()


def everything(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}
