"""A CRIU log in a plain sentence.

What the OCI runtime reports of a failed dump or restore is "type NOTIFY errno 0" and the name of a log of some
thousand lines. The reason is in the lines with `Error (`. The **first** of them is the cause, those that follow mostly
say that an earlier one was noticed; a few are noise that also a successful run prints. A catalogue turns the known ones
into a sentence and a cure; an unknown one is quoted without its decoration.

Matching is by the text that CRIU's sources print (3.15 to 4.2), looked for anywhere in the line.

Covers: nothing in podman; it shows the log's path only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import msgspec

Operation = Literal["dump", "restore"]

_ERROR = re.compile(r"Error \((?P<where>[^)]*)\): (?P<text>.*)")
_NOISE = re.compile(
    r"RLIMIT_NOFILE|Can't read kdat cache|Couldn't save .*kdat|cgroupns not supported\. This is not fatal"
    r"|Dumping FAILED|Pre-dumping FAILED|Restoring FAILED|Unable to kill .* No such process"
)
_TAIL = 1 << 22
"""Bytes at the end of a log that are looked at; a log of level 4 may have gigabytes."""


class LogExplanation(msgspec.Struct, frozen=True, kw_only=True):
    """Why CRIU failed."""

    cause: str
    """One clause, lower case, no full stop."""
    resolution: str | None
    """What to do about it, or None when nobody knows."""
    line: str
    """The line of the log that says so."""
    details: str
    """The error lines of the log, the first ones."""


class _Cause(msgspec.Struct, frozen=True):
    pattern: re.Pattern[str]
    cause: str
    """May hold {name} of the pattern's groups."""
    resolution: str | None
    operation: Operation | None = None


def _known(pattern: str, cause: str, resolution: str | None, operation: Operation | None = None) -> _Cause:
    return _Cause(re.compile(pattern), cause, resolution, operation)


_CONFIG_FILE = "name a CRIU configuration file in the annotation org.criu.config"

CATALOGUE: tuple[_Cause, ...] = (
    # ---- sockets ----------------------------------------------------------------------------------------------
    _known(
        r"Connected TCP socket, consider",
        "a process has an established TCP connection",
        "ask for tcp_established at the checkpoint and at the restore, or close the connection first",
    ),
    _known(
        r"Connected TCP socket in image|Need to set the --tcp-close",
        "the checkpoint holds established TCP connections",
        "ask for tcp_established at the restore as well (or for tcp_close to drop them)",
    ),
    _known(
        r"In-flight connection",
        "a connection to a listening socket has not been accepted yet",
        f"try again, or {_CONFIG_FILE} that says skip-in-flight",
    ),
    _known(
        r"GODEBUG=multipathtcp=0|Unsupported proto 262",
        "a process has a multipath TCP socket, which CRIU does not know",
        "run Go programs with GODEBUG=multipathtcp=0",
    ),
    _known(
        r"Can't get 1:(?:16|34|\d+) opt",
        "this CRIU is too old for this kernel: it cannot read an option of a socket",
        "use CRIU 4.2 or newer",
        "dump",
    ),
    _known(
        r"External socket is used|External socket found in image",
        "a process holds a Unix socket whose other end is outside the container",
        f"close it, or {_CONFIG_FILE} that says ext-unix-sk",
    ),
    _known(
        r"Can't dump half of stream unix connection|Unix socket \d+ (?:without|with unreachable) peer"
        r"|Can't dump name-less external socket|unix: Dangling connection",
        "a process is connected to a Unix socket outside the container",
        "close the connection before the checkpoint",
    ),
    _known(
        r"^packet: |packet sock",
        "a process has a packet socket in a state that CRIU cannot carry",
        "stop the packet capture before the checkpoint",
    ),
    _known(
        r"^netlink: |netlink socket|The socket has data to read",
        "a process has a netlink socket that CRIU cannot carry (unread data, or many groups)",
        "try again when the program has read its events, or stop it",
    ),
    _known(
        r"Can't dump corked dgram|Unknown socket collected|Unsupported proto|Unknown pair family"
        r"|Only stream, dgram and raw|are not collected|Unsupported socket",
        "a process has a socket of a kind that CRIU cannot carry",
        "close the socket before the checkpoint",
    ),
    _known(
        r"The sock diag infrastructure|Diag module missing|Can't make diag socket",
        "the kernel has no socket diagnostics",
        "load the modules inet_diag, tcp_diag, udp_diag, raw_diag, unix_diag, packet_diag and netlink_diag",
    ),
    _known(
        r"Can't bind inet socket.*(?:Address already in use|in use)",
        "a port or address that the container listens on is taken",
        "free the port, or restore with another one published",
        "restore",
    ),
    _known(
        r"Can't bind inet socket.*Cannot assign requested address",
        "an address that the container listens on does not exist here",
        "restore with the same address, or let the program listen on 0.0.0.0",
        "restore",
    ),
    _known(
        r"Can't connect inet socket back|TCP_REPAIR|libsoccr|Can't set .* seq|restore_one_tcp",
        "an established TCP connection cannot be put back",
        "restore with the same address while the peer still waits, or restore with tcp_close",
        "restore",
    ),
    _known(
        r"Locking network failed|iptables-restore returned|nft command error|iptables.*failed",
        "CRIU cannot block the container's network while it works",
        f"install iptables or nftables, or {_CONFIG_FILE} that says network-lock skip",
    ),
    _known(
        r"Unable to find an external netns|external from a container.*net",
        "the network namespace that the checkpoint refers to was not given",
        "restore with the network mode that the container had",
        "restore",
    ),
    # ---- files ------------------------------------------------------------------------------------------------
    _known(
        r"Some file locks are hold",
        "a process holds file locks",
        "ask for file_locks at the checkpoint and at the restore",
    ),
    _known(
        r"Can not set (?:flock|posix lock|ofd lock)",
        "a file lock that the container held is held by somebody else",
        "find out who has the file open, then restore again",
        "restore",
    ),
    _known(
        r"Can't dump ghost file (?P<path>\S+) of (?P<size>\d+) size",
        "a process has the deleted file {path} open, which at {size} bytes is above the limit",
        f"{_CONFIG_FILE} that says, for instance, ghost-limit 300M",
    ),
    _known(
        r"Can't create link remap for (?P<path>.*?)\. ",
        "a process has {path} open, whose name was removed while another link to it remains",
        f"{_CONFIG_FILE} that says link-remap",
    ),
    _known(
        r"Can't link remap to|Unaccessible path opened|Can't create even fake link",
        "a process has a file open that no longer has the name it was opened by",
        f"restart the program, or {_CONFIG_FILE} that says link-remap",
    ),
    _known(
        r"File (?P<path>.+?) has bad size (?P<now>\d+) \(expect (?P<then>\d+)\)",
        "the file {path} has {now} bytes here and had {then} when the container was frozen",
        "restore with the same image and volume contents; an archive made with ignore_rootfs or ignore_volumes"
        " needs the files as they were",
        "restore",
    ),
    _known(
        r"File (?P<path>.+?) has bad mode",
        "the file {path} has another mode here than when the container was frozen",
        "restore with the same image and volume contents",
        "restore",
    ),
    _known(
        r"File (?P<path>.+?) has bad build-ID",
        "the program or library {path} is another build here",
        "restore with exactly the same image",
        "restore",
    ),
    _known(
        r"Can't open file (?P<path>.+?) on restore: No such file",
        "the file {path}, which a process had open, is missing here",
        "restore with the same image and volumes, or without ignore_rootfs and ignore_volumes",
        "restore",
    ),
    _known(
        r"Can't open file (?P<path>.+?) on restore: (?:Permission denied|Operation not permitted)",
        "the file {path}, which a process had open, may not be opened here",
        "look at its owner and mode, and at the security modules",
        "restore",
    ),
    _known(
        r"\[?io_uring\]?|anon_inode:\[io_uring|send_fds failed \(-22\)",
        "a process uses io_uring, which CRIU cannot carry",
        "turn io_uring off in the program (for Node.js: UV_USE_IO_URING=0) or forbid it by seccomp",
        "dump",
    ),
    _known(
        r"Can't find suitable path for handle|Can't dump that handle",
        "a process watches a file (inotify or fanotify) whose path CRIU cannot find",
        f"{_CONFIG_FILE} that says force-irmap, or let the program drop its watch",
        "dump",
    ),
    _known(
        r"(?:Adding fanotify|Can't add watch|Can't create inotify|Can't set next inotify)",
        "a file watch (inotify or fanotify) cannot be put back",
        "look whether the watched files exist here, and at fs.inotify.max_user_watches",
        "restore",
    ),
    _known(
        r"Can't dump file (?P<fd>\d+) of that type \[[0-7]+\] \((?P<what>.*)\)",
        "descriptor {fd} of a process is of a kind that CRIU cannot carry ({what})",
        "let the program close it before the checkpoint",
        "dump",
    ),
    _known(
        r"overmounted mounts are not supported|is overmounted so paths",
        "a process has a file open under a mount that hides it",
        "unmount what hides it, or restart the program",
    ),
    # ---- terminals and sessions -------------------------------------------------------------------------------
    _known(
        r"attached to shell terminal|Found dangling tty|ctty inheritance|not a session leader"
        r"|Don't have tty to inherit|Found slave peer index|Too many external terminals",
        "a process uses a terminal that belongs to somebody outside the container",
        "detach, or run the container with a terminal of its own (tty)",
    ),
    _known(
        r"queued data overflow",
        "a terminal of the container has more unread output than CRIU carries",
        "read the output (attach to the container), then try again",
    ),
    _known(
        r"A session leader of .* is outside of its pid namespace",
        "a process belongs to a session from outside the container (an exec session)",
        "end the exec sessions of the container, then try again",
        "dump",
    ),
    # ---- mounts -----------------------------------------------------------------------------------------------
    _known(
        r"No mapping for (?:\d+:)?(?P<path>\S+) mountpoint",
        "the mount at {path} of the checkpoint has nothing to stand on here",
        "restore with the same mounts (volumes, bind mounts) and the same cgroup version",
        "restore",
    ),
    _known(
        r"Can't restore ext mount",
        "a mount of the checkpoint has nothing to stand on here",
        "restore with the same mounts (volumes, bind mounts) and the same cgroup version",
        "restore",
    ),
    _known(
        r"(?:doesn't have a proper root mount|autodetected external mount|unreachable sharing)",
        "the container has a mount from outside that CRIU was not told about",
        "mount it when the container is created, not into the running container",
    ),
    _known(
        r"Unable to dump a file system for|unsupported id|FS mnt .* unsupported",
        "the container has a mounted file system whose content CRIU cannot carry",
        "unmount it before the checkpoint",
        "dump",
    ),
    _known(
        r"A few mount points can't be mounted|Nested mount namespaces are not supported",
        "the container's mounts cannot be put back in their order",
        "restore with the same mounts, or unmount what was mounted inside the container",
    ),
    # ---- processes --------------------------------------------------------------------------------------------
    _known(
        r"Can't fork for (?P<pid>\d+): File exists|Pid \d+ do not match expected|Setting PID failed",
        "a process id of the checkpoint is taken",
        "restore into a container with a PID namespace of its own",
        "restore",
    ),
    _known(
        r"can only be restored in a new pid namespace|intersects with (?:pid|pgid|sid)",
        "the process ids of the checkpoint clash with processes that run here",
        "restore into a container with a PID namespace of its own",
        "restore",
    ),
    _known(
        r"zombie \d+ \(comm (?P<name>[^)]*)\) found while seizing",
        "the process {name} cannot be frozen because it is being traced, or has ended and nobody waits for it",
        "end the debugger, strace or profiler that watches it, or let its parent wait for it",
        "dump",
    ),
    _known(
        r"Unseizable non-zombie|SEIZE .*: can't|can't interrupt task|ptrace.*Operation not permitted",
        "a process cannot be frozen because it is being traced",
        "end the debugger, strace or profiler that watches it",
        "dump",
    ),
    _known(
        r"task not stopped after seize|unsupported stop signal|pending SIGTRAP",
        "a process is stopped in a way that CRIU cannot carry",
        "continue it (SIGCONT) or end its debugger, then try again",
        "dump",
    ),
    _known(
        r"A root task is dead|exited with \d+ unexpectedly|was killed by \d+ unexpectedly",
        "a process died while it was being frozen",
        "look whether the container is still running",
        "dump",
    ),
    _known(
        r"Timeout reached",
        "the processes could not be frozen in time",
        f"try again with less load, or {_CONFIG_FILE} that says, for instance, timeout 60",
        "dump",
    ),
    _known(
        r"Can't handle non-regular mapping|Unsupported mapping found|handle_device_vma",
        "a process has a device mapped into its memory (a GPU, /dev/…), which CRIU cannot carry without a plugin",
        "install the CRIU plugin for the device, or let the program release it",
        "dump",
    ),
    _known(
        r"SysVIPC shmem map",
        "a process uses System V shared memory of an IPC namespace that is not the container's",
        "give the container an IPC namespace of its own",
        "dump",
    ),
    _known(
        r"aio|AIO",
        "a process has asynchronous I/O (AIO) under way that CRIU cannot carry",
        "try again when the program is idle",
    ),
    _known(
        r"uprobes vma",
        "a process is watched by uprobes (a tracer or profiler)",
        f"detach the tracer, or {_CONFIG_FILE} that says allow-uprobes",
        "dump",
    ),
    _known(
        r"rseq",
        "CRIU and this kernel do not agree about restartable sequences (rseq)",
        "use a newer CRIU, or run the program with GLIBC_TUNABLES=glibc.pthread.rseq=0",
    ),
    _known(
        r"MADV_GUARD_INSTALL|guard pages?",
        "a process has guard pages, which this CRIU does not know how to carry on this kernel",
        "use CRIU 4.2 or newer",
    ),
    # ---- machine ----------------------------------------------------------------------------------------------
    _known(
        r"FPU feature required by image|xfeatures has unsupported|xsave (?:max )?size mismatch"
        r"|(?:CPU|instruction) capabilities do not match|Core march mismatch|missing support fxsave",
        "this processor lacks features that the frozen processes use",
        "restore on a processor of the same or a newer kind",
        "restore",
    ),
    _known(
        r"Unexpected rt vDSO area|vdso_fill_symtable|Could not initialize kernel features",
        "this CRIU is too old for this kernel: it does not know its vDSO",
        "use CRIU 4.2 or newer",
    ),
    _known(
        r"vdso|VDSO|vvar",
        "the kernel's vDSO differs too much from the one that the processes were frozen with",
        "use a newer CRIU, or restore on a kernel that is closer to the old one",
    ),
    _known(
        r"seccomp",
        "the seccomp filters of a process cannot be read or put back",
        "use a kernel with CONFIG_CHECKPOINT_RESTORE and CONFIG_SECCOMP_FILTER, or run with seccomp=unconfined",
    ),
    _known(
        r"mismatched lsm types|apparmor LSM specified|selinux LSM specified|unknown lsm|can't write lsm profile"
        r"|render profile|AA namespace|apparmor",
        "the security module or profile (SELinux, AppArmor) of the frozen processes is not the one of this host",
        "load the same profile here, or restore on a host with the same security module",
    ),
    _known(
        r"(?:Can't move .* into|cgroupd: Can't move|Unable to (?:mount|configure|create) the cgroup|CG paths mismatch"
        r"|No cg_controller_entry|Cgroup dir .* doesn't exist|controller .* not found|cgyard|cgroup dir"
        r"|Unable to restore freezer|Failed writing .* to .*(?:cgroup|memory|cpu|pids))",
        "the cgroups of the checkpoint do not fit those of this host",
        f"restore on a host with the same cgroup version, or {_CONFIG_FILE} that says manage-cgroups ignore",
    ),
    _known(
        r"No space left on device",
        "the disk is full",
        "free some space where the container's files are",
    ),
    _known(
        r"Cannot allocate memory|Not enough memory|Unable to (?:reserve|map).*memory",
        "there is not enough memory",
        "free some memory, or raise the container's limit",
    ),
    _known(
        r"No parent image found|Can't open parent path|Missing \w+ in parent pagemap|No parent for snapshot"
        r"|Invalid parent image directory|not found in parent|Can't link parent snapshot",
        "the checkpoint needs an earlier pre-checkpoint that is not there",
        "give the archive of the pre-checkpoint too (import_previous)",
    ),
    _known(
        r"(?:[Mm]agic doesn't match|Img trimmed|Unexpected EOF|[Ii]mage corrupt|Image corruption|Can't read img file"
        r"|Reached EOF unexpectedly)",
        "the checkpoint images are damaged",
        "make the checkpoint, or copy the archive, again",
        "restore",
    ),
    _known(
        r"Not supported images version|Too old image|Images corrupted or too old|Unknown (?:file type|image format)"
        r"|Missing required plugin",
        "the checkpoint was made by a CRIU that this one does not understand",
        "use a CRIU at least as new as the one that made the checkpoint, with the same plugins",
        "restore",
    ),
    _known(
        r"Unable to open .*inventory|Can't open (?:dir|images directory)|inventory.img.*No such file",
        "the checkpoint images are not there",
        "make the checkpoint again",
        "restore",
    ),
    _known(
        r"dirty memory tracker|PAGEMAP_SCAN|[Mm]emory tracking|mem_dirty_track|Pid-reuse detection failed",
        "this kernel cannot track changed memory, which a pre-checkpoint needs",
        "make a plain checkpoint, or use a kernel with CONFIG_MEM_SOFT_DIRTY",
    ),
    _known(
        r"(?:page server|Remote side closed|A socket was closed unexpectedly|lazy.pages)",
        "the transfer of memory pages broke off",
        "look at the other end, and that both use CRIU 4.2 or newer, or both an older one",
    ),
    _known(
        r"rlimit|setrlimit|Can't restore cur > max",
        "a resource limit of a process is above what may be set here",
        "run with CAP_SYS_RESOURCE, or create the container with lower limits",
        "restore",
    ),
    _known(
        r"Can't get rlimit",
        "a process runs as another user, and reading its limits needs CAP_SYS_RESOURCE, which this host does not grant",
        "run the engine with CAP_SYS_RESOURCE, or the container's processes as root",
        "dump",
    ),
    _known(
        r"You need to be root|CAP_SYS_ADMIN|CAP_CHECKPOINT_RESTORE|Operation not permitted|Permission denied",
        "a right is missing",
        "run as root with all capabilities, and look at what seccomp and the security modules forbid",
    ),
)
"""Looked at from the top; within a log, the first line that any entry knows decides."""


def error_lines(text: str) -> Iterator[str]:
    """The lines of a log that report an error and are not noise, as they stand."""
    for line in text.splitlines():
        if _ERROR.search(line) and not _NOISE.search(line):
            yield line.strip()


def explain_text(text: str, operation: Operation) -> LogExplanation | None:
    """What a log says about a failure; None if it holds no error."""
    lines = list(error_lines(text))
    if not lines:
        return None
    details = "\n".join(lines[:8])
    for line in lines:
        for known in _for(operation):
            found = known.pattern.search(_spoken(line))
            if found is not None:
                cause = known.cause
                groups = {key: value or "?" for key, value in found.groupdict().items()}
                if groups:
                    cause = cause.format_map(groups)
                return LogExplanation(cause=cause, resolution=known.resolution, line=line, details=details)
    return LogExplanation(
        cause=f'CRIU says "{_spoken(lines[0])}"', resolution=None, line=lines[0], details=details
    )


def explain_log(path: Path, operation: Operation) -> LogExplanation | None:
    """explain_text for a log on disk; None if there is none or it holds no error. OSError other than absence."""
    try:
        with open(path, "rb") as stream:
            size = stream.seek(0, 2)
            # Errors stand at the end, and the first few lines matter when CRIU refused at once.
            stream.seek(max(0, size - _TAIL))
            return explain_text(stream.read().decode(errors="replace"), operation)
    except FileNotFoundError:
        return None


def _for(operation: Operation) -> Iterable[_Cause]:
    return (known for known in CATALOGUE if known.operation in (None, operation))


def _spoken(line: str) -> str:
    """The text of an error line without time, source line and an errno that says nothing."""
    found = _ERROR.search(line)
    text = (found["text"] if found else line).strip()
    return re.sub(r":\s*(?:Success|errno 0)$", "", text).rstrip(". ")
