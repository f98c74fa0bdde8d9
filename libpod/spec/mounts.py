"""The mount list of a specification.

Options as the runtime must see them are made here from those a user gave: read-write, private propagation and a
recursive bind are written out, and the words that are instructions to the engine (z, Z, U, O, copy, nocopy) are kept in
the template – they say what to do with the source at every start – and taken out of the document that runs.

Order of a document: shallow destinations first, so that no mount hides one that was made before it. Sorting is stable.

Covers: pkg/util/mount_opts.go, pkg/specgen/generate/storage.go, libpod/container_internal_common.go (mounts),
libpod/mounts_linux.go
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from libpod.linux.host import HostFacts
from libpod.model.mounts import PROPAGATIONS, BindMount, DevptsMount, TmpfsMount

if TYPE_CHECKING:
    from libpod.spec.document_parts import MountEntry

ENGINE_WORDS = frozenset({"z", "Z", "U", "O", "copy", "nocopy", "consistency", "notmpcopyup"})
"""Options that are for us and would be refused, or taken for file system options, by the runtime."""

SHM = "/dev/shm"
INIT_PATH = "/run/podman-init"


def default_mounts(
    host: HostFacts,
    *,
    privileged: bool,
    sysfs_from_host: bool,
    cgroup_writable: bool,
    gid_5_mapped: bool = True,
    proc_options: Sequence[str] = (),
) -> list[MountEntry]:
    """The kernel's file systems that every container has."""
    devpts = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]
    mounts = [
        _entry("/proc", "proc", list(proc_options) or ["nosuid", "noexec", "nodev"]),
        _entry("/dev", "tmpfs", ["nosuid", "noexec", "strictatime", "mode=755", "size=65536k"]),
        _sysfs(privileged, sysfs_from_host),
        _entry("/dev/pts", "devpts", [*devpts, "gid=5"] if gid_5_mapped else ["rprivate", *devpts]),
    ]
    if host.mqueue:
        mounts.append(_entry("/dev/mqueue", "mqueue", ["nosuid", "noexec", "nodev"]))
    if not sysfs_from_host:
        access = "rw" if privileged or cgroup_writable else "ro"
        mounts.append(
            _entry("/sys/fs/cgroup", "cgroup", ["rprivate", "nosuid", "noexec", "nodev", "relatime", access])
        )
    return mounts


def _sysfs(privileged: bool, from_host: bool) -> MountEntry:
    access = "rw" if privileged else "ro"
    if from_host:
        # A user namespace may only mount a sysfs for a network namespace that it owns.
        options = ["rprivate", "nosuid", "noexec", "nodev", access, "rbind"]
        return {"destination": "/sys", "type": "bind", "source": "/sys", "options": options}
    if privileged:
        return _entry("/sys", "sysfs", ["rprivate", "nosuid", "noexec", "nodev", "rw"])
    return _entry("/sys", "sysfs", ["nosuid", "noexec", "nodev", "ro"])


def _entry(destination: str, kind: str, options: list[str]) -> MountEntry:
    return {"destination": destination, "type": kind, "source": kind, "options": options}


# ---- options --------------------------------------------------------------------------------------------------


def bind_options(options: Iterable[str], *, restricted: bool = False) -> list[str]:
    """A bind's options, written out. With *restricted* no set-uid programs and devices, unless asked for."""
    words = [word for word in options if word != "consistency" and not word.startswith("consistency=")]
    words = _with_defaults(words, restricted=restricted)
    return words if {"bind", "rbind"} & set(words) else [*words, "rbind"]


def volume_options(options: Iterable[str]) -> tuple[str, ...]:
    """The options of a named volume, written out: its content comes from containers, so it is restricted."""
    return tuple(bind_options(options, restricted=True))


def tmpfs_options(options: Iterable[str]) -> list[str]:
    """A tmpfs's options, written out: restricted, and filled with what it covers unless `notmpcopyup` is given."""
    given = [word for word in options if not word.startswith("consistency")]
    words = _with_defaults([word for word in given if word != "notmpcopyup"], restricted=True)
    return words if "tmpcopyup" in words or "notmpcopyup" in given else [*words, "tmpcopyup"]


def _with_defaults(words: list[str], *, restricted: bool) -> list[str]:
    result = list(words)
    given = set(words)
    if not given & {"ro", "rw"}:
        result.append("rw")
    if not given & PROPAGATIONS:
        result.append("rprivate")
    if restricted:
        if not given & {"suid", "nosuid"}:
            result.append("nosuid")
        if not given & {"dev", "nodev"}:
            result.append("nodev")
    return result


# ---- lists ----------------------------------------------------------------------------------------------------


def user_mount(mount: BindMount | TmpfsMount | DevptsMount) -> MountEntry:
    """A mount that a user asked for, as an entry of the template."""
    if isinstance(mount, BindMount):
        return {
            "destination": mount.destination,
            "type": "bind",
            "source": mount.source,
            "options": bind_options(mount.options),
        }
    if isinstance(mount, TmpfsMount):
        return _entry(mount.destination, "tmpfs", tmpfs_options(mount.options))
    return _entry(mount.destination, "devpts", list(mount.options))


def superseded(user: Sequence[MountEntry], defaults: Sequence[MountEntry]) -> list[MountEntry]:
    """*defaults* without what a user mount replaces – all below /dev when it replaces that – and then *user*."""
    taken = {entry["destination"] for entry in user}
    whole_dev = "/dev" in taken
    kept = [
        entry
        for entry in defaults
        if entry["destination"] not in taken and not (whole_dev and entry["destination"].startswith("/dev/"))
    ]
    return kept + list(user)


def with_generated(mounts: Sequence[MountEntry], generated: Iterable[MountEntry]) -> list[MountEntry]:
    """*mounts* and those of *generated* whose destination is still free: what a user mounted wins."""
    result = list(mounts)
    taken = {posixpath.normpath(entry["destination"]) for entry in result}
    for entry in generated:
        destination = posixpath.normpath(entry["destination"])
        if destination not in taken:
            result.append(entry)
            taken.add(destination)
    return result


def generated_bind(destination: str, source: str, *, read_only: bool, own_shm: bool) -> MountEntry:
    """The bind of a file or directory that the engine made; /dev/shm stays writable in a read-only container."""
    options = ["bind", "rprivate"]
    if read_only and destination != SHM:
        options += ["ro", "nosuid", "noexec", "nodev"]
    if destination == SHM and own_shm:
        options += ["nosuid", "noexec", "nodev"]
    return {"destination": destination, "type": "bind", "source": source, "options": options}


def without_engine_words(entry: MountEntry) -> MountEntry:
    """*entry* as the runtime may see it."""
    options = [word for word in entry.get("options", ()) if word.partition("=")[0] not in ENGINE_WORDS]
    changed = entry.copy()
    if "options" in entry:
        changed["options"] = options
    return changed


def by_depth(mounts: Iterable[MountEntry]) -> list[MountEntry]:
    """Shallow destinations first."""
    return sorted(mounts, key=lambda entry: len([part for part in entry["destination"].split("/") if part]))


def root_propagation(mounts: Iterable[Mapping[str, Any]]) -> str:
    """`linux.rootfsPropagation` that the mounts need: a mount can only propagate from a root that does."""
    found = {word for entry in mounts for word in entry.get("options") or ()}
    if found & {"shared", "rshared"}:
        return "shared"
    return "rslave" if found & {"slave", "rslave"} else ""


# ---- what has to be done with sources -------------------------------------------------------------------------


class SourceAction(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine does with a path of the host before it is mounted."""

    source: str
    chown: bool = False
    relabel: str = ""
    """`shared`, `private`, or empty."""


def source_actions(mounts: Iterable[Mapping[str, Any]]) -> list[SourceAction]:
    """The actions that the options U, z and Z of a template ask for."""
    found = []
    for entry in mounts:
        words = set(entry.get("options") or ())
        relabel = "shared" if "z" in words else "private" if "Z" in words else ""
        if relabel or "U" in words:
            found.append(
                SourceAction(source=str(entry.get("source", "")), chown="U" in words, relabel=relabel)
            )
    return found
