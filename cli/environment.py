"""Environment variables and labels as the command line and files give them.

    NAME=VALUE    that
    NAME          the value that this process has, when it has one
    NAME*         all of this process that begin so

Covers: pkg/env/env.go, pkg/parse (labels)
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from libpod_cli.parser import UsageError


def environment(words: Iterable[str], files: Iterable[str] = ()) -> dict[str, str]:
    """The variables; those of the command line stand above those of files. Raises UsageError, OSError."""
    found: dict[str, str] = {}
    for word in (*_lines(files), *words):
        name, given, value = word.partition("=")
        if not name or name.isspace():
            raise UsageError(f'"{word}" does not name an environment variable')
        if given:
            found[name] = value
        elif name.endswith("*"):
            found.update({key: text for key, text in os.environ.items() if key.startswith(name[:-1])})
        elif name in os.environ:
            found[name] = os.environ[name]
    return found


def labels(words: Iterable[str], files: Iterable[str] = ()) -> dict[str, str]:
    """`key=value` or `key`; raises UsageError, OSError."""
    found = {}
    for word in (*_lines(files), *words):
        key, _, value = word.partition("=")
        if not key:
            raise UsageError(f'"{word}" is not a label: write key=value')
        found[key] = value
    return found


def _lines(files: Iterable[str]) -> Iterator[str]:
    for path in files:
        for line in Path(path).read_text().splitlines():
            text = line.lstrip()
            if text and not text.startswith("#"):
                yield text
