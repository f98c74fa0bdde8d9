"""`--security-opt` as one value.

    no-new-privileges[=true|false]   seccomp=FILE|unconfined   apparmor=PROFILE|unconfined   label=…|disable|nested
    mask=PATH[:PATH…]   unmask=ALL|PATH[:PATH…]   proc-opts=OPTION,…

Covers: pkg/specgenutil/specgen.go (security options)
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import msgspec

from libpod.define.errors import InvalidArgumentError

_LABEL_KEYS = ("user", "role", "type", "level", "filetype")


class SecurityOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the container may do beyond, or less than, any other."""

    no_new_privileges: bool = False
    seccomp: str = ""
    """A profile file, `unconfined`, or empty for the machine's profile."""
    apparmor: str = ""
    labels: tuple[str, ...] = ()
    """SELinux: `type:…`, `level:…`, `disable`, `nested`."""
    mask: tuple[str, ...] = ()
    unmask: tuple[str, ...] = ()
    """Paths, globs, or the one word ALL."""
    proc_options: tuple[str, ...] = ()

    @property
    def unmasks_all(self) -> bool:
        """Whether no path is to be masked."""
        return "ALL" in self.unmask


def parse_security_options(values: SecurityOptions | Iterable[str]) -> SecurityOptions:
    """The options in the words of `--security-opt`; raises InvalidArgumentError."""
    if isinstance(values, SecurityOptions):
        return values
    no_new_privileges = False
    seccomp = apparmor = ""
    labels: list[str] = []
    mask: list[str] = []
    unmask: list[str] = []
    proc_options: list[str] = []
    for text in (values,) if isinstance(values, str) else values:
        # Docker's old spelling has a colon where podman has an equal sign.
        key, given, value = text.partition("=")
        if not given and ":" in text:
            key, given, value = text.partition(":")
        if key == "no-new-privileges":
            if value.lower() not in ("", "true", "false", "1", "0"):
                raise _wrong(text)
            no_new_privileges = value.lower() in ("", "true", "1")
        elif key == "seccomp" and value:
            seccomp = value if value == "unconfined" else os.path.abspath(value)
        elif key == "apparmor" and value:
            apparmor = value
        elif key == "label" and value:
            labels.append(_label(value, text))
        elif key == "mask" and value:
            mask += _paths(value, text)
        elif key == "unmask" and value:
            unmask += ["ALL"] if value.upper() == "ALL" else _paths(value, text)
        elif key == "proc-opts" and value:
            proc_options += value.split(",")
        else:
            raise _wrong(text)
    return SecurityOptions(
        no_new_privileges=no_new_privileges,
        seccomp=seccomp,
        apparmor=apparmor,
        labels=tuple(labels),
        mask=tuple(mask),
        unmask=tuple(unmask),
        proc_options=tuple(proc_options),
    )


def _label(value: str, text: str) -> str:
    if value in ("disable", "nested"):
        return value
    key, colon, rest = value.partition(":")
    if key not in _LABEL_KEYS or not colon or not rest:
        raise _wrong(text)
    return value


def _paths(value: str, text: str) -> list[str]:
    paths = value.split(":")
    for path in paths:
        if not path.startswith("/"):
            raise InvalidArgumentError(f'"{path}" in "{text}" is not an absolute path')
    return paths


def _wrong(text: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f'"{text}" is not a security option',
        resolution="use no-new-privileges, seccomp=, apparmor=, label=, mask=, unmask= or proc-opts=",
    )
