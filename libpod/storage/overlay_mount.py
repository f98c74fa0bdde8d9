"""The overlay mount call: which options, and how hundreds of lower directories fit.

`plan` decides, `mount` calls. mount(2) takes less than a page of data, about 60 lower directories under the default
graph root. What is longer goes

1. through the mount API of descriptors, one `lowerdir+` per directory (Linux 6.7 and later), else
2. as descriptor numbers relative to /proc/thread-self/fd, in a thread that has a working directory of its own.

A path that holds a character with a meaning in the data (comma, colon, backslash) is escaped for mount(2).

Covers: storage/drivers/overlay/overlay.go (get), storage/drivers/overlay/mount.go
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from libpod.define.errors import ConfigError
from libpod.linux import mounts

T = TypeVar("T")

_FLAGS = {
    "ro": mounts.MS_RDONLY,
    "nosuid": mounts.MS_NOSUID,
    "nodev": mounts.MS_NODEV,
    "noexec": mounts.MS_NOEXEC,
    "sync": mounts.MS_SYNCHRONOUS,
    "dirsync": mounts.MS_DIRSYNC,
    "noatime": mounts.MS_NOATIME,
    "nodiratime": mounts.MS_NODIRATIME,
    "relatime": mounts.MS_RELATIME,
    "strictatime": mounts.MS_STRICTATIME,
}
_CLEARING = {
    "rw": mounts.MS_RDONLY,
    "suid": mounts.MS_NOSUID,
    "dev": mounts.MS_NODEV,
    "exec": mounts.MS_NOEXEC,
    "async": mounts.MS_SYNCHRONOUS,
    "atime": mounts.MS_NOATIME,
    "diratime": mounts.MS_NODIRATIME,
    "norelatime": mounts.MS_RELATIME,
    "nostrictatime": mounts.MS_STRICTATIME,
}
_PROPAGATION = frozenset(
    {"private", "rprivate", "shared", "rshared", "slave", "rslave", "unbindable", "runbindable"}
)
_RESERVED = frozenset({"lowerdir", "upperdir", "workdir"})


class OverlayPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One overlay mount."""

    lowers: tuple[str, ...]
    """Nearest first."""
    upper: str | None
    """None for a read-only mount."""
    work: str | None
    flags: int
    options: tuple[str, ...]
    """What goes into the data: words, and key=value."""


def effective_options(driver: Sequence[str], request: Sequence[str] | None) -> list[str]:
    """A request's own options take the place of the driver's, except that metacopy is a property of the store."""
    if not request:
        return list(driver)
    options = list(request)
    if "metacopy=on" in driver and "metacopy=on" not in options:
        options.append("metacopy=on")
    return options


def plan(
    *, upper: Path, work: Path, lowers: Sequence[Path], options: Sequence[str], label: str, read_only: bool
) -> OverlayPlan:
    """Decide how to mount; raises ConfigError for options that would replace the directories."""
    flags = 0
    data: list[str] = []
    for option in options:
        if option in _FLAGS:
            flags |= _FLAGS[option]
        elif option in _CLEARING:
            flags &= ~_CLEARING[option]
        elif option in _PROPAGATION or not option:
            continue  # the home is private, and so is everything below it
        elif option.partition("=")[0].rstrip("+") in _RESERVED:
            raise ConfigError(f'"{option}" cannot be a mount option of the overlay driver')
        else:
            data.append(option)
    if uses_user_xattrs() and "userxattr" not in data:
        data.append("userxattr")
    if label:
        data.append(f'context="{label}"')
    if read_only:
        flags |= mounts.MS_RDONLY
    writable = not flags & mounts.MS_RDONLY
    directories = [os.fspath(lower) for lower in lowers]
    return OverlayPlan(
        lowers=tuple(directories if writable else [os.fspath(upper), *directories]),
        upper=os.fspath(upper) if writable else None,
        work=os.fspath(work) if writable else None,
        flags=flags,
        options=tuple(data),
    )


def with_lowers(what: OverlayPlan, lowers: Sequence[Path]) -> OverlayPlan:
    """The same with other lower directories."""
    return msgspec.structs.replace(what, lowers=tuple(os.fspath(lower) for lower in lowers))


def mount(what: OverlayPlan, target: Path) -> None:
    """Mount the overlay at *target*; raises OSError."""
    data = mount_data(what)
    if len(os.fsencode(data)) < mounts.PAGE:
        mounts.mount("overlay", target, "overlay", what.flags, data)
        return
    with contextlib.ExitStack() as stack:
        try:
            tree = stack.enter_context(_closing(detached(what)))
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOSYS):
                raise
        else:
            mounts.move_mount(tree, target)
            return
    _mount_by_descriptors(what, target)


def mount_data(what: OverlayPlan) -> str:
    """The data string of mount(2)."""
    words = ["lowerdir=" + ":".join(_escaped(lower, ":") for lower in what.lowers)]
    if what.upper is not None and what.work is not None:
        words += [f"upperdir={_escaped(what.upper)}", f"workdir={_escaped(what.work)}"]
    return ",".join([*words, *what.options])


def detached(what: OverlayPlan) -> int:
    """The overlay as a mount that is attached nowhere; closing the descriptor ends it (Linux 6.7)."""
    with contextlib.ExitStack() as stack:
        filesystem = stack.enter_context(_closing(mounts.open_filesystem("overlay")))

        def directory(path: str) -> str:
            # fsconfig takes short strings only, and reads colons in `lowerdir+` as they are.
            if len(os.fsencode(path)) <= mounts.STRING_LIMIT:
                return path
            return f"/proc/self/fd/{stack.enter_context(_closing(os.open(path, os.O_PATH | os.O_CLOEXEC)))}"

        mounts.configure(filesystem, "source", "overlay")
        for lower in what.lowers:
            mounts.configure(filesystem, "lowerdir+", directory(lower))
        if what.upper is not None and what.work is not None:
            mounts.configure(filesystem, "upperdir", directory(what.upper))
            mounts.configure(filesystem, "workdir", directory(what.work))
        for option in what.options:
            key, equals, value = option.partition("=")
            mounts.configure(filesystem, key, value.strip('"') if equals else None)
        attributes = 0
        for flag, attribute in (
            (mounts.MS_RDONLY, mounts.MOUNT_ATTR_RDONLY),
            (mounts.MS_NOSUID, mounts.MOUNT_ATTR_NOSUID),
            (mounts.MS_NODEV, mounts.MOUNT_ATTR_NODEV),
            (mounts.MS_NOEXEC, mounts.MOUNT_ATTR_NOEXEC),
            (mounts.MS_NOATIME, mounts.MOUNT_ATTR_NOATIME),
            (mounts.MS_STRICTATIME, mounts.MOUNT_ATTR_STRICTATIME),
            (mounts.MS_NODIRATIME, mounts.MOUNT_ATTR_NODIRATIME),
        ):
            attributes |= attribute if what.flags & flag else 0
        if what.flags & mounts.MS_RDONLY:
            mounts.configure(filesystem, "ro")
        return mounts.create_mount(filesystem, attributes)


def opened_view(directories: Sequence[Path], scratch: Path) -> int:
    """A descriptor of the merged content of several directories, nearest first, read-only.

    It exists as long as the descriptor does and is seen nowhere else: on kernels that cannot keep an overlay detached
    it is mounted on *scratch* in a mount namespace that ends at once.
    """
    options = ["index=off"] if uses_user_xattrs() else ["index=off", "redirect_dir=on", "metacopy=on"]
    what = plan(
        upper=directories[0],
        work=directories[0],
        lowers=directories[1:],
        options=options,
        label="",
        read_only=True,
    )
    try:
        tree = detached(what)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS):
            raise
        return _in_thread("overlay view", lambda: _view_in_own_namespace(what, scratch))
    with _closing(tree):
        return os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=tree)


def _view_in_own_namespace(what: OverlayPlan, scratch: Path) -> int:
    """To be called in a thread that ends afterwards, and the mount namespace with it; the descriptor stays good."""
    mounts.unshare_mounts()
    mounts.set_propagation("/", mounts.MS_PRIVATE | mounts.MS_REC)
    mount(what, scratch)
    return os.open(scratch, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _mount_by_descriptors(what: OverlayPlan, target: Path) -> None:
    """mount(2) with a number per directory, from a thread that works in its own descriptor directory."""
    absolute = target.absolute()

    def call() -> None:
        with contextlib.ExitStack() as stack:

            def number(path: str) -> str:
                return str(stack.enter_context(_closing(os.open(path, os.O_PATH | os.O_CLOEXEC))))

            numbered = msgspec.structs.replace(
                what,
                lowers=tuple(number(lower) for lower in what.lowers),
                upper=None if what.upper is None else number(what.upper),
                work=None if what.work is None else number(what.work),
            )
            mounts.unshare_working_directory()
            os.chdir("/proc/thread-self/fd")
            mounts.mount("overlay", absolute, "overlay", what.flags, mount_data(numbered))

    _in_thread("overlay mount", call)


def _in_thread(name: str, call: Callable[[], T]) -> T:
    """Call in a thread of its own, which may change its namespaces because it ends afterwards."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix=name) as pool:
        return pool.submit(call).result()


@contextlib.contextmanager
def _closing(descriptor: int) -> Iterator[int]:
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _escaped(path: str, also: str = "") -> str:
    """Undo what the kernel's parser would see in a path: it splits at commas, and lowerdir at colons."""
    for character in "\\," + also:
        path = path.replace(character, "\\" + character)
    return path


@functools.cache
def uses_user_xattrs() -> bool:
    """Whether we are root of a user namespace only, where overlay keeps its marks in `user.overlay.*`."""
    try:
        with open("/proc/self/uid_map", encoding="ascii") as stream:
            fields = stream.read().split()
    except FileNotFoundError:
        return False
    return fields != ["0", "0", "4294967295"]
