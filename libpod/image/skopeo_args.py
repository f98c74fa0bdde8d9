"""Command lines for skopeo: what may be asked of a copy, and the words that ask for it.

Pure. Which option goes to which side, and which are left out, is decided here and nowhere else; credentials have no
place in a command line and come in as the path of an authentication file.

Covers: cmd/skopeo (utils.go, copy.go)
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from libpod.define.errors import InvalidArgumentError
from libpod.image.references import Location, Reference, Transport
from libpod.spec.image import Platform

POLICY_FILES = ("/etc/containers/policy.json", "/usr/share/containers/policy.json")


@attrs.frozen(kw_only=True)
class CopyOptions:
    """What may be asked of one copy."""

    authfile: Path | None = None
    """Default: where podman and skopeo keep theirs."""
    creds: tuple[str, str] | None = attrs.field(default=None, repr=False)
    """User and password for the registry of this copy; replaces the authentication file."""
    tls_verify: bool | None = None
    """None: as registries.conf says."""
    cert_dir: Path | None = None
    platform: Platform | None = None
    """Which instance of a manifest list; None: this machine's."""
    all_platforms: bool = False
    format: str = ""
    """`oci`, `v2s2` or `v2s1`; empty: as the source is."""
    compression: str = ""
    """`gzip`, `zstd` or `none` for layers on their way out; empty: as the destination likes it."""
    compression_level: int | None = None
    remove_signatures: bool = False
    sign_by: str = ""
    """A GPG fingerprint."""
    sign_by_sigstore_private_key: Path | None = None
    sign_passphrase_file: Path | None = None
    encryption_keys: Sequence[str] = ()
    decryption_keys: Sequence[str] = ()
    preserve_digests: bool = False
    additional_tags: Sequence[str] = ()
    """More names for a docker archive that is written."""
    retries: int = 0
    """How often a transfer that broke off is tried again."""

    def __attrs_post_init__(self) -> None:
        if self.format not in ("", "oci", "v2s2", "v2s1"):
            raise InvalidArgumentError(
                f'"{self.format}" is not a manifest format', resolution="use oci, v2s2 or v2s1"
            )
        if self.compression not in ("", "gzip", "zstd", "none"):
            raise InvalidArgumentError(
                f'"{self.compression}" is not a compression', resolution="use gzip, zstd or none"
            )
        if self.all_platforms and self.platform is not None:
            raise InvalidArgumentError("all platforms and one platform exclude each other")


def global_args(
    policy: Path | None, options: CopyOptions, *, environ: Mapping[str, str] | None = None
) -> list[str]:
    """The options before the verb."""
    argv: list[str] = []
    if policy is not None:
        argv += ["--policy", str(policy)]
    elif not _has_policy(environ):
        argv += ["--insecure-policy"]  # no file anywhere: what the distributions' own file says
    if options.platform is not None:
        argv += ["--override-os", options.platform["os"], "--override-arch", options.platform["architecture"]]
        if options.platform.get("variant"):
            argv += ["--override-variant", options.platform["variant"]]
    return argv


def copy_args(
    source: Location, destination: Location, options: CopyOptions, *, authfile: Path | None, digestfile: Path
) -> list[str]:
    """The verb and everything after it."""
    argv = ["copy", "--digestfile", str(digestfile)]
    argv += side_args("src-", options, authfile) if source.transport is Transport.REGISTRY else []
    argv += side_args("dest-", options, authfile) if destination.transport is Transport.REGISTRY else []
    argv += ["--all"] if options.all_platforms else []
    argv += ["--format", options.format] if options.format else []
    argv += ["--remove-signatures"] if options.remove_signatures else []
    argv += ["--preserve-digests"] if options.preserve_digests else []
    argv += ["--retry-times", str(options.retries)] if options.retries else []
    argv += ["--sign-by", options.sign_by] if options.sign_by else []
    if options.sign_by_sigstore_private_key:
        argv += ["--sign-by-sigstore-private-key", str(options.sign_by_sigstore_private_key)]
    if options.sign_passphrase_file:
        argv += ["--sign-passphrase-file", str(options.sign_passphrase_file)]
    argv += [word for key in options.encryption_keys for word in ("--encryption-key", key)]
    argv += [word for key in options.decryption_keys for word in ("--decryption-key", key)]
    argv += [word for tag in options.additional_tags for word in ("--additional-tag", tag)]
    argv += _compression_args(destination, options)
    return [*argv, str(source), str(destination)]


def side_args(side: str, options: CopyOptions, authfile: Path | None) -> list[str]:
    """The options that speak about one registry; *side* is `src-`, `dest-` or nothing."""
    argv: list[str] = []
    if authfile is not None:
        argv += [f"--{side}authfile", str(authfile)] if side else ["--authfile", str(authfile)]
    if options.tls_verify is not None:
        argv += [f"--{side}tls-verify={'true' if options.tls_verify else 'false'}"]
    if options.cert_dir is not None:
        argv += [f"--{side}cert-dir", str(options.cert_dir)]
    return argv


def _compression_args(destination: Location, options: CopyOptions) -> list[str]:
    argv: list[str] = []
    if options.compression == "none":
        if destination.transport is Transport.DIRECTORY:
            argv += ["--dest-decompress"]
        elif destination.transport in (Transport.OCI_LAYOUT, Transport.OCI_ARCHIVE):
            argv += ["--dest-oci-accept-uncompressed-layers"]
    elif options.compression:
        argv += ["--dest-compress-format", options.compression]
        argv += ["--dest-compress"] if destination.transport is Transport.DIRECTORY else []
    if options.compression_level is not None:
        argv += ["--dest-compress-level", str(options.compression_level)]
    return argv


def _has_policy(environ: Mapping[str, str] | None = None) -> bool:
    env = os.environ if environ is None else environ
    user = Path(env.get("HOME") or "/") / ".config" / "containers" / "policy.json"
    return user.exists() or any(Path(path).exists() for path in POLICY_FILES)


def registries_of(*locations: Location) -> list[str]:
    """The registries that a copy between *locations* talks to."""
    return [
        Reference.parse(location.details).normalised(domain="docker.io").domain
        for location in locations
        if location.transport is Transport.REGISTRY
    ]
