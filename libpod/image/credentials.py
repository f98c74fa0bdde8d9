"""User names and passwords of registries, in the file that podman, buildah and skopeo share.

    {"auths": {"<registry>[/<path>]": {"auth": base64("user:password")}}, "credHelpers": {...}, "credsStore": "..."}

The file is replaced atomically under an exclusive lock on `<file>.lock` beside it – so two logins at once both count –
with mode 0600; keys we do not know are kept. Credential helpers are left to skopeo, which asks them; writing to one
is refused. Passwords live in these files and in memory only: never in an argument, an environment or a log.

Covers: image/pkg/docker/config, common/pkg/auth
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from libpod.define.errors import ConfigError, ImageError, InvalidArgumentError, NotFoundError
from libpod.linux.files import write_atomic
from libpod.spec.image import decode_document, encode_document

DOCKER_KEYS = ("docker.io", "index.docker.io", "https://index.docker.io/v1/", "registry-1.docker.io")
"""The names under which different tools keep the credentials of Docker's registry."""


class NotLoggedInError(NotFoundError):
    """There are no credentials for the registry."""

    kind = "login"


def default_authfile(environ: Mapping[str, str] | None = None) -> Path:
    """The file that a login writes: $REGISTRY_AUTH_FILE, or containers/auth.json in the user's run-time directory."""
    env = os.environ if environ is None else environ
    if env.get("REGISTRY_AUTH_FILE"):
        return Path(env["REGISTRY_AUTH_FILE"])
    if env.get("XDG_RUNTIME_DIR"):
        return Path(env["XDG_RUNTIME_DIR"]) / "containers" / "auth.json"
    return Path(f"/run/containers/{os.geteuid()}/auth.json")


def authfiles(path: Path | None = None, *, environ: Mapping[str, str] | None = None) -> list[Path]:
    """The files in which credentials are looked for, first found wins; an explicit one is the only one."""
    env = os.environ if environ is None else environ
    if path is not None:
        return [path]
    if env.get("REGISTRY_AUTH_FILE"):
        return [default_authfile(env)]
    home = Path(env.get("HOME") or "/")
    config = Path(env.get("XDG_CONFIG_HOME") or home / ".config")
    return [default_authfile(env), config / "containers" / "auth.json", home / ".docker" / "config.json"]


def find(
    registry: str, *, path: Path | None = None, environ: Mapping[str, str] | None = None
) -> tuple[str, str] | None:
    """User and password for *registry* (`host[:port][/path]`, the longest match wins), or None; raises ConfigError."""
    for file in authfiles(path, environ=environ):
        auths = _auths(_read(file), file)
        for key in _keys(registry):
            entry = auths.get(key)
            if isinstance(entry, dict) and entry.get("auth"):
                return _decoded(str(entry["auth"]), file)
    return None


def store(registry: str, user: str, password: str, *, path: Path | None = None) -> Path:
    """Write credentials for *registry* and return the file; raises InvalidArgumentError, ConfigError, ImageError."""
    if not user or ":" in user:
        raise InvalidArgumentError(f'"{user}" is not a user name', resolution="give one without a colon")
    file = path or default_authfile()
    with _editing(file) as document:
        if registry in (document.get("credHelpers") or {}) or document.get("credsStore"):
            raise ConfigError(
                f"{file} leaves the credentials of {registry} to a credential helper",
                resolution="use that helper's tool",
            )
        document.setdefault("auths", {})[_written_key(registry)] = {"auth": _encoded(user, password)}
    return file


def remove(registry: str, *, path: Path | None = None) -> Path:
    """Forget the credentials of *registry* in the file that a login writes; raises NotLoggedInError without."""
    file = path or default_authfile()
    with _editing(file) as document:
        auths = _auths(document, file)
        key = _written_key(registry)
        removed = [
            auths.pop(name) for name in (DOCKER_KEYS if key in DOCKER_KEYS else (key,)) if name in auths
        ]
        if not removed:
            raise NotLoggedInError(registry, message=f"not logged in to {registry}")
    return file


def remove_all(*, path: Path | None = None) -> Path:
    """Forget the credentials of every registry."""
    file = path or default_authfile()
    with _editing(file) as document:
        document["auths"] = {}
    return file


def write_temporary(path: Path, registries: Sequence[str], creds: tuple[str, str]) -> None:
    """Write a file that knows nothing but *creds*, for one call of skopeo; *path* lies in a private directory."""
    user, password = creds
    document = {"auths": {registry: {"auth": _encoded(user, password)} for registry in registries}}
    write_atomic(path, encode_document(document), mode=0o600, durable=False)


def parse_creds(text: str) -> tuple[str, str]:
    """`user[:password]` as the command line takes it; the password may be empty here and asked for there."""
    user, _, password = text.partition(":")
    if not user:
        raise InvalidArgumentError("credentials are given as user:password")
    return user, password


# ---- parts ----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _editing(file: Path) -> Iterator[dict[str, Any]]:
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(f"{file}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise ConfigError(f"the authentication file {file} cannot be written: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        document = _read(file)
        _auths(document, file)
        yield document
        try:
            write_atomic(file, encode_document(document), mode=0o600)
        except OSError as error:
            raise ConfigError(
                f"the authentication file {file} cannot be written: {error.strerror}"
            ) from error
    finally:
        os.close(lock)


def _read(file: Path) -> dict[str, Any]:
    try:
        data = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise ConfigError(f"the authentication file {file} cannot be read: {error.strerror}") from error
    if not data.strip():
        return {}
    try:
        return decode_document(data, subject=f"the authentication file {file}")
    except ImageError as error:
        raise ConfigError(error.message) from error


def _auths(document: dict[str, Any], file: Path) -> dict[str, Any]:
    auths = document.get("auths")
    if auths is None:
        return {}
    if not isinstance(auths, dict):
        raise ConfigError(f'the authentication file {file} is malformed: "auths" is not an object')
    return auths


def _written_key(registry: str) -> str:
    key = registry.removeprefix("https://").removeprefix("http://").rstrip("/")
    if not key:
        raise InvalidArgumentError("a registry must be named")
    return "docker.io" if key in ("index.docker.io", "index.docker.io/v1", "registry-1.docker.io") else key


def _keys(registry: str) -> list[str]:
    """From the most to the least specific; below the last come the spellings of Docker's registry."""
    parts = _written_key(registry).split("/")
    keys = ["/".join(parts[:count]) for count in range(len(parts), 0, -1)]
    return keys + [key for key in DOCKER_KEYS if parts[0] == "docker.io" and key not in keys]


def _encoded(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def _decoded(auth: str, file: Path) -> tuple[str, str]:
    try:
        user, colon, password = base64.b64decode(auth, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ConfigError(f"the authentication file {file} is malformed: an entry is not base64") from error
    if not colon:
        raise ConfigError(f"the authentication file {file} is malformed: an entry is not user:password")
    return user, password.rstrip("\x00")
