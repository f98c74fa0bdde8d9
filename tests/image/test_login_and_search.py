"""Logging in to real registries, and searching them."""

from __future__ import annotations

import http.server
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from libpod.define.errors import InvalidArgumentError, RegistryAccessError, RegistryUnreachableError
from libpod.image import credentials
from libpod.image.pull import pull
from libpod.image.registries import RegistriesConfig
from libpod.image.registry_api import RegistryClient
from libpod.image.saving import push
from libpod.image.search import SearchOptions, login, logout, search
from libpod.image.transport import CopyOptions
from tests.image.image_sandbox import ImageSandbox
from tests.image.registry_server import PASSWORD, USER, RegistryServer

pytestmark = [pytest.mark.root]
PLAIN = CopyOptions(tls_verify=False)


def test_a_login_is_written_only_when_the_registry_accepts_it(
    secured: RegistryServer, tmp_path: Path
) -> None:
    file = tmp_path / "auth.json"
    with pytest.raises(RegistryAccessError) as caught:
        login(secured.host, USER, "guessed", authfile=file, cert_dir=secured.certificates)
    assert "guessed" not in str(caught.value)
    assert not file.exists()
    assert login(secured.host, USER, PASSWORD, authfile=file, cert_dir=secured.certificates) == file
    assert credentials.find(secured.host, path=file) == (USER, PASSWORD)
    logout(secured.host, authfile=file)
    with pytest.raises(credentials.NotLoggedInError):
        logout(secured.host, authfile=file)


def test_skopeo_uses_what_we_wrote_and_we_read_what_podman_wrote(
    box: ImageSandbox, secured: RegistryServer, tmp_path: Path
) -> None:
    ours, theirs = tmp_path / "ours.json", tmp_path / "theirs.json"
    login(secured.host, USER, PASSWORD, authfile=ours, cert_dir=secured.certificates)
    image_id = box.make("loggedin")
    options = CopyOptions(authfile=ours, cert_dir=secured.certificates)
    push(box.skopeo, box.images, "loggedin", f"{secured.host}/loggedin", options)
    box.podman(
        "login",
        "--authfile",
        theirs,
        "--cert-dir",
        secured.certificates,
        "-u",
        USER,
        "-p",
        PASSWORD,
        secured.host,
    )
    assert credentials.find(secured.host, path=theirs) == (USER, PASSWORD)
    options = CopyOptions(authfile=theirs, cert_dir=secured.certificates)
    assert pull(box.skopeo, box.images, f"{secured.host}/loggedin", options=options) == [image_id]


def test_certificates_are_verified_unless_told_otherwise(secured: RegistryServer, tmp_path: Path) -> None:
    with pytest.raises(RegistryUnreachableError, match=r"(?i)certificate"):
        login(secured.host, USER, PASSWORD, authfile=tmp_path / "a")
    login(secured.host, USER, PASSWORD, authfile=tmp_path / "a", tls_verify=False)
    config = RegistriesConfig(insecure=frozenset({secured.host}))
    login(secured.host, USER, PASSWORD, authfile=tmp_path / "b", registries=config)


def test_nobody_there_is_unreachable(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        host = f"127.0.0.1:{server.getsockname()[1]}"
    with pytest.raises(RegistryUnreachableError):
        login(host, USER, PASSWORD, authfile=tmp_path / "a", tls_verify=False)
    with pytest.raises(InvalidArgumentError):
        login("no host at all", USER, PASSWORD, authfile=tmp_path / "a")


def test_the_catalogue_is_searched(box: ImageSandbox, registry: RegistryServer) -> None:
    for name in ("find/needle-one", "find/needle-two", "find/hay"):
        box.make(name)
        push(box.skopeo, box.images, name, f"{registry.host}/{name}", PLAIN)
    config = RegistriesConfig(search=(registry.host,))
    options = SearchOptions(tls_verify=False)
    assert {result.name for result in search("needle", config, options)} == {
        f"{registry.host}/find/needle-one",
        f"{registry.host}/find/needle-two",
    }
    one = SearchOptions(tls_verify=False, limit=1)
    assert len(search(f"{registry.host}/needle", RegistriesConfig(), one)) == 1
    assert search("needle", config, SearchOptions(tls_verify=False, filters=["stars=3"])) == []
    tags = search(
        f"{registry.host}/find/hay",
        config,
        SearchOptions(tls_verify=False, list_tags=True),
        skopeo=box.skopeo,
    )
    assert [(result.name, result.tag) for result in tags] == [(f"{registry.host}/find/hay", "latest")]


def test_one_dead_registry_does_not_spoil_the_search(box: ImageSandbox, registry: RegistryServer) -> None:
    box.make("alive")
    push(box.skopeo, box.images, "alive", f"{registry.host}/alive", PLAIN)
    with socket.create_server(("127.0.0.1", 0)) as server:
        dead = f"127.0.0.1:{server.getsockname()[1]}"
    options = SearchOptions(tls_verify=False)
    config = RegistriesConfig(search=(dead, registry.host))
    assert [result.name for result in search("alive", config, options)] == [f"{registry.host}/alive"]
    with pytest.raises(RegistryUnreachableError):
        search("alive", RegistriesConfig(search=(dead,)), options)
    with pytest.raises(InvalidArgumentError, match="no registry"):
        search("alive", RegistriesConfig(), options)
    with pytest.raises(InvalidArgumentError, match="not a search filter"):
        search("alive", config, SearchOptions(filters=["what=1"]))


def test_a_search_without_the_password_is_refused(secured: RegistryServer) -> None:
    options = SearchOptions(cert_dir=secured.certificates, authfile=Path("/nonexistent"))
    with pytest.raises(RegistryAccessError):
        search(f"{secured.host}/x", RegistriesConfig(), options)
    allowed = SearchOptions(cert_dir=secured.certificates, creds=(USER, PASSWORD))
    search(f"{secured.host}/x", RegistriesConfig(), allowed)


class TokenRegistry(http.server.BaseHTTPRequestHandler):
    """Wants a token, and gives one to those who know the password; also has the old search."""

    seen: ClassVar[list[tuple[str, str]]] = []

    def do_GET(self) -> None:
        authorization = self.headers.get("Authorization", "")
        self.seen.append((self.path.partition("?")[0], authorization))
        port = self.headers["Host"].rpartition(":")[2]
        if self.path.startswith("/token"):
            ok = authorization == f"Basic {credentials._encoded(USER, PASSWORD)}"
            self._answer(200 if ok else 401, {"token": "abc"} if ok else {})
        elif self.path.startswith("/redirected"):
            self._answer(200, {})
        elif authorization != "Bearer abc":
            challenge = f'Bearer realm="http://127.0.0.1:{port}/token",service="s",scope="x"'
            self._answer(401, {}, {"WWW-Authenticate": challenge})
        elif self.path.startswith("/v1/search"):
            results = [
                {"name": "thing", "description": "a\nthing", "star_count": 7, "is_official": True},
                "garbage",
            ]
            self._answer(200, {"results": results})
        elif self.path.startswith("/v2/away"):
            self._answer(302, {}, {"Location": f"http://localhost:{port}/redirected"})
        else:
            self._answer(200, {})

    def _answer(self, status: int, document: object, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def token_registry() -> Iterator[str]:
    TokenRegistry.seen = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), TokenRegistry)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_tokens_are_fetched_with_the_password_and_then_used(token_registry: str) -> None:
    client = RegistryClient(registry=token_registry, creds=(USER, PASSWORD), tls_verify=False)
    client.check_login()
    with pytest.raises(RegistryAccessError):
        RegistryClient(registry=token_registry, creds=(USER, "wrong"), tls_verify=False).check_login()
    assert "wrong" not in repr(RegistryClient(registry=token_registry, creds=(USER, "wrong")))


def test_the_old_search_gives_descriptions_and_stars(token_registry: str) -> None:
    options = SearchOptions(tls_verify=False, creds=(USER, PASSWORD))
    (result,) = search(f"{token_registry}/thing", RegistriesConfig(), options)
    assert (result.description, result.stars, result.official) == ("a thing", 7, True)


def test_a_redirection_takes_no_credentials_along(token_registry: str) -> None:
    client = RegistryClient(registry=token_registry, creds=(USER, PASSWORD), tls_verify=False)
    client.get("/v2/away")
    assert ("/redirected", "") in TokenRegistry.seen


def test_a_password_is_not_sent_to_an_unencrypted_token_server(token_registry: str) -> None:
    client = RegistryClient(registry=token_registry, creds=(USER, PASSWORD), tls_verify=True)
    client._base = f"http://{token_registry}"
    with pytest.raises(RegistryAccessError, match="sends its users to"):
        client.check_login()
    assert all(not authorization for _, authorization in TokenRegistry.seen)
