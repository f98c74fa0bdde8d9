"""Image documents: configuration, manifest, index – and a typed reading of the configuration.

The documents stay plain JSON dictionaries, so that keys of newer specifications pass through a tag, a commit or a save
untouched; the TypedDicts below only give their known keys names. They come out of archives and registries, that is,
from strangers: `decode_document` and `ImageSettings.read` believe nothing and turn whatever is malformed into one
ImageError, never into a TypeError later on.

Docker's schema 2 and OCI spell the same things; the differences that matter here are

* the media types (`MediaType`);
* `Healthcheck`, which only Docker's configuration defines. It is read wherever it is found;
* `Entrypoint` and `Cmd` of very old images, which may be one string instead of a list.

Covers: libpod/image (the documents), image-spec v1.1
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict, cast

import msgspec

from libpod.define.errors import ImageError

Document = dict[str, Any]
"""A JSON object whose keys are not all known to us."""

MAX_DOCUMENT = 4 * 1024 * 1024
"""What registries and skopeo accept as the largest manifest; a larger one is not read."""

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_decoder = msgspec.json.Decoder()
_encoder = msgspec.json.Encoder()


class MediaType(enum.StrEnum):
    """What a blob is."""

    OCI_INDEX = "application/vnd.oci.image.index.v1+json"
    OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
    OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
    OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
    OCI_LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
    OCI_LAYER_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"
    DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
    DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
    DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
    DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
    DOCKER_LAYER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip"


LIST_TYPES = frozenset({MediaType.OCI_INDEX, MediaType.DOCKER_LIST})


# ---- the documents --------------------------------------------------------------------------------------------


class Platform(TypedDict):
    architecture: str
    os: str
    variant: NotRequired[str]


class Descriptor(TypedDict):
    """A reference to a blob by content."""

    mediaType: str
    digest: str
    size: int
    annotations: NotRequired[dict[str, str]]
    platform: NotRequired[Platform]
    urls: NotRequired[list[str]]


class Index(TypedDict):
    """Several manifests under one name: a manifest list."""

    schemaVersion: int
    mediaType: NotRequired[str]
    manifests: list[Descriptor]
    annotations: NotRequired[dict[str, str]]


class Healthcheck(TypedDict):
    """Docker's health check; the durations are nanoseconds."""

    Test: NotRequired[list[str]]
    Interval: NotRequired[int]
    Timeout: NotRequired[int]
    StartPeriod: NotRequired[int]
    Retries: NotRequired[int]


class ContainerDefaults(TypedDict, total=False):
    """What a container of the image gets unless it is told otherwise: `config` inside the configuration."""

    User: str
    ExposedPorts: dict[str, dict[str, Any]]
    Env: list[str]
    Entrypoint: list[str] | None
    Cmd: list[str] | None
    Volumes: dict[str, dict[str, Any]]
    WorkingDir: str
    Labels: dict[str, str]
    StopSignal: str
    Healthcheck: Healthcheck
    Shell: list[str]
    OnBuild: list[str]


class RootFs(TypedDict):
    type: str
    diff_ids: list[str]


class History(TypedDict, total=False):
    """How one layer, or a change without a layer (`empty_layer`), came to be."""

    created: str
    created_by: str
    author: str
    comment: str
    empty_layer: bool


class ImageConfig(TypedDict):
    """The configuration of an image; its digest is the image's id."""

    created: NotRequired[str]
    author: NotRequired[str]
    comment: NotRequired[str]
    architecture: str
    os: str
    variant: NotRequired[str]
    config: NotRequired[ContainerDefaults]
    rootfs: RootFs
    history: NotRequired[list[History]]


# ---- reading and writing --------------------------------------------------------------------------------------


def decode_document(data: bytes, *, subject: str) -> Document:
    """The JSON object in *data*; *subject* says whose it is. Raises ImageError."""
    document = decode_json(data, subject=subject)
    if not isinstance(document, dict):
        raise ImageError(f"{subject} is not a JSON object")
    return document


def decode_json(data: bytes, *, subject: str) -> Any:
    """Whatever JSON is in *data*, up to a limit; raises ImageError."""
    if len(data) > MAX_DOCUMENT:
        raise ImageError(f"{subject} is larger than {MAX_DOCUMENT} bytes and is not read")
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ImageError(f"{subject} is not JSON: {error}") from error


def encode_document(document: Mapping[str, Any] | Sequence[Any]) -> bytes:
    """The bytes of a document, without white space and in the order of its keys: equal input gives equal digests."""
    return _encoder.encode(document)


def digest_of(data: bytes) -> str:
    """The content digest of *data*."""
    import hashlib  # here, because what only looks an image up must not load it

    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def is_digest(text: str) -> bool:
    """Whether *text* is a complete SHA-256 digest."""
    return _DIGEST.fullmatch(text) is not None


def media_type(document: Mapping[str, Any]) -> str:
    """The media type of a manifest or list, deduced from its keys when it does not say so itself (OCI allows that)."""
    said = document.get("mediaType")
    if isinstance(said, str) and said:
        return said
    if isinstance(document.get("manifests"), list):
        return MediaType.OCI_INDEX
    config = document.get("config")
    if isinstance(config, dict) and config.get("mediaType") == MediaType.DOCKER_CONFIG:
        return MediaType.DOCKER_MANIFEST
    return MediaType.OCI_MANIFEST


def descriptor(media: str, data: bytes) -> Descriptor:
    """The descriptor of a blob that is at hand."""
    return {"mediaType": str(media), "digest": digest_of(data), "size": len(data)}


def select_instance(index: Mapping[str, Any], platform: Platform) -> Descriptor | None:
    """The manifest of a list that suits *platform*: same system and architecture, and the variant when one is asked."""
    best: Descriptor | None = None
    for entry in _dicts(index.get("manifests")):
        found = entry.get("platform")
        if not isinstance(found, dict) or not is_digest(str(entry.get("digest"))):
            continue
        if (found.get("os"), found.get("architecture")) != (platform["os"], platform["architecture"]):
            continue
        if found.get("variant", "") == platform.get("variant", ""):
            return cast("Descriptor", entry)
        if best is None and "variant" not in platform:
            best = cast("Descriptor", entry)
    return best


# ---- the typed reading ----------------------------------------------------------------------------------------


class ImageSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the configuration of an image means for a container made from it."""

    architecture: str = ""
    os: str = "linux"
    variant: str = ""
    created: str = ""
    author: str = ""
    comment: str = ""
    env: tuple[str, ...] = ()
    """As written, `NAME=value`; a later entry of the same name wins."""
    entrypoint: tuple[str, ...] | None = None
    """None when the image does not set it; an empty tuple when it sets it to nothing."""
    cmd: tuple[str, ...] | None = None
    user: str = ""
    working_dir: str = ""
    volumes: tuple[str, ...] = ()
    exposed_ports: tuple[str, ...] = ()
    """As written: `80`, `80/tcp`, `8000-8010/udp`."""
    stop_signal: str = ""
    labels: Mapping[str, str] = msgspec.field(default_factory=dict)
    healthcheck: Healthcheck | None = None
    shell: tuple[str, ...] = ()
    on_build: tuple[str, ...] = ()
    diff_ids: tuple[str, ...] = ()
    history: tuple[History, ...] = ()

    @classmethod
    def read(cls, document: Mapping[str, Any], *, subject: str) -> ImageSettings:
        """Read a configuration; *subject* names the image in the error. Raises ImageError for what is malformed."""
        reader = _Reader(document, subject)
        inner = _Reader(reader.mapping("config"), subject)
        rootfs = _Reader(reader.mapping("rootfs"), subject)
        return cls(
            architecture=reader.text("architecture"),
            os=reader.text("os") or "linux",
            variant=reader.text("variant"),
            created=reader.text("created"),
            author=reader.text("author"),
            comment=reader.text("comment"),
            env=inner.texts("Env") or (),
            entrypoint=inner.texts("Entrypoint"),
            cmd=inner.texts("Cmd"),
            user=inner.text("User"),
            working_dir=inner.text("WorkingDir"),
            volumes=tuple(sorted(inner.mapping("Volumes"))),
            exposed_ports=tuple(sorted(inner.mapping("ExposedPorts"))),
            stop_signal=inner.text("StopSignal"),
            labels=inner.labels("Labels"),
            healthcheck=cast("Healthcheck", inner.mapping("Healthcheck")) or None,
            shell=inner.texts("Shell") or (),
            on_build=inner.texts("OnBuild") or (),
            diff_ids=rootfs.texts("diff_ids") or (),
            history=tuple(cast("Sequence[History]", _dicts(document.get("history")))),
        )

    @property
    def command(self) -> tuple[str, ...]:
        """What runs when nothing else is asked for: the entry point followed by the command."""
        return (self.entrypoint or ()) + (self.cmd or ())


class _Reader(msgspec.Struct, frozen=True):
    """Typed access to one JSON object of unknown honesty; an absent key and `null` are the empty value."""

    document: Mapping[str, Any]
    subject: str

    def text(self, key: str) -> str:
        value = self.document.get(key)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise self._malformed(key, "a string", value)
        return value

    def texts(self, key: str) -> tuple[str, ...] | None:
        value = self.document.get(key)
        if value is None:
            return None
        if isinstance(value, str):
            return (value,)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._malformed(key, "a list of strings", value)
        return tuple(value)

    def mapping(self, key: str) -> dict[str, Any]:
        value = self.document.get(key)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self._malformed(key, "an object", value)
        return value

    def labels(self, key: str) -> dict[str, str]:
        value = self.mapping(key)
        if not all(isinstance(item, str) for item in value.values()):
            raise self._malformed(key, "an object of strings", value)
        return value

    def _malformed(self, key: str, expected: str, value: object) -> ImageError:
        return ImageError(
            f"the configuration of {self.subject} is malformed: {key} is {value!r:.40}, not {expected}"
        )


def _dicts(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
