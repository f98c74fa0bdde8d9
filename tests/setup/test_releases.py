"""Which archive a system's mirror carries, and from which of its releases a CRIU may come."""

import pytest

from libpod_setup.commands import SetupError
from libpod_setup.criu import upstream_version
from libpod_setup.releases import SUITES, archive_of, codename_of, parse_os_release

DEBIAN = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_CODENAME=bookworm\n'
UBUNTU = "ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=noble\nUBUNTU_CODENAME=noble\n"
MINT = 'ID=linuxmint\nID_LIKE="ubuntu debian"\nVERSION_CODENAME=xia\nUBUNTU_CODENAME=noble\n'
RASPBIAN_LIKE = "ID=raspbian\nID_LIKE=debian\nVERSION_CODENAME=trixie\n"


@pytest.mark.parametrize(
    ("text", "archive", "codename"),
    [
        (DEBIAN, "debian", "bookworm"),
        (UBUNTU, "ubuntu", "noble"),
        (MINT, "ubuntu", "noble"),
        (RASPBIAN_LIKE, "debian", "trixie"),
    ],
)
def test_a_derivative_counts_as_what_it_is_made_from(text, archive, codename):
    os_release = parse_os_release(text)
    assert archive_of(os_release) == archive
    assert codename_of(os_release, archive) == codename


def test_a_foreign_system_is_refused_by_its_name():
    with pytest.raises(SetupError, match="Fedora Linux 42 is neither Debian nor Ubuntu"):
        archive_of(parse_os_release('PRETTY_NAME="Fedora Linux 42"\nID=fedora\n'))


def test_nearer_releases_are_tried_first():
    assert SUITES["debian"] == ("stable", "testing", "unstable")


@pytest.mark.parametrize(
    ("package", "program"),
    [("4.2.1-1", "4.2.1"), ("3.17.1-2+deb12u2", "3.17.1"), ("1:4.2-0-3~bpo12+1", "4.2-0"), ("4.2", "4.2")],
)
def test_a_package_s_version_names_the_program_s(package, program):
    assert upstream_version(package) == program
