"""The runtimes' own notes about a container, read only.

runc keeps ``<root>/<id>/state.json``, crun ``<root>/<id>/status``; both hold init's pid and start time. Beside it,
``exec.fifo`` exists from create to start. The formats are private to the runtimes and have not changed in runc 1.0 to
1.5 and crun 0.1 to 1.29; whatever does not look like them counts as "cannot tell", and the caller asks the command.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import msgspec

from libpod.linux.pidfd import ProcessIdentity
from libpod.oci.arguments import flag
from libpod.oci.base import Bundle


class RuntimeState(msgspec.Struct, frozen=True, kw_only=True):
    """What the runtime wrote down about a container."""

    kind: str
    """runc or crun: whose format it is."""
    directory: Path
    init: ProcessIdentity
    bundle: str

    @property
    def fifo(self) -> Path:
        return self.directory / "exec.fifo"

    @property
    def started(self) -> bool:
        """Whether the container was let go already."""
        try:
            return not stat.S_ISFIFO(os.lstat(self.fifo).st_mode)
        except FileNotFoundError:
            return True


def state_root(runtime_name: str, bundle: Bundle) -> Path | None:
    """Where the runtime keeps its state, or None for one we do not know."""
    words = [flag(word) for word in bundle.runtime_flags]
    for number, word in enumerate(words):
        if word.startswith("--root="):
            return Path(word.removeprefix("--root="))
        if word == "--root" and number + 1 < len(words):
            return Path(bundle.runtime_flags[number + 1])
    if runtime_name not in ("runc", "crun"):
        return None
    if os.geteuid() == 0:
        return Path("/run") / runtime_name
    base = os.environ.get("XDG_RUNTIME_DIR")
    return Path(base) / runtime_name if base else None


def state_directory(runtime_name: str, bundle: Bundle) -> Path | None:
    """The runtime's directory for the container, there or not; None for a runtime that we do not know."""
    root = state_root(runtime_name, bundle)
    return root / bundle.id if root is not None else None


def state_of(runtime_name: str, bundle: Bundle) -> RuntimeState | None:
    """The container's state; None when there is none, or none that we understand."""
    directory = state_directory(runtime_name, bundle)
    return read_state(directory) if directory is not None else None


def read_state(directory: Path) -> RuntimeState | None:
    """The state in *directory*; None when there is none, or none that we understand."""
    for kind, name, pid_key, start_key in (
        ("runc", "state.json", "init_process_pid", "init_process_start"),
        ("crun", "status", "pid", "process-start-time"),
    ):
        try:
            document = json.loads((directory / name).read_bytes())
        except (FileNotFoundError, NotADirectoryError, ValueError):
            continue
        try:
            init = ProcessIdentity(int(document[pid_key]), int(document[start_key]))
        except (KeyError, TypeError, ValueError):
            continue
        return RuntimeState(kind=kind, directory=directory, init=init, bundle=_bundle_of(document))
    return None


def _bundle_of(document: dict[str, object]) -> str:
    """Where the container's bundle is: crun says so, runc has it among the labels."""
    if isinstance(document.get("bundle"), str):
        return str(document["bundle"])
    config = document.get("config")
    labels = config.get("labels") if isinstance(config, dict) else None
    for label in labels if isinstance(labels, list) else ():
        if isinstance(label, str) and label.startswith("bundle="):
            return label.removeprefix("bundle=")
    return ""
