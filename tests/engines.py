"""Private engines for tests: directories, a Runtime on them, what is left over in them."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs

import libpod
from libpod.image.transport import StoreAddress
from libpod.linux import cgroups, mounts
from libpod.linux.process import run
from libpod.storage.store import Store

_WORDS = """
    awk cat chmod chown cp date dd df du echo env expr false find flock grep head hostname httpd id ip kill
    ln ls md5sum mkdir mkfifo mknod mount mv nc nslookup od ping printf ps pwd readlink rm sed seq setsid sh
    sha256sum sleep stat stty sync tail tee test touch tr true truncate tty usleep wc wget whoami yes
"""
APPLETS = tuple(_WORDS.split())
COUNT = "i=0; while true; do i=$((i+1)); echo $i; sleep 0.1; done"
"""A process whose memory is a number."""


def busybox_root(directory: Path) -> Path:
    """Make a root file system of the static busybox in *directory*."""
    binary = shutil.which("busybox", path="/bin:/usr/bin") or "/bin/busybox"
    (directory / "bin").mkdir(parents=True)
    for name in ("etc", "tmp", "proc", "sys", "dev", "run", "root", "var", "home/someone"):
        (directory / name).mkdir(parents=True)
    (directory / "tmp").chmod(0o1777)
    shutil.copy2(binary, directory / "bin/busybox")
    for applet in APPLETS:
        (directory / "bin" / applet).symlink_to("busybox")
    (directory / "etc/passwd").write_text(
        "root:x:0:0:root:/root:/bin/sh\nsomeone:x:1000:1000:someone:/home/someone:/bin/sh\n"
    )
    (directory / "etc/group").write_text("root:x:0:\nsomeone:x:1000:\nextra:x:2000:someone\n")
    (directory / "etc/image-file").write_text("from the image\n")
    os.chown(directory / "home/someone", 1000, 1000)
    return directory


@attrs.frozen
class Engine:
    """The directories of one engine."""

    root: Path
    runroot: Path

    @classmethod
    def make(cls, directory: Path) -> Engine:
        return cls(directory / "g", directory / "r")

    def runtime(self, **settings: Any) -> libpod.Runtime:
        """A Runtime on it; its events go to a file."""
        return libpod.Runtime(self.root, self.runroot, **{"events_backend": "file", **settings})

    @property
    def arguments(self) -> list[str]:
        """For the command line."""
        return ["--root", str(self.root), "--runroot", str(self.runroot)]

    def copy_image(self, name: str, other: Engine) -> None:
        """Give another engine the same image, with the same id."""
        source = Store.open(self.root, self.runroot)
        target = Store.open(other.root, other.runroot)
        full = f"localhost/{name}"
        run(
            [
                "skopeo", "copy", "-q",
                f"containers-storage:{StoreAddress.of(source)}{full}",
                f"containers-storage:{StoreAddress.of(target)}{full}",
            ]
        )  # fmt: skip

    def clear(self) -> None:
        """Remove all containers, volumes and networks but the default."""
        with self.runtime() as runtime:
            for listed in runtime.containers():
                with contextlib.suppress(libpod.NoSuchContainerError):
                    runtime.container(listed.id).remove(force=True, timeout=0, volumes=True)
            for volume in runtime.volumes():
                volume.remove(force=True)

    def leftovers(self) -> list[str]:
        """Mounts, files, cgroups and processes that no container explains, once the engine is empty."""
        return until(self._leftovers, lambda found: not found, timeout=20.0)

    def _leftovers(self) -> list[str]:
        volatile = self.runroot / "libpod-py"
        found = [
            point
            for info in mounts.read_mountinfo()
            if (point := info.target).startswith((f"{self.root}/", f"{self.runroot}/"))
            and point != str(self.root / "overlay")
        ]
        for place in (
            volatile / "exits",
            volatile / "persist",
            volatile / "netns",
            self.root / "libpod-py/tmp",
        ):
            if place.is_dir():
                found += [str(entry) for entry in place.iterdir()]
        for place in (self.root / "overlay-containers", self.runroot / "overlay-containers"):
            if place.is_dir():
                found += [str(entry) for entry in place.iterdir() if entry.is_dir()]
        found += [f"conmon {pid}" for pid in conmons_of(self.root)]
        return found


def conmons_of(root: Path) -> list[int]:
    """The conmon processes whose bundle is below *root*."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if words[0].endswith(b"conmon") and any(str(root).encode() in word for word in words):
                    found.append(int(entry.name))
    return found


def remove_engine(engine: Engine) -> None:
    """Unmount and remove everything of an engine."""
    for _ in range(3):
        for info in reversed(mounts.read_mountinfo()):
            if info.target.startswith((f"{engine.root}", f"{engine.runroot}")):
                with contextlib.suppress(OSError):
                    mounts.unmount(info.target, mounts.MNT_DETACH)
    shutil.rmtree(engine.root, ignore_errors=True)
    shutil.rmtree(engine.runroot, ignore_errors=True)


def until(look: Callable[[], Any], good: Callable[[Any], bool] = bool, *, timeout: float = 30.0) -> Any:
    """What *look* gives as soon as *good* is content with it, or at the end of the time whatever it gives then."""
    deadline = time.monotonic() + timeout
    while True:
        found = look()
        if good(found) or time.monotonic() > deadline:
            return found
        time.sleep(0.02)


def lines(container: libpod.Container) -> list[str]:
    """The log of a container as text."""
    return [line.data.decode() for line in container.logs()]


def last_count(container: libpod.Container) -> int:
    """The last number that a counting container has logged; 0 before the first."""
    numbers = [int(line) for line in lines(container) if line.isdecimal()]
    return numbers[-1] if numbers else 0


def counts_on(container: libpod.Container, after: int, *, timeout: float = 30.0) -> int:
    """Wait until a counting container has passed *after*; returns where it is then."""
    reached: int = until(lambda: last_count(container), lambda number: number > after, timeout=timeout)
    assert reached > after, f"the container stands at {reached}, not above {after}"
    return reached


@contextlib.contextmanager
def cgroup_gone(path: str) -> Iterator[None]:
    """Assert that a cgroup does not exist in any hierarchy after the block."""
    yield
    left = until(
        lambda: [str(h.directory(path)) for h in cgroups.hierarchies() if h.directory(path).is_dir()],
        lambda found: not found,
    )
    assert not left, f"cgroups left: {left}"
