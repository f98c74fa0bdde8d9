"""The authentication file."""

from __future__ import annotations

import base64
import json
import threading
from pathlib import Path

import pytest

from libpod.define.errors import ConfigError, InvalidArgumentError
from libpod.image.credentials import (
    NotLoggedInError,
    authfiles,
    default_authfile,
    find,
    parse_creds,
    remove,
    remove_all,
    store,
    write_temporary,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "containers/auth.json"


def test_what_is_stored_is_found_and_only_its_owner_reads_the_file(file: Path) -> None:
    assert store("a.io", "me", "p:ä ss", path=file) == file
    assert find("a.io", path=file) == ("me", "p:ä ss")
    assert find("b.io", path=file) is None
    assert file.stat().st_mode & 0o777 == 0o600
    entry = json.loads(file.read_text())["auths"]["a.io"]
    assert base64.b64decode(entry["auth"]).decode() == "me:p:ä ss"


def test_the_most_specific_entry_wins(file: Path) -> None:
    store("a.io", "all", "1", path=file)
    store("a.io/org", "org", "2", path=file)
    assert find("a.io/org/x", path=file) == ("org", "2")
    assert find("a.io/other", path=file) == ("all", "1")
    assert find("a.io", path=file) == ("all", "1")


def test_the_spellings_of_dockers_registry_are_one(file: Path) -> None:
    file.parent.mkdir()
    auth = base64.b64encode(b"me:1").decode()
    file.write_text(json.dumps({"auths": {"https://index.docker.io/v1/": {"auth": auth}}}))
    assert find("docker.io/library/x", path=file) == ("me", "1")
    store("index.docker.io", "you", "2", path=file)
    assert find("docker.io", path=file) == ("you", "2")
    remove("docker.io", path=file)
    assert find("docker.io", path=file) is None


def test_other_keys_stay(file: Path) -> None:
    file.parent.mkdir()
    file.write_text(
        '{"future": [1], "credHelpers": {"h.io": "x"}, "auths": {"b.io": {"auth": "YTpi", "new": 1}}}'
    )
    store("a.io", "me", "1", path=file)
    document = json.loads(file.read_text())
    assert document["future"] == [1]
    assert document["auths"]["b.io"] == {"auth": "YTpi", "new": 1}
    with pytest.raises(ConfigError, match="helper"):
        store("h.io", "me", "1", path=file)


def test_logging_out_where_nobody_is_logged_in_is_an_error(file: Path) -> None:
    with pytest.raises(NotLoggedInError):
        remove("a.io", path=file)
    store("a.io", "me", "1", path=file)
    remove("a.io", path=file)
    with pytest.raises(NotLoggedInError):
        remove("a.io", path=file)
    store("a.io", "me", "1", path=file)
    store("b.io", "me", "1", path=file)
    remove_all(path=file)
    assert json.loads(file.read_text())["auths"] == {}


def test_logins_at_the_same_time_all_count(file: Path) -> None:
    threads = [
        threading.Thread(target=store, args=(f"r{n}.io", "me", "1"), kwargs={"path": file}) for n in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(json.loads(file.read_text())["auths"]) == 20


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"auths": []}',
        '{"auths": {"a.io": {"auth": "%"}}}',
        '{"auths": {"a.io": {"auth": "YQ=="}}}',
    ],
)
def test_a_damaged_file_is_named_and_not_overwritten(file: Path, text: str) -> None:
    file.parent.mkdir()
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"auth\.json"):
        find("a.io", path=file)
    if not text.startswith('{"auths": {'):
        with pytest.raises(ConfigError):
            store("b.io", "me", "1", path=file)
        assert file.read_text() == text


@pytest.mark.parametrize("user", ["", "a:b"])
def test_a_user_name_that_cannot_be_stored_is_refused(file: Path, user: str) -> None:
    with pytest.raises(InvalidArgumentError):
        store("a.io", user, "x", path=file)


def test_the_places_are_those_of_the_other_tools(tmp_path: Path) -> None:
    environ = {"HOME": "/h", "XDG_RUNTIME_DIR": "/run/user/7"}
    assert default_authfile(environ) == Path("/run/user/7/containers/auth.json")
    assert authfiles(environ=environ)[1:] == [
        Path("/h/.config/containers/auth.json"),
        Path("/h/.docker/config.json"),
    ]
    assert authfiles(environ={**environ, "REGISTRY_AUTH_FILE": "/x"}) == [Path("/x")]
    assert authfiles(Path("/y"), environ=environ) == [Path("/y")]


def test_a_temporary_file_knows_nothing_else(tmp_path: Path) -> None:
    write_temporary(tmp_path / "auth", ["a.io"], ("me", "1"))
    assert list(json.loads((tmp_path / "auth").read_text())["auths"]) == ["a.io"]
    assert (tmp_path / "auth").stat().st_mode & 0o777 == 0o600


def test_credentials_are_split_at_the_first_colon() -> None:
    assert parse_creds("me:a:b") == ("me", "a:b")
    assert parse_creds("me") == ("me", "")
    with pytest.raises(InvalidArgumentError):
        parse_creds(":x")
