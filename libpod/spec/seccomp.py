"""Seccomp profiles: the rich file of the machine, and the plain list a runtime takes.

A profile's rules depend on the architecture and on the capabilities of the container: whoever may not mount anyway is
refused mount(2) as well. So the profile is compiled after the final capability sets are known, at every init. Reading
and compiling are apart: `load_profile` reads, `compile_profile` is pure. A parsed file is kept until it changes.

Covers: pkg/seccomp of the common library (seccomp_linux.go, types.go, validate.go)
"""

from __future__ import annotations

import errno
import functools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from libpod.define.errors import ConfigError

if TYPE_CHECKING:
    from libpod.spec.document_parts import Seccomp, Syscall

UNCONFINED = "unconfined"
SEARCH = ("/etc/containers/seccomp.json", "/usr/share/containers/seccomp.json")
"""Where the machine's profile is looked for, the administrator's first."""

_NATIVE = {
    "amd64": "SCMP_ARCH_X86_64",
    "386": "SCMP_ARCH_X86",
    "arm64": "SCMP_ARCH_AARCH64",
    "arm": "SCMP_ARCH_ARM",
    "ppc64le": "SCMP_ARCH_PPC64LE",
    "ppc64": "SCMP_ARCH_PPC64",
    "s390x": "SCMP_ARCH_S390X",
    "riscv64": "SCMP_ARCH_RISCV64",
    "mips": "SCMP_ARCH_MIPS",
    "mips64": "SCMP_ARCH_MIPS64",
    "loong64": "SCMP_ARCH_LOONGARCH64",
}


class SeccompProfile(msgspec.Struct, frozen=True, kw_only=True):
    """A profile file, read and found to be well-formed. `document` is never changed."""

    source: str
    document: Mapping[str, Any]


def parse_profile(data: bytes, source: str) -> SeccompProfile:
    """The profile in *data*; *source* names it in errors. Raises ConfigError."""
    try:
        document = msgspec.json.decode(data)
    except msgspec.DecodeError as error:
        raise ConfigError(f"the seccomp profile {source} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise ConfigError(f"the seccomp profile {source} is not a JSON object")
    if document.get("architectures") and document.get("archMap"):
        raise ConfigError(
            f"the seccomp profile {source} has both architectures and archMap", resolution="keep one"
        )
    rules = document.get("syscalls") or []
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        raise ConfigError(f"syscalls of the seccomp profile {source} is not a list of objects")
    for rule in rules:
        if rule.get("name") and rule.get("names"):
            raise ConfigError(f"a rule of the seccomp profile {source} has both name and names")
    return SeccompProfile(source=source, document=document)


def load_profile(path: str) -> SeccompProfile:
    """Read a profile file; raises ConfigError."""
    try:
        found = os.stat(path)
        return _read(path, found.st_mtime_ns, found.st_size, found.st_ino)
    except OSError as error:
        raise ConfigError(
            f"the seccomp profile {path} cannot be read: {error.strerror}",
            resolution="give an existing file or unconfined",
        ) from error


@functools.lru_cache(maxsize=8)
def _read(path: str, _mtime: int, _size: int, _inode: int) -> SeccompProfile:
    return parse_profile(Path(path).read_bytes(), path)


def default_profile(configured: str) -> SeccompProfile | None:
    """The profile of containers that name none: *configured*, else the machine's; None when there is none."""
    if configured == UNCONFINED:
        return None
    if configured:
        return load_profile(configured)
    for path in SEARCH:
        if os.path.exists(path):
            return load_profile(path)
    return None


def compile_profile(
    profile: SeccompProfile, *, architecture: str, bounding: frozenset[str] | set[str]
) -> Seccomp | None:
    """The rules of *profile* that apply to a container with the capabilities *bounding* on *architecture*.

    None when the profile says nothing. Raises ConfigError for an errno that has no number.
    """
    document = profile.document
    if not document.get("defaultAction") and not document.get("syscalls"):
        return None
    result: Seccomp = {"defaultAction": document.get("defaultAction", "")}
    default = _errno(profile, document.get("defaultErrno"), document.get("defaultErrnoRet"))
    if default is not None:
        result["defaultErrnoRet"] = default
    architectures = _architectures(document, architecture)
    if architectures:
        result["architectures"] = architectures
    if document.get("flags"):
        result["flags"] = list(document["flags"])
    if document.get("listenerPath"):
        result["listenerPath"] = document["listenerPath"]
    if document.get("listenerMetadata"):
        result["listenerMetadata"] = document["listenerMetadata"]
    rules = [
        _rule(profile, rule)
        for rule in document.get("syscalls") or ()
        if _applies(rule, architecture, bounding)
    ]
    if rules:
        result["syscalls"] = rules
    return result


def _architectures(document: Mapping[str, Any], architecture: str) -> list[str]:
    if document.get("architectures"):
        return list(document["architectures"])
    native = _NATIVE.get(architecture)
    for entry in document.get("archMap") or ():
        if entry.get("architecture") == native:
            return [native, *(entry.get("subArchitectures") or ())]
    return []


def _applies(rule: Mapping[str, Any], architecture: str, bounding: frozenset[str] | set[str]) -> bool:
    excludes, includes = rule.get("excludes") or {}, rule.get("includes") or {}
    if architecture in (excludes.get("arches") or ()):
        return False
    if any(name in bounding for name in excludes.get("caps") or ()):
        return False
    if includes.get("arches") and architecture not in includes["arches"]:
        return False
    return all(name in bounding for name in includes.get("caps") or ())


def _rule(profile: SeccompProfile, rule: Mapping[str, Any]) -> Syscall:
    names: Sequence[str] = rule.get("names") or ([rule["name"]] if rule.get("name") else [])
    result: Syscall = {"names": list(names), "action": rule.get("action", "")}
    number = _errno(profile, rule.get("errno"), rule.get("errnoRet"))
    if number is not None:
        result["errnoRet"] = number
    arguments = []
    for argument in rule.get("args") or ():
        entry: dict[str, Any] = {"index": argument.get("index", 0), "value": argument.get("value", 0)}
        if argument.get("valueTwo"):
            entry["valueTwo"] = argument["valueTwo"]
        entry["op"] = argument.get("op", "")
        arguments.append(entry)
    if arguments:
        result["args"] = arguments  # type: ignore[typeddict-item]
    return result


def _errno(profile: SeccompProfile, name: Any, number: Any) -> int | None:
    """A name, or a number written as text, wins over the number."""
    if name:
        word = str(name)
        if word.isdecimal():
            return int(word)
        value = getattr(errno, word, None)
        if not isinstance(value, int):
            raise ConfigError(f'the seccomp profile {profile.source} names the unknown error "{word}"')
        return value
    return None if number is None else int(number)
