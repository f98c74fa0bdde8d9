"""Bundles that really run: a root file system of one busybox, the smallest specification, unique names.

Everything lies below one short private directory; the runtime's state has a root of its own there.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import msgspec

from libpod.linux import cgroups, pidfd
from libpod.linux.files import write_atomic
from libpod.oci.base import Bundle, Launched
from libpod.oci.conmon import ConmonRuntime

PARENT = "/libpod_test_oci"
BUSYBOX = Path("/bin/busybox")
PATIENCE = 60.0
"""Seconds that anything may take on a loaded machine."""

_APPLETS = (
    "sh",
    "cat",
    "sleep",
    "echo",
    "stty",
    "kill",
    "id",
    "env",
    "head",
    "wc",
    "true",
    "dd",
    "yes",
    "seq",
    "tail",
    "ps",
)


def make_rootfs(path: Path) -> Path:
    """A root file system in *path*."""
    for name in ("bin", "dev", "proc", "sys", "tmp", "etc"):
        (path / name).mkdir(parents=True, exist_ok=True)
    shutil.copy(BUSYBOX, path / "bin/busybox")
    for name in _APPLETS:
        os.symlink("busybox", path / "bin" / name)
    (path / "etc/passwd").write_text("root:x:0:0:root:/:/bin/sh\nuser:x:1000:1000::/:/bin/sh\n")
    (path / "etc/plain").write_text("not a program\n")
    return path


def process_document(args: Sequence[str], *, terminal: bool = False, **changes: Any) -> dict[str, Any]:
    """The `process` part of a specification."""
    capabilities = ["CAP_KILL", "CAP_CHOWN", "CAP_SETUID", "CAP_SETGID", "CAP_DAC_OVERRIDE"]
    document: dict[str, Any] = {
        "terminal": terminal,
        "user": {"uid": 0, "gid": 0},
        "args": list(args),
        "env": ["PATH=/bin", "TERM=xterm"],
        "cwd": "/",
        "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), capabilities),
    }
    return document | changes


def specification(rootfs: Path, cgroup_path: str, process: Mapping[str, Any], **linux: Any) -> dict[str, Any]:
    """A config.json without seccomp, without the v1 cgroup mounts and with the host's network."""
    return {
        "ociVersion": "1.0.2",
        "process": dict(process),
        "root": {"path": str(rootfs)},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {
                "destination": "/dev",
                "type": "tmpfs",
                "source": "tmpfs",
                "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
            },
            {
                "destination": "/dev/pts",
                "type": "devpts",
                "source": "devpts",
                "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"],
            },
        ],
        "linux": {
            "cgroupsPath": cgroup_path,
            "namespaces": [{"type": name} for name in ("pid", "ipc", "uts", "mount")],
            **linux,
        },
    }


@attrs.define(kw_only=True)
class Workshop:
    """Makes containers below one directory and removes all of them at the end."""

    base: Path
    rootfs: Path
    runtime: ConmonRuntime
    made: list[Bundle] = attrs.field(factory=list)

    def bundle(self, *, directory: Path | None = None, **changes: Any) -> Bundle:
        ctr_id = secrets.token_hex(32)
        top = self.base / ctr_id[:12]
        directory = directory or top / "b"
        directory.mkdir(parents=True)
        made = Bundle(
            id=ctr_id,
            name=f"t{ctr_id[:6]}",
            directory=directory,
            run_dir=top / "r",
            exit_dir=self.base / "exits",
            persist_dir=self.base / "persist" / ctr_id,
            log_path=directory / "ctr.log",
            cgroup_path=f"{PARENT}/libpod-{ctr_id}",
            runtime_flags=(f"root={self.base}/rt",),
        )
        made = msgspec.structs.replace(made, **changes)
        self.made.append(made)
        return made

    def write_config(self, bundle: Bundle, args: Sequence[str], **changes: Any) -> None:
        linux = changes.pop("linux", {})
        process = process_document(args, terminal=bundle.terminal, **changes)
        document = specification(self.rootfs, bundle.cgroup_path, process, **linux)
        write_atomic(bundle.config_file, json.dumps(document).encode(), mode=0o644, durable=False)

    def create(
        self, args: Sequence[str], *, bundle: Bundle | None = None, **changes: Any
    ) -> tuple[Bundle, Launched]:
        """A created container."""
        bundle = bundle or self.bundle()
        with self.runtime.launching(bundle) as launch:
            self.write_config(bundle, args, **changes)
            return bundle, launch.go()

    def run(
        self, args: Sequence[str], *, bundle: Bundle | None = None, **changes: Any
    ) -> tuple[Bundle, Launched]:
        """A running container."""
        bundle, launched = self.create(args, bundle=bundle, **changes)
        self.runtime.start(bundle, launched)
        return bundle, launched

    def shell(self, script: str, *, bundle: Bundle | None = None, **changes: Any) -> tuple[Bundle, Launched]:
        return self.run(["sh", "-c", script], bundle=bundle, **changes)

    def code(self, bundle: Bundle, launched: Launched) -> int:
        status = self.runtime.wait_exit(bundle, launched, PATIENCE)
        assert status is not None, "the container does not end"
        return status.code

    def close(self) -> None:
        with contextlib.ExitStack() as stack:
            for bundle in self.made:
                stack.callback(self._end, bundle)

    def _end(self, bundle: Bundle) -> None:
        self.runtime.delete(bundle, force=True)
        with contextlib.suppress(FileNotFoundError, ValueError):
            conmon = pidfd.ProcessIdentity.of(int(bundle.conmon_pid_file.read_text()))
            command = Path(f"/proc/{conmon.pid}/cmdline")
            if (
                conmon.alive()
                and bundle.id.encode() in command.read_bytes()
                and not pidfd.wait_end(conmon, 20)
            ):
                pidfd.send_signal(conmon, signal.SIGKILL)


@contextlib.contextmanager
def workshop(base: Path, rootfs: Path, runtime: ConmonRuntime) -> Iterator[Workshop]:
    """A workshop for the duration of the block."""
    made = Workshop(base=base, rootfs=rootfs, runtime=runtime)
    try:
        yield made
    finally:
        made.close()
        cgroups.remove(PARENT, timeout=5)
