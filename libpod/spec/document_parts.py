"""The known parts of an OCI runtime specification, as types.

The names and their meaning are the specification's (config.md, config-linux.md); only what this library reads or writes
is listed. Nobody makes one of these, so modules import them for their annotations only: making two dozen typed
dictionaries takes milliseconds, which a run does not have. `document.check_document` alone uses them when it runs.

Covers: github.com/opencontainers/runtime-spec/specs-go
"""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

import msgspec


class User(TypedDict):
    uid: int
    gid: int
    umask: NotRequired[int]
    additionalGids: NotRequired[list[int]]


class Capabilities(TypedDict, total=False):
    bounding: list[str]
    effective: list[str]
    inheritable: list[str]
    permitted: list[str]
    ambient: list[str]


class Rlimit(TypedDict):
    type: str
    hard: int
    soft: int


class Box(TypedDict):
    """The size of a terminal."""

    height: int
    width: int


class Process(TypedDict):
    terminal: NotRequired[bool]
    consoleSize: NotRequired[Box]
    user: User
    args: list[str]
    env: list[str]
    cwd: str
    capabilities: NotRequired[Capabilities]
    rlimits: NotRequired[list[Rlimit]]
    noNewPrivileges: NotRequired[bool]
    oomScoreAdj: NotRequired[int]
    apparmorProfile: NotRequired[str]
    selinuxLabel: NotRequired[str]


class Root(TypedDict):
    path: str
    readonly: NotRequired[bool]


class MountEntry(TypedDict):
    destination: str
    type: NotRequired[str]
    source: NotRequired[str]
    options: NotRequired[list[str]]
    uidMappings: NotRequired[list[IDMapping]]
    gidMappings: NotRequired[list[IDMapping]]


class IDMapping(TypedDict):
    containerID: int
    hostID: int
    size: int


class Namespace(TypedDict):
    type: str
    path: NotRequired[str]


class Device(TypedDict):
    path: str
    type: str
    major: NotRequired[int]
    minor: NotRequired[int]
    fileMode: NotRequired[int]
    uid: NotRequired[int]
    gid: NotRequired[int]


class DeviceAccess(TypedDict):
    allow: bool
    type: NotRequired[str]
    major: NotRequired[int]
    minor: NotRequired[int]
    access: NotRequired[str]


class SyscallArgument(TypedDict):
    index: int
    value: int
    valueTwo: NotRequired[int]
    op: str


class Syscall(TypedDict):
    names: list[str]
    action: str
    errnoRet: NotRequired[int]
    args: NotRequired[list[SyscallArgument]]


class Seccomp(TypedDict):
    defaultAction: str
    defaultErrnoRet: NotRequired[int]
    architectures: NotRequired[list[str]]
    flags: NotRequired[list[str]]
    listenerPath: NotRequired[str]
    listenerMetadata: NotRequired[str]
    syscalls: NotRequired[list[Syscall]]


class Resources(TypedDict, total=False):
    devices: list[DeviceAccess]
    memory: dict[str, Any]
    cpu: dict[str, Any]
    pids: dict[str, int]
    blockIO: dict[str, Any]
    unified: dict[str, str]


class Linux(TypedDict, total=False):
    uidMappings: list[IDMapping]
    gidMappings: list[IDMapping]
    sysctl: dict[str, str]
    resources: Resources
    cgroupsPath: str
    namespaces: list[Namespace]
    devices: list[Device]
    seccomp: Seccomp
    rootfsPropagation: str
    maskedPaths: list[str]
    readonlyPaths: list[str]
    mountLabel: str


class HookEntry(TypedDict):
    path: str
    args: NotRequired[list[str]]
    env: NotRequired[list[str]]
    timeout: NotRequired[int]


class Spec(TypedDict):
    """The top of a `config.json`."""

    ociVersion: str
    process: Process
    root: Root
    hostname: NotRequired[str]
    mounts: list[MountEntry]
    hooks: NotRequired[dict[str, list[HookEntry]]]
    annotations: NotRequired[dict[str, str]]
    linux: Linux


known_parts = msgspec.json.Decoder(Spec)
"""Made here, while one thread imports this: msgspec's first use of a type is not safe between threads."""
