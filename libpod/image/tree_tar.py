"""A directory tree as the tar of an image layer.

Kept are names of any bytes, kind, mode, owner, modification time (whole seconds), hard links inside the tree, device
numbers and the extended attributes that image layers carry (`security.capability`, `security.ima`, `user.*`). Left
out are sockets, user and group *names* (they mean nothing elsewhere), access control lists, and whatever is mounted
below the tree when asked to stay on one file system. Entries come in the order of their names, so equal trees give
equal tars.

Nothing follows a symbolic link: directories are entered and files opened relative to an open directory, so a tree that
changes while it is read gives a torn copy at worst, never a file from outside of it.

Covers: storage/pkg/archive (TarWithOptions)
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tarfile
from collections.abc import Callable, Collection, Iterator
from io import FileIO
from typing import IO, cast

from libpod.define.errors import ImageError
from libpod.linux.process import StrPath
from libpod.storage.tar_output import Sink, writing_tar

_ATTRIBUTES = ("security.capability", "security.ima")
_NO_ATTRIBUTES = (errno.ENOTSUP, errno.ENODATA, errno.EPERM)


def write_tree(
    root: StrPath,
    sink: Sink,
    *,
    one_file_system: bool = False,
    owner: Callable[[int, int], tuple[int, int]] | None = None,
) -> None:
    """Write the tree below *root* (without an entry for *root* itself) to *sink*; raises ImageError."""
    try:
        top = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise ImageError(
            f"{os.fspath(root)} cannot be read as a root file system: {error.strerror}"
        ) from error
    try:
        with reading(os.fspath(root)), writing_tar(sink) as tar:
            device = os.fstat(top).st_dev if one_file_system else None
            TreeWriter(tar, device=device, owner=owner).directory(top, "")
    finally:
        os.close(top)


@contextlib.contextmanager
def reading(subject: str) -> Iterator[None]:
    """What goes wrong with the tree in the block becomes an ImageError about *subject*."""
    try:
        yield
    except OSError as error:
        # tarfile tells of a file that shrank meanwhile by an OSError without a number.
        cause = f"{error.strerror} ({error.filename})" if error.errno is not None else str(error)
        raise ImageError(f"{subject} cannot be read completely: {cause}") from error
    except RecursionError as error:
        raise ImageError(f"{subject} cannot be read completely: it is nested too deeply") from error


class TreeWriter:
    """Writes entries, from open directories, into a tar that somebody else opened and closes.

    *owner* gives an entry other ids than it has; *device*: nothing below a directory on another file system.
    """

    def __init__(
        self,
        tar: tarfile.TarFile,
        *,
        device: int | None = None,
        owner: Callable[[int, int], tuple[int, int]] | None = None,
    ) -> None:
        self._tar = tar
        self._device = device
        self._owner = owner
        self._links: dict[tuple[int, int], str] = {}

    def directory(self, descriptor: int, prefix: str, *, leave_out: Collection[str] = ()) -> None:
        """What is in a directory, with all below it; *leave_out* names entries of the directory itself."""
        for name in sorted(os.listdir(descriptor), key=os.fsencode):
            if name not in leave_out:
                self.entry(descriptor, name, prefix + name)

    def opened(self, descriptor: int, path: str, *, leave_out: Collection[str] = ()) -> None:
        """What *descriptor* (it may be one of O_PATH) is of, called *path* in the tar, with all below it."""
        place = f"/proc/self/fd/{descriptor}"
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            self._directory_entry(descriptor, ".", self._info(path, status), status, leave_out)
        elif stat.S_ISREG(status.st_mode):
            with open(place, "rb", buffering=0) as stream:
                self._content(self._info(path, status), stream)
        else:
            info = self._info(path, status)
            if self._is_special(info, status):
                self._tar.addfile(info)

    def entry(self, parent: int, name: str, path: str) -> None:
        """The entry *name* of an open directory, called *path* in the tar, with all below it."""
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFSOCK:
            return
        info = self._info(path, status)
        if kind == stat.S_IFDIR:
            self._directory_entry(parent, name, info, status)
            return
        if status.st_nlink > 1:
            first = self._links.setdefault((status.st_dev, status.st_ino), path)
            if first != path:
                info.type, info.linkname = tarfile.LNKTYPE, first
                self._tar.addfile(info)
                return
        if kind == stat.S_IFREG:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
            with os.fdopen(os.open(name, flags, dir_fd=parent), "rb", buffering=0) as stream:
                self._content(info, stream)
            return
        if kind == stat.S_IFLNK:
            info.type, info.linkname = tarfile.SYMTYPE, os.readlink(name, dir_fd=parent)
        else:
            self._is_special(info, status)
        self._tar.addfile(info)

    def _info(self, path: str, status: os.stat_result) -> tarfile.TarInfo:
        info = tarfile.TarInfo(path)
        info.mode, info.uid, info.gid = stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid
        if self._owner is not None:
            info.uid, info.gid = self._owner(info.uid, info.gid)
        info.mtime = status.st_mtime_ns // 10**9
        return info

    @staticmethod
    def _is_special(info: tarfile.TarInfo, status: os.stat_result) -> bool:
        """Make *info* that of a FIFO or device; False for what a tar does not have."""
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFIFO:
            info.type = tarfile.FIFOTYPE
        elif kind in (stat.S_IFCHR, stat.S_IFBLK):
            info.type = tarfile.CHRTYPE if kind == stat.S_IFCHR else tarfile.BLKTYPE
            info.devmajor, info.devminor = os.major(status.st_rdev), os.minor(status.st_rdev)
        else:
            return False
        return True

    def _directory_entry(
        self,
        parent: int,
        name: str,
        info: tarfile.TarInfo,
        status: os.stat_result,
        leave_out: Collection[str] = (),
    ) -> None:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(name, flags, dir_fd=parent)
        try:
            info.type = tarfile.DIRTYPE
            info.pax_headers = _attributes(descriptor)
            self._tar.addfile(info)
            if self._device in (None, status.st_dev):
                self.directory(descriptor, info.name + "/", leave_out=leave_out)
        finally:
            os.close(descriptor)

    def _content(self, info: tarfile.TarInfo, stream: FileIO) -> None:
        info.size = os.fstat(stream.fileno()).st_size
        info.pax_headers = _attributes(stream.fileno())
        self._tar.addfile(info, cast("IO[bytes]", stream))


def _attributes(descriptor: int) -> dict[str, str]:
    try:
        names = os.listxattr(descriptor)
    except OSError as error:
        if error.errno in _NO_ATTRIBUTES:
            return {}
        raise
    found = {}
    for name in sorted(names):
        if name in _ATTRIBUTES or (name.startswith("user.") and not name.startswith("user.overlay.")):
            value = os.getxattr(descriptor, name)
            found[f"SCHILY.xattr.{name}"] = value.decode("utf-8", "surrogateescape")
    return found
