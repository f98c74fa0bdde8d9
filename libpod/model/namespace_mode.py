"""How a container gets one of its namespaces.

    (nothing)      what the configuration of the machine says
    private        one of its own
    host           the host's
    shareable      one of its own that others may join (IPC: its /dev/shm too)
    none           one of its own, and nothing in it (IPC: no /dev/shm; network: loopback only)
    container:ID   that of another container
    ns:PATH        the one bound to a path
    pod            that of the pod's infra container

Covers: pkg/specgen/namespaces.go, pkg/namespaces
"""

from __future__ import annotations

import enum

import msgspec

from libpod.define.errors import InvalidArgumentError


class NamespaceKind(enum.StrEnum):
    """Where a namespace comes from."""

    DEFAULT = ""
    PRIVATE = "private"
    HOST = "host"
    SHAREABLE = "shareable"
    NONE = "none"
    CONTAINER = "container"
    PATH = "ns"
    POD = "pod"
    BRIDGE = "bridge"


class NamespaceMode(msgspec.Struct, frozen=True):
    """A kind and, for a container or a path, which."""

    kind: NamespaceKind = NamespaceKind.DEFAULT
    value: str = ""

    @property
    def is_own(self) -> bool:
        """Whether the container gets a namespace that is made for it."""
        return self.kind in _OWN

    def __str__(self) -> str:
        return f"{self.kind}:{self.value}" if self.value else str(self.kind)


_OWN = frozenset({NamespaceKind.PRIVATE, NamespaceKind.SHAREABLE, NamespaceKind.NONE, NamespaceKind.BRIDGE})
_ALWAYS = frozenset(
    {NamespaceKind.DEFAULT, NamespaceKind.PRIVATE, NamespaceKind.HOST, NamespaceKind.CONTAINER, NamespaceKind.PATH,
     NamespaceKind.POD}
)  # fmt: skip
ALLOWED = {
    "pid": _ALWAYS,
    "ipc": _ALWAYS | {NamespaceKind.SHAREABLE, NamespaceKind.NONE},
    "uts": _ALWAYS,
    "user": _ALWAYS,
    "cgroup": _ALWAYS,
    "network": _ALWAYS | {NamespaceKind.NONE, NamespaceKind.BRIDGE},
}
"""The kinds that make sense for each namespace, by the specification's names."""


def parse_namespace(text: str | NamespaceMode, namespace: str) -> NamespaceMode:
    """The mode in *text* for *namespace*; raises InvalidArgumentError."""
    if isinstance(text, NamespaceMode):
        mode = text
    else:
        word, colon, value = text.partition(":")
        try:
            kind = NamespaceKind(word)
        except ValueError:
            raise InvalidArgumentError(
                f'"{text}" is not a mode of the {namespace} namespace', resolution=_choices(namespace)
            ) from None
        takes_value = kind in (NamespaceKind.CONTAINER, NamespaceKind.PATH)
        if takes_value != bool(value) or (colon and not takes_value):
            raise InvalidArgumentError(
                f'"{text}" is not a mode of the {namespace} namespace', resolution=_choices(namespace)
            )
        mode = NamespaceMode(kind, value)
    if mode.kind not in ALLOWED[namespace]:
        raise InvalidArgumentError(
            f'"{mode}" is not a mode of the {namespace} namespace', resolution=_choices(namespace)
        )
    if mode.kind is NamespaceKind.PATH and not mode.value.startswith("/"):
        raise InvalidArgumentError(f'"{mode.value}" is not an absolute path of a {namespace} namespace')
    return mode


def _choices(namespace: str) -> str:
    shown = {NamespaceKind.CONTAINER: "container:ID", NamespaceKind.PATH: "ns:PATH"}
    words = [
        shown.get(kind, kind.value)
        for kind in NamespaceKind
        if kind in ALLOWED[namespace] and kind is not NamespaceKind.DEFAULT
    ]
    return f"use one of {', '.join(words)}"
