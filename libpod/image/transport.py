"""Images in motion: skopeo as a child process.

One `Skopeo` knows everything that is the same for every copy – the program, the store, where temporary files go, the
signature policy, registries.conf – and `copy` does one. What skopeo guarantees is what we rely on: layers appear in
the store completely or not at all, under the locks of the format; the record of an image comes after its layers, its
name last. A copy that is killed at any point, with us or without us, therefore leaves at most complete layers that no
image uses yet, which the next copy of the same image uses again, and a scratch directory that `scratch.sweep` removes.

Credentials are written to a file of mode 0600 in the scratch directory and given by its path; they are in no argument,
no environment and no log. Errors of skopeo are text: `translate` reads it, once, for all callers.

Covers: libimage/copier.go, image/copy, cmd/skopeo
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from libpod.define.errors import (
    CommandError,
    ImageError,
    ImageInUseError,
    ImagePolicyError,
    InvalidArgumentError,
    LibpodError,
    NoSuchImageError,
    ProgramMissingError,
    RegistryAccessError,
    RegistryUnreachableError,
    last_lines,
)
from libpod.image import credentials
from libpod.image.progress import Progress, ProgressReader
from libpod.image.references import Location, Reference, Transport
from libpod.image.registries import RegistriesConfig
from libpod.image.scratch import Scratch, scratch
from libpod.linux.process import environment, find_program, run
from libpod.linux.transcript import followed
from libpod.spec.image import Platform, decode_document

if TYPE_CHECKING:
    from libpod.storage.store import Store

INHERITED = (
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "GNUPGHOME", "XDG_DATA_HOME"),
)
POLICY_FILES = ("/etc/containers/policy.json", "/usr/share/containers/policy.json")


@attrs.frozen(kw_only=True)
class StoreAddress:
    """Which store skopeo is to open; it must be told exactly what the other users of the store are told."""

    graphroot: Path
    runroot: Path
    driver: str = "overlay"
    options: Sequence[str] = ()
    """Driver options as in storage.conf: `overlay.mountopt=nodev`."""

    def __attrs_post_init__(self) -> None:
        for path in (self.graphroot, self.runroot):
            if set("+:]@") & set(str(path)):
                raise InvalidArgumentError(
                    f'the store path "{path}" cannot be given to skopeo',
                    resolution="use a path without any of + : ] @",
                )

    @classmethod
    def of(cls, store: Store) -> StoreAddress:
        """The address of an open store.

        A driver option whose value has a comma cannot be said in skopeo's notation and is left out: the only ones are
        mount options, and skopeo mounts nothing that stays.
        """
        name = store.driver.name
        options = [option for option in store.options.strings(name) if "," not in option]
        return cls(graphroot=store.graph_root, runroot=store.run_root, driver=name, options=options)

    def __str__(self) -> str:
        options = f":{','.join(self.options)}" if self.options else ""
        return f"[{self.driver}@{self.graphroot}+{self.runroot}{options}]"

    def location(self, reference: Reference | None = None, *, image_id: str = "") -> Location:
        """The image *reference* or *image_id* in this store; with both, the one with that id gets that name."""
        name = str(reference) if reference is not None else ""
        digits = f"@{image_id}" if image_id else ""
        return Location(transport=Transport.STORE, details=f"{self}{name}{digits}")


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


@attrs.frozen(kw_only=True)
class Skopeo:
    """The transport: everything that does not change from copy to copy."""

    store: StoreAddress
    registries: RegistriesConfig = attrs.field(factory=RegistriesConfig)
    tmpdir: Path | None = None
    """Parent of the scratch directories; default $TMPDIR or /var/tmp."""
    policy: Path | None = None
    """A signature policy instead of the user's or the system's."""
    program: str = "skopeo"

    def copy(
        self,
        source: Location,
        destination: Location,
        options: CopyOptions | None = None,
        *,
        progress: Progress | None = None,
        work: Scratch | None = None,
        subject: str = "",
    ) -> str:
        """Copy one image (or, if so asked, a whole list) and return the digest of the manifest as it arrived.

        May be repeated after any failure. *work* is a scratch directory that the caller has already; *subject* says in
        an error what was being done ("importing x"), where source and destination would mean nothing. Raises
        NoSuchImageError, RegistryAccessError, RegistryUnreachableError, ImagePolicyError, ImageInUseError, ImageError,
        ProgramMissingError.
        """
        if work is None:
            with scratch(self.tmpdir) as own:
                return self.copy(source, destination, options, progress=progress, work=own, subject=subject)
        wish = options or CopyOptions()
        authfile = self._authfile(wish, work, source, destination)
        digestfile = work.path / "digest"
        argv = [
            self._find(), *global_args(self, wish),
            *copy_args(source, destination, wish, authfile=authfile, digestfile=digestfile),
        ]  # fmt: skip
        self.run(
            argv,
            subject=subject or describe(source, destination),
            name=_shown(source),
            remote=Transport.REGISTRY in (source.transport, destination.transport),
            progress=progress,
            work=work,
        )
        try:
            return digestfile.read_text().strip()
        except FileNotFoundError:
            return ""

    def run(
        self,
        argv: Sequence[str],
        *,
        subject: str,
        name: str,
        work: Scratch,
        remote: bool,
        progress: Progress | None = None,
    ) -> bytes:
        """Run skopeo in *work* and return its output; its complaint becomes an error about *subject*.

        *remote* says whether a registry is involved: without one, an early end of data is damage, not the network.
        """
        env = environment(inherited() | {"TMPDIR": str(work.path)} | self.registries.environment())
        try:
            if progress is None:
                return run(argv, env=env, pass_fds=(work.lock,)).stdout
            return followed(
                argv, on_output=ProgressReader(progress).feed, env=env, pass_fds=(work.lock,)
            ).stdout
        except CommandError as error:
            raise translate(error.stderr, subject=subject, name=name, remote=remote) from error

    def inspect_raw(
        self,
        location: Location,
        options: CopyOptions | None = None,
        *,
        work: Scratch | None = None,
        subject: str = "",
    ) -> bytes:
        """The manifest, or manifest list, of an image elsewhere, byte for byte; raises as `copy` does."""
        if work is None:
            with scratch(self.tmpdir) as own:
                return self.inspect_raw(location, options, work=own, subject=subject)
        wish = options or CopyOptions()
        remote = location.transport is Transport.REGISTRY
        authfile = self._authfile(wish, work, location)
        argv = [
            self._find(), *global_args(self, wish),
            "inspect", "--raw", *(side_args("", wish, authfile) if remote else ()), str(location),
        ]  # fmt: skip
        subject = subject or f"reading {location}"
        return self.run(argv, subject=subject, name=location.details, work=work, remote=remote)

    def list_tags(self, repository: Reference, options: CopyOptions | None = None) -> list[str]:
        """The tags a registry has of *repository*; raises as `copy` does."""
        wish = options or CopyOptions()
        location = Location.registry(repository)
        with scratch(self.tmpdir) as work:
            authfile = self._authfile(wish, work, location)
            argv = [
                self._find(), *global_args(self, wish),
                "list-tags", *side_args("", wish, authfile), str(location),
            ]  # fmt: skip
            subject = f"listing the tags of {repository}"
            data = self.run(argv, subject=subject, name=str(repository), work=work, remote=True)
        tags = decode_document(data, subject=f"the list of tags of {repository}").get("Tags")
        return [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []

    def delete_remote(self, reference: Reference, options: CopyOptions | None = None) -> None:
        """Delete a manifest in a registry; raises as `copy` does."""
        wish = options or CopyOptions()
        location = Location.registry(reference)
        with scratch(self.tmpdir) as work:
            authfile = self._authfile(wish, work, location)
            argv = [
                self._find(), *global_args(self, wish),
                "delete", *side_args("", wish, authfile), str(location),
            ]  # fmt: skip
            self.run(argv, subject=f"deleting {reference}", name=str(reference), work=work, remote=True)

    def _authfile(self, options: CopyOptions, work: Scratch, *locations: Location) -> Path | None:
        """The authentication file to give to skopeo; one made for this call when credentials came with it."""
        registries = registries_of(*locations)
        if options.creds is None or not registries:
            return options.authfile
        path = work.path / "auth.json"
        credentials.write_temporary(path, registries, options.creds)
        return path

    def _find(self) -> str:
        found = find_program(self.program)
        if found is None:
            raise ProgramMissingError(self.program, purpose="copy images")
        return found


def inherited(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables of ours that decide how skopeo and buildah reach, trust and log in to registries."""
    env = os.environ if environ is None else environ
    return {name: env[name] for name in INHERITED if name in env}


# ---- arguments ------------------------------------------------------------------------------------------------


def global_args(
    skopeo: Skopeo, options: CopyOptions, *, environ: Mapping[str, str] | None = None
) -> list[str]:
    """The options before the verb."""
    argv: list[str] = []
    if skopeo.policy is not None:
        argv += ["--policy", str(skopeo.policy)]
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


# ---- errors ---------------------------------------------------------------------------------------------------


def describe(source: Location, destination: Location) -> str:
    """What a copy is called in a message."""
    if destination.transport is Transport.STORE:
        return f"copying {_shown(source)} into the store"
    return f"copying {_shown(source)} to {_shown(destination)}"


def _shown(location: Location) -> str:
    # The store's specification is long and means nothing to a reader.
    return (
        re.sub(r"^\[[^\]]*\]", "", location.details)
        if location.transport is Transport.STORE
        else str(location)
    )


_FATAL = re.compile(r'level=(?:fatal|error) msg="((?:[^"\\]|\\.)*)"')
_UNKNOWN = re.compile(r"manifest unknown|name unknown|repository name not known|\b404\b", re.IGNORECASE)
_MISSING = re.compile(
    r"reference \S+ not found|no such file or directory|does not (?:resolve|exist)|not found in (?:archive|index)"
    r"|identifier is not an image|no image found|Tag \S+ not found|no descriptor found",
    re.IGNORECASE,
)
_DAMAGE = re.compile(r"processing tar file\((.*?)\):")
_ACCESS = re.compile(
    r"unauthorized|authentication required|invalid username/password|requested access to the resource is denied"
    r"|\b401\b|\b403\b|access denied|invalid status code from registry 40[13]",
    re.IGNORECASE,
)
_UNREACHABLE = re.compile(
    r"(?:dial|read|write) tcp|connection refused|no such host|i/o timeout|TLS handshake|connection reset"
    r"|network is unreachable|no route to host"
    r"|x509:|server gave HTTP response|unexpected EOF|: EOF|broken pipe|\b50[0-4]\b|deadline exceeded"
    r"|server closed|http2:|toomanyrequests",
    re.IGNORECASE,
)
_POLICY = re.compile(
    r"Source image rejected|Running image .* is rejected by policy|required a signature", re.IGNORECASE
)


def fatal_message(stderr: str) -> str:
    """The sentence skopeo ended with, without time stamp, quotes and the long queries of addresses."""
    stderr = re.sub(r"\?_state=[^\s\"\\]*", "", stderr)
    found = _FATAL.findall(stderr)
    if found:
        return re.sub(
            r"\\(.)", lambda match: {"n": "; ", "t": " "}.get(match[1], match[1]), str(found[-1])
        ).strip()
    return last_lines(stderr, 1) or "no output on stderr"


def translate(stderr: str, *, subject: str, name: str, remote: bool) -> LibpodError:
    """The error that skopeo's complaint means: the most telling words win, whatever the version around them."""
    said = fatal_message(stderr)
    details = last_lines(stderr)
    message = f"{subject} failed: {said}"
    if "no space left on device" in said:
        return ImageError(
            message,
            resolution="free space in the store or point TMPDIR to a larger disk, then repeat",
            details=details,
        )
    if _POLICY.search(said):
        return ImagePolicyError(
            message, resolution="see the signature policy in policy.json", details=details
        )
    if "image used by" in said or "image is in use" in said:
        return ImageInUseError(name, re.findall(r"\b[0-9a-f]{64}\b", said) or ["a container"])
    damage = _DAMAGE.search(said)
    if damage is not None:
        return ImageError(
            f"{subject} failed: a layer is not a tar that can be unpacked ({damage[1]})", details=details
        )
    if remote:
        if _ACCESS.search(said) and not _UNKNOWN.search(said):
            return RegistryAccessError(
                message, resolution="log in to the registry, or check user and password", details=details
            )
        if _UNREACHABLE.search(said):
            return RegistryUnreachableError(
                message, resolution="check the registry's name, the network and the TLS settings, then repeat",
                details=details,
            )  # fmt: skip
    if _UNKNOWN.search(said) or _MISSING.search(said):
        return NoSuchImageError(name, message=message, resolution="check the name and the tag")
    return ImageError(message, details=details)
