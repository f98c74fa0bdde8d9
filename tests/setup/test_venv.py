"""When `.venv` is made anew, and from what."""

import os
import sys
from pathlib import Path

import pytest

from libpod_setup import venv

SETUP_CFG = """\
[metadata]
name = libpod
[options]
install_requires =
    attrs>=23.1
    backports.zstd>=1.0; python_version < "3.14"
[options.extras_require]
cli =
    rich>=13
test =
    # how tests are run
    pytest>=8
"""


def test_the_requirements_are_those_of_the_library_and_of_all_extras():
    assert venv.read_requirements(SETUP_CFG) == [
        "attrs>=23.1",
        'backports.zstd>=1.0; python_version < "3.14"',
        "rich>=13",
        "pytest>=8",
    ]


def stamp(**changes) -> str:
    facts = {"requirements": ["a", "b"], "interpreter": "3.11", "repository": Path("/repository")} | changes
    return venv.stamp_for(facts.pop("requirements"), **facts)


def test_the_order_of_the_requirements_does_not_matter():
    assert stamp(requirements=["b", "a"]) == stamp()


@pytest.mark.parametrize(
    "change", [{"requirements": ["a", "b>=2"]}, {"interpreter": "3.12"}, {"repository": Path("/copy")}]
)
def test_any_other_fact_makes_another_stamp(change):
    assert stamp(**change) != stamp()


def test_an_environment_is_current_only_with_its_stamp_and_its_interpreter(tmp_path: Path):
    assert not venv.is_current(tmp_path, stamp())
    (tmp_path / "setup-stamp").write_text(stamp())
    assert not venv.is_current(tmp_path, stamp())
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    assert venv.is_current(tmp_path, stamp())
    assert not venv.is_current(tmp_path, stamp(interpreter="3.12"))


def test_both_packages_are_linked_under_the_names_of_their_installation(tmp_path: Path):
    venv.link_packages(tmp_path)
    site_packages = venv.site_packages_of(tmp_path)
    assert {p.name: os.path.basename(os.readlink(p)) for p in site_packages.iterdir()} == venv.PACKAGES
    assert os.path.samefile(tmp_path / "src" / "libpod_cli", site_packages / "libpod_cli")


def test_the_command_runs_the_interpreter_of_the_environment(tmp_path: Path):
    venv.write_launcher(tmp_path)
    command = tmp_path / "bin" / "libpod"
    assert command.read_text().startswith(f"#!{tmp_path}/bin/python -IS\n")
    assert os.access(command, os.X_OK)
