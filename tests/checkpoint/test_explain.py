"""Logs of real failures become sentences."""

from __future__ import annotations

from pathlib import Path

import pytest

from libpod.checkpoint.explain import CATALOGUE, Operation, explain_log, explain_text

CASES: list[tuple[Operation, str, str]] = [
    ("dump",
     "Error (criu/sk-inet.c:200): inet: Connected TCP socket, consider using --tcp-established option.",
     "established TCP"),
    ("restore", "Error (criu/sk-inet.c:912): inet: Connected TCP socket in image", "holds established TCP"),
    ("dump", "Error (criu/sk-inet.c:185): inet: In-flight connection (l) for 3d2f", "not been accepted"),
    ("dump",
     "Error (criu/sk-inet.c:139): inet: For Go programs, consider using \"GODEBUG=multipathtcp=0\" to disable MPTCP",
     "multipath"),
    ("dump", "Error (criu/sockets.c:525): Can't get 1:16 opt: Operation not supported", "too old for this kernel"),
    ("dump",
     "Error (criu/sk-unix.c:874): unix: External socket is used. Consider using --ext-unix-sk option.",
     "Unix socket"),
    ("dump",
     "Error (criu/sk-unix.c:881): unix: Can't dump half of stream unix connection. name: (null); peer name: /run/x",
     "Unix socket"),
    ("dump", "Error (criu/sk-netlink.c:85): netlink: The socket has data to read", "netlink"),
    ("dump", "Error (criu/sk-packet.c:200): packet: No packet sock info in nlm", "packet socket"),
    ("restore",
     "Error (criu/sk-inet.c:1111): inet: Can't bind inet socket (id 7): Address already in use",
     "is taken"),
    ("restore",
     "Error (criu/sk-inet.c:1111): inet: Can't bind inet socket (id 7): Cannot assign requested address",
     "does not exist here"),
    ("dump",
     "Error (criu/file-lock.c:110): Some file locks are hold by dumping tasks! You can try --file-locks to dump them.",
     "file locks"),
    ("dump",
     "Error (criu/files-reg.c:1031): Can't dump ghost file /tmp/big of 5242880 size, increase limit",
     "5242880"),
    ("dump", "Error (criu/files-reg.c:1122): Can't create link remap for /a/b. Use link-remap option.", "/a/b"),
    ("restore", "Error (criu/files-reg.c:2175): File opt/app/log has bad size 12 (expect 42)", "had 42"),
    ("restore", "Error (criu/files-reg.c:2294): File bin/x has bad mode 0100644 (expect 0100755)", "another mode"),
    ("restore", "Error (criu/files-reg.c:2353): Can't open file var/x on restore: No such file or directory", "var/x"),
    ("dump",
     "Error (criu/files-ext.c:98): Can't dump file 12 of that type [600] (unknown anon_inode:[io_uring])",
     "io_uring"),
    ("dump",
     "Error (criu/files-ext.c:98): Can't dump file 5 of that type [20666] (chr 10:229 /dev/fuse)",
     "descriptor 5"),
    ("dump", "Error (criu/fsnotify.c:284): fsnotify: \tCan't dump that handle", "inotify"),
    ("dump", "Error (criu/tty.c:1830): tty: Found dangling tty with sid 0 pgid 0 (pts) on peer fd 0.", "terminal"),
    ("dump", "Error (criu/cr-dump.c:700): A session leader of 12(12) is outside of its pid namespace", "exec session"),
    ("restore", "Error (criu/mount.c:3141): mnt: No mapping for 812:/etc/hosts mountpoint", "/etc/hosts"),
    ("dump", "Error (criu/mount.c:753): mnt: 812:/mnt doesn't have a proper root mount", "mount from outside"),
    ("dump", "Error (criu/mount.c:1809): mnt: Unable to dump a file system for 9:/x", "file system"),
    ("restore", "Error (criu/cr-restore.c:1230): Can't fork for 1: File exists", "process id"),
    ("dump", "Error (compel/src/lib/infect.c:261): Unseizable non-zombie 12 found, state T, err -1/1", "traced"),
    ("dump", "Error (compel/src/lib/infect.c:186): SEIZE 12: task not stopped after seize", "stopped"),
    ("dump",
     "Error (criu/proc_parse.c:663): Can't handle non-regular mapping on 12's map 7f0000000000",
     "device mapped"),
    ("restore",
     "Error (criu/arch/x86/cpu.c:247): cpu: FPU feature required by image is not supported on host (fpu:0)",
     "processor"),
    ("restore",
     "Error (criu/cgroup.c:1150): cg: Can't move 1 into unified//x/tasks (-1/-1): No such file or directory",
     "cgroups"),
    ("dump",
     "Error (criu/page-xfer.c:100): page-xfer: Can't write pages to socket: No space left on device",
     "disk is full"),
    ("restore",
     "Error (criu/page-xfer.c:2): No parent image found, though parent directory is set: No such file or directory",
     "pre-checkpoint"),
    ("restore", "Error (criu/image.c:500): Magic doesn't match for core-1.img", "damaged"),
    ("dump", "Error (criu/vdso.c:381): vdso: Unexpected rt vDSO area bounds", "too old for this kernel"),
    ("restore", "Error (criu/lsm.c:300): mismatched lsm types and lsm profile specified", "security module"),
    ("restore", "Error (criu/pie/restorer.c:546): seccomp: SECCOMP_SET_MODE_FILTER returned -22 on tid 1", "seccomp"),
    ("dump", "Error (criu/mem.c:50): Can't reset 12's dirty memory tracker (-22)", "changed memory"),
    ("restore", "Error (criu/net.c:2838): net: Unable to find an external netns: extRootNetNS", "network namespace"),
    ("dump", "Error (criu/cr-dump.c:1): Timeout reached. Try to interrupt: 12", "in time"),
    ("dump",
     "Error (criu/net.c:3332): net: Locking network failed: iptables-restore returned 1. This may be",
     "block the container's network"),
]  # fmt: skip


@pytest.mark.parametrize(("operation", "line", "expected"), CASES)
def test_a_known_line_is_explained(operation: Operation, line: str, expected: str) -> None:
    log = (
        "(00.000008) Version: 4.2.1 (gitid 0)\n"
        "(00.000500) Error (criu/util.c:1): rlimit: Can't setup RLIMIT_NOFILE for self: Operation not permitted\n"
        f"(00.021000) {line}\n"
        "(00.022000) Error (criu/cr-dump.c:1635): Dump files (pid: 1) failed with -1\n"
        "(00.023000) Error (criu/cr-dump.c:2111): Dumping FAILED.\n"
    )
    explained = explain_text(log, operation)
    assert explained is not None
    assert expected in explained.cause
    assert line in explained.line
    assert explained.resolution
    assert "RLIMIT" not in explained.details


def test_the_catalogue_is_large_and_every_entry_has_a_cure() -> None:
    assert len(CATALOGUE) >= 20
    for known in CATALOGUE:
        assert known.resolution
        assert known.cause[0].islower() or known.cause.startswith("CRIU")


def test_an_unknown_error_is_quoted_without_decoration() -> None:
    explained = explain_text(
        "(00.1) Error (criu/new.c:1): The moon is full: Success\nError (x:1): Dumping FAILED.\n", "dump"
    )
    assert explained is not None
    assert explained.cause == 'CRIU says "The moon is full"'
    assert explained.resolution is None


@pytest.mark.parametrize(
    "log",
    ["", "(00.1) all is well\n", "(0) Error (criu/util.c:1): rlimit: Can't setup RLIMIT_NOFILE for self\n"],
)
def test_a_log_without_errors_explains_nothing(log: str) -> None:
    assert explain_text(log, "dump") is None


def test_a_missing_log_explains_nothing(tmp_path: Path) -> None:
    assert explain_log(tmp_path / "dump.log", "dump") is None


def test_a_huge_log_is_read_from_its_end(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(
        b"(00.1) noise \xff\n" * 1_000_000 + b"(1) Error (criu/x.c:1): inet: In-flight connection\n"
    )
    explained = explain_log(tmp_path / "log", "dump")
    assert explained is not None
    assert "accepted" in explained.cause
