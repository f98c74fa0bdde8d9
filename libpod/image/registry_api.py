"""The little that we ask a registry ourselves: whether a password is right, and what it has.

Everything else goes through skopeo. The HTTP API is spoken as registries want it: a first request without
credentials, then Basic or a Bearer token from the place that the answer names. With `tls_verify` off, certificates are
not checked and plain HTTP is tried last, as the other tools do. Certificates come from the system, from
`certs.d/<registry>/` of /etc/containers and /etc/docker, and from an explicit directory. Proxies are those of the
environment. Answers are hostile: their size is limited, a redirection never takes credentials along.

Covers: image/docker/docker_client.go (detectProperties, SearchRegistry, CheckAuth)
"""

from __future__ import annotations

import base64
import re
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any, cast

import attrs

from libpod.define.errors import (
    ImageError,
    InvalidArgumentError,
    NoSuchImageError,
    NotSupportedError,
    RegistryAccessError,
    RegistryUnreachableError,
)
from libpod.spec.image import MAX_DOCUMENT, decode_document

TIMEOUT = 30.0
CERTIFICATE_FOLDERS = ("/etc/containers/certs.d", "/etc/docker/certs.d")
MAX_PAGES = 200

_CHALLENGE = re.compile(r'([a-zA-Z]+)="([^"]*)"')
_NEXT = re.compile(r'<([^>]+)>\s*;\s*rel="?next"?')
_HOST = re.compile(r"(?:[A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(?::[0-9]+)?")


@attrs.frozen(kw_only=True)
class Answer:
    """What a registry said to one request."""

    status: int
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes


@attrs.define(kw_only=True)
class RegistryClient:
    """A conversation with one registry; not for several threads at once."""

    registry: str
    creds: tuple[str, str] | None = attrs.field(default=None, repr=False)
    tls_verify: bool = True
    cert_dir: Path | None = None
    _base: str = ""
    _authorization: str = attrs.field(default="", repr=False)
    _context: ssl.SSLContext | None = attrs.field(default=None, init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        if _HOST.fullmatch(self.registry) is None:
            raise InvalidArgumentError(f'"{self.registry}" is not a registry')

    def check_login(self) -> None:
        """Raise RegistryAccessError unless the credentials are accepted, RegistryUnreachableError without an answer."""
        self.get("/v2/")

    def repositories(self) -> Iterator[str]:
        """All repositories, page by page; a registry that hides its catalogue raises NotSupportedError."""
        path = "/v2/_catalog?n=500"
        for _ in range(MAX_PAGES):
            answer = self.get(path, scope="registry:catalog:*", missing_ok=True)
            if answer.status != 200:
                raise NotSupportedError(f"{self.registry} does not list what it has")
            found = decode_document(answer.body, subject=f"the catalogue of {self.registry}").get(
                "repositories"
            )
            yield from (
                (name for name in found or () if isinstance(name, str)) if isinstance(found, list) else ()
            )
            following = _NEXT.search(answer.headers.get("link", ""))
            if following is None:
                return
            # Only the path: a registry cannot send us to another host.
            parts = urllib.parse.urlsplit(following[1])
            path = f"{parts.path}?{parts.query}" if parts.query else parts.path

    def search_v1(self, term: str, limit: int) -> list[dict[str, Any]] | None:
        """The results of the old search, which Docker's and a few other registries have; None when there is none."""
        query = urllib.parse.urlencode({"q": term, "n": limit})
        answer = self.get(f"/v1/search?{query}", missing_ok=True)
        if answer.status != 200:
            return None
        try:
            found = decode_document(answer.body, subject="the search result").get("results")
        except ImageError:
            return None
        return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else None

    def get(self, path: str, *, scope: str = "", missing_ok: bool = False) -> Answer:
        """One request, with as many attempts as logging in takes.

        Raises RegistryAccessError, RegistryUnreachableError and, for what is not there, NoSuchImageError unless
        *missing_ok*.
        """
        answer = self._send(path)
        if answer.status == 401:
            self._authorization = self._authorize(answer, scope)
            answer = self._send(path)
        if answer.status in (401, 403):
            raise RegistryAccessError(
                f"{self.registry} refuses the request: {_reason(answer)}",
                resolution="check user and password" if self.creds else "log in to the registry",
            )
        if answer.status >= 500 or answer.status == 429:
            raise RegistryUnreachableError(
                f"{self.registry} cannot answer now: {_reason(answer)}", resolution="try again later"
            )
        if answer.status >= 400 and not missing_ok:
            raise NoSuchImageError(self.registry, message=f"{self.registry} has no {path.partition('?')[0]}")
        return answer

    def _authorize(self, refused: Answer, scope: str) -> str:
        """What to send in `Authorization`, as the refusal asks for it."""
        challenge = refused.headers.get("www-authenticate", "")
        kind = challenge.partition(" ")[0].lower()
        if kind == "basic":
            if self.creds is None:
                raise RegistryAccessError(
                    f"{self.registry} wants a password", resolution="log in to the registry"
                )
            return _basic(self.creds)
        if kind != "bearer":
            raise RegistryAccessError(
                f"{self.registry} wants to be logged in to in an unknown way ({kind or 'none'})"
            )
        wanted = dict(_CHALLENGE.findall(challenge))
        realm = wanted.get("realm", "")
        if not realm.startswith("https://") and not (realm.startswith("http://") and not self.tls_verify):
            raise RegistryAccessError(f"{self.registry} sends its users to {realm or 'nowhere'} for a token")
        query = {name: wanted[name] for name in ("service",) if name in wanted}
        if scope or wanted.get("scope"):
            query["scope"] = scope or wanted["scope"]
        if self.creds is not None:
            query["account"] = self.creds[0]
        address = f"{realm}{'&' if '?' in realm else '?'}{urllib.parse.urlencode(query)}"
        answer = self._fetch(address, _basic(self.creds) if self.creds is not None else "")
        if answer.status != 200:
            raise RegistryAccessError(
                f"{self.registry} gives no token: {_reason(answer)}", resolution="check user and password"
            )
        document = decode_document(answer.body, subject=f"the token of {self.registry}")
        token = document.get("token") or document.get("access_token")
        if not isinstance(token, str):
            raise RegistryAccessError(f"{self.registry} gives an answer without a token")
        return f"Bearer {token}"

    def _send(self, path: str) -> Answer:
        if self._base:
            return self._fetch(self._base + path, self._authorization)
        host = {"docker.io": "index.docker.io" if path.startswith("/v1/") else "registry-1.docker.io"}.get(
            self.registry, self.registry
        )
        bases = [f"https://{host}"] if self.tls_verify else [f"https://{host}", f"http://{host}"]
        for number, base in enumerate(bases, 1):
            try:
                answer = self._fetch(base + path, self._authorization)
            except RegistryUnreachableError:
                if number == len(bases):
                    raise
                continue
            if self.registry != "docker.io":
                self._base = base
            return answer
        raise AssertionError("the loop returns or raises")

    def _fetch(self, address: str, authorization: str) -> Answer:
        request = urllib.request.Request(address, headers={"User-Agent": "libpod"})
        if authorization:
            request.add_unredirected_header("Authorization", authorization)
        if self._context is None:
            self._context = self._tls()
        opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=self._context))
        try:
            with opener.open(request, timeout=TIMEOUT) as response:
                return _answer(response)
        except urllib.error.HTTPError as error:
            with error:
                return _answer(error)
        except (OSError, HTTPException, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise RegistryUnreachableError(
                f"{self.registry} does not answer: {reason}",
                resolution="check the registry's name, the network and the TLS settings",
            ) from error

    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        folders = [Path(folder) / self.registry for folder in CERTIFICATE_FOLDERS]
        for folder in [*folders, *([self.cert_dir] if self.cert_dir else [])]:
            for certificate in sorted(folder.glob("*.crt")):
                context.load_verify_locations(certificate)
            for certificate in sorted(folder.glob("*.cert")):
                context.load_cert_chain(certificate, certificate.with_suffix(".key"))
        if not self.tls_verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def _answer(response: Any) -> Answer:
    body = response.read(MAX_DOCUMENT + 1)
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(status=cast("int", response.status), headers=headers, body=body)


def _basic(creds: tuple[str, str]) -> str:
    return f"Basic {base64.b64encode(':'.join(creds).encode()).decode()}"


def _reason(answer: Answer) -> str:
    """The registry's own words, if it has any, and the status."""
    try:
        document = decode_document(answer.body, subject="the refusal")
        message = document["errors"][0]["message"]
    except (ImageError, KeyError, IndexError, TypeError):
        message = ""
    return (
        f"{message} (status {answer.status})"
        if isinstance(message, str) and message
        else f"status {answer.status}"
    )
