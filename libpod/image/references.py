"""Names of images, and names of places where images are.

    [domain[:port]/]path[:tag][@digest]         a reference, what `-t` and `pull` take
    transport:details                           a location, what skopeo takes

A name whose first part could be a host (it has a dot or a colon, or is `localhost`) is *qualified*; every other name
is *short* and means different things in different places: on look-up and pull an alias or one of the configured
registries, and `localhost/` for everything that is made here (tag, import, load, commit, build). This module knows
the grammar and the candidates and touches nothing; the configuration comes in as `RegistriesConfig`.

Stored names are always normalised: `docker.io/x` is `docker.io/library/x`, a name without tag and digest has the tag
`latest`, and of a name with tag *and* digest only the digest is kept.

Covers: distribution/reference, libimage/normalize.go, image/pkg/shortnames, image/transports/alltransports
"""

from __future__ import annotations

import enum
import re

import msgspec

from libpod.define.errors import InvalidArgumentError
from libpod.define.patterns import pattern
from libpod.image.registries import RegistriesConfig

DOCKER_IO = "docker.io"
LOCALHOST = "localhost"
LATEST = "latest"
MAX_NAME = 255

_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_PATH = pattern(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_HOST = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_DOMAIN = pattern(rf"(?:{_HOST}(?:\.{_HOST})*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?")
_TAG = pattern(r"\w[\w.-]{0,127}", re.ASCII)
_DIGEST = pattern(r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}")
_SHA256 = pattern(r"sha256:[0-9a-f]{64}")
_HEX64 = pattern(r"[0-9a-f]{64}")


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed name. `domain` is empty for a short name."""

    domain: str = ""
    path: str
    tag: str = ""
    digest: str = ""

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Parse *text* as written, without adding anything; raises InvalidArgumentError."""
        name, _, digest = text.partition("@")
        if "@" in text and not (_DIGEST.fullmatch(digest) and _plausible(digest)):
            raise _invalid(text, f'"{digest}" is not a digest')
        head, colon, tail = name.rpartition(":")
        # The colon of `host:5000/path` belongs to the domain: a tag has no slash.
        has_tag = bool(colon) and "/" not in tail
        name, tag = (head, tail) if has_tag else (name, "")
        if has_tag and _TAG.fullmatch(tag) is None:
            raise _invalid(text, f'"{tag}" is not a tag')
        domain, path = _split_domain(name)
        if domain and _DOMAIN.fullmatch(domain) is None:
            raise _invalid(text, f'"{domain}" is not a registry')
        if _PATH.fullmatch(path) is None:
            lower = " (a repository name is lower case)" if _PATH.fullmatch(path.lower()) else ""
            raise _invalid(text, f'"{path}" is not a repository name{lower}')
        if not domain and _HEX64.fullmatch(path):
            raise _invalid(text, "64 hexadecimal digits are an image ID, not a name")
        if len(name) > MAX_NAME:
            raise _invalid(text, f"the repository name is longer than {MAX_NAME} characters")
        return cls(domain=domain, path=path, tag=tag, digest=digest)

    @property
    def is_short(self) -> bool:
        """Whether the name has no registry part."""
        return not self.domain

    @property
    def repository(self) -> str:
        """The name without tag and digest."""
        return f"{self.domain}/{self.path}" if self.domain else self.path

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.repository}{tag}{digest}"

    def normalised(self, *, domain: str = LOCALHOST) -> Reference:
        """The form in which the name is stored; a short name gets *domain*."""
        reference = self if self.domain else msgspec.structs.replace(self, domain=domain)
        if reference.domain == f"index.{DOCKER_IO}":
            reference = msgspec.structs.replace(reference, domain=DOCKER_IO)
        if reference.domain == DOCKER_IO and "/" not in reference.path:
            reference = msgspec.structs.replace(reference, path=f"library/{reference.path}")
        if reference.digest:
            return msgspec.structs.replace(reference, tag="")
        return reference if reference.tag else msgspec.structs.replace(reference, tag=LATEST)

    def with_digest(self, digest: str) -> Reference:
        """The same repository, by content."""
        return msgspec.structs.replace(self, tag="", digest=digest)


def normalise(name: str) -> Reference:
    """The name under which something made here is stored: a short name goes to `localhost/`.

    Raises InvalidArgumentError.
    """
    return Reference.parse(name).normalised()


def is_image_id(text: str) -> str:
    """The 64 digits when *text* is written as a full image id (`sha256:` in front or not), else an empty string."""
    digits = text.removeprefix("sha256:")
    return digits if _HEX64.fullmatch(digits) else ""


def lookup_candidates(reference: Reference, config: RegistriesConfig) -> list[Reference]:
    """The stored names that *reference* may mean, best first, without duplicates.

    A short name: the alias, `localhost/`, each unqualified-search registry, then `docker.io/library/`.
    """
    if not reference.is_short:
        return [reference.normalised()]
    found: list[Reference] = []
    alias = config.aliases.get(reference.path)
    if alias:
        found.append(_at(alias, reference).normalised())
    found += [reference.normalised(domain=registry) for registry in (LOCALHOST, *config.search, DOCKER_IO)]
    return list(dict.fromkeys(found))


def pull_candidates(reference: Reference, config: RegistriesConfig) -> list[Reference]:
    """Where a pull of *reference* looks, in this order.

    A short name with an alias means that alias and nothing else; otherwise every unqualified-search registry is tried,
    except in the mode `enforcing`, where a choice between several would have to be made by a person. Raises
    InvalidArgumentError when the name leads nowhere.
    """
    if not reference.is_short:
        return [reference.normalised()]
    alias = config.aliases.get(reference.path)
    if alias and config.short_name_mode != "disabled":
        return [_at(alias, reference).normalised()]
    if not config.search:
        raise InvalidArgumentError(
            f'the short name "{reference}" has no alias and no registry is configured to search for it',
            resolution=f"give the full name, such as {DOCKER_IO}/library/{reference}, or set"
            f' "unqualified-search-registries" in {config.path or "registries.conf"}',
        )
    if config.short_name_mode == "enforcing" and len(config.search) > 1:
        raise InvalidArgumentError(
            f'the short name "{reference}" could come from {", ".join(config.search)}',
            resolution="give the full name",
        )
    return [reference.normalised(domain=registry) for registry in config.search]


# ---- locations ------------------------------------------------------------------------------------------------


class Transport(enum.StrEnum):
    """The ways skopeo reaches an image; the value is what stands before the colon."""

    REGISTRY = "docker"
    STORE = "containers-storage"
    DOCKER_ARCHIVE = "docker-archive"
    OCI_ARCHIVE = "oci-archive"
    OCI_LAYOUT = "oci"
    DIRECTORY = "dir"


_REFUSED = {
    "docker-daemon": "it needs a running Docker daemon",
    "ostree": "it is no longer supported by the other tools either",
    "atomic": "it is no longer supported by the other tools either",
    "sif": "it holds Singularity images",
    "tarball": "a tar of a root file system is imported instead",
}


class Location(msgspec.Struct, frozen=True, kw_only=True):
    """A place that holds, or will hold, an image."""

    transport: Transport
    details: str
    """What follows the colon; for a registry without the two slashes."""

    @classmethod
    def parse(cls, text: str) -> Location | None:
        """The location that *text* names, or None when it is a plain name; raises InvalidArgumentError."""
        scheme, colon, rest = text.partition(":")
        if not colon:
            return None
        if scheme in _REFUSED:
            raise InvalidArgumentError(f'the transport "{scheme}" is not supported: {_REFUSED[scheme]}')
        try:
            transport = Transport(scheme)
        except ValueError:
            return None
        if transport is Transport.REGISTRY:
            if not rest.startswith("//"):
                return None  # `docker:tag` is a short name
            rest = rest.removeprefix("//")
            Reference.parse(rest)
        if not rest:
            raise InvalidArgumentError(f'"{text}" names no image: something must follow the transport')
        return cls(transport=transport, details=rest)

    @classmethod
    def registry(cls, reference: Reference) -> Location:
        """Where a registry keeps *reference*."""
        return cls(transport=Transport.REGISTRY, details=str(reference))

    def __str__(self) -> str:
        slashes = "//" if self.transport is Transport.REGISTRY else ""
        return f"{self.transport.value}:{slashes}{self.details}"


# ---- parts ----------------------------------------------------------------------------------------------------


def _split_domain(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == LOCALHOST or first != first.lower()):
        return first, rest
    return "", name


def _at(alias: str, reference: Reference) -> Reference:
    return msgspec.structs.replace(Reference.parse(alias), tag=reference.tag, digest=reference.digest)


def _plausible(digest: str) -> bool:
    return not digest.startswith("sha256:") or _SHA256.fullmatch(digest) is not None


def _invalid(text: str, why: str) -> InvalidArgumentError:
    return InvalidArgumentError(f'"{text:.300}" is not the name of an image: {why}')
