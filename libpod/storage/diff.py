"""A layer as a tar: what `commit` puts into an image.

Every entry of the upper directory except its root; a deleted name becomes an empty file `.wh.<name>`, a directory that
replaced something is followed by `<directory>/.wh..wh..opq`. Names that an image layer may not contain (`.wh.…` made by
the container itself) are refused, because on unpacking they would delete files. Of the extended attributes
`security.capability`, `security.ima` and `user.*` are taken along. Names that share an inode become hard links, sockets
are left out, times are whole seconds, as in podman's layers.

Covers: storage/pkg/archive/archive.go (TarWithOptions, overlayWhiteoutConverter)
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from libpod.define.errors import StorageError
from libpod.storage.id_maps import Owner
from libpod.storage.tar_output import writing_tar
from libpod.storage.upper import UpperEntry, walk

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"

_KEPT_XATTRS = frozenset({"security.capability", "security.ima"})


def write_layer(upper: Path, lowers: Sequence[Path], sink: BinaryIO, owner: Owner | None = None) -> None:
    """Write the layer to *sink*, which need not be seekable; *owner* maps the ids of a container back.

    Raises NeedsMergedView, possibly after part of the tar was written, and StorageError when a file changes while it
    is read.
    """
    with layer_archive(sink, owner) as archive:
        for entry in walk(upper, lowers):
            if entry.whiteout:
                archive.add_whiteout(entry.path)
                continue
            archive.add(entry)
            if entry.opaque and entry.lower is not None:
                archive.add_opaque_mark(entry.path)


@contextlib.contextmanager
def layer_archive(sink: BinaryIO, owner: Owner | None = None) -> Iterator[LayerArchive]:
    """An archive that is complete when the block ends well."""
    with writing_tar(sink) as archive:
        yield LayerArchive(archive, owner)


class LayerArchive:
    """A layer that is being written, entry by entry."""

    def __init__(self, archive: tarfile.TarFile, owner: Owner | None) -> None:
        self._archive = archive
        self._owner = owner
        self._linked: dict[tuple[int, int], str] = {}

    def add_whiteout(self, path: str) -> None:
        """Say that the lower layers' *path* is gone."""
        parent, _, name = path.rpartition("/")
        self._archive.addfile(_marker(f"{parent}/{WHITEOUT}{name}"))

    def add_opaque_mark(self, path: str) -> None:
        """Say that the directory *path* hides what the lower layers have in it."""
        self._archive.addfile(_marker(f"{path}/{OPAQUE}"))

    def add(self, entry: UpperEntry) -> None:
        """Add one entry with its content; sockets are left out."""
        status = entry.status
        if entry.name.startswith(WHITEOUT):
            raise StorageError(
                f"the file {entry.path} has the name of a whiteout and cannot be part of an image layer",
                resolution="rename or remove it in the container",
            )
        if stat.S_ISSOCK(status.st_mode):
            return
        info = tarfile.TarInfo(entry.path[1:])
        info.mode = stat.S_IMODE(status.st_mode)
        info.uid, info.gid = status.st_uid, status.st_gid
        if self._owner is not None:
            info.uid, info.gid = self._owner(info.uid, info.gid)
        info.mtime = status.st_mtime_ns // 10**9
        info.pax_headers = {
            f"SCHILY.xattr.{k}": v for k, v in kept_xattrs(entry.directory, entry.name).items()
        }
        inode = (status.st_dev, status.st_ino)
        if not entry.is_directory and status.st_nlink > 1:
            if inode in self._linked:
                info.type, info.linkname = tarfile.LNKTYPE, self._linked[inode]
                self._archive.addfile(info)
                return
            self._linked[inode] = info.name
        if stat.S_ISREG(status.st_mode):
            self._add_file(info, entry)
            return
        if entry.is_directory:
            info.type = tarfile.DIRTYPE
        elif stat.S_ISLNK(status.st_mode):
            info.type, info.linkname = tarfile.SYMTYPE, os.readlink(entry.name, dir_fd=entry.directory)
        elif stat.S_ISFIFO(status.st_mode):
            info.type = tarfile.FIFOTYPE
        else:
            info.type = tarfile.CHRTYPE if stat.S_ISCHR(status.st_mode) else tarfile.BLKTYPE
            info.devmajor, info.devminor = os.major(status.st_rdev), os.minor(status.st_rdev)
        self._archive.addfile(info)

    def _add_file(self, info: tarfile.TarInfo, entry: UpperEntry) -> None:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with os.fdopen(os.open(entry.name, flags, dir_fd=entry.directory), "rb") as stream:
            now = os.fstat(stream.fileno())
            if (now.st_dev, now.st_ino) != (entry.status.st_dev, entry.status.st_ino):
                raise _changed(entry.path)
            info.size = now.st_size
            try:
                self._archive.addfile(info, stream)
            except OSError as error:
                if error.errno is not None:
                    raise
                raise _changed(entry.path) from error  # tarfile: the file ended before its size


def kept_xattrs(directory: int, name: str) -> dict[str, str]:
    """The attributes that a layer keeps; a value is bytes, which surrogates carry through tarfile unchanged."""
    path = f"/proc/self/fd/{directory}/{name}"
    found: dict[str, str] = {}
    try:
        for key in os.listxattr(path, follow_symlinks=False):
            if key in _KEPT_XATTRS or (key.startswith("user.") and not key.startswith("user.overlay.")):
                value = os.getxattr(path, key, follow_symlinks=False)
                found[key] = value.decode("utf-8", "surrogateescape")
    except OSError as error:
        if error.errno not in (errno.ENOTSUP, errno.EPERM, errno.ENODATA):
            raise
    return found


def _marker(path: str) -> tarfile.TarInfo:
    marker = tarfile.TarInfo(path.lstrip("/"))
    marker.mode = 0
    return marker


def _changed(path: str) -> StorageError:
    return StorageError(f"{path} changed while it was read", resolution="pause the container and try again")
