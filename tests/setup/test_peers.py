"""The engines of a newer release that the tests hand archives to."""

import subprocess
import tomllib
from pathlib import Path

import pytest

from libpod_setup import layout, peers

PODMAN = layout.PEERS_PREFIX / "bin" / "podman5"


@pytest.mark.parametrize(
    ("version", "enough"),
    [("5.4.2+ds1-2+b2", True), ("4.3.1+ds1-8", False), ("1:6.0.0-1", True), ("", False)],
)
def test_podman_5_is_wanted(version: str, enough: bool):
    assert peers.is_new_enough(version) is enough


def test_the_configuration_leads_to_the_programs_of_the_same_release():
    found = tomllib.loads(peers.configuration(Path('/opt/a "b"')))["engine"]
    assert found["conmon_path"] == ['/opt/a "b"/usr/bin/conmon']
    assert found["helper_binaries_dir"] == ['/opt/a "b"/usr/lib/podman']


def test_the_loaders_new_path_is_no_longer_than_the_old_one():
    assert len(str(peers.LOADER)) <= peers.LONGEST_LOADER


@pytest.mark.skipif(not PODMAN.exists(), reason="needs what scripts/setup --peers unpacks")
def test_the_programs_run_with_their_own_libraries():
    assert subprocess.check_output([PODMAN, "--version"], text=True).startswith("podman version 5.")
    for name in ("usr/bin/conmon", "usr/lib/podman/netavark"):
        subprocess.run(
            [layout.PEERS_PREFIX / "newer" / name, "--version"], check=True, stdout=subprocess.DEVNULL
        )
