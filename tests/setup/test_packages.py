"""What counts as installed, and what is asked of a system without apt."""

from pathlib import Path

import pytest

from libpod_setup import layout, packages
from libpod_setup.commands import SetupError


def test_only_packages_in_the_state_installed_count():
    listing = "conmon installed\nnetavark not-installed\nrunc config-files\ndpkg-query: no packages found matching x\n"
    assert packages.installed_names(listing) == {"conmon"}


def test_without_apt_the_missing_programs_are_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(packages.shutil, "which", lambda name: "/bin/x" if name != "conmon" else None)
    with pytest.raises(SetupError, match=r"install these programs yourself, then run this again: conmon$"):
        packages.require_programs()


def test_installed_packages_are_remembered_once_and_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(layout, "INSTALLED_PACKAGES", tmp_path / "list")
    packages.remember(["b", "a"])
    packages.remember(["a", "c"])
    assert (tmp_path / "list").read_text().split() == ["b", "a", "c"]


def test_an_absent_package_is_not_asked_for_again_until_the_release_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(layout, "ABSENT_PACKAGES", tmp_path / "absent")
    monkeypatch.setattr(layout, "OS_RELEASE", tmp_path / "os-release")
    monkeypatch.setattr(packages, "offered", lambda: {"conmon"})
    (tmp_path / "os-release").write_text("ID=debian\nVERSION_ID=12\n")
    wanted = [packages.Package(name="conmon"), packages.Package(name="libcriu2", optional=True)]
    assert packages.known_as_absent() == set()
    assert packages.available(wanted) == ["conmon"]
    assert packages.known_as_absent() == {"libcriu2"}
    (tmp_path / "os-release").write_text("ID=debian\nVERSION_ID=13\n")
    assert packages.known_as_absent() == set()
