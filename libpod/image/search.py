"""Logging in to registries, and searching them.

A login is written only after the registry has accepted it. A search asks the registry that stands before the first
slash of the term, else every unqualified-search registry; first by the old search (Docker's registry has descriptions
and stars there), then by the catalogue, whose names are compared with the term. One registry that cannot answer does
not spoil the search when another can.

Covers: common/pkg/auth (Login, Logout), libimage/search.go
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs
import msgspec

from libpod.define.errors import InvalidArgumentError, LibpodError
from libpod.image import credentials
from libpod.image.references import Reference
from libpod.image.registries import RegistriesConfig
from libpod.image.registry_api import RegistryClient
from libpod.image.transport import CopyOptions, Skopeo

DEFAULT_LIMIT = 25
PARALLEL = 6


@attrs.frozen(kw_only=True)
class SearchResult:
    """One repository, or with `list_tags` one tag."""

    index: str
    """The registry."""
    name: str
    description: str = ""
    stars: int = 0
    official: bool = False
    automated: bool = False
    tag: str = ""


@attrs.frozen(kw_only=True)
class SearchOptions:
    """What may be asked of a search."""

    limit: int = DEFAULT_LIMIT
    filters: Sequence[str] = ()
    """`stars=n`, `is-official=true|false`, `is-automated=true|false`."""
    list_tags: bool = False
    authfile: Path | None = None
    creds: tuple[str, str] | None = attrs.field(default=None, repr=False)
    tls_verify: bool | None = None
    cert_dir: Path | None = None


def login(
    registry: str,
    user: str,
    password: str,
    *,
    authfile: Path | None = None,
    tls_verify: bool | None = None,
    cert_dir: Path | None = None,
    registries: RegistriesConfig | None = None,
) -> Path:
    """Ask *registry* whether it accepts the credentials, then write them; returns the file.

    *registry* may go on with a path, for which alone the credentials count. Raises RegistryAccessError,
    RegistryUnreachableError, InvalidArgumentError, ConfigError.
    """
    host = registry.removeprefix("https://").removeprefix("http://").partition("/")[0]
    _client(host, registries, tls_verify, cert_dir, (user, password)).check_login()
    return credentials.store(registry, user, password, path=authfile)


def logout(registry: str, *, authfile: Path | None = None) -> Path:
    """Forget the credentials of *registry*; raises NotLoggedInError when there are none."""
    return credentials.remove(registry, path=authfile)


def search(
    term: str,
    registries: RegistriesConfig,
    options: SearchOptions | None = None,
    *,
    skopeo: Skopeo | None = None,
) -> list[SearchResult]:
    """What the registries have for *term*; `list_tags` needs *skopeo* and a full repository name.

    Raises InvalidArgumentError when no registry is to be asked, and the first registry's error when none could answer.
    """
    wish = options or SearchOptions()
    wanted = _parse_filters(wish.filters)
    first, slash, rest = term.partition("/")
    asked, words = ([first], rest) if slash else (list(registries.search), term)
    if not asked:
        raise InvalidArgumentError(
            f'no registry is configured to search for "{term}"',
            resolution=f'write registry/{term}, or set "unqualified-search-registries" in {registries.path}',
        )
    if wish.list_tags:
        return [result for registry in asked for result in _tags(registry, words, wish, skopeo)]
    results: list[SearchResult] = []
    errors: list[LibpodError] = []
    with ThreadPoolExecutor(max_workers=PARALLEL) as pool:
        answers = [pool.submit(_search_one, registry, words, wish, registries) for registry in asked]
        for answer in answers:
            try:
                results += [result for result in answer.result() if _suits(result, wanted)]
            except LibpodError as error:
                errors.append(error)
    if errors and not results:
        raise errors[0]
    return results


def _search_one(
    registry: str, term: str, wish: SearchOptions, config: RegistriesConfig
) -> list[SearchResult]:
    creds = wish.creds or credentials.find(registry, path=wish.authfile)
    client = _client(registry, config, wish.tls_verify, wish.cert_dir, creds)
    old = client.search_v1(term, wish.limit) if term else None
    if old:
        return [_from_v1(registry, item) for item in old[: wish.limit]]
    found = []
    for name in client.repositories():
        if term in name:
            found.append(SearchResult(index=registry, name=f"{registry}/{name}"))
            if len(found) >= wish.limit:
                break
    return found


def _tags(registry: str, term: str, wish: SearchOptions, skopeo: Skopeo | None) -> list[SearchResult]:
    if skopeo is None:
        raise InvalidArgumentError("tags cannot be listed without skopeo")
    repository = msgspec.structs.replace(
        Reference.parse(f"{registry}/{term}").normalised(), tag="", digest=""
    )
    options = CopyOptions(
        authfile=wish.authfile, creds=wish.creds, tls_verify=wish.tls_verify, cert_dir=wish.cert_dir
    )
    tags = skopeo.list_tags(repository, options)
    return [SearchResult(index=registry, name=repository.repository, tag=tag) for tag in tags[: wish.limit]]


def _client(
    host: str,
    config: RegistriesConfig | None,
    tls_verify: bool | None,
    cert_dir: Path | None,
    creds: tuple[str, str] | None,
) -> RegistryClient:
    insecure = config is not None and host in config.insecure
    verify = not insecure if tls_verify is None else tls_verify
    return RegistryClient(registry=host, creds=creds, tls_verify=verify, cert_dir=cert_dir)


def _from_v1(registry: str, item: dict[str, Any]) -> SearchResult:
    name = str(item.get("name") or "")
    if registry == "docker.io" and "/" not in name:
        name = f"library/{name}"
    stars = item.get("star_count")
    return SearchResult(
        index=registry,
        name=f"{registry}/{name}",
        description=str(item.get("description") or "").replace("\n", " "),
        stars=stars if isinstance(stars, int) else 0,
        official=bool(item.get("is_official")),
        automated=bool(item.get("is_automated")),
    )


def _parse_filters(filters: Iterable[str]) -> dict[str, int | bool]:
    wanted: dict[str, int | bool] = {}
    for text in filters:
        key, _, value = text.partition("=")
        if key == "stars" and value.isdecimal():
            wanted[key] = int(value)
        elif key in ("is-official", "is-automated") and value in ("", "true", "false"):
            wanted[key] = value != "false"
        else:
            raise InvalidArgumentError(
                f'"{text}" is not a search filter',
                resolution="use stars=<n>, is-official=<bool>, is-automated=<bool>",
            )
    return wanted


def _suits(result: SearchResult, wanted: dict[str, int | bool]) -> bool:
    return (
        result.stars >= wanted.get("stars", 0)
        and result.official == wanted.get("is-official", result.official)
        and result.automated == wanted.get("is-automated", result.automated)
    )
