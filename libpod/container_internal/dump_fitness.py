"""Whether a running container can be frozen: everything that CRIU is known to stumble over, looked for in /proc.

The container runs on, unfrozen; what is looked for may appear or go a moment later. What CRIU refuses for reasons that
cannot be seen from outside (a packet queue that is not empty, a peer of a Unix socket) is found out by trying only: a
checkpoint that fails leaves the container running.

Covers: nothing upstream
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from libpod.checkpoint import criu
from libpod.checkpoint.codec import CompressionKind, compression_for
from libpod.checkpoint.fitness import FitnessFinding, FitnessReport, Severity
from libpod.checkpoint.writer import free_space
from libpod.container_internal import exec_sessions, exporting, preflight
from libpod.container_internal.held import LockedContainer
from libpod.container_internal.launching import bundle_for
from libpod.define.errors import LibpodError
from libpod.define.status import ALLOWED, Operation
from libpod.linux import mounts, open_files
from libpod.linux.open_files import OpenFile
from libpod.model.move_options import CheckpointOptions

GHOST_LIMIT = 1 << 20
"""Bytes of a deleted file that CRIU takes along without being told to."""
_CONFIG_FILE = "name a CRIU configuration file in the annotation org.criu.config"
_PLAIN_DEVICES = frozenset({(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (1, 11), (5, 0), (5, 1), (5, 2)})
_TERMINALS = frozenset({3, 4, 5, *range(128, 144)})
_CARRIED_MOUNTS = frozenset({"cgroup", "cgroup2", "devpts", "mqueue", "overlay", "proc", "sysfs", "tmpfs"})
_IMPOSSIBLE = {
    "io_uring": "turn io_uring off in the program (for Node.js: UV_USE_IO_URING=0) or forbid it by seccomp",
    "perf_event": "end the profiler",
    "kvm": "end the virtual machine",
    "bpf": "detach the program",
    "userfaultfd": "",
    "fscontext": "",
}

_O, _L, _R = Severity.OBSTACLE, Severity.LOSS, Severity.REMARK


def dump_fitness(held: LockedContainer, options: CheckpointOptions) -> FitnessReport:
    """See `Runtime.can_checkpoint`."""
    if held.status not in ALLOWED[Operation.CHECKPOINT]:
        found = FitnessFinding(_O, f"it is {held.status.word} and must be running", "start it first")
        return FitnessReport(subject=held.name, findings=(found,))
    findings = list(_requirements(held, options))
    pids = held.services.runtimes.for_container(held.config).processes(bundle_for(held))
    files = [file for pid in pids for file in open_files.open_files(pid)]
    findings += _processes(held, pids)
    findings += _files(files, options)
    findings += _sockets(held.state.pid, files, options)
    findings += _mounts(held)
    locks = open_files.file_locks(pids, files)
    if locks and not options.file_locks:
        findings.append(
            FitnessFinding(_O, f"a process holds file locks ({locks[0]})", "ask for file_locks both times")
        )
    contents = _contents(held, pids, options)
    return _with_space(held, options, findings, contents)


def _requirements(held: LockedContainer, options: CheckpointOptions) -> Iterator[FitnessFinding]:
    try:
        preflight.require_checkpoint(held, options)
    except LibpodError as error:
        yield FitnessFinding(_O, error.message, error.resolution or "")
    else:
        status = criu.criu_status(held.services.config.criu, cache=held.services.paths.criu_probe)
        yield FitnessFinding(_R, f"criu {status.version_text} ({status.path}) works on this kernel")
    sessions = exec_sessions.active(held)
    if sessions:
        yield FitnessFinding(_L, f"{len(sessions)} exec sessions end with the checkpoint", "end them first")
    if not held.config.log_driver or held.config.log_driver in exporting.FILE_LOG_DRIVERS:
        return
    yield FitnessFinding(_L, f"what it wrote to the log ({held.config.log_driver}) does not travel")


def _processes(held: LockedContainer, pids: Sequence[int]) -> Iterator[FitnessFinding]:
    own = {str(os.geteuid()), str(os.getegid())}
    for pid in pids:
        status = open_files.status_fields(pid)
        name = f"process {pid} ({status.get('Name', '?')})"
        if status.get("TracerPid", "0") != "0":
            yield FitnessFinding(_O, f"{name} is being traced", "end the debugger, strace or profiler")
        users = set(status.get("Uid", "").split()[:3] + status.get("Gid", "").split()[:3])
        if users - own and not held.services.host.may_raise_limits:
            yield FitnessFinding(
                _O,
                f"{name} runs as another user, and reading its limits needs CAP_SYS_RESOURCE, which this host does not "
                "grant",
                "run the engine with CAP_SYS_RESOURCE, or the container's processes as root",
            )
        for device in open_files.mapped_devices(pid):
            yield FitnessFinding(
                _O, f"{name} has the device {device} mapped into its memory", "let the program release it"
            )


def _files(files: Sequence[OpenFile], options: CheckpointOptions) -> Iterator[FitnessFinding]:
    for file in files:
        where = f"descriptor {file.descriptor} of process {file.pid}"
        for word, cure in _IMPOSSIBLE.items():
            if file.target.startswith("anon_inode:") and word in file.target:
                yield FitnessFinding(_O, f"{where} is {file.target}, which CRIU cannot carry", cure)
        if file.is_device and not _is_carried(file):
            yield FitnessFinding(
                _O, f"{where} is the device {file.target}", "let the program close it before the checkpoint"
            )
        if not file.is_deleted or file.target.startswith(("/memfd:", "/dev/zero", "/SYSV", "/dev/shm/")):
            continue
        path = file.target.removesuffix(" (deleted)")
        if file.status.st_nlink == 0 and file.status.st_size > GHOST_LIMIT:
            yield FitnessFinding(
                _O,
                f"{where} is the deleted file {path}, which at {file.status.st_size} bytes is above the limit",
                f"{_CONFIG_FILE} that says, for instance, ghost-limit 300M",
            )
        elif file.status.st_nlink > 0 and not options.link_remap:
            yield FitnessFinding(
                _O,
                f"{where} is {path}, whose name was removed while another link to it remains",
                f"ask for link_remap where the runtime knows it, or {_CONFIG_FILE} that says link-remap",
            )


def _is_carried(file: OpenFile) -> bool:
    number = (os.major(file.status.st_rdev), os.minor(file.status.st_rdev))
    return number in _PLAIN_DEVICES or number[0] in _TERMINALS


def _sockets(init: int, files: Sequence[OpenFile], options: CheckpointOptions) -> Iterator[FitnessFinding]:
    owned = {file.socket: file for file in files if file.socket is not None}
    if not owned:
        return
    if not options.tcp_established:
        for inode, peer in open_files.tcp_connections(init).items():
            if inode in owned:
                yield FitnessFinding(
                    _O,
                    f"process {owned[inode].pid} has an established TCP connection to {peer}",
                    "ask for tcp_established at the checkpoint and at the restore, or close the connection first",
                )
    known = open_files.known_sockets(init)
    for inode, file in owned.items():
        if inode not in known:
            yield FitnessFinding(
                _R, f"descriptor {file.descriptor} of process {file.pid} is a socket that no table shows"
            )


def _mounts(held: LockedContainer) -> Iterator[FitnessFinding]:
    """File systems that somebody mounted in the running container: CRIU was not told about them."""
    init = held.state.pid
    try:
        found = mounts.read_mountinfo(init)
    except (FileNotFoundError, ProcessLookupError):
        return
    from libpod.container_internal.specification import read_config

    linux = (document := read_config(bundle_for(held).config_file)).get("linux", {})
    told = {str(mount.get("destination")) for mount in document.get("mounts") or ()}
    told |= {*(linux.get("maskedPaths") or ()), *(linux.get("readonlyPaths") or ()), "/"}
    for mount in found:
        target = str(mount.target)
        if (
            target in told
            or mount.fstype in _CARRIED_MOUNTS
            or target.startswith(("/dev/", "/sys/", "/proc/"))
        ):
            continue
        yield FitnessFinding(
            _O,
            f"{mount.fstype} was mounted at {target} in the running container",
            "unmount it, or mount it when the container is created",
        )


def _contents(held: LockedContainer, pids: Sequence[int], options: CheckpointOptions) -> dict[str, int]:
    """What the images, or the archive, will hold."""
    memory = 0
    for pid in pids:
        status = open_files.status_fields(pid)
        for field in ("RssAnon", "RssShmem"):
            memory += int(status.get(field, "0 kB").split()[0]) << 10
    contents = {"checkpoint": memory}
    if options.export is None:
        return contents
    export = exporting.gather(held, options, exporting.describe(held), images=held.directory)
    for name, tree in export.trees:
        contents[name] = tree.stat().st_size if isinstance(tree, Path) else tree.size
    if export.log is not None:
        contents["ctr.log"] = export.log.stat().st_size
    return contents


def _with_space(
    held: LockedContainer,
    options: CheckpointOptions,
    findings: list[FitnessFinding],
    contents: dict[str, int],
) -> FitnessReport:
    places = [(held.directory, contents["checkpoint"])]
    needed = sum(contents.values())
    if options.export is not None and options.export.parent.is_dir():
        packed = compression_for(options.export, options.compress)
        places.append((options.export.parent, needed if packed is CompressionKind.NONE else needed // 5))
    for directory, size in places:
        free = free_space(directory)
        if free < size:
            findings.append(
                FitnessFinding(
                    _O,
                    f"about {size >> 20} MiB are needed in {directory} and {free >> 20} MiB are free",
                    "free some space",
                )
            )
    return FitnessReport(
        subject=held.name,
        findings=tuple(findings),
        contents=contents,
        needed=places[-1][1],
        free=free_space(places[-1][0]),
        directory=places[-1][0],
    )
