"""Finding criu, and asking it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from libpod.checkpoint import criu
from libpod.checkpoint.criu import CriuNeeds, criu_status, find_criu, has_feature, parse_version, require_criu
from libpod.define.errors import NotSupportedError, ProgramMissingError

REAL = criu.PREFIX


def fake(path: Path, *, version: str = "4.2.1", check: str = "exit 0", feature: str = "exit 0") -> Path:
    """A criu that notes how often it is asked."""
    path.write_text(
        f"""#!/bin/sh
echo "$@" >> {path}.calls
case "$*" in
    --version) echo Version: {version};;
    "check") {check};;
    "check --feature "*) {feature};;
    *) exit 3;;
esac
"""
    )
    path.chmod(0o755)
    return path


def calls(path: Path) -> list[str]:
    log = Path(f"{path}.calls")
    return log.read_text().splitlines() if log.exists() else []


@pytest.mark.parametrize(
    ("text", "number"),
    [("Version: 4.2.1\n", 40201), ("Version: 3.17\nGitID: v3.17", 31700), ("Version: 4.2", 40200),
     ("Version: 3.11.1", 31101),
     ("Version: v4.1", 40100), ("nonsense", 0), ("", 0)],
)  # fmt: skip
def test_versions_are_numbers_as_podmans(text: str, number: int) -> None:
    assert parse_version(text) == number


def test_a_version_reads_as_people_write_it() -> None:
    assert [criu.format_version(number) for number in (40201, 31700, 40200)] == ["4.2.1", "3.17", "4.2"]


def test_the_configured_one_wins_over_the_environment_and_the_prefix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured, environment = fake(tmp_path / "c"), fake(tmp_path / "e")
    monkeypatch.setenv("LIBPOD_CRIU", str(environment))
    assert find_criu(configured) == configured
    assert find_criu() == environment
    monkeypatch.delenv("LIBPOD_CRIU")
    monkeypatch.setattr(criu, "PREFIX", fake(tmp_path / "p"))
    assert find_criu() == tmp_path / "p"
    monkeypatch.setattr(criu, "PREFIX", tmp_path / "nothing")
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(fake(tmp_path / "bin/criu").parent))
    assert find_criu() == tmp_path / "bin/criu"


def test_a_named_one_that_is_missing_is_never_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ProgramMissingError, match="not found"):
        find_criu(tmp_path / "none")
    monkeypatch.setenv("LIBPOD_CRIU", str(tmp_path))
    with pytest.raises(ProgramMissingError):
        find_criu()


@pytest.mark.processes
def test_criu_is_asked_once_a_boot(tmp_path: Path) -> None:
    program, cache = fake(tmp_path / "c"), tmp_path / "cache"
    first = criu_status(program, cache=cache)
    asked = calls(program)
    assert first.version == 40201
    assert criu_status(program, cache=cache) == first
    assert calls(program) == asked
    assert has_feature("mem_dirty_track", program, cache=cache)
    assert has_feature("mem_dirty_track", program, cache=cache)
    assert len(calls(program)) == len(asked) + 1


@pytest.mark.processes
@pytest.mark.parametrize("how", ["touched", "damaged", "empty", "other format"])
def test_an_answer_that_may_be_wrong_is_not_believed(how: str, tmp_path: Path) -> None:
    program, cache = fake(tmp_path / "c"), tmp_path / "cache"
    criu_status(program, cache=cache)
    asked = len(calls(program))
    if how == "touched":
        os.utime(program, (1, 1))
    else:
        cache.write_text({"damaged": "{", "empty": "", "other format": '{"format": 99, "key": ""}'}[how])
    criu_status(program, cache=cache)
    assert len(calls(program)) == 2 * asked


@pytest.mark.processes
def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    assert criu_status(fake(tmp_path / "c"), cache=tmp_path / "no" / "cache").problem is None


@pytest.mark.processes
def test_too_old_a_version_is_named_beside_the_one_needed(tmp_path: Path) -> None:
    with pytest.raises(NotSupportedError, match=r"criu 5\.0 is needed to .*4\.2\.1") as caught:
        require_criu(CriuNeeds(version=50000), fake(tmp_path / "c"))
    assert caught.value.resolution


@pytest.mark.processes
def test_one_that_fails_its_check_is_refused_with_the_reason(tmp_path: Path) -> None:
    said = "echo 'Error (criu/vdso.c:381): vdso: Unexpected rt vDSO area bounds' >&2; exit 1"
    with pytest.raises(
        NotSupportedError, match=r"criu 3\.17 .* does not work on Linux .*too old for this kernel"
    ):
        require_criu(None, fake(tmp_path / "c", version="3.17", check=said))


@pytest.mark.processes
def test_one_that_does_not_start_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c").write_text("#!/bin/sh\nexit 127\n")
    (tmp_path / "c").chmod(0o755)
    with pytest.raises(NotSupportedError, match="does not start"):
        require_criu(None, tmp_path / "c")


@pytest.mark.processes
def test_a_missing_feature_is_named(tmp_path: Path) -> None:
    program = fake(tmp_path / "c", feature="exit 1")
    needs = CriuNeeds(features=(criu.MEMORY_TRACKING,), purpose="make a pre-checkpoint")
    with pytest.raises(
        NotSupportedError, match="lacks mem_dirty_track, which is needed to make a pre-checkpoint"
    ):
        require_criu(needs, program, cache=tmp_path / "cache")


@pytest.mark.processes
@pytest.mark.parametrize(
    ("kernel", "probes"), [("6.15.9", False), ("6.16.0-rc1", True), ("7.0", True), ("5.10.0", False)]
)
def test_a_trial_dump_is_made_where_check_is_known_to_be_wrong(
    kernel: str, probes: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uname = os.uname()
    shown = os.uname_result((uname.sysname, uname.nodename, kernel, uname.version, uname.machine))
    monkeypatch.setattr(os, "uname", lambda: shown)
    monkeypatch.setattr(criu, "probe_dump", lambda path: "a socket cannot be dumped")
    assert (criu_status(fake(tmp_path / "c", version="4.1.1")).problem is not None) is probes
    assert criu_status(fake(tmp_path / "d", version="4.2")).problem is None


def test_the_runtime_finds_the_same_criu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert criu.runtime_environment(Path("/opt/x/bin/criu")) == {"PATH": "/opt/x/bin:/usr/bin:/bin"}
    monkeypatch.setenv("PATH", "/opt/x/bin:/usr/bin")
    assert criu.runtime_environment(Path("/opt/x/bin/criu")) == {"PATH": "/opt/x/bin:/usr/bin"}


@pytest.mark.root
@pytest.mark.criu
@pytest.mark.skipif(not REAL.exists(), reason="the set-up script has not installed a CRIU")
def test_the_real_one_freezes_a_process_with_a_socket(tmp_path: Path) -> None:
    assert criu.probe_dump(REAL) is None
    status = require_criu(None, REAL, cache=tmp_path / "cache")
    assert status.version >= criu.NEW_SOCKETS


@pytest.mark.root
@pytest.mark.criu
def test_a_trial_dump_that_fails_says_why(tmp_path: Path) -> None:
    said = criu.probe_dump(fake(tmp_path / "c"))
    assert said is not None
    assert "a trial dump failed" in said
