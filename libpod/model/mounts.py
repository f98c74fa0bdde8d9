"""What can be mounted into a container, as a creator asks for it.

One value class a kind, all with a clean absolute `destination` and podman's option words, checked where they are made:

    VolumeMount    a named volume; without a name, an anonymous one that lives and dies with the container
    BindMount      a path of the host
    OverlayMount   a path of the host, with writes kept apart (`:O`)
    TmpfsMount     memory
    ImageMount     the root file system of an image
    DevptsMount    a pseudo-terminal file system

Words of which at most one may be given are in `_EXCLUSIVE`; the words the runtime must not see (z, Z, U, O, copy,
nocopy) are taken out when the specification is made, not here.

Covers: pkg/util/mount_opts.go, pkg/specgen/volumes.go (types)
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable

import msgspec

from libpod.define.errors import InvalidArgumentError
from libpod.define.ids import check_name

PROPAGATIONS = frozenset(
    {"private", "rprivate", "shared", "rshared", "slave", "rslave", "unbindable", "runbindable"}
)

_EXCLUSIVE: tuple[frozenset[str], ...] = (
    frozenset({"ro", "rw"}),
    frozenset({"exec", "noexec"}),
    frozenset({"suid", "nosuid"}),
    frozenset({"dev", "nodev"}),
    frozenset({"copy", "nocopy"}),
    frozenset({"bind", "rbind"}),
    frozenset({"z", "Z"}),
    frozenset({"tmpcopyup", "notmpcopyup"}),
    frozenset({"atime", "noatime", "relatime", "norelatime", "strictatime"}),
    frozenset({"U"}),
    frozenset({"O"}),
    frozenset({"size"}),
    frozenset({"mode"}),
    PROPAGATIONS,
)

_GENERAL = frozenset({"ro", "rw", "exec", "noexec", "suid", "nosuid", "dev", "nodev", "U"}) | PROPAGATIONS
_TIMES = frozenset({"atime", "noatime", "relatime", "norelatime", "strictatime", "diratime", "nodiratime"})
_BIND_WORDS = _GENERAL | _TIMES | {"bind", "rbind", "z", "Z", "nocopy", "copy", "consistency"}
_VOLUME_WORDS = _BIND_WORDS
_TMPFS_WORDS = _GENERAL | _TIMES | {
    "size", "mode", "tmpcopyup", "notmpcopyup", "noswap", "uid", "gid", "nr_inodes", "consistency",
}  # fmt: skip
_OVERLAY_WORDS = frozenset({"O", "U", "ro", "rw", "z", "Z", "upperdir", "workdir", "volatile"})
_DEVPTS_WORDS = frozenset({"uid", "gid", "mode", "ptmxmode", "newinstance", "max"})


def clean_destination(text: str) -> str:
    """*text* without needless slashes and dots; raises InvalidArgumentError unless it is absolute and not the root."""
    if not text.startswith("/"):
        raise InvalidArgumentError(f'"{text}" is not an absolute path in the container')
    cleaned = "/" + posixpath.normpath(text).lstrip("/")
    if cleaned == "/":
        raise InvalidArgumentError("nothing can be mounted on the root directory of a container")
    return cleaned


def check_options(options: Iterable[str], allowed: frozenset[str], subject: str) -> tuple[str, ...]:
    """Return *options* when each is *allowed* and no two contradict each other; raises InvalidArgumentError."""
    words = tuple(option for option in options if option)
    names = [word.partition("=")[0] for word in words]
    for word, name in zip(words, names):
        if name not in allowed:
            raise InvalidArgumentError(f'{subject} does not know the option "{word}"')
    for group in _EXCLUSIVE:
        found = [name for name in names if name in group]
        if len(found) > 1:
            raise InvalidArgumentError(
                f"{subject} has the options {' and '.join(found)}", resolution="give one of them"
            )
    return words


def _clean(mount: Mount) -> None:
    """What every mount does when it is made: its destination in one spelling, its options a tuple."""
    msgspec.structs.force_setattr(mount, "destination", clean_destination(mount.destination))
    if not isinstance(mount, ImageMount):
        msgspec.structs.force_setattr(mount, "options", tuple(mount.options))


class VolumeMount(msgspec.Struct, frozen=True, kw_only=True):
    """A named volume on *destination*; without a name a new anonymous one."""

    name: str = ""
    destination: str
    options: tuple[str, ...] = ()
    sub_path: str = ""

    def __post_init__(self) -> None:
        _clean(self)
        if self.name:
            check_name("volume", self.name)
        check_options(self.options, _VOLUME_WORDS, f"the volume on {self.destination}")
        _check_sub_path(self.sub_path, self.destination)


class BindMount(msgspec.Struct, frozen=True, kw_only=True):
    """A path of the host on *destination*."""

    source: str
    destination: str
    options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _clean(self)
        _check_source(self.source, self.destination)
        check_options(self.options, _BIND_WORDS, f"the bind mount on {self.destination}")


class OverlayMount(msgspec.Struct, frozen=True, kw_only=True):
    """A path of the host on *destination*; what the container writes there is kept apart and dropped."""

    source: str
    destination: str
    options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _clean(self)
        _check_source(self.source, self.destination)
        words = check_options(self.options, _OVERLAY_WORDS, f"the overlay on {self.destination}")
        given = {word.partition("=")[0] for word in words}
        if ("upperdir" in given) != ("workdir" in given):
            raise InvalidArgumentError(
                f"the overlay on {self.destination} needs both upperdir and workdir, or neither"
            )


class TmpfsMount(msgspec.Struct, frozen=True, kw_only=True):
    """Memory on *destination*."""

    destination: str
    options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _clean(self)
        check_options(self.options, _TMPFS_WORDS, f"the tmpfs on {self.destination}")


class ImageMount(msgspec.Struct, frozen=True, kw_only=True):
    """The root file system of image *source* on *destination*; writes, where allowed, are dropped."""

    source: str
    destination: str
    read_write: bool = False
    sub_path: str = ""

    def __post_init__(self) -> None:
        _clean(self)
        if not self.source:
            raise InvalidArgumentError(f"the image mount on {self.destination} names no image")
        _check_sub_path(self.sub_path, self.destination)


class DevptsMount(msgspec.Struct, frozen=True, kw_only=True):
    """A pseudo-terminal file system of its own on *destination*."""

    destination: str
    options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _clean(self)
        check_options(self.options, _DEVPTS_WORDS, f"the devpts on {self.destination}")


Mount = VolumeMount | BindMount | OverlayMount | TmpfsMount | ImageMount | DevptsMount


def _check_source(source: str, destination: str) -> None:
    if not source.startswith("/"):
        raise InvalidArgumentError(
            f'the source "{source}" of the mount on {destination} is not an absolute path on the host'
        )


def _check_sub_path(sub_path: str, destination: str) -> None:
    if sub_path and (".." in sub_path.split("/") or sub_path.startswith("//")):
        raise InvalidArgumentError(
            f'the sub-path "{sub_path}" of the mount on {destination} leaves its volume'
        )
