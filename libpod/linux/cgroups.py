"""Control groups: which kind the host has, who is in one, freezing, emptying, removing.

    unified   /sys/fs/cgroup is cgroup2
    hybrid    controllers in v1 hierarchies below /sys/fs/cgroup, and a cgroup2 at /sys/fs/cgroup/unified
    legacy    v1 hierarchies only

A container has one path, valid below every hierarchy: ``/libpod_parent/libpod-<id>`` or, made by systemd,
``/machine.slice/libpod-<id>.scope``. In hybrid mode the resource controllers are v1, yet runc makes and joins
``unified/<path>`` as well: clean-up goes through all hierarchies.

Freezing on v1 may take a while (FREEZING, then FROZEN) and the kernel tells nobody when it is done, so `freeze`
looks again, in steps from 50 µs to 5 ms; on v2 it waits for cgroup.events. A frozen v1 group keeps even SIGKILL waiting
until it is thawed; on v2 the kill goes through.

Every function is safe to repeat and treats a group that is gone as empty, thawed and removed. Killed in the middle,
`freeze` may leave the group frozen: whoever finds it thaws it.

Covers: libpod/container_internal_linux.go and pkg/cgroups (the parts that are needed), utils/utils_supported.go
"""

from __future__ import annotations

import contextlib
import enum
import errno
import functools
import os
import select
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from libpod.linux.pidfd import ProcessIdentity, send_signal

ROOT = Path("/sys/fs/cgroup")

_CGROUP2 = "cgroup2"


class CgroupMode(enum.StrEnum):
    """What is mounted on /sys/fs/cgroup."""

    UNIFIED = "unified"
    HYBRID = "hybrid"
    LEGACY = "legacy"
    NONE = "none"


class Hierarchy(msgspec.Struct, frozen=True, kw_only=True):
    """One mounted cgroup file system."""

    mount_point: Path
    controllers: frozenset[str]
    """v1: the controllers, or ``name=…``; empty for cgroup2."""
    version: int

    def directory(self, path: str) -> Path:
        """Where the group *path* is in this hierarchy."""
        return self.mount_point / path.strip("/")


@functools.cache
def hierarchies() -> tuple[Hierarchy, ...]:
    """All hierarchies that are mounted, looked up once. One hierarchy that is mounted twice counts once."""
    found: dict[str, Hierarchy] = {}
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as stream:
        for line in stream:
            left, _, right = line.partition(" - ")
            fields, (fstype, _source, options) = left.split(), right.split()[:3]
            if fstype not in ("cgroup", _CGROUP2):
                continue
            mount_point = Path(fields[4].encode().decode("unicode_escape"))
            if fstype == _CGROUP2:
                found.setdefault(
                    fields[2], Hierarchy(mount_point=mount_point, controllers=frozenset(), version=2)
                )
                continue
            names = frozenset(
                word
                for word in options.split(",")
                if word.startswith("name=") or word not in ("rw", "ro", "xattr", "noprefix", "clone_children")
            )
            names = frozenset(word for word in names if not word.startswith("release_agent="))
            found.setdefault(fields[2], Hierarchy(mount_point=mount_point, controllers=names, version=1))
    return tuple(found.values())


@functools.cache
def mode() -> CgroupMode:
    """Which kind of cgroups this host has."""
    mounted = {str(hierarchy.mount_point): hierarchy for hierarchy in hierarchies()}
    top = mounted.get(str(ROOT))
    if top is not None and top.version == 2:
        return CgroupMode.UNIFIED
    versions = {hierarchy.version for hierarchy in mounted.values()}
    if versions == {1, 2}:
        return CgroupMode.HYBRID
    if versions == {2}:
        return CgroupMode.UNIFIED
    return CgroupMode.LEGACY if versions else CgroupMode.NONE


def unified_controllers() -> frozenset[str]:
    """The controllers that the cgroup2 hierarchy offers; in hybrid mode normally none."""
    for hierarchy in hierarchies():
        if hierarchy.version == 2:
            return frozenset((hierarchy.mount_point / "cgroup.controllers").read_text().split())
    return frozenset()


def has_controller(name: str) -> bool:
    """Whether groups can be limited by controller *name* here."""
    return any(name in hierarchy.controllers for hierarchy in hierarchies()) or name in unified_controllers()


def controller_directory(path: str, controller: str) -> Path | None:
    """The directory of group *path* that carries *controller*: its v1 hierarchy, else cgroup2; None without either."""
    for hierarchy in hierarchies():
        if controller in hierarchy.controllers:
            return hierarchy.directory(path)
    for hierarchy in hierarchies():
        if hierarchy.version == 2:
            return hierarchy.directory(path)
    return None


def group_path(cgroups_path: str) -> str:
    """The path below the hierarchies for a ``linux.cgroupsPath``: itself, or for ``slice:prefix:name`` systemd's.

    systemd nests slices by their dashes: a-b.slice lies in a.slice.
    """
    if ":" not in cgroups_path or "/" in cgroups_path:
        return "/" + cgroups_path.strip("/")
    slice_name, prefix, name = [*cgroups_path.split(":"), "", ""][:3]
    parts: list[str] = []
    if slice_name and slice_name != "-.slice":
        words = slice_name.removesuffix(".slice").split("-")
        parts = ["-".join(words[: count + 1]) + ".slice" for count in range(len(words))]
    unit = name if name.endswith(".slice") else (f"{prefix}-{name}.scope" if prefix else f"{name}.scope")
    return "/" + "/".join([*parts, unit])


def paths_of(pid: int) -> dict[str, str]:
    """In which group process *pid* is: {"memory": "/a/b", "": "/c"}, the empty name for cgroup2."""
    paths: dict[str, str] = {}
    with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="surrogateescape") as stream:
        for line in stream:
            _number, names, path = line.rstrip("\n").split(":", 2)
            for name in names.split(","):
                paths[name] = path
    return paths


def processes(path: str) -> list[int]:
    """The pids in group *path* and below it, in the hierarchy that has most: sorted, empty when there is no group."""
    most: list[int] = []
    for hierarchy in hierarchies():
        found = sorted(set(_processes_below(hierarchy.directory(path))))
        if len(found) > len(most):
            most = found
    return most


def _processes_below(directory: Path) -> Iterator[int]:
    for group, _subgroups, _files in os.walk(directory):
        # A threaded cgroup2 refuses to list processes (EOPNOTSUPP): its domain above lists them.
        with contextlib.suppress(FileNotFoundError, OSError):
            for word in Path(group, "cgroup.procs").read_text().split():
                yield int(word)


# ---- freezing -------------------------------------------------------------------------------------------------


def freezer_directory(path: str) -> Path | None:
    """The directory through which group *path* is frozen, when it exists: v1's freezer, else cgroup2."""
    directory = controller_directory(path, "freezer")
    if directory is None:
        return None
    for name in ("freezer.state", "cgroup.freeze"):
        if (directory / name).exists():
            return directory
    return None


def freezer_switch(directory: Path) -> Path:
    """The file by which a group is frozen."""
    unified = directory / "cgroup.freeze"
    return unified if unified.exists() else directory / "freezer.state"


def is_frozen(directory: Path) -> bool:
    """Whether a group is frozen, or on the way to it, by its own switch or by one above it."""
    try:
        if (directory / "cgroup.freeze").exists():
            return (directory / "cgroup.freeze").read_text().strip() == "1"
        return (directory / "freezer.state").read_text().strip() != "THAWED"
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno == errno.ENODEV:  # removed between open and read
            return False
        raise


def freeze(directory: Path, *, timeout: float = 10.0) -> None:
    """Freeze a group and return once the kernel says that every process stands still.

    Raises TimeoutError, after thawing again, when that takes longer than *timeout* seconds.
    """
    try:
        if (directory / "cgroup.freeze").exists():
            done = _freeze_v2(directory, timeout)
        else:
            done = _freeze_v1(directory, timeout)
    except BaseException:
        thaw(directory)
        raise
    if not done:
        thaw(directory)
        raise TimeoutError(errno.ETIMEDOUT, f"not frozen after {timeout:g} seconds", str(directory))


def thaw(directory: Path) -> None:
    """Let a group run again; one that is gone, or was not frozen, is fine."""
    try:
        if (directory / "cgroup.freeze").exists():
            _write(directory / "cgroup.freeze", b"0")
        else:
            _write(directory / "freezer.state", b"THAWED")
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno != errno.ENODEV:
            raise


def _freeze_v1(directory: Path, timeout: float) -> bool:
    """Freeze, look again in growing steps; a group that hangs half-way is let go for a moment and frozen anew.

    It hangs for ever when a process with several threads (runc's init, say) was frozen in the middle of execve: the
    thread that executes waits for the others to die, and those are frozen already.
    """
    state = directory / "freezer.state"
    deadline = time.monotonic() + timeout
    patience = 0.02
    while True:
        _write(state, b"FROZEN")
        attempt_ends = min(time.monotonic() + patience, deadline)
        pause = 0.00005
        while state.read_text().strip() != "FROZEN":
            if time.monotonic() > attempt_ends:
                break
            time.sleep(pause)
            pause = min(pause * 2, 0.005)
        else:
            return True
        if time.monotonic() > deadline:
            return False
        _write(state, b"THAWED")
        time.sleep(min(patience / 4, 0.05))
        patience = min(patience * 2, 1.0)


def _freeze_v2(directory: Path, timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    events = os.open(directory / "cgroup.events", os.O_RDONLY | os.O_CLOEXEC)
    try:
        poller = select.poll()
        poller.register(events, select.POLLPRI)
        _write(directory / "cgroup.freeze", b"1")
        while b"frozen 1" not in os.pread(events, 4096, 0):
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            poller.poll(int(left * 1000) + 1)
        return True
    finally:
        os.close(events)


def _write(path: Path, text: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text)
    finally:
        os.close(descriptor)


# ---- emptying and removing --------------------------------------------------------------------------------------


def kill_all(path: str, number: int = signal.SIGKILL) -> int:
    """Send a signal to every process in group *path* and below; returns how many were sent.

    SIGKILL goes through ``cgroup.kill`` where there is one. Elsewhere the group is frozen while its members are
    read, so that none can fork away, and thawed afterwards, which also lets a pending SIGKILL through.
    """
    members = processes(path)
    if number == signal.SIGKILL and mode() is CgroupMode.UNIFIED:
        switch = next(h for h in hierarchies() if h.version == 2).directory(path) / "cgroup.kill"
        with contextlib.suppress(FileNotFoundError):
            _write(switch, b"1")
            return len(members)
    if not members:
        return 0
    freezer = freezer_directory(path)
    stood_still = freezer is not None and is_frozen(freezer)
    try:
        if freezer is not None and not stood_still:
            with contextlib.suppress(FileNotFoundError, TimeoutError):
                freeze(freezer)
        sent = 0
        for pid in processes(path):
            sent += send_signal(ProcessIdentity.of(pid), number)
        return sent
    finally:
        # A group that somebody had paused stays paused, unless the signal must get through.
        if freezer is not None and (not stood_still or number == signal.SIGKILL):
            thaw(freezer)


def remove(path: str, *, timeout: float = 2.0) -> list[Path]:
    """Remove group *path* with its subgroups in every hierarchy; returns the directories that could not be removed.

    A process that has just died still counts for a moment (EBUSY); this is retried until *timeout* seconds have
    passed. The group itself only: parents stay, the hierarchies' roots are refused.
    """
    if not path.strip("/"):
        raise ValueError("the root of the cgroup hierarchies cannot be removed")
    deadline = time.monotonic() + timeout
    left = [directory for h in hierarchies() if (directory := h.directory(path)).is_dir()]
    pause = 0.001
    while True:
        left = [directory for directory in left if not _removed(directory)]
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(pause)
        pause = min(pause * 2, 0.05)


def _removed(directory: Path) -> bool:
    for group, _subgroups, _files in os.walk(directory, topdown=False):
        try:
            os.rmdir(group)
        except FileNotFoundError:
            continue
        except OSError as error:
            if error.errno in (errno.EBUSY, errno.ENOTEMPTY):
                return False
            raise
    return True
