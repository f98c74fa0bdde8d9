"""The mirror is read from what the user has configured, in either format."""

from pathlib import Path

import pytest

from libpod_setup.apt_sources import Source, mirror_of, parse_deb822, parse_one_line, stanza_for
from libpod_setup.commands import SetupError
from libpod_setup.private_apt import candidate_in, system_sources

MIRROR = "http://mirror.example/debian"

ONE_LINE = f"""\
# deb http://disabled.example/debian bookworm main
deb [arch=amd64 signed-by=/keys/a.gpg,/keys/b.gpg] {MIRROR} bookworm main contrib # the main archive
deb-src {MIRROR} bookworm main
deb http://security.example/debian-security bookworm-security main
"""

DEB822 = f"""\
Types: deb deb-src
# A comment within a stanza.
URIs: {MIRROR} http://second.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /keys/a.gpg

Enabled: no
Types: deb
URIs: http://disabled.example/debian
Suites: bookworm
Components: main

Types: deb-src
URIs: http://source.example/debian
Suites: bookworm
Components: main
"""

EMBEDDED_KEY = """\
Types: deb
URIs: http://mirror.example/debian
Suites: trixie
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQINBF
 -----END PGP PUBLIC KEY BLOCK-----
"""


def test_one_line_sources_are_read_with_their_options():
    first, second = parse_one_line(ONE_LINE)
    assert first == Source(
        uri=MIRROR, suites=("bookworm",), components=("main", "contrib"), signed_by="/keys/a.gpg /keys/b.gpg"
    )
    assert second.suites == ("bookworm-security",)


def test_deb822_sources_yield_one_entry_for_each_address_and_skip_what_is_off():
    assert [source.uri for source in parse_deb822(DEB822)] == [MIRROR, "http://second.example/debian"]
    assert {source.suites for source in parse_deb822(DEB822)} == {("bookworm", "bookworm-updates")}


def test_a_list_of_mirrors_is_handed_on_as_it_stands():
    (source,) = parse_one_line("deb mirror+file:/etc/apt/mirrors/debian.list trixie main")
    assert source.uri == "mirror+file:/etc/apt/mirrors/debian.list"


def test_the_mirror_is_that_of_the_release_itself():
    sources = [
        Source(uri="http://third.example", suites=("stable",), components=("main",)),
        Source(uri="http://security.example", suites=("bookworm-security",), components=("main",)),
        Source(uri=MIRROR, suites=("bookworm", "bookworm-updates"), components=("main",)),
    ]
    assert mirror_of(sources, "bookworm", "debian").uri == MIRROR


@pytest.mark.parametrize("suite", ["stable", "testing", "sid"])
def test_a_system_that_follows_an_alias_has_a_mirror_too(suite):
    source = Source(uri=MIRROR, suites=(suite,), components=("main",))
    assert mirror_of([source], "trixie", "debian") is source


def test_no_mirror_is_an_error_that_names_the_release():
    with pytest.raises(SetupError, match="no mirror of Debian bookworm"):
        mirror_of([Source(uri="http://third.example", suites=("./",))], "bookworm", "debian")


def test_the_private_source_keeps_the_trust_of_the_mirror():
    (mirror, _) = parse_deb822(DEB822)
    text = stanza_for(mirror, suite="testing", components=("main",), default_keyring="/keys/default.gpg")
    assert list(parse_deb822(text)) == [
        Source(uri=MIRROR, suites=("testing",), components=("main",), signed_by="/keys/a.gpg")
    ]


def test_without_keys_of_its_own_the_mirror_is_checked_against_the_archive_s():
    mirror = Source(uri=MIRROR, suites=("bookworm",))
    text = stanza_for(mirror, suite="testing", components=("main",), default_keyring="/keys/default.gpg")
    assert "Signed-By: /keys/default.gpg\n" in text
    assert "Trusted" not in text


def test_an_embedded_key_survives_the_round_trip():
    (mirror,) = parse_deb822(EMBEDDED_KEY)
    text = stanza_for(mirror, suite="testing", components=("main",), default_keyring="")
    (again,) = parse_deb822(text)
    assert again.signed_by == mirror.signed_by
    assert "\n -----END PGP PUBLIC KEY BLOCK-----" in text


def test_both_formats_are_found_where_apt_keeps_them(tmp_path: Path):
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text(ONE_LINE)
    (tmp_path / "sources.list.d" / "debian.sources").write_text(EMBEDDED_KEY)
    (tmp_path / "sources.list.d" / "old.list.disabled").write_text(ONE_LINE)
    assert [source.suites[0] for source in system_sources(tmp_path)] == [
        "bookworm",
        "bookworm-security",
        "trixie",
    ]


def test_the_offered_version_is_read_from_the_policy():
    assert candidate_in("criu:\n  Installed: (none)\n  Candidate: 4.2.1-1\n") == "4.2.1-1"
    assert candidate_in("criu:\n  Installed: 3.17\n  Candidate: (none)\n") is None
    assert candidate_in("") is None
