"""How a CRIU of another release is laid out, and how verdicts on CRIUs are remembered."""

import json
from pathlib import Path

import pytest

from libpod_setup import criu, criu_prefix, layout
from libpod_setup.commands import SetupError
from libpod_setup.criu_probe import reason_in, version_in


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    """A folder that looks like unpacked packages, whose loader prints its arguments."""
    root = tmp_path / "work" / "root"
    libraries = root / "usr/lib/x86_64-linux-gnu"
    libraries.mkdir(parents=True)
    (libraries / "libc.so.6").touch()
    (libraries / "ld-linux-x86-64.so.2").write_text("#!/bin/sh\n")
    (root / "usr/sbin").mkdir(parents=True)
    (root / "usr/sbin/criu").touch()
    return root


def test_the_wrapper_gives_the_loader_the_library_path_as_an_argument(unpacked: Path):
    text = criu_prefix.write_wrapper(unpacked, home=Path("/opt/x y/4.2")).read_text()
    assert "exec '/opt/x y/4.2/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2' --library-path " in text
    assert "LD_LIBRARY_PATH" not in text


def test_a_published_version_is_what_the_prefix_runs(unpacked: Path, tmp_path: Path):
    prefix = tmp_path / "prefix"
    prefix.mkdir()
    (prefix / "4.2.1").mkdir()
    link = criu_prefix.publish(unpacked, "4.2.1", prefix)
    assert link.resolve() == prefix / "4.2.1" / "bin" / "criu"
    assert str(prefix / "4.2.1" / "usr/sbin/criu") in link.read_text()
    assert not unpacked.exists()


def test_an_incomplete_package_is_refused(tmp_path: Path):
    with pytest.raises(SetupError, match="holds no criu"):
        criu_prefix.program_in(tmp_path)
    with pytest.raises(SetupError, match="no dynamic loader"):
        criu_prefix.loader_and_libraries(tmp_path)


def test_the_workshop_leaves_nothing_behind(tmp_path: Path):
    with criu_prefix.workshop(tmp_path) as work:
        (work / "file").touch()
    assert list(tmp_path.iterdir()) == []


def test_the_workshop_sweeps_up_after_one_that_was_killed(tmp_path: Path):
    (tmp_path / ".building-old" / "root").mkdir(parents=True)
    (tmp_path / "4.2.1").mkdir()
    with criu_prefix.workshop(tmp_path) as work:
        assert {path.name for path in tmp_path.iterdir()} == {"4.2.1", work.name}


def test_the_reason_is_the_first_error_that_is_one():
    log = """\
(00.001) Error (criu/util.c:1533): rlimit: Can't setup RLIMIT_NOFILE for self: Operation not permitted
(00.002) Warn  (criu/kerndat.c:1290): Can't keep kdat cache on non-tempfs
(00.003) Error (criu/sockets.c:628): sockets: Can't get 1:16 opt: Operation not supported
(00.004) Error (criu/cr-dump.c:2111): Dumping FAILED.
"""
    assert reason_in(log) == "sockets: Can't get 1:16 opt: Operation not supported"
    assert reason_in("no such file\n") == "no such file"
    assert reason_in("") == "no output"


def test_the_version_is_what_the_program_says():
    assert version_in("Version: 4.2.1\nGitID: v4.2.1\n") == "4.2.1"
    assert version_in("segmentation fault") == "unknown"


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(layout, "CRIU_RECORD", tmp_path / "criu.json")
    monkeypatch.delenv("LIBPOD_CRIU", raising=False)
    return tmp_path / "criu.json"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"path": "/x", "surplus": 1}'])
def test_a_damaged_record_is_as_good_as_none(record: Path, text: str):
    record.write_text(text)
    assert criu.read_record() is None


def test_a_record_holds_until_the_program_is_replaced(record: Path, tmp_path: Path):
    program = tmp_path / "criu"
    program.write_text("old")
    found = criu.describe(program, "4.2.1")
    assert found == criu.describe(program, "4.2.1")
    program.write_text("newer")
    assert found != criu.describe(program, "4.2.1")


def test_a_record_of_another_criu_than_the_one_asked_for_is_not_used(
    record: Path, monkeypatch: pytest.MonkeyPatch
):
    facts = {"path": "/a/criu", "version": "4.2.1", "kernel": "6.18", "boot_id": "x", "identity": "y"}
    record.write_text(json.dumps(facts))
    assert criu.read_record() == criu.Found(**facts)
    monkeypatch.setenv("LIBPOD_CRIU", "/b/criu")
    assert criu.read_record() is None


def test_all_failures_are_told():
    assert criu.explain({}) == "none is installed"
    assert criu.explain({"3.17": "a", "4.1": "b"}) == "CRIU 3.17: a; CRIU 4.1: b"
