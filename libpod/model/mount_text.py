"""Mounts as the command line writes them: `-v`, `--mount` and `--tmpfs`.

    -v   [SOURCE:]DESTINATION[:OPTION,…]       SOURCE with a leading / or . is a path, else a volume's name;
                                               option O makes an overlay; no SOURCE, an anonymous volume
    --mount   type=bind,src=…,dst=…,ro         comma-separated, quoted as in CSV; the type defaults to volume
    --tmpfs   DESTINATION[:OPTION,…]

Relative sources are taken from the working directory of this process, the only thing outside its argument that a
function here looks at.

Covers: pkg/specgenutil/volumes.go, pkg/specgen/volumes.go
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable

from libpod.define.errors import InvalidArgumentError
from libpod.model.mounts import (
    BindMount,
    DevptsMount,
    ImageMount,
    Mount,
    OverlayMount,
    TmpfsMount,
    VolumeMount,
)

_TRUE, _FALSE = ("true", "1"), ("false", "0")
_SOURCE_KEYS = ("src", "source")
_DESTINATION_KEYS = ("target", "dst", "destination")


def parse_volume(text: str) -> BindMount | OverlayMount | VolumeMount:
    """The mount that `-v` *text* asks for; raises InvalidArgumentError."""
    parts = text.split(":")
    if len(parts) > 3 or not all(parts[:2]):
        raise InvalidArgumentError(
            f'"{text}" is not a volume', resolution="write [source:]destination[:options], none of them empty"
        )
    options = tuple(parts[2].split(",")) if len(parts) == 3 else ()
    if len(parts) == 1:
        return VolumeMount(destination=parts[0])
    source, destination = parts[0], parts[1]
    if not source.startswith(("/", ".")):
        if "O" in options:
            raise InvalidArgumentError(
                f'option O of "{text}" needs a path of the host',
                resolution="give the path of the volume's content",
            )
        return VolumeMount(name=source, destination=destination, options=options)
    source = os.path.abspath(source)
    if "O" in options:
        return OverlayMount(source=source, destination=destination, options=options)
    return BindMount(source=source, destination=destination, options=options)


def parse_tmpfs(text: str) -> TmpfsMount:
    """The mount that `--tmpfs` *text* asks for; raises InvalidArgumentError."""
    destination, _, options = text.partition(":")
    return TmpfsMount(destination=destination, options=tuple(options.split(",")) if options else ())


def parse_mount(text: str) -> Mount:
    """The mount that `--mount` *text* asks for; raises InvalidArgumentError."""
    try:
        rows = list(csv.reader([text], strict=True))
    except csv.Error as error:
        raise InvalidArgumentError(f'"{text}" is not a mount: {error}') from error
    fields = [field.strip() for field in rows[0]] if len(rows) == 1 else []
    kind = "volume"
    rest = []
    for field in fields:
        key, _, value = field.partition("=")
        if key == "type":
            kind = value
        elif field:
            rest.append(field)
    maker = _KINDS.get(kind)
    if maker is None:
        raise InvalidArgumentError(
            f'"{kind}" is not a kind of mount', resolution=f"use one of {', '.join(_KINDS)}"
        )
    return maker(rest, text)


class _Fields:
    """The fields of one `--mount`, sorted into source, destination, sub-path and option words."""

    def __init__(self, fields: list[str], text: str, renamed: dict[str, str]) -> None:
        self.source = self.destination = self.sub_path = ""
        self.options: list[str] = []
        self._text = text
        for field in fields:
            key, given, value = field.partition("=")
            if key in _SOURCE_KEYS:
                self.source = self._needed(key, value)
            elif key in _DESTINATION_KEYS:
                self.destination = self._needed(key, value)
            elif key in ("subpath", "volume-subpath"):
                self.sub_path = self._needed(key, value)
            elif key == "consistency":
                pass  # Docker on other systems; means nothing on Linux
            elif key in ("ro", "readonly", "rw"):
                wanted = not given or self._flag(key, value)
                word = "rw" if key == "rw" else "ro"
                self.options.append(word if wanted else {"rw": "ro", "ro": "rw"}[word])
            elif key in ("U", "chown"):
                if not given or self._flag(key, value):
                    self.options.append("U")
            elif key == "bind-nonrecursive":
                if not given or self._flag(key, value):
                    self.options.append("bind")
            elif key == "bind-propagation":
                self.options.append(self._needed(key, value))
            elif key == "relabel":
                if value not in ("shared", "private"):
                    raise InvalidArgumentError(
                        f'relabel is "{value}" in "{text}"', resolution="use shared or private"
                    )
                self.options.append("z" if value == "shared" else "Z")
            elif key in renamed:
                self.options.append(f"{renamed[key]}={self._needed(key, value)}")
            else:
                self.options.append(field)
        if not self.destination:
            raise InvalidArgumentError(
                f'"{text}" does not say where to mount', resolution="give destination=PATH"
            )

    def without_source(self) -> None:
        if self.source:
            raise InvalidArgumentError(f'"{self._text}" has a source, which its kind of mount cannot have')

    def _needed(self, key: str, value: str) -> str:
        if not value:
            raise InvalidArgumentError(f'{key} has no value in "{self._text}"')
        return value

    def _flag(self, key: str, value: str) -> bool:
        if value.lower() in _TRUE:
            return True
        if value.lower() in _FALSE:
            return False
        raise InvalidArgumentError(f'{key} is "{value}" in "{self._text}"', resolution="use true or false")


def _bind(fields: list[str], text: str) -> Mount:
    found = _Fields(fields, text, {})
    source = os.path.abspath(found.source) if found.source else found.destination
    return BindMount(source=source, destination=found.destination, options=tuple(found.options))


def _volume(fields: list[str], text: str) -> Mount:
    found = _Fields(fields, text, {})
    return VolumeMount(
        name=found.source,
        destination=found.destination,
        options=tuple(found.options),
        sub_path=found.sub_path,
    )


def _tmpfs(fields: list[str], text: str) -> Mount:
    found = _Fields(fields, text, {"tmpfs-size": "size", "tmpfs-mode": "mode"})
    found.without_source()
    return TmpfsMount(destination=found.destination, options=tuple(found.options))


def _image(fields: list[str], text: str) -> Mount:
    read_write = False
    rest = []
    for field in fields:
        key, given, value = field.partition("=")
        if key in ("rw", "readwrite"):
            if given and value not in _TRUE + _FALSE:
                raise InvalidArgumentError(f'{key} is "{value}" in "{text}"', resolution="use true or false")
            read_write = not given or value in _TRUE
        else:
            rest.append(field)
    found = _Fields(rest, text, {})
    if found.options:
        raise InvalidArgumentError(f'an image mount does not know the option "{found.options[0]}"')
    return ImageMount(
        source=found.source, destination=found.destination, read_write=read_write, sub_path=found.sub_path
    )


def _devpts(fields: list[str], text: str) -> Mount:
    found = _Fields(fields, text, {})
    found.without_source()
    return DevptsMount(destination=found.destination, options=tuple(found.options))


_KINDS: dict[str, Callable[[list[str], str], Mount]] = {
    "bind": _bind,
    "volume": _volume,
    "tmpfs": _tmpfs,
    "image": _image,
    "devpts": _devpts,
}
