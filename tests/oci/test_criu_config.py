"""What CRIU is told through its configuration file."""

from __future__ import annotations

from pathlib import Path

from libpod.oci.criu_config import telling


def test_nothing_to_tell_changes_nothing(tmp_path: Path) -> None:
    environment = {"PATH": "/bin"}
    with telling(environment, tmp_path, ()) as told:
        assert told == environment
        assert list(tmp_path.iterdir()) == []


def test_the_words_follow_what_the_environment_names(tmp_path: Path) -> None:
    own = tmp_path / "own.conf"
    own.write_text("log-file mine.log")
    with telling({"CRIU_CONFIG_FILE": str(own)}, tmp_path, ("tcp-close", "network-lock skip")) as told:
        assert told["CRIU_CONFIG_FILE"] == str(tmp_path / "criu.conf")
        text = (tmp_path / "criu.conf").read_text()
    assert text == "log-file mine.log\ntcp-close\nnetwork-lock skip\n"
    assert list(tmp_path.iterdir()) == [own]
