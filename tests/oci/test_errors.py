"""What runc, crun and conmon say, and which error that is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from libpod.define.errors import (
    CheckpointError,
    CommandNotExecutableError,
    CommandNotFoundError,
    ContainerExistsError,
    InvalidStateError,
    LibpodError,
    OciRuntimeError,
    RestoreError,
)
from libpod.oci.errors import Phase, criu_reason, is_unknown, log_text, runtime_error
from libpod.oci.reports import Report, parse_report

RUNC = "runc create failed: unable to start container process: "
NOT_FOUND = [
    RUNC + 'exec: "/x": stat /x: no such file or directory',
    RUNC + 'exec: "x": executable file not found in $PATH',
    RUNC + 'error during container init: exec: "x": executable file not found in $PATH',
    'container_linux.go:380: starting container process caused: exec: "x": executable file not found in $PATH',
    'exec failed: unable to start container process: exec: "x": executable file not found in $PATH',
    "crun: executable file `x` not found in $PATH: No such file or directory",
    "executable file `x` not found: No such file or directory",
    "crun: open executable: No such file or directory",
    "exec container process `/x`: No such file or directory",
    "exec container process (missing dynamic library?) `/x`: No such file or directory",
]
NOT_EXECUTABLE = [
    RUNC + 'exec: "/etc": permission denied',
    RUNC + 'exec: "/etc": is a directory',
    "crun: open executable: Permission denied",
    "exec container process `/etc/passwd`: Permission denied",
    "exec /bin/x: exec format error",
]
STATE = [
    "cannot exec in a stopped container",
    "cannot exec in a paused container (use --ignore-paused to override)",
    "container not running",
    "container not paused",
    "cannot start an already running container",
    "cannot start a container that has stopped",
    "container `abc` is not running",
    "the container `abc` is paused",
    "the container `abc` is not in `created` or `stopped` state",
    "cannot delete container abc that is not stopped: running",
]
OTHER = [
    RUNC
    + 'error during container init: error mounting "/s" to rootfs at "/d": stat /s: no such file or directory',
    "runc create failed: invalid rootfs: stat /r: no such file or directory",
    "JSON specification file config.json not found",
    RUNC + "error during container init: error setting rlimit type 7: operation not permitted",
    RUNC + "error during container init: unable to apply caps: operation not permitted",
    "runc create failed: namespace path: lstat /run/netns/x: no such file or directory",
    "the rootfs path `/r` does not exist",
    "cgroups in hybrid mode not supported, drop all controllers from cgroupv2",
]


@pytest.mark.parametrize("text", NOT_FOUND)
def test_a_missing_command(text: str) -> None:
    error = runtime_error(Phase.CREATE, "web", text)
    assert type(error) is CommandNotFoundError
    assert error.exit_code == 127


@pytest.mark.parametrize("text", NOT_EXECUTABLE)
def test_a_command_that_may_not_be_run(text: str) -> None:
    error = runtime_error(Phase.EXEC, "web", text)
    assert type(error) is CommandNotExecutableError
    assert error.exit_code == 126


@pytest.mark.parametrize("text", STATE)
def test_the_wrong_state(text: str) -> None:
    assert type(runtime_error(Phase.START, "web", text)) is InvalidStateError


@pytest.mark.parametrize("text", OTHER)
def test_everything_else_is_not_taken_for_a_command(text: str) -> None:
    error = runtime_error(Phase.CREATE, "web", text)
    assert type(error) is OciRuntimeError
    assert error.resolution


def test_an_id_that_is_taken() -> None:
    error = runtime_error(Phase.CREATE, "web", "runc create failed: container with given ID already exists")
    assert type(error) is ContainerExistsError


@pytest.mark.parametrize(
    "text",
    [
        "container does not exist",
        'container "abc" does not exist',
        "error opening file `/run/crun/abc/status`: No such file or directory",
    ],
)
def test_a_container_unknown_to_the_runtime(text: str) -> None:
    assert is_unknown(text)
    assert not is_unknown("container not running")


def test_the_message_names_the_container_and_drops_the_runtimes_preamble() -> None:
    text = "runc create failed: unable to start container process: error during container init: boom"
    error = runtime_error(Phase.CREATE, "web", text)
    assert error.message == "cannot create container web: boom"
    assert error.details == text


def test_silence_is_said_so() -> None:
    assert "without a report" in runtime_error(Phase.EXEC, "web", "").message


def test_a_failed_dump_carries_criu_s_reason(tmp_path: Path) -> None:
    log = tmp_path / "dump.log"
    log.write_text(
        "(00.000001) Warn  (criu/log.c:1): x\n"
        "(00.000002) Error (criu/util.c:9): rlimit: Can't setup RLIMIT_NOFILE for self: Operation not permitted\n"
        "(00.000003) Error (criu/sk-inet.c:191): inet: Connected TCP socket, consider using --tcp-established option.\n"
        "(00.000004) Error (criu/cr-dump.c:2111): Dumping FAILED.\n"
    )
    text = f"criu failed: type NOTIFY errno 0\nlog file: {log}"
    error = runtime_error(Phase.CHECKPOINT, "web", text)
    assert isinstance(error, CheckpointError)
    assert error.log == str(log)
    assert "consider using --tcp-established" in error.cause
    assert "RLIMIT" not in error.cause


def test_a_criu_that_crashed_is_named() -> None:
    error = runtime_error(
        Phase.RESTORE, "web", "read unixpacket @->@: EOF", criu_log=Path("/nonexistent/restore.log")
    )
    assert isinstance(error, RestoreError)
    assert "crashed" in error.cause


def test_a_restore_without_criu_in_the_text_is_a_restore_error_all_the_same() -> None:
    assert isinstance(runtime_error(Phase.RESTORE, "web", "something else"), RestoreError)


def test_a_missing_criu_log_has_no_reason() -> None:
    assert criu_reason(Path("/nonexistent/dump.log")) == ""


def entry(level: str, text: str) -> str:
    return json.dumps({"level": level, "msg": text, "time": "2026-11-22T21:14:44Z"})


def test_the_log_gives_fatal_lines_and_the_last_error() -> None:
    lines = [
        entry("error", "old"),
        entry("warning", "unimportant"),
        "not json",
        '"a string"',
        entry("fatal", "nsexec[1]: failed to update /proc/self/oom_score_adj: Permission denied"),
        entry("error", "can't get final child's PID from pipe: EOF"),
    ]
    text = log_text("\n".join(lines))
    assert text.splitlines() == [
        "nsexec[1]: failed to update /proc/self/oom_score_adj: Permission denied",
        "can't get final child's PID from pipe: EOF",
    ]
    assert "OOM score" in (runtime_error(Phase.CREATE, "web", text).resolution or "")


@pytest.mark.parametrize(
    ("packet", "report"),
    [
        (b'{"data": 1234}\n', Report(1234)),
        (b'{"data": -1, "message": "bad\\nthing"}\n', Report(-1, "bad\nthing")),
        (b'{"data": -255, "message": "raw \x1f and \xff"}', Report(-255, "raw \x1f and \udcff")),
        (b'{"data": -1, "message": "cut off', Report(-1, '{"data": -1, "message": "cut off')),
        (b"[]", Report(-1, "[]")),
    ],
)
def test_reports_of_conmon_are_read_whatever_is_in_them(packet: bytes, report: Report) -> None:
    assert parse_report(packet) == report
    assert report.failed == (report.data < 0)


@pytest.mark.parametrize("phase", list(Phase))
def test_every_phase_makes_an_error_of_ours(phase: Phase) -> None:
    assert isinstance(runtime_error(phase, "web", "anything"), LibpodError)
