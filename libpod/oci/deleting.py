"""The runtime forgets a container, and its cgroups go.

``runc delete --force`` of something that lives sends SIGKILL and sleeps 100 ms before its first look. So init is
killed by pidfd, its end awaited, and only then is the runtime called, unless nothing is left for it to do. A runtime
that was killed while it created leaves cgroups that it does not know about in every hierarchy; those are removed here
as well. One that was killed while it restored leaves a CRIU that goes on, and the root mounted in its own directory
(`criu-root`): both are ended first.

Every step can be repeated: a crash between any two leaves less than before, and the next call does the rest.

Covers: oci_conmon_common.go (DeleteContainer), container_internal_linux.go (cleanupCgroup)
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from libpod.define.errors import CommandError, InvalidStateError, OciRuntimeError, last_lines
from libpod.linux import cgroups, mounts, pidfd
from libpod.linux.files import remove_tree
from libpod.linux.pidfd import ProcessIdentity
from libpod.linux.process import run
from libpod.oci import arguments, state_files
from libpod.oci.base import Bundle
from libpod.oci.errors import Phase, is_unknown, log_text, runtime_error

if TYPE_CHECKING:
    from libpod.oci.programs import Programs

logger = logging.getLogger(__name__)

_decoder = msgspec.json.Decoder()

KILL_TIMEOUT = 30.0
"""Seconds that a killed process may take to vanish, e.g. in uninterruptible sleep."""


def delete(
    programs: Programs, bundle: Bundle, *, init: ProcessIdentity | None = None, force: bool = False
) -> None:
    """See `OciRuntime.delete`."""
    directory = state_files.state_directory(programs.runtime_name, bundle)
    state = state_files.read_state(directory) if directory is not None else None
    for process in {init, state.init if state is not None else None}:
        if process is not None and process.alive():
            if not force:
                raise InvalidStateError(
                    f"cannot delete container {bundle.name}: it runs as process {process.pid}",
                    resolution="stop it first, or delete it by force",
                )
            kill(bundle, process)
    if directory is not None and force:
        _end_restore(bundle, directory / "criu-root")
    if directory is not None and state is not None and _is_mere_record(bundle, directory):
        _remove_cgroups(bundle, force=force)
        remove_tree(directory)
        return
    if directory is None or directory.exists():
        _call(programs, bundle, force=force)
    _remove_cgroups(bundle, force=force)


def _end_restore(bundle: Bundle, criu_root: Path) -> None:
    """End what is left of a restore whose runtime was killed; one look when there was none."""
    if not criu_root.is_dir():
        return
    for process in pidfd.all_processes():
        if pidfd.process_name(process.pid) == "criu" and _has_open(process, bundle):
            pidfd.send_signal(process, signal.SIGKILL)
            pidfd.wait_end(process, KILL_TIMEOUT)
    while mounts.is_mount_point(criu_root):
        mounts.unmount(criu_root, mounts.MNT_DETACH)


def _has_open(process: ProcessIdentity, bundle: Bundle) -> bool:
    """Whether a process has a file of the bundle open, such as CRIU its log."""
    directory = f"/proc/{process.pid}/fd"
    inside = f"{os.path.realpath(bundle.directory)}/"
    try:
        names = os.listdir(directory)
    except (FileNotFoundError, ProcessLookupError):
        return False
    for name in names:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if os.readlink(f"{directory}/{name}").startswith(inside):
                return True
    return False


def kill(bundle: Bundle, process: ProcessIdentity) -> None:
    """Kill a process of a container, frozen or not, and wait for its end."""
    with pidfd.opened(process) as descriptor:
        if descriptor is None:
            return
        pidfd.send_signal(process, signal.SIGKILL)
        thaw(bundle)
        if not pidfd.wait_readable([descriptor], KILL_TIMEOUT):
            raise OciRuntimeError(
                f"process {process.pid} of container {bundle.name} does not die",
                resolution="it hangs in the kernel: look at /proc/<pid>/stack",
            )


def thaw(bundle: Bundle) -> None:
    """Let the container run again, where cgroups exist; v1 keeps even SIGKILL from a frozen process."""
    if bundle.cgroups_enabled and bundle.cgroup_path:
        freezer = cgroups.freezer_directory(cgroups.group_path(bundle.cgroup_path))
        if freezer is not None and cgroups.is_frozen(freezer):
            cgroups.thaw(freezer)


def _call(programs: Programs, bundle: Bundle, *, force: bool) -> None:
    argv = arguments.runtime_args(programs.runtime, bundle, log=False, systemd=True)
    # The error goes to stderr as JSON: with a log file, an older error could be read again.
    argv += ["--log-format=json", "delete", *(["--force"] if force else []), bundle.id]
    try:
        run(argv, env=programs.environment)
    except CommandError as error:
        text = log_text(error.stderr) or error.stderr
        if not is_unknown(text):
            raise runtime_error(Phase.DELETE, bundle.name, text) from error
        logger.debug("container %s is unknown to the runtime: %s", bundle.name, last_lines(text, 1))


def _is_mere_record(bundle: Bundle, directory: Path) -> bool:
    """Whether nothing is left of an ended container but cgroups and the runtime's record of it.

    Both runtimes then do what `delete` does without them, in a tenth of the time that their start takes: cgroups first,
    the record last. They are needed for hooks after the end, for systemd's units, for resctrl groups, for whatever crun
    makes at the word of an annotation, and for processes that the end of init does not end.
    """
    if bundle.cgroup_manager != "cgroupfs" or os.path.lexists(directory / "criu-root"):
        return False
    try:
        document = _decoder.decode(bundle.config_file.read_bytes())
        linux = document["linux"]
        alone = any(entry["type"] == "pid" and not entry.get("path") for entry in linux["namespaces"])
        hooks = document.get("hooks") or {}
        annotated = any(name.startswith("run.oci.") for name in document.get("annotations") or ())
    except (OSError, msgspec.DecodeError, KeyError, TypeError, AttributeError):
        return False  # damaged or gone: the runtime has a copy of its own
    return alone and not annotated and not hooks.get("poststop") and not linux.get("intelRdt")


def _remove_cgroups(bundle: Bundle, *, force: bool) -> None:
    if not bundle.cgroups_enabled or not bundle.cgroup_path:
        return
    path = cgroups.group_path(bundle.cgroup_path)
    left = cgroups.remove(path, timeout=0.0 if force else 2.0)
    if left and force:
        # Processes without their init, e.g. of a container that shares its pid namespace with another.
        cgroups.kill_all(path)
        left = cgroups.remove(path, timeout=KILL_TIMEOUT)
    for directory in left:
        logger.warning("cgroup %s of container %s is still in use and stays", directory, bundle.name)
