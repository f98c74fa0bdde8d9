"""Short links: `l/<26 characters>` -> `../<layer id>/diff`, so that many lower layers fit into one page of mount data.

A layer's `link` file says what its short link is called; the link can be made again from it. `repair` does so for the
whole home and also writes a `link` file that is missing from the link that points to the layer. It never touches what
it does not understand.

Covers: storage/drivers/overlay/overlay.go (recreateSymlinks)
"""

from __future__ import annotations

import base64
import os
from pathlib import Path

from libpod.define.patterns import pattern
from libpod.linux.files import replacing

_NAME = pattern(r"[A-Z2-7]{26}")
_ENTRY = pattern(r"l/[A-Z2-7]{26}")
_TARGET = pattern(r"\.\./([0-9a-f]{64})/diff")
_FOREIGN = frozenset({"l", "staging", "tempdirs"})


def new_name() -> str:
    return base64.b32encode(os.urandom(17)).decode()[:26]


def is_entry(text: str) -> bool:
    """Whether *text* has the form of an entry in a `lower` file."""
    return _ENTRY.fullmatch(text) is not None


def name_of(directory: Path) -> str | None:
    """What a layer's `link` file says; None when it is missing, empty or no such name."""
    try:
        text = (directory / "link").read_text(encoding="ascii", errors="replace").strip()
    except FileNotFoundError:
        return None
    return text if _NAME.fullmatch(text) else None


def make(home: Path, name: str, layer_id: str) -> None:
    """Make the short link of a layer."""
    links = home / "l"
    try:
        os.symlink(f"../{layer_id}/diff", links / name)
    except FileNotFoundError:
        links.mkdir(mode=0o755, exist_ok=True)
        os.chmod(links, 0o755)
        os.symlink(f"../{layer_id}/diff", links / name)


def remove(home: Path, layer_id: str) -> None:
    """Remove the short link that the layer's `link` file names. A file that names none removes nothing."""
    name = name_of(home / layer_id)
    if name is None:
        return
    try:
        os.unlink(home / "l" / name)
    except FileNotFoundError:
        pass


def layer_of(link: Path) -> str:
    """The id of the layer whose `diff` *link* leads to."""
    return link.resolve().parent.name


def layer_directories(home: Path) -> list[str]:
    """The names of the layer directories in a home."""
    try:
        with os.scandir(home) as entries:
            return sorted(
                e.name for e in entries if e.name not in _FOREIGN and e.is_dir(follow_symlinks=False)
            )
    except FileNotFoundError:
        return []


def links(home: Path) -> dict[str, str]:
    """Every short link and what it points to."""
    try:
        with os.scandir(home / "l") as entries:
            return {entry.name: os.readlink(entry.path) for entry in entries if entry.is_symlink()}
    except FileNotFoundError:
        return {}


def repair(home: Path) -> list[str]:
    """Make lost short links and lost `link` files again; returns what was done, a line each.

    `layers.lock` must be held for writing. Repeating it is harmless, a kill in the middle leaves the rest to the next.
    """
    done: list[str] = []
    present = links(home)
    pointing = {match[1]: name for name, target in present.items() if (match := _TARGET.fullmatch(target))}
    for layer_id in layer_directories(home):
        directory = home / layer_id
        name = name_of(directory)
        if name is None:
            name = pointing.get(layer_id)
            if name is None:
                continue
            with replacing(directory / "link", mode=0o644) as stream:
                stream.write(name.encode())
            done.append(f"wrote the lost link file of layer {layer_id}")
        elif present.get(name) != f"../{layer_id}/diff":
            if name in present:
                os.unlink(home / "l" / name)
            make(home, name, layer_id)
            done.append(f"made the lost short link of layer {layer_id} again")
    return done


def dangling(home: Path) -> list[str]:
    """Short links whose layer directory does not exist, or has another link."""
    lost = []
    for name, target in links(home).items():
        match = _TARGET.fullmatch(target)
        if _NAME.fullmatch(name) and match and not (home / match[1]).is_dir():
            lost.append(name)
    return lost
