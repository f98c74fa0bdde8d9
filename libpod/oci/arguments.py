"""Command lines of conmon and of the runtimes, as pure functions.

A value that begins with dashes must be an argument of its own after ``--runtime-arg``, or be joined with ``=``.
``--api-version`` is a flag for conmon; the value after it is ignored, and podman writes it.

Covers: oci_conmon_common.go (sharedConmonArgs, createOCIContainer), oci_conmon_exec_common.go (startExec)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from libpod.oci.base import Bundle, DumpRequest, ExecRequest, RestoreRequest


def flag(word: str) -> str:
    """A global option of the runtime as the runtime wants it: with its dashes."""
    return word if word.startswith("-") else f"--{word}"


def runtime_args(runtime: Path, bundle: Bundle, *, log: bool = True, systemd: bool = False) -> list[str]:
    """The beginning of every direct call of the runtime: its path and global options."""
    words = [str(runtime), *map(flag, bundle.runtime_flags)]
    if systemd and uses_systemd(bundle):
        words.append("--systemd-cgroup")
    if log:
        words += ["--log-format=json", f"--log={bundle.oci_log}"]
    return words


def uses_systemd(bundle: Bundle) -> bool:
    """Whether the runtime is to ask systemd for the container's cgroup."""
    return bundle.cgroups_enabled and bundle.cgroup_manager == "systemd" and ":" in bundle.cgroup_path


def log_argument(bundle: Bundle) -> str:
    """conmon's --log-path. conmon knows no json-file; podman has always written k8s-file under that name."""
    if bundle.log_driver in ("none", "null", "off", "passthrough", "journald"):
        return bundle.log_driver
    if bundle.log_path is None:
        return "none"
    return f"k8s-file:{bundle.log_path}"


def conmon_args(
    conmon: Path,
    runtime: Path,
    bundle: Bundle,
    *,
    crun: bool = False,
    restore: RestoreRequest | None = None,
    preserved: int = 0,
) -> list[str]:
    """conmon's command line to create a container, or to restore one, with so many preserved descriptors."""
    words = [
        str(conmon),
        "--api-version", "1",
        "-c", bundle.id,
        "-u", bundle.id,
        "-r", str(runtime),
        "-b", str(bundle.directory),
        "-p", str(bundle.pid_file),
        "-n", bundle.name,
        "--exit-dir", str(bundle.exit_dir),
        "--persist-dir", str(bundle.persist_dir),
        "--full-attach",
        *_runtime_flags(bundle, bundle.oci_log),
        "-l", log_argument(bundle),
        "--log-level", bundle.log_level,
        "--conmon-pidfile", str(bundle.conmon_pid_file),
    ]  # fmt: skip
    if uses_systemd(bundle):
        words.append("-s")
    if bundle.log_size_max > 0:
        words += ["--log-size-max", str(bundle.log_size_max)]
    if bundle.log_tag and bundle.log_driver == "journald":
        words += ["--log-tag", bundle.log_tag]
    if not bundle.cgroups_enabled and crun:
        words += ["--runtime-arg", "--cgroup-manager", "--runtime-arg", "disabled"]
    if bundle.sdnotify_socket is not None:
        words.append(f"--sdnotify-socket={bundle.sdnotify_socket}")
    if bundle.terminal:
        words.append("-t")
    elif bundle.stdin_open:
        words.append("-i")
    if bundle.timeout > 0:
        words.append(f"--timeout={bundle.timeout}")
    if bundle.no_new_keyring:
        words.append("--no-new-keyring")
    if bundle.no_pivot:
        words.append("--no-pivot")
    words += _exit_command(bundle.exit_command, bundle.exit_delay)
    if restore is not None:
        words += ["--restore", str(restore.image_dir)]
        words += _options(_restore_options(restore))
    elif preserved:
        words += _options(["--preserve-fds", str(preserved)])
    return words


def exec_args(
    conmon: Path,
    runtime: Path,
    bundle: Bundle,
    request: ExecRequest,
    spec: Path,
    *,
    attach: bool,
    follow: bool,
) -> list[str]:
    """conmon's command line for one more process.

    With *attach* it makes an attach socket and waits for a client. With *follow* it stays the caller's child and
    hands its own streams to the process. With neither, the process is on its own.
    """
    directory = request.directory
    words = [
        str(conmon),
        "--api-version", "1",
        "-c", bundle.id,
        "-u", request.session_id,
        "-r", str(runtime),
        "-p", str(request.pid_file),
        "-n", bundle.name,
        "--exit-dir", str(directory / "exit"),
        "--persist-dir", str(directory / "persist" / bundle.id),
        *_runtime_flags(bundle, directory / "oci-log"),
        "-l", "passthrough" if follow else "none",
        "--log-level", bundle.log_level,
        "-e",
        "--exec-process-spec", str(spec),
    ]  # fmt: skip
    if follow:
        words.append("--sync")
    else:
        words += ["-b", str(directory), "--full-attach"]
    if attach:
        words.append("--exec-attach")
    if request.terminal:
        words.append("-t")
    if request.stdin and not follow:
        words.append("-i")
    if request.preserve_fds:
        words += _options(["--preserve-fds", str(len(request.preserve_fds))])
    words += _exit_command(request.exit_command, request.exit_delay)
    return words


def checkpoint_args(runtime: Path, bundle: Bundle, request: DumpRequest) -> list[str]:
    """The runtime's command line for a dump."""
    words = [
        *runtime_args(runtime, bundle),
        "checkpoint",
        "--image-path", str(request.image_dir),
        "--work-path", str(request.work_dir),
    ]  # fmt: skip
    switches = {
        "--leave-running": request.leave_running,
        "--tcp-established": request.tcp_established,
        "--file-locks": request.file_locks,
        "--pre-dump": request.pre_dump,
        "--link-remap": request.link_remap,
    }
    words += [name for name, wanted in switches.items() if wanted]
    if request.parent_path:
        words += ["--parent-path", request.parent_path]
    return [*words, bundle.id]


def _runtime_flags(bundle: Bundle, log: Path) -> Iterator[str]:
    for word in bundle.runtime_flags:
        yield f"--runtime-arg={flag(word)}"
    yield "--runtime-arg=--log-format=json"
    yield f"--runtime-arg=--log={log}"


def _exit_command(command: Sequence[str], delay: int) -> Iterator[str]:
    for number, word in enumerate(command):
        yield f"--exit-command{'-arg' if number else ''}={word}"
    if command and delay > 0:
        yield from ("--exit-delay", str(delay))


def _options(words: Sequence[str]) -> Iterator[str]:
    for word in words:
        yield f"--runtime-opt={word}"


def _restore_options(restore: RestoreRequest) -> list[str]:
    words = [
        name
        for name, wanted in {
            "--tcp-established": restore.tcp_established,
            "--file-locks": restore.file_locks,
        }.items()
        if wanted
    ]
    if restore.lsm_profile:
        words.append(f"--lsm-profile={restore.lsm_profile}")
    if restore.lsm_mount_context:
        words.append(f"--lsm-mount-context={restore.lsm_mount_context}")
    return words
