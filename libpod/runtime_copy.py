"""Copying files between containers and the host, as `cp` does it.

A side is "container:path", a path of the host, or a stream of a tar. What comes to lie where follows cp's rules: a file
goes into a directory that is there, takes the place of a file, or gets the name that was given; a directory likewise,
with all that is in it, and with "/." at its end only that.

One thread writes a tar into a pipe, the caller's unpacks it, so nothing is put down in between. Unpacking never follows
a link out of the directory it began in. What arrives on the host belongs to the caller and has neither set-id bits
nor capabilities nor device nodes: it may come from a container that nobody trusts.

Killed in the middle: files that are half there.

Covers: cmd/podman/containers/cp.go
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import attrs

from libpod.checkpoint.tarformat import TarHeader, TarKind
from libpod.checkpoint.unpack import unpack_files
from libpod.container_internal import copying
from libpod.container_internal.copying import View
from libpod.container_internal.services import Services
from libpod.define.errors import InvalidArgumentError, NoSuchPathError
from libpod.image.decompression import decompressed
from libpod.image.tree_tar import TreeWriter, reading
from libpod.storage.tar_output import writing_tar

Side = str | os.PathLike[str] | BinaryIO


@attrs.frozen(kw_only=True)
class _Place:
    """One side, looked at."""

    path: str
    own_path: str
    """Where its links lead."""
    shown: str
    """The place it was looked for: "the host", "container web"."""
    is_directory: bool
    exists: bool


def copy(
    services: Services, source: Side, destination: Side, *, overwrite: bool = False, archive: bool = True
) -> None:
    """See `Runtime.copy`."""
    origin, target = _parsed(source), _parsed(destination)
    names = {side[0] for side in (origin, target) if isinstance(side, tuple)}
    if not names:
        raise InvalidArgumentError(
            "neither side is in a container", resolution='name one as "container:path"'
        )
    ids = {name: services.state.lookup_container(name) for name in names}
    with contextlib.ExitStack() as stack:
        # In the order of their locks: two that copy in opposite directions must not wait for each other.
        ordered = sorted(set(ids.values()), key=lambda each: services.state.container_config(each).lock_id)
        views = {ctr_id: stack.enter_context(copying.view(services, ctr_id)) for ctr_id in ordered}
        reader = _Reader(origin, views[ids[origin[0]]] if isinstance(origin, tuple) else None)
        writer = _Writer(
            target,
            views[ids[target[0]]] if isinstance(target, tuple) else None,
            overwrite=overwrite,
            chown=archive,
        )
        _copy(reader, writer)


def _copy(reader: _Reader, writer: _Writer) -> None:
    found = reader.place()
    if found is not None and not found.exists:
        raise NoSuchPathError(found.path, found.shown)
    if writer.stream is not None:
        reader.write(writer.stream, name=None)
        return
    to = writer.place()
    if found is None:
        if not to.is_directory:
            raise InvalidArgumentError("destination must be a directory when copying from stdin")
        writer.unpack(reader.stream_of_tar(), to.path)
        return
    directory, name = _destination(found, to)
    with _piped(lambda sink: reader.write(sink, name=name)) as stream:
        writer.unpack(stream, directory)


def _destination(found: _Place, to: _Place) -> tuple[str, str | None]:
    """The directory to unpack in, and the name of the entry; None: only what is in the source."""
    if to.exists and to.is_directory:
        only_content = found.is_directory and (
            posixpath.basename(found.path) == "." or not found.own_path.strip("/")
        )
        return to.path, None if only_content else posixpath.basename(found.own_path)
    if to.exists and found.is_directory:
        raise InvalidArgumentError("destination must be a directory when copying a directory")
    if not to.exists and to.path.endswith("/"):
        raise NoSuchPathError(to.path, to.shown)
    return posixpath.dirname(to.own_path) or ".", posixpath.basename(to.own_path)


class _Reader:
    """The side that files come from."""

    def __init__(self, side: tuple[str, str] | str | BinaryIO, view: View | None) -> None:
        self._side, self._view = side, view

    def stream_of_tar(self) -> BinaryIO:
        assert not isinstance(self._side, str | tuple)
        return self._side

    def place(self) -> _Place | None:
        """None for a stream."""
        if not isinstance(self._side, str | tuple):
            return None
        return _looked_at(self._side, self._view)

    def write(self, sink: BinaryIO, *, name: str | None) -> None:
        if isinstance(self._side, tuple):
            assert self._view is not None
            copying.write_tar(self._view, self._side[1], sink, name=name)
            return
        if not isinstance(self._side, str):
            raise InvalidArgumentError("a stream is not copied to a stream")
        with reading(self._side), writing_tar(sink) as tar:
            descriptor = os.open(self._side, os.O_PATH | os.O_CLOEXEC)
            try:
                if name is not None:
                    TreeWriter(tar).opened(descriptor, name)
                    return
                opened = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=descriptor)
                try:
                    TreeWriter(tar).directory(opened, "")
                finally:
                    os.close(opened)
            finally:
                os.close(descriptor)


class _Writer:
    """The side that files go to."""

    def __init__(
        self, side: tuple[str, str] | str | BinaryIO, view: View | None, *, overwrite: bool, chown: bool
    ) -> None:
        self._side, self._view, self._overwrite, self._chown = side, view, overwrite, chown

    @property
    def stream(self) -> BinaryIO | None:
        return None if isinstance(self._side, str | tuple) else self._side

    def place(self) -> _Place:
        assert isinstance(self._side, str | tuple)
        return _looked_at(self._side, self._view)

    def unpack(self, stream: BinaryIO, directory: str) -> None:
        if self._view is not None:
            copying.read_tar(self._view, stream, directory, overwrite=self._overwrite, chown=self._chown)
            return
        if not os.path.isdir(directory):
            raise NoSuchPathError(str(self._side), "the host")
        _, plain = decompressed(stream)
        label = f"the tar for {directory}"
        with copying.told(label):
            unpack_files(
                plain, Path(directory), label=label, change=_harmless,
                overwrite=self._overwrite, is_rootfs=False,
            )  # fmt: skip


def _harmless(header: TarHeader) -> TarHeader | None:
    """An entry as it may appear on the host: the caller's own, without rights that the container gave it."""
    parts = [part for part in header.name.split("/") if part not in ("", ".")]
    if not parts:
        return None
    target = header.target
    if header.kind is TarKind.HARD_LINK:
        target = "/".join(part for part in target.split("/") if part not in ("", "."))
    xattrs = {key: value for key, value in header.xattrs.items() if key.startswith("user.")}
    return attrs.evolve(
        header, name="/".join(parts), target=target, mode=header.mode & 0o1777, uid=os.geteuid(), gid=os.getegid(),
        xattrs=xattrs,
    )  # fmt: skip


def _looked_at(side: tuple[str, str] | str, view: View | None) -> _Place:
    if isinstance(side, str):
        try:
            found = os.stat(side)
        except (FileNotFoundError, NotADirectoryError):
            return _Place(
                path=side, own_path=os.path.realpath(side) if os.path.islink(side) else side,
                shown="the host", is_directory=False, exists=False,
            )  # fmt: skip
        is_directory = stat.S_ISDIR(found.st_mode)
        own = os.path.abspath(side) if is_directory else side
        return _Place(path=side, own_path=own, shown="the host", is_directory=is_directory, exists=True)
    assert view is not None
    shown = f"container {view.config.name}"
    path = side[1] or "/"
    try:
        status = copying.stat_path(view, path)
    except NoSuchPathError:
        own = posixpath.normpath("/" + path)
        return _Place(path=path, own_path=own, shown=shown, is_directory=False, exists=False)
    return _Place(
        path=path, own_path=status.path, shown=shown, is_directory=status.is_directory,
        exists=not status.link_target,
    )  # fmt: skip


@contextlib.contextmanager
def _piped(write: Callable[[BinaryIO], None]) -> Iterator[BinaryIO]:
    """What *write* writes, in a thread of its own, as a stream; its error comes at the end of the block."""
    out, into = os.pipe()
    errors: list[BaseException] = []

    def body() -> None:
        try:
            with open(into, "wb", buffering=0) as sink:
                write(_Whole(sink))  # type: ignore[arg-type]
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
            errors.append(error)

    thread = threading.Thread(target=body, name="libpod-copy", daemon=True)
    thread.start()
    ended_well = False
    try:
        with open(out, "rb") as stream:
            yield stream
            while stream.read(1 << 16):
                pass  # padding after the end of the tar: the writer must not find a closed pipe
        ended_well = True
    finally:
        thread.join()
        # The writer's error comes first: the reader's is only what followed from it, unless the pipe was broken.
        if errors and (ended_well or not _is_broken_pipe(errors[0])):
            raise errors[0]


class _Whole:
    """Writes all of what it is given into a pipe."""

    def __init__(self, raw: object) -> None:
        self._write = raw.write  # type: ignore[attr-defined]

    def write(self, data: bytes) -> int:
        rest = memoryview(data)
        while rest:
            rest = rest[self._write(rest) :]
        return len(data)


def _is_broken_pipe(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, BrokenPipeError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _parsed(side: Side) -> tuple[str, str] | str | BinaryIO:
    """(container, path), a path of the host, or a stream."""
    if isinstance(side, os.PathLike):
        return os.fspath(side)
    if not isinstance(side, str):
        return side
    if side.startswith(("/", ".")) or ":" not in side:
        return side
    container, _, path = side.partition(":")
    return container, path
