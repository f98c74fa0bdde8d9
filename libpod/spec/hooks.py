"""OCI hooks: programs that the administrator has run at moments of a container's life.

A directory holds `*.json` files, each with a hook, the stages it runs at and the conditions under which it does. Files
of later directories replace those of the same name in earlier ones; hooks run in the order of their lower-cased file
names. Conditions that are given must all hold; a file without any never matches. Patterns search anywhere in the text,
as RE2 does; what Python would understand differently (look-around, back references) is refused.

Stage `precreate` is ours and never reaches the runtime: such a program gets the finished document on its standard input
and prints another. `poststop` is the runtime's, as are the rest.

Loading is I/O, matching is pure. A directory that is missing has no hooks; one invalid file is a ConfigError, because a
hook that silently does not run is worse.

Covers: pkg/hooks
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec

from libpod.define.errors import ConfigError
from libpod.define.patterns import pattern

if TYPE_CHECKING:
    from libpod.spec.document_parts import HookEntry

STAGES = (
    "prestart",
    "createRuntime",
    "createContainer",
    "startContainer",
    "poststart",
    "poststop",
    "precreate",
)
PRECREATE = "precreate"

_NOT_RE2 = pattern(r"\(\?(?:=|!|<=|<!|P=|\()|\\[1-9]")
_ENTRY_KEYS = ("path", "args", "env", "timeout")


class Hook(msgspec.Struct, frozen=True, kw_only=True):
    """One file: a program, when it runs, and for which containers."""

    name: str
    entry: HookEntry
    stages: tuple[str, ...]
    always: bool | None = None
    annotations: tuple[tuple[re.Pattern[str], re.Pattern[str]], ...] = ()
    """Pairs of patterns for a key and its value."""
    commands: tuple[re.Pattern[str], ...] = ()
    has_bind_mounts: bool | None = None
    any_of: bool = False
    """The old format 0.1.0: one condition that holds is enough, and annotations match by value only."""

    def matches(self, *, command: Sequence[str], annotations: Mapping[str, str], bind_mounts: bool) -> bool:
        """Whether the hook runs for a container."""
        answers: list[bool] = []
        if self.always is not None:
            answers.append(self.always)
        if self.has_bind_mounts is not None:
            answers.append(self.has_bind_mounts and bind_mounts)
        answers += [
            any(key.search(name) and value.search(text) for name, text in annotations.items())
            for key, value in self.annotations
        ]
        if self.commands:
            answers.append(bool(command) and any(pattern.search(command[0]) for pattern in self.commands))
        if not answers:
            return False
        return any(answers) if self.any_of else all(answers)


def matching(
    hooks: Sequence[Hook], *, command: Sequence[str], annotations: Mapping[str, str], bind_mounts: bool
) -> dict[str, list[HookEntry]]:
    """The programs to run, by stage."""
    found: dict[str, list[HookEntry]] = {}
    for hook in sorted(hooks, key=lambda item: item.name.lower()):
        if hook.matches(command=command, annotations=annotations, bind_mounts=bind_mounts):
            for stage in hook.stages:
                found.setdefault(stage, []).append(hook.entry.copy())
    return found


def load_hooks(directories: Sequence[str]) -> list[Hook]:
    """The hooks of all *directories*, later ones winning by file name; raises ConfigError."""
    files: dict[str, Path] = {}
    for directory in directories:
        try:
            names = sorted(os.listdir(directory))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise ConfigError(f"the hooks directory {directory} cannot be read: {error.strerror}") from error
        files |= {name: Path(directory, name) for name in names if name.endswith(".json")}
    hooks = []
    for name in sorted(files, key=str.lower):
        try:
            data = files[name].read_bytes()
        except FileNotFoundError:
            continue  # taken away since the directory was read
        except OSError as error:
            raise ConfigError(f"the hook {files[name]} cannot be read: {error.strerror}") from error
        hook = parse_hook(data, str(files[name]))
        if not os.path.exists(hook.entry["path"]):
            raise ConfigError(f"the hook {files[name]} runs {hook.entry['path']}, which does not exist")
        hooks.append(msgspec.structs.replace(hook, name=name))
    return hooks


def parse_hook(data: bytes, source: str) -> Hook:
    """The hook in *data*; *source* names the file in errors. Raises ConfigError."""
    try:
        document = msgspec.json.decode(data)
    except msgspec.DecodeError as error:
        raise ConfigError(f"the hook {source} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise ConfigError(f"the hook {source} is not a JSON object")
    version = document.get("version", "0.1.0")
    if version == "1.0.0":
        return _current(document, source)
    if version == "0.1.0":
        return _old(document, source)
    raise ConfigError(f'the hook {source} has version "{version}"', resolution="use version 1.0.0")


def _current(document: Mapping[str, Any], source: str) -> Hook:
    entry = document.get("hook")
    if not isinstance(entry, dict) or not isinstance(entry.get("path"), str) or not entry["path"]:
        raise ConfigError(f"the hook {source} names no program")
    when = document.get("when") or {}
    if not isinstance(when, dict):
        raise ConfigError(f"when of the hook {source} is not an object")
    annotations = when.get("annotations") or {}
    if not isinstance(annotations, dict):
        raise ConfigError(f"when.annotations of the hook {source} is not an object")
    return Hook(
        name=os.path.basename(source),
        entry=cast("HookEntry", {key: entry[key] for key in _ENTRY_KEYS if key in entry}),
        stages=_stages(document.get("stages"), source),
        always=when.get("always"),
        annotations=tuple(
            (_pattern(key, source), _pattern(value, source)) for key, value in annotations.items()
        ),
        commands=tuple(_pattern(item, source) for item in when.get("commands") or ()),
        has_bind_mounts=when.get("hasBindMounts"),
    )


def _old(document: Mapping[str, Any], source: str) -> Hook:
    path = document.get("hook")
    if not isinstance(path, str) or not path:
        raise ConfigError(f"the hook {source} names no program")
    entry: HookEntry = {"path": path}
    arguments = document.get("arguments")
    if arguments:
        entry["args"] = [path, *arguments]
    anything = re.compile("")
    return Hook(
        name=os.path.basename(source),
        entry=entry,
        stages=_stages(_either(document, "stage", "stages", source), source),
        annotations=tuple(
            (anything, _pattern(item, source))
            for item in _either(document, "annotation", "annotations", source) or ()
        ),
        commands=tuple(_pattern(item, source) for item in _either(document, "cmd", "cmds", source) or ()),
        has_bind_mounts=document.get("hasbindmounts"),
        any_of=True,
    )


def _either(document: Mapping[str, Any], one: str, many: str, source: str) -> Any:
    if one in document and many in document:
        raise ConfigError(f"the hook {source} has both {one} and {many}", resolution="keep one")
    return document.get(many, document.get(one))


def _stages(value: Any, source: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ConfigError(f"the hook {source} names no stages")
    for stage in value:
        if stage not in STAGES:
            raise ConfigError(
                f'the hook {source} names the stage "{stage}"', resolution=f"use {', '.join(STAGES)}"
            )
    return tuple(value)


def _pattern(text: Any, source: str) -> re.Pattern[str]:
    if not isinstance(text, str):
        raise ConfigError(f"the hook {source} has the pattern {text!r}, which is not a text")
    if _NOT_RE2.search(text):
        raise ConfigError(
            f'the hook {source} has the pattern "{text}"',
            resolution="do without look-around and back references",
        )
    try:
        return re.compile(text)
    except re.error as error:
        raise ConfigError(f'the hook {source} has the pattern "{text}": {error}') from error
