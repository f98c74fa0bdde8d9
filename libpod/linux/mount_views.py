"""A file system as somebody else sees it, held as one descriptor.

`entered` is the root of a running process, with everything that is mounted in it. `assembled` is a directory with
others bound into it, in a mount namespace that nobody else sees. Either way only a thread that ends at once moves; what
stays are the descriptor of the root and one of the namespace, which keeps the mounts below the root in place. A kill
leaves nothing.

The descriptor is of O_PATH: use it with `openat.open_inside` and `open_strict`.

Covers: libpod/container_copy_common.go (joinMountAndExec)
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
from collections.abc import Iterator, Sequence

import msgspec

from libpod.linux import mounts
from libpod.linux.namespaces import run_in_thread
from libpod.linux.openat import open_inside

StrPath = str | os.PathLike[str]

_CLONE_NEWNS = 0x20000
_THREAD_NAMESPACE = "/proc/thread-self/ns/mnt"
_ROOT = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC

_libc = ctypes.CDLL(None, use_errno=True)
_libc.setns.argtypes = (ctypes.c_int, ctypes.c_int)


class Bind(msgspec.Struct, frozen=True, kw_only=True):
    """One directory or file that appears inside another."""

    source: str
    destination: str
    """Inside the root; links in it are followed as a process there would follow them."""
    read_only: bool = False


@contextlib.contextmanager
def entered(pid: int) -> Iterator[int]:
    """The root of the mount namespace of *pid*; raises ProcessLookupError when it has ended."""
    try:
        namespace = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH), str(pid)) from error

    def look() -> int:
        mounts.unshare_working_directory()
        if _libc.setns(namespace, _CLONE_NEWNS) < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), f"/proc/{pid}/ns/mnt")
        return os.open("/", _ROOT)

    try:
        root = run_in_thread(look)
        try:
            yield root
        finally:
            os.close(root)
    finally:
        os.close(namespace)


@contextlib.contextmanager
def assembled(root: StrPath, binds: Sequence[Bind]) -> Iterator[int]:
    """*root* with *binds* in it, those nearer to the root first. A destination that is missing is made."""

    def build() -> tuple[int, int]:
        mounts.unshare_mounts()
        mounts.set_propagation("/", mounts.MS_PRIVATE | mounts.MS_REC)
        top = os.open(root, _ROOT)
        try:
            for bind in sorted(binds, key=lambda bind: bind.destination.count("/")):
                _bind(top, bind)
            return top, os.open(_THREAD_NAMESPACE, os.O_RDONLY | os.O_CLOEXEC)
        except BaseException:
            os.close(top)
            raise

    top, namespace = run_in_thread(build)
    try:
        yield top
    finally:
        os.close(top)
        os.close(namespace)


def _bind(top: int, bind: Bind) -> None:
    is_directory = stat.S_ISDIR(os.stat(bind.source).st_mode)
    target = _mount_point(top, bind.destination, is_directory=is_directory)
    try:
        path = f"/proc/self/fd/{target}"
        mounts.bind(bind.source, path, recursive=True)
    finally:
        os.close(target)
    if bind.read_only:
        # The descriptor from before is of what now lies below the mount.
        mounted = open_inside(top, bind.destination.strip("/"), os.O_PATH)
        try:
            flags = mounts.MS_BIND | mounts.MS_REMOUNT | mounts.MS_RDONLY
            mounts.mount("", f"/proc/self/fd/{mounted}", "", flags)
        finally:
            os.close(mounted)


def _mount_point(top: int, destination: str, *, is_directory: bool) -> int:
    """A descriptor of the place *destination*, made with what leads to it where it is missing."""
    parts = [part for part in destination.split("/") if part]
    with contextlib.suppress(FileNotFoundError):
        return open_inside(top, "/".join(parts), os.O_PATH)
    for count in range(1, len(parts)):
        _make_directory(top, parts[:count])
    if is_directory:
        _make_directory(top, parts)
        return open_inside(top, "/".join(parts), os.O_PATH)
    parent = open_inside(top, "/".join(parts[:-1]), os.O_RDONLY | os.O_DIRECTORY)
    try:
        return os.open(parts[-1], os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644, dir_fd=parent)
    finally:
        os.close(parent)


def _make_directory(top: int, parts: Sequence[str]) -> None:
    parent = open_inside(top, "/".join(parts[:-1]), os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(FileExistsError):
            os.mkdir(parts[-1], 0o755, dir_fd=parent)
    finally:
        os.close(parent)
