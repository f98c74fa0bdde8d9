"""Files that appear whole or not at all."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from libpod_setup.commands import say


def write_atomically(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Replace the contents of *path*; a reader sees the old text or the new one, also after a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            os.fchmod(stream.fileno(), mode)
            stream.flush()
            os.fsync(stream.fileno())
        os.rename(name, path)
    except BaseException:
        os.unlink(name)
        raise


def link_atomically(path: Path, target: str) -> None:
    """Make *path* a symbolic link to *target*, replacing whatever link or file was there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink() and os.readlink(path) == target:
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    os.symlink(target, temporary)
    os.rename(temporary, path)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the host-wide lock of the set-up; a second set-up waits and then finds the work done."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another set-up is running on this machine; waiting for it")
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield
