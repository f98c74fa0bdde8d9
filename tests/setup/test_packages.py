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
