"""CRIU's image files decoded by CRIU's own published definitions: the Python package `pycriu` and the protobuf runtime.

The definitions come with a version of CRIU. They are taken from beside the criu in use, where the set-up script unpacks
them, else from wherever Python finds them; a decoder of ours would only be a guess at the next version. protobuf is the
optional dependency `libpod[inspect]`.

An image may be hostile: whatever its decoding raises is an ArchiveError.

Covers: checkpointctl (which uses go-criu's copy of the same definitions)
"""

from __future__ import annotations

import functools
import importlib
import sys
from pathlib import Path
from typing import Any

from libpod.define.errors import ArchiveError, NotSupportedError

Entry = dict[str, Any]
MAX_IMAGE = 64 << 20
"""An image with descriptions that is larger than this is not decoded."""
PLACES = ("usr/lib/python3/dist-packages", "lib/python3/dist-packages")


def require_decoder(criu: Path | None) -> Any:
    """pycriu's module for images; raises NotSupportedError when it or protobuf is missing."""
    return _decoder(criu.resolve() if criu is not None else None)


@functools.cache
def _decoder(criu: Path | None) -> Any:
    beside = [criu.parent.parent / place for place in PLACES] if criu is not None else []
    places = [str(place) for place in beside if (place / "pycriu").is_dir()]
    before = list(sys.path)
    try:
        # The generated modules import each other by their bare names: pycriu adds its own folder to the path.
        sys.path[:0] = places
        return importlib.import_module("pycriu.images")
    except ImportError as error:
        missing = "protobuf" if "google" in str(error) else "pycriu"
        raise NotSupportedError(
            f"checkpoints cannot be looked into without the Python package {missing}",
            resolution="run the set-up script, or install libpod[inspect] and python3-pycriu",
        ) from error
    finally:
        sys.path[:] = before


def decode(decoder: Any, path: Path, *, archive: str) -> list[Entry]:
    """The entries of one image as plain dictionaries; raises ArchiveError for what is none."""
    if path.stat().st_size > MAX_IMAGE:
        raise ArchiveError(archive, f"its {path.name} is larger than any image of that kind")
    try:
        with path.open("rb") as stream:
            entries = decoder.load(stream, no_payload=True)["entries"]
    except Exception as error:
        # Of a damaged file pycriu raises a dozen kinds, protobuf's own among them.
        raise ArchiveError(archive, f"its {path.name} is no image that CRIU describes ({error})") from error
    return [entry for entry in entries if isinstance(entry, dict)]
