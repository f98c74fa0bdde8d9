"""Files into and out of a container, as tars.

The container is looked at as its own processes see it, with its volumes and tmpfs mounts: while it runs, through its
mount namespace; else its root is mounted and its volumes are bound into it where nobody else sees them (a tmpfs is
empty then, and not shown). Every path is resolved inside that root, links included, so that nothing the container has
or does leads out of it; a `..` is taken away before.

A running container is not kept from anything meanwhile: its lock is given back as soon as its namespace is held. One
that does not run keeps its lock, for nobody may start or remove it then.

Killed in the middle: files that are half there; of a container that did not run also one mount too many, which the next
holder of the lock gives back.

Covers: libpod/container_copy_common.go, libpod/container_path_resolution.go, libpod/container_stat_common.go
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import attrs

from libpod.checkpoint.tarformat import TarHeader, TarKind
from libpod.checkpoint.unpack import unpack_files
from libpod.container_internal import extra_mounts, files, user_lookup, volumes
from libpod.container_internal.held import LockedContainer
from libpod.container_internal.locked import locked
from libpod.container_internal.services import Services
from libpod.define.errors import (
    ArchiveError,
    ContainerStateError,
    InvalidArgumentError,
    NoSuchPathError,
)
from libpod.define.status import ContainerStatus, Operation
from libpod.image.decompression import decompressed
from libpod.image.tree_tar import TreeWriter, reading
from libpod.linux import mount_views
from libpod.linux.mount_views import Bind
from libpod.linux.openat import open_inside
from libpod.model import id_maps
from libpod.model.container_config import ContainerConfig
from libpod.storage.tar_output import writing_tar

_RUNNING = frozenset({ContainerStatus.RUNNING, ContainerStatus.PAUSED, ContainerStatus.STOPPING})
_KERNELS = ("dev", "proc", "sys")
"""What is left out of the whole root: it is the kernel's, not the container's."""
_MAX_LINKS = 40


@attrs.frozen(kw_only=True)
class PathStat:
    """What is at a path of a container, links followed."""

    path: str
    """Its own path, to which the links of the asked one lead."""
    mode: int
    """With the bits of the kind, as in os.stat."""
    size: int
    mtime_ns: int
    link_target: str
    """Of a link that leads nowhere; else empty."""

    @property
    def name(self) -> str:
        """The last part of the path."""
        return posixpath.basename(self.path)

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.mode)


@attrs.frozen(kw_only=True)
class View:
    """A container's files, held open. Made by `view`."""

    config: ContainerConfig
    root: int
    """A descriptor of its root."""

    @property
    def path(self) -> Path:
        """The root for calls that take no descriptor."""
        return Path(f"/proc/self/fd/{self.root}")


@contextlib.contextmanager
def view(services: Services, ctr_id: str) -> Iterator[View]:
    """The container's files for the duration of the block; see the module."""
    with contextlib.ExitStack() as stack:
        with locked(services, ctr_id) as held:
            held.require(Operation.COPY)
            if held.status not in _RUNNING:
                with _resting(held) as root:
                    yield View(config=held.config, root=root)
                return
            try:
                root = stack.enter_context(mount_views.entered(held.state.pid))
            except ProcessLookupError as error:
                raise ContainerStateError(
                    operation="copy files of", container=held.name, status="ending", allowed=["running"],
                    resolution="try again",
                ) from error  # fmt: skip
            config = held.config
        yield View(config=config, root=root)


@contextlib.contextmanager
def _resting(held: LockedContainer) -> Iterator[int]:
    with files.mounted_root(held) as root:
        was_mounted = held.state.mounted
        try:
            volumes.prepare(held, root)
            binds = _binds(held, extra_mounts.prepare(held))
            with mount_views.assembled(root, binds) as descriptor:
                yield descriptor
        finally:
            if not was_mounted:
                volumes.release(held)
                extra_mounts.release(held)


def _binds(held: LockedContainer, mounted: dict[str, str]) -> list[Bind]:
    """Everything of the host that the container would see."""
    config, state = held.config, held.services.state
    found = {
        volume.dest: Bind(
            source=state.volume_config(volume.name).mount_point,
            destination=volume.dest,
            read_only="ro" in volume.options,
        )
        for volume in config.named_volumes
    }
    for mount in config.spec.get("mounts") or ():
        options = mount.get("options") or ()
        source = str(mount.get("source") or "")
        is_bind = mount.get("type") == "bind" or "bind" in options or "rbind" in options
        if is_bind and source.startswith("/") and os.path.exists(source):
            found[mount["destination"]] = Bind(
                source=source, destination=mount["destination"], read_only="ro" in options
            )
    for destination, source in mounted.items():
        read_only = any(
            volume.dest == destination and not volume.read_write for volume in config.image_volumes
        )
        found[destination] = Bind(source=source, destination=destination, read_only=read_only)
    return list(found.values())


# ---- looking --------------------------------------------------------------------------------------------------


def stat_path(seen: View, path: str) -> PathStat:
    """See `Container.stat`; raises NoSuchPathError."""
    inside = _relative(path)
    try:
        descriptor = open_inside(seen.root, inside, os.O_PATH)
    except (FileNotFoundError, NotADirectoryError) as error:
        dangling = _dangling(seen, inside)
        if dangling is None:
            raise NoSuchPathError(path, f"container {seen.config.name}") from error
        return dangling
    except OSError as error:
        raise InvalidArgumentError(
            f"{path} of container {seen.config.name} cannot be reached: {error.strerror}"
        ) from error
    try:
        found = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    return PathStat(
        path="/" + _own_path(seen.root, inside, found),
        mode=found.st_mode,
        size=found.st_size,
        mtime_ns=found.st_mtime_ns,
        link_target="",
    )


def _dangling(seen: View, inside: str) -> PathStat | None:
    """The link at *inside* that leads nowhere, or None when there is not even a link."""
    own = _own_path(seen.root, inside, None)
    parent, _, name = inside.rpartition("/")
    try:
        directory = open_inside(seen.root, parent, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return None
    try:
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
        return PathStat(
            path=f"/{own}",
            mode=found.st_mode,
            size=found.st_size,
            mtime_ns=found.st_mtime_ns,
            link_target=os.readlink(name, dir_fd=directory),
        )
    except OSError:
        return None
    finally:
        os.close(directory)


def _relative(path: str) -> str:
    """*path* from the root, without `.` and `..`."""
    return posixpath.normpath("/" + path).lstrip("/")


def _own_path(root: int, inside: str, found: os.stat_result | None) -> str:
    """Where the links in the last place of *inside* lead, at last; *inside* itself if that is not *found*.

    None: what it leads to is not there.
    """
    current = inside
    for _ in range(_MAX_LINKS):
        parent, _, name = current.rpartition("/")
        try:
            directory = open_inside(root, parent, os.O_PATH | os.O_DIRECTORY)
        except OSError:
            return inside
        try:
            here = os.stat(name or ".", dir_fd=directory, follow_symlinks=False)
            if found is not None and (here.st_dev, here.st_ino) == (found.st_dev, found.st_ino):
                return current
            current = _relative(posixpath.join("/", parent, os.readlink(name, dir_fd=directory)))
        except FileNotFoundError:
            return current if found is None else inside
        except OSError:
            return inside  # not a link: the way there is not plain to see
        finally:
            os.close(directory)
    return inside


# ---- out ------------------------------------------------------------------------------------------------------


def write_tar(seen: View, path: str, sink: BinaryIO, *, name: str | None = None) -> None:
    """Write what is at *path* to *sink*; see `Container.copy_out`."""
    mapping = seen.config.id_mappings

    def owner(uid: int, gid: int) -> tuple[int, int]:
        inside = id_maps.to_container(mapping.uid_map, uid), id_maps.to_container(mapping.gid_map, gid)
        return (0 if inside[0] is None else inside[0], 0 if inside[1] is None else inside[1])

    found = stat_path(seen, path)
    if found.link_target:
        raise NoSuchPathError(path, f"container {seen.config.name}")
    inside = _relative(path)
    only_content = found.is_directory and (not inside or posixpath.basename(path) == ".") and name is None
    descriptor = open_inside(seen.root, inside, os.O_PATH)
    try:
        with reading(f"{path} of container {seen.config.name}"), writing_tar(sink) as tar:
            writer = TreeWriter(tar, owner=owner)
            if only_content:
                opened = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=descriptor)
                try:
                    writer.directory(opened, "", leave_out=() if inside else _KERNELS)
                finally:
                    os.close(opened)
            else:
                writer.opened(descriptor, name or found.name, leave_out=() if inside else _KERNELS)
    finally:
        os.close(descriptor)


# ---- in -------------------------------------------------------------------------------------------------------


def read_tar(
    seen: View, source: BinaryIO, path: str, *, overwrite: bool = False, chown: bool = True
) -> tuple[str, ...]:
    """Unpack *source* in the directory *path*; see `Container.copy_in`; returns what was left out, a sentence each."""
    found = stat_path(seen, path)
    if not found.is_directory:
        raise InvalidArgumentError(
            f"{path} of container {seen.config.name} is not a directory", resolution="name one to unpack in"
        )
    mapping = seen.config.id_mappings
    owner: tuple[int, int] | None = None
    if chown:
        user = user_lookup.resolve(seen.path, seen.config.user)
        owner = id_maps.owner_on_host(mapping, user.uid, user.gid)
    prefix = _relative(path)

    def change(header: TarHeader) -> TarHeader | None:
        name = _joined(prefix, header.name)
        if name == prefix:
            return None  # the directory itself stays as it is
        uid, gid = owner if owner is not None else id_maps.owner_on_host(mapping, header.uid, header.gid)
        target = _joined(prefix, header.target) if header.kind is TarKind.HARD_LINK else header.target
        return attrs.evolve(header, name=name, target=target, uid=uid, gid=gid)

    _, plain = decompressed(source)
    label = f"the tar for {path} of container {seen.config.name}"
    with told(label):
        report = unpack_files(
            plain, seen.path, label=label, change=change, overwrite=overwrite, is_rootfs=True
        )
    return report.skipped


@contextlib.contextmanager
def told(label: str) -> Iterator[None]:
    """The unpacker speaks of checkpoint archives; here it was somebody's tar."""
    try:
        yield
    except ArchiveError as error:
        raise InvalidArgumentError(f"{label}: {error.cause}", resolution=error.resolution) from error


def _joined(prefix: str, name: str) -> str:
    """A name of the tar below *prefix*; `..` stays, and is refused where the name is used."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    return "/".join([prefix, *parts] if prefix else parts)
