"""Command lines of conmon and the runtimes."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from libpod.oci.arguments import checkpoint_args, conmon_args, exec_args, log_argument, runtime_args
from libpod.oci.base import Bundle, DumpRequest, ExecRequest, RestoreRequest
from libpod.oci.programs import child_environment
from libpod.oci.state_files import state_root

CONMON, RUNTIME = Path("/usr/bin/conmon"), Path("/usr/sbin/runc")
BUNDLE = Bundle(
    id="c" * 64,
    name="web",
    directory=Path("/b"),
    run_dir=Path("/r"),
    exit_dir=Path("/e"),
    persist_dir=Path("/p"),
    log_path=Path("/b/ctr.log"),
)


def args(bundle: Bundle = BUNDLE, **options: object) -> list[str]:
    return conmon_args(CONMON, RUNTIME, bundle, **options)  # type: ignore[arg-type]


def value_of(words: list[str], option: str) -> str:
    return words[words.index(option) + 1]


def test_create_names_every_file() -> None:
    words = args()
    assert words[0] == "/usr/bin/conmon"
    assert value_of(words, "-b") == "/b"
    assert value_of(words, "-p") == "/r/pidfile"
    assert value_of(words, "--conmon-pidfile") == "/r/conmon.pid"
    assert value_of(words, "--exit-dir") == "/e"
    assert value_of(words, "--persist-dir") == "/p"
    assert value_of(words, "-l") == "k8s-file:/b/ctr.log"
    assert "--runtime-arg=--log=/r/oci-log" in words
    assert not {"-t", "-i", "-s", "--restore", "--no-pivot"} & set(words)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"terminal": True, "stdin_open": True}, {"-t"}),
        ({"stdin_open": True}, {"-i"}),
        ({"no_pivot": True}, {"--no-pivot"}),
        ({"no_new_keyring": True}, {"--no-new-keyring"}),
        ({"timeout": 9}, {"--timeout=9"}),
        ({"log_size_max": 100}, {"--log-size-max", "100"}),
        ({"log_driver": "journald", "log_tag": "T"}, {"--log-tag", "T"}),
        ({"cgroup_manager": "systemd", "cgroup_path": "machine.slice:libpod:c"}, {"-s"}),
        ({"runtime_flags": ("root=/x", "--debug")}, {"--runtime-arg=--root=/x", "--runtime-arg=--debug"}),
        (
            {"exit_command": ("/py", "-m", "x")},
            {"--exit-command=/py", "--exit-command-arg=-m", "--exit-command-arg=x"},
        ),
        ({"sdnotify_socket": Path("/n")}, {"--sdnotify-socket=/n"}),
    ],
)
def test_each_wish_adds_its_words(change: dict[str, object], words: set[str]) -> None:
    assert set(args(msgspec.structs.replace(BUNDLE, **change))) - set(args()) >= words  # type: ignore[arg-type]


def test_a_tag_is_for_journald_only() -> None:
    assert "--log-tag" not in args(msgspec.structs.replace(BUNDLE, log_tag="T"))


def test_the_systemd_manager_without_a_slice_is_not_asked() -> None:
    assert "-s" not in args(msgspec.structs.replace(BUNDLE, cgroup_manager="systemd", cgroup_path="/split"))


def test_only_crun_is_told_that_cgroups_are_disabled() -> None:
    bundle = msgspec.structs.replace(BUNDLE, cgroups_enabled=False)
    assert "disabled" in args(bundle, crun=True)
    assert "disabled" not in args(bundle)


def test_a_restore_hands_its_options_to_the_runtime() -> None:
    request = RestoreRequest(
        image_dir=Path("/i"), tcp_established=True, file_locks=True, lsm_profile="selinux:x"
    )
    words = args(restore=request)
    assert value_of(words, "--restore") == "/i"
    assert [word for word in words if word.startswith("--runtime-opt=")] == [
        "--runtime-opt=--tcp-established",
        "--runtime-opt=--file-locks",
        "--runtime-opt=--lsm-profile=selinux:x",
    ]


@pytest.mark.parametrize(
    ("driver", "path", "expected"),
    [
        ("k8s-file", "/l", "k8s-file:/l"),
        ("json-file", "/l", "k8s-file:/l"),
        ("journald", "/l", "journald"),
        ("none", "/l", "none"),
        ("passthrough", None, "passthrough"),
        ("k8s-file", None, "none"),
    ],
)
def test_log_drivers_as_conmon_knows_them(driver: str, path: str | None, expected: str) -> None:
    bundle = msgspec.structs.replace(BUNDLE, log_driver=driver, log_path=Path(path) if path else None)
    assert log_argument(bundle) == expected


def test_the_exit_command_may_be_put_off() -> None:
    bundle = msgspec.structs.replace(BUNDLE, exit_command=("/py", "x"), exit_delay=1)
    assert value_of(args(bundle), "--exit-delay") == "1"
    assert "--exit-delay" not in args(msgspec.structs.replace(bundle, exit_delay=0))
    assert "--exit-delay" not in args(msgspec.structs.replace(bundle, exit_command=()))


def test_the_three_ways_of_exec() -> None:
    request = ExecRequest(session_id="s" * 64, directory=Path("/x"), process={}, stdin=True)
    spec = Path("/x/process.json")
    follow = exec_args(CONMON, RUNTIME, BUNDLE, request, spec, attach=False, follow=True)
    assert "--sync" in follow
    assert value_of(follow, "-l") == "passthrough"
    assert not {"-b", "-i", "--exec-attach"} & set(follow)
    terminal = msgspec.structs.replace(request, terminal=True)
    attached = exec_args(CONMON, RUNTIME, BUNDLE, terminal, spec, attach=True, follow=False)
    assert {"-t", "-i", "--exec-attach", "--full-attach"} <= set(attached)
    assert value_of(attached, "--exit-dir") == "/x/exit"
    delayed = msgspec.structs.replace(request, exit_command=("/c",), exit_delay=300)
    detached = exec_args(CONMON, RUNTIME, BUNDLE, delayed, spec, attach=False, follow=False)
    assert value_of(detached, "--exit-delay") == "300"
    assert "--exec-attach" not in detached
    assert "-s" not in detached


def test_checkpoint_options_come_before_the_id() -> None:
    request = DumpRequest(image_dir=Path("/i"), work_dir=Path("/w"), leave_running=True, parent_path="../pre")
    words = checkpoint_args(RUNTIME, msgspec.structs.replace(BUNDLE, runtime_flags=("root=/x",)), request)
    assert words[:2] == ["/usr/sbin/runc", "--root=/x"]
    assert words[-1] == BUNDLE.id
    assert words.count("--leave-running") == 1
    assert value_of(words, "--parent-path") == "../pre"
    assert "--pre-dump" not in words


def test_direct_calls_ask_systemd_only_where_it_matters() -> None:
    bundle = msgspec.structs.replace(BUNDLE, cgroup_manager="systemd", cgroup_path="m.slice:libpod:c")
    assert "--systemd-cgroup" in runtime_args(RUNTIME, bundle, systemd=True)
    assert "--systemd-cgroup" not in runtime_args(RUNTIME, bundle)


@pytest.mark.parametrize(
    ("name", "flags", "expected"),
    [
        ("runc", (), "/run/runc"),
        ("crun", (), "/run/crun"),
        ("kata", (), None),
        ("kata", ("root=/k",), "/k"),
        ("runc", ("--root", "/r"), "/r"),
    ],
)
def test_where_a_runtime_keeps_its_state(
    monkeypatch: pytest.MonkeyPatch, name: str, flags: tuple[str, ...], expected: str | None
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    found = state_root(name, msgspec.structs.replace(BUNDLE, runtime_flags=flags))
    assert found == (Path(expected) if expected else None)


def test_children_see_a_short_path_that_begins_with_criu() -> None:
    environment = child_environment(
        criu_directory=Path("/opt/criu/bin"), extra=["A=b=c", "nonsense", "PATH=/evil"]
    )
    assert environment["PATH"].split(":")[0] == "/opt/criu/bin"
    assert environment["A"] == "b=c"
    assert "nonsense" not in environment
    assert "/evil" not in environment["PATH"]
