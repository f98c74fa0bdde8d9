"""Finding runtimes: small programs that answer like them."""

from __future__ import annotations

from pathlib import Path

import pytest

from libpod.define.errors import NotSupportedError, ProgramMissingError
from libpod.linux.cgroups import CgroupMode
from libpod.oci import discovery


def program(path: Path, name: str, version: str, *, checkpoints: bool = True) -> Path:
    """A program that answers --version, features and checkpoint --help."""
    path.write_text(
        "#!/bin/sh\n"
        f'case "$1" in --version) echo "{name} version {version}"; echo "commit: abc";;\n'
        f"checkpoint) exit {0 if checkpoints else 1};;\n"
        'features) echo \'{"ociVersionMin": "1.0.0"}\';;\n'
        "*) exit 1;; esac\n"
    )
    path.chmod(0o755)
    return path


@pytest.fixture
def hybrid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("libpod.linux.cgroups.mode", lambda: CgroupMode.HYBRID)
    monkeypatch.setattr("libpod.linux.cgroups.unified_controllers", lambda: frozenset({"hugetlb"}))


@pytest.fixture
def unified(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("libpod.linux.cgroups.mode", lambda: CgroupMode.UNIFIED)


pytestmark = pytest.mark.processes


def test_a_runtime_is_asked_what_it_is(tmp_path: Path) -> None:
    path = program(tmp_path / "my-runtime", "runc", "1.1.5+ds1")
    found = discovery.probe(path)
    assert (found.name, found.version, found.can_checkpoint) == ("runc", "1.1.5+ds1", True)
    assert found.features["ociVersionMin"] == "1.0.0"


def test_a_runtime_that_changed_is_asked_again(tmp_path: Path) -> None:
    path = program(tmp_path / "runc", "runc", "1.1.5")
    assert discovery.probe(path).version == "1.1.5"
    program(path, "runc", "1.2.10")
    assert discovery.probe(path).version == "1.2.10"


def test_the_first_that_can_checkpoint_wins(tmp_path: Path, unified: None) -> None:
    places = {
        "crun": [str(program(tmp_path / "crun", "crun", "1.8", checkpoints=False))],
        "runc": ["/nonexistent/runc", str(program(tmp_path / "runc", "runc", "1.1"))],
    }
    assert discovery.choose(places=places).name == "runc"
    program(tmp_path / "crun", "crun", "1.19.1")
    assert discovery.choose(places=places).name == "crun"
    program(tmp_path / "crun", "crun", "1.8", checkpoints=False)
    program(tmp_path / "runc", "runc", "1.0", checkpoints=False)
    assert discovery.choose(places=places).name == "crun"


def test_crun_is_passed_over_on_hybrid_cgroups(tmp_path: Path, hybrid: None) -> None:
    places = {
        "crun": [str(program(tmp_path / "crun", "crun", "1.21"))],
        "runc": [str(program(tmp_path / "runc", "runc", "1.1", checkpoints=False))],
    }
    assert discovery.choose(places=places).name == "runc"
    with pytest.raises(NotSupportedError, match="hybrid"):
        discovery.choose("crun", places=places)
    with pytest.raises(NotSupportedError, match="hybrid"):
        discovery.choose(candidates=["crun"], places=places)


def test_a_runtime_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ProgramMissingError):
        discovery.choose(str(tmp_path / "none"))
    with pytest.raises(ProgramMissingError):
        discovery.choose(candidates=["no-such-runtime"], path_env=str(tmp_path))


def test_an_old_conmon_is_refused(tmp_path: Path) -> None:
    assert discovery.conmon_version(program(tmp_path / "new", "conmon", "2.1.6")) == "2.1.6"
    with pytest.raises(NotSupportedError):
        discovery.conmon_version(program(tmp_path / "old", "conmon", "2.0.20"))


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("1.1.5+ds1", (1, 1, 5)), ("2.1.13-dev", (2, 1, 13)), ("1.0.0-rc93", (1, 0, 0)), ("", ())],
)
def test_versions_compare_by_their_numbers(text: str, numbers: tuple[int, ...]) -> None:
    assert discovery.version_tuple(text) == numbers
