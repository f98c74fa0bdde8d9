"""The parts of a specification, one by one: filters, users, hooks, capabilities, limits, an exec's process."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libpod.config import ContainerDefaults, RuntimeConfig
from libpod.define.errors import ConfigError, InvalidArgumentError
from libpod.linux.capabilities import NAMES
from libpod.model.create_options import CreateOptions
from libpod.model.exec_options import ExecOptions
from libpod.spec import capabilities, environment, masking, mounts, users
from libpod.spec.hooks import Hook, load_hooks, matching, parse_hook
from libpod.spec.process import exec_process
from libpod.spec.seccomp import compile_profile, default_profile, load_profile, parse_profile
from libpod.spec.surroundings import read_surroundings
from libpod.spec.users import ResolvedUser, resolve_user
from tests.spec.plans import V1, on, planned

# ---- capabilities ---------------------------------------------------------------------------------------------


def test_capabilities_have_many_spellings_and_one_form() -> None:
    assert capabilities.normalized(["net_admin", "CAP_KILL", " Chown ", "all"]) == [
        "CAP_NET_ADMIN", "CAP_KILL", "CAP_CHOWN", "ALL",
    ]  # fmt: skip
    with pytest.raises(InvalidArgumentError, match='"fly" is not a capability'):
        capabilities.normalized(["fly"])


@given(
    st.lists(st.sampled_from(NAMES), unique=True),
    st.lists(st.sampled_from([*NAMES, "ALL"]), unique=True),
    st.lists(st.sampled_from([*NAMES, "ALL"]), unique=True),
)
def test_a_merge_has_what_is_added_and_not_what_is_dropped(
    base: list[str], add: list[str], drop: list[str]
) -> None:
    if set(add) & set(drop):
        with pytest.raises(InvalidArgumentError, match="both added and dropped"):
            capabilities.merged(base, add, drop)
        return
    found = capabilities.merged(base, add, drop)
    assert found == sorted(set(found))
    if "ALL" in drop:
        assert set(found) == set(add)
    else:
        wanted = set(NAMES) if "ALL" in add else set(base) | set(add)
        assert set(found) == wanted - set(drop)


def test_sets_differ_for_root_and_others() -> None:
    allowed = frozenset(NAMES)
    assert "ambient" not in capabilities.capability_sets(["CAP_KILL"], root=True, added=(), allowed=allowed)
    assert capabilities.capability_sets(["CAP_KILL"], root=False, added=(), allowed=allowed) == {
        "bounding": ["CAP_KILL"]
    }
    sets = capabilities.capability_sets(
        ["CAP_KILL", "CAP_NET_RAW"], root=False, added=["net_raw"], allowed=allowed
    )
    assert sets["ambient"] == sets["inheritable"] == sets["effective"] == sets["permitted"] == ["CAP_NET_RAW"]
    assert [capabilities.is_root(user) for user in ("", "0", "root:5", "dave", "1")] == [
        True,
        True,
        True,
        False,
        False,
    ]


# ---- seccomp --------------------------------------------------------------------------------------------------


def rules(*entries: dict[str, Any], **top: Any) -> Any:
    return parse_profile(
        json.dumps({"defaultAction": "SCMP_ACT_ERRNO", **top, "syscalls": list(entries)}).encode(), "p"
    )


def names(profile: Any, *, architecture: str = "amd64", bounding: frozenset[str] = frozenset()) -> list[str]:
    found = compile_profile(profile, architecture=architecture, bounding=bounding)
    assert found is not None
    return [name for rule in found.get("syscalls", []) for name in rule["names"]]


def test_rules_depend_on_architecture_and_capabilities() -> None:
    profile = rules(
        {"names": ["always"], "action": "A"},
        {"names": ["arm"], "action": "A", "includes": {"arches": ["arm64"]}},
        {"names": ["not arm"], "action": "A", "excludes": {"arches": ["arm64"]}},
        {"names": ["admin"], "action": "A", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["two"], "action": "A", "includes": {"caps": ["CAP_SYS_ADMIN", "CAP_BPF"]}},
        {"names": ["others"], "action": "A", "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
    )
    assert names(profile) == ["always", "not arm", "others"]
    assert names(profile, architecture="arm64") == ["always", "arm", "others"]
    assert names(profile, bounding=frozenset({"CAP_SYS_ADMIN"})) == ["always", "not arm", "admin"]
    assert names(profile, bounding=frozenset({"CAP_SYS_ADMIN", "CAP_BPF"}))[-1] == "two"


def test_errors_architectures_and_arguments_are_translated() -> None:
    profile = rules(
        {"name": "one", "action": "SCMP_ACT_ERRNO", "errno": "EPERM", "errnoRet": 99,
         "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}, {"index": 1, "value": 2, "valueTwo": 3, "op": "X"}]},
        defaultErrno="ENOSYS", defaultErrnoRet=1, flags=["SECCOMP_FILTER_FLAG_LOG"],
        archMap=[{"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]}],
    )  # fmt: skip
    assert compile_profile(profile, architecture="arm64", bounding=set()) == {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 38,
        "architectures": ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
        "flags": ["SECCOMP_FILTER_FLAG_LOG"],
        "syscalls": [
            {
                "names": ["one"],
                "action": "SCMP_ACT_ERRNO",
                "errnoRet": 1,
                "args": [
                    {"index": 0, "value": 1, "op": "SCMP_CMP_EQ"},
                    {"index": 1, "value": 2, "valueTwo": 3, "op": "X"},
                ],
            }
        ],
    }
    found = compile_profile(profile, architecture="amd64", bounding=set())
    assert found is not None
    assert "architectures" not in found
    with pytest.raises(ConfigError, match='unknown error "EWHAT"'):
        compile_profile(rules(defaultErrno="EWHAT"), architecture="amd64", bounding=set())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x", "is not JSON"),
        ("[]", "is not a JSON object"),
        ('{"architectures": ["a"], "archMap": [{}]}', "both architectures and archMap"),
        ('{"syscalls": [1]}', "not a list of objects"),
        ('{"syscalls": [{"name": "a", "names": ["b"]}]}', "both name and names"),
    ],
)
def test_a_bad_profile_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        parse_profile(text.encode(), "p")


def test_a_profile_that_says_nothing_filters_nothing() -> None:
    assert compile_profile(parse_profile(b"{}", "p"), architecture="amd64", bounding=set()) is None


def test_a_profile_is_read_again_only_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text('{"defaultAction": "A"}')
    first = load_profile(str(path))
    assert load_profile(str(path)) is first
    path.write_text('{"defaultAction": "ANOTHER"}')
    assert load_profile(str(path)).document["defaultAction"] == "ANOTHER"
    assert default_profile(str(path)) is load_profile(str(path))
    assert default_profile("unconfined") is None
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load_profile(str(tmp_path / "missing"))


# ---- users ----------------------------------------------------------------------------------------------------

PASSWD = """# comment
root:x:0:0:root:/root:/bin/sh
broken
odd:x:a:b:c
dave:x:1000:1001:Dave:/home/dave:/bin/sh
12:x:77:78::/twelve:
twin:x:1000:5::/other:
"""
GROUP = "root:x:0:\ndave:x:1001:\nwheel:x:10:dave,eve\nstaff:x:50:dave\n99:x:7:\nbroken\n"


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("", ResolvedUser(home="/root", name="root")),
        ("root", ResolvedUser(additional_gids=(0,), home="/root", name="root")),
        (
            "dave",
            ResolvedUser(uid=1000, gid=1001, additional_gids=(1001, 10, 50), home="/home/dave", name="dave"),
        ),
        (
            "1000",
            ResolvedUser(uid=1000, gid=1001, additional_gids=(1001, 10, 50), home="/home/dave", name="dave"),
        ),
        ("12", ResolvedUser(uid=77, gid=78, additional_gids=(78,), home="/twelve", name="12")),
        ("dave:wheel", ResolvedUser(uid=1000, gid=10, additional_gids=(10,), home="/home/dave", name="dave")),
        ("dave:4", ResolvedUser(uid=1000, gid=4, additional_gids=(4,), home="/home/dave", name="dave")),
        ("0:99", ResolvedUser(gid=7, additional_gids=(7,), home="/root", name="root")),
        ("4711", ResolvedUser(uid=4711, additional_gids=(0,), home="", name="")),
        ("4711:50", ResolvedUser(uid=4711, gid=50, additional_gids=(50,), home="", name="")),
    ],
)
def test_a_user_is_found_by_name_first(user: str, expected: ResolvedUser) -> None:
    assert resolve_user(user, passwd=PASSWD, group=GROUP) == expected


def test_groups_can_be_added_by_name_and_number() -> None:
    found = resolve_user("dave:4", passwd=PASSWD, group=GROUP, extra_groups=["wheel", "123", "4"])
    assert found.additional_gids == (4, 10, 123)


@pytest.mark.parametrize("user", ["eve", "dave:nobody", "dave:", "-1", "4294967295", "x:y"])
def test_a_user_that_is_not_there_is_refused(user: str) -> None:
    with pytest.raises(InvalidArgumentError):
        resolve_user(user, passwd=PASSWD, group=GROUP)


@given(st.text(), st.text(), st.sampled_from(["", "0", "5", "dave", "5:6"]))
def test_no_file_of_an_image_breaks_the_lookup(passwd: str, group: str, user: str) -> None:
    try:
        found = resolve_user(user, passwd=passwd, group=group)
    except InvalidArgumentError:
        assert user == "dave"
        return
    assert 0 <= found.uid < 2**32


def test_an_unknown_number_can_get_an_entry() -> None:
    unknown = resolve_user("4711", passwd=PASSWD, group=GROUP)
    assert users.needs_passwd_entry(unknown, PASSWD)
    assert not users.needs_passwd_entry(resolve_user("dave", passwd=PASSWD, group=GROUP), PASSWD)
    assert not users.needs_passwd_entry(ResolvedUser(), "")
    text = users.passwd_with("root:x:0:0:::", uid=4711, gid=5, workdir="/w")
    assert resolve_user("4711", passwd=text, group="").home == "/w"
    assert users.group_with("", gid=5) == "5:x:5:\n"


# ---- hooks ----------------------------------------------------------------------------------------------------


def hook_text(**fields: Any) -> bytes:
    return json.dumps(
        {
            "version": "1.0.0",
            "hook": {"path": "/bin/true"},
            "when": {"always": True},
            "stages": ["poststop"],
            **fields,
        }
    ).encode()


def matches(
    when: dict[str, Any], *, command: tuple[str, ...] = ("/bin/app",), bind_mounts: bool = False
) -> bool:
    hook = parse_hook(hook_text(when=when), "h.json")
    return hook.matches(
        command=command, annotations={"key": "value", "other": "thing"}, bind_mounts=bind_mounts
    )


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ({}, False),
        ({"always": True}, True),
        ({"always": False}, False),
        ({"always": True, "commands": ["^/bin/app$"]}, True),
        ({"commands": ["nothing", "app"]}, True),
        ({"commands": ["nothing"]}, False),
        ({"annotations": {"^ke": "alu"}}, True),
        ({"annotations": {"^ke": "thing"}}, False),
        ({"annotations": {"^ke": "alu", "^o": "ing$"}}, True),
        ({"annotations": {"^ke": "alu"}, "commands": ["no"]}, False),
        ({"hasBindMounts": True}, False),
        ({"hasBindMounts": False}, False),
    ],
)
def test_all_conditions_must_hold(when: dict[str, Any], expected: bool) -> None:
    assert matches(when) is expected


def test_bind_mounts_are_a_condition_and_a_missing_command_matches_none() -> None:
    assert matches({"hasBindMounts": True}, bind_mounts=True)
    assert not matches({"commands": [""]}, command=())


def test_the_old_format_takes_any_condition_and_values_only() -> None:
    hook = parse_hook(
        json.dumps(
            {
                "hook": "/bin/old",
                "arguments": ["a"],
                "stage": ["prestart"],
                "cmd": ["no"],
                "annotation": ["^val"],
            }
        ).encode(),
        "old.json",
    )
    assert hook.entry == {"path": "/bin/old", "args": ["/bin/old", "a"]}
    assert hook.matches(command=["x"], annotations={"k": "value"}, bind_mounts=False)
    assert not hook.matches(command=["x"], annotations={"value": "k"}, bind_mounts=False)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"version": "9"}, 'version "9"'),
        ({"hook": {}}, "names no program"),
        ({"stages": None}, "names no stages"),
        ({"stages": ["never"]}, 'stage "never"'),
        ({"when": {"commands": ["("]}}, r'pattern "\("'),
        ({"when": {"commands": ["(?=x)"]}}, "look-around"),
        ({"when": {"commands": [r"(a)\1"]}}, "back references"),
        ({"when": {"commands": [1]}}, "not a text"),
        ({"when": {"annotations": []}, "stages": ["poststop"]}, None),
        ({"when": [1]}, "not an object"),
    ],
)
def test_a_bad_hook_is_refused(document: dict[str, Any], reason: str | None) -> None:
    if reason is None:
        parse_hook(hook_text(**document), "h.json")
        return
    with pytest.raises(ConfigError, match=reason):
        parse_hook(hook_text(**document), "h.json")


def test_later_directories_win_by_file_name_and_hooks_run_in_order(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    for directory in (first, second):
        directory.mkdir()
    (first / "B.json").write_bytes(hook_text(hook={"path": "/bin/true", "args": ["first"]}))
    (first / "a.json").write_bytes(hook_text(hook={"path": "/bin/true", "args": ["a"]}))
    (second / "B.json").write_bytes(hook_text(hook={"path": "/bin/true", "args": ["second"]}))
    (first / "ignored.txt").write_text("x")
    loaded = load_hooks([str(first), str(tmp_path / "missing"), str(second)])
    found = matching(loaded, command=["x"], annotations={}, bind_mounts=False)
    assert [entry["args"] for entry in found["poststop"]] == [["a"], ["second"]]
    found["poststop"][0]["args"] = []
    assert loaded[0].entry["args"] == ["a"], "what is handed out is a copy"


def test_one_invalid_hook_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "h.json").write_bytes(hook_text(hook={"path": "/no/such/program"}))
    with pytest.raises(ConfigError, match="does not exist"):
        load_hooks([str(tmp_path)])
    (tmp_path / "h.json").write_text("x")
    with pytest.raises(ConfigError, match=r"h\.json is not JSON"):
        load_hooks([str(tmp_path)])


def test_a_hook_without_conditions_never_runs() -> None:
    assert not Hook(name="h", entry={"path": "/x"}, stages=("poststop",)).matches(
        command=["x"], annotations={}, bind_mounts=True
    )


# ---- small ones -----------------------------------------------------------------------------------------------


def test_additions_to_an_environment_never_replace() -> None:
    assert environment.with_missing(["A=1", "B"], {"A": "2", "B": "3", "C": "4"}) == ["A=1", "B", "C=4"]
    assert environment.merged(["A=1", "B=2"], {"A": "3"}) == ["A=3", "B=2"]
    assert environment.parsed(["A=1=2", "=x", "B", "A=3"]) == {"A": "3", "B": ""}


def test_masks_can_be_lifted_by_glob_or_all() -> None:
    assert masking.masked_paths(privileged=False, mask=(), unmask=["ALL"]) == []
    assert "/proc/acpi" not in masking.masked_paths(privileged=False, mask=(), unmask=["/proc/a*"])
    assert masking.masked_paths(privileged=True, mask=["/x"], unmask=()) == ["/x"]
    assert "/proc/sys" not in masking.read_only_paths(privileged=False, unmask=["/proc/sys/"])


@given(st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map("/".join), unique=True))
def test_sorting_by_depth_is_stable_and_hides_nothing(paths: list[str]) -> None:
    entries: list[Any] = [{"destination": f"/{path}"} for path in paths]
    found = [entry["destination"] for entry in mounts.by_depth(entries)]
    for index, path in enumerate(found):
        assert not any(earlier.startswith(f"{path}/") for earlier in found[:index])
    same_depth = [entry["destination"] for entry in entries if entry["destination"].count("/") == 1]
    assert [path for path in found if path.count("/") == 1] == same_depth


@given(st.lists(st.sampled_from(["ro", "noexec", "suid", "rslave", "z", "size=1m"]), unique=True))
def test_writing_out_options_twice_changes_nothing(options: list[str]) -> None:
    for write in (mounts.bind_options, mounts.tmpfs_options, mounts.volume_options):
        once = list(write(options))
        assert list(write(once)) == once
        assert set(options) <= set(once)


def test_what_is_to_be_done_with_sources_can_be_read_off() -> None:
    record = planned(volumes=["/a:/x:z,U", "/b:/y:Z", "/c:/w"])
    actions = {action.source: action for action in mounts.source_actions(record.spec["mounts"])}
    assert set(actions) == {"/a", "/b"}
    assert (actions["/a"].chown, actions["/a"].relabel) == (True, "shared")
    assert (actions["/b"].chown, actions["/b"].relabel) == (False, "private")


# ---- surroundings ---------------------------------------------------------------------------------------------


def never(name: str) -> Any:
    raise AssertionError(name)


def test_a_creation_looks_at_what_the_request_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    profile = tmp_path / "p.json"
    profile.write_text('{"defaultAction": "A"}')
    monkeypatch.setenv("LIBPOD_TEST", "1")
    options = CreateOptions(
        image="i",
        devices=["/dev/null"],
        security_opt=[f"seccomp={profile}"],
        env_host=True,
        init=True,
        init_path="/bin/sh",
    )
    config = RuntimeConfig(containers=ContainerDefaults(devices=("/dev/zero:r",)))
    found = read_surroundings(options, config, container=never)
    assert {path: node[0].minor for path, node in found.devices.items()} == {"/dev/null": 3, "/dev/zero": 5}
    assert found.seccomp is not None
    assert found.environment["LIBPOD_TEST"] == "1"
    assert found.init_program == "/bin/sh"
    plain = read_surroundings(CreateOptions(image="i"), RuntimeConfig(), container=never)
    assert (plain.devices, plain.seccomp, plain.environment, plain.init_program) == ({}, None, {}, "")


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    for options in (
        CreateOptions(image="i", devices=[missing]),
        CreateOptions(image="i", security_opt=[f"seccomp={missing}"]),
        CreateOptions(image="i", init=True, init_path=missing),
    ):
        with pytest.raises(InvalidArgumentError, match=os.path.basename(missing)):
            read_surroundings(options, RuntimeConfig(), container=never)


# ---- exec -----------------------------------------------------------------------------------------------------

PROCESS = {
    "user": {"uid": 1, "gid": 1, "umask": 18},
    "args": ["/bin/main"],
    "env": ["A=1", "HOME=/home/one"],
    "cwd": "/work",
    "terminal": True,
    "noNewPrivileges": True,
    "rlimits": [{"type": "RLIMIT_CORE", "hard": 1, "soft": 1}],
    "capabilities": {
        "bounding": ["CAP_CHOWN", "CAP_KILL"],
        "effective": ["CAP_KILL"],
        "ambient": ["CAP_KILL"],
    },
}


def executed(resolved: ResolvedUser, **fields: Any) -> dict[str, Any]:
    document = {"process": json.loads(json.dumps(PROCESS))}
    found = exec_process(document, ExecOptions(command=("ls",), **fields), user=resolved, host=V1)
    assert document["process"] == PROCESS
    return found


def test_an_exec_is_the_containers_process_with_other_arguments() -> None:
    found = executed(ResolvedUser(uid=1, gid=1, additional_gids=(9, 1), home="/h"), env={"A": "2", "B": "3"})
    assert found["args"] == ["ls"]
    assert sorted(found["env"]) == ["A=2", "B=3", "HOME=/h"]
    assert (found["cwd"], found["noNewPrivileges"], found["rlimits"]) == ("/work", True, PROCESS["rlimits"])
    assert found["user"] == {"uid": 1, "gid": 1, "additionalGids": [1, 9], "umask": 18}
    assert "terminal" not in found


def test_an_exec_may_have_a_terminal_and_a_place_of_its_own() -> None:
    found = executed(ResolvedUser(uid=1), tty=True, size=(24, 80), workdir="/x")
    assert (found["terminal"], found["consoleSize"], found["cwd"]) == (
        True,
        {"height": 24, "width": 80},
        "/x",
    )


def test_the_capabilities_of_an_exec_follow_its_user() -> None:
    both, kill = ["CAP_CHOWN", "CAP_KILL"], ["CAP_KILL"]
    assert executed(ResolvedUser(), user="root")["capabilities"] == {
        "bounding": both, "effective": both, "permitted": both,
    }  # fmt: skip
    assert executed(ResolvedUser(uid=1))["capabilities"] == {
        "bounding": both, "effective": kill, "permitted": kill, "inheritable": kill, "ambient": kill,
    }  # fmt: skip
    assert executed(ResolvedUser(uid=2), user="2")["capabilities"] == {"bounding": both}
    host = on(V1, bounding=frozenset({"CAP_BPF"}))
    options = ExecOptions(command=("ls",), privileged=True, user="0")
    found = exec_process({"process": PROCESS}, options, user=ResolvedUser(), host=host)
    assert found["capabilities"]["effective"] == ["CAP_BPF"]


def test_an_unknown_user_of_an_exec_does_not_inherit_a_home() -> None:
    assert executed(ResolvedUser(uid=5, home=""), user="5")["env"] == ["A=1"]
