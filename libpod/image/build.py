"""Building images: buildah as a child process, in the same store.

What a Containerfile means is buildah's business, as it is in podman; ours is to give it the same store, the same
registries, policy and OCI runtime as everything else has, to hand on what it prints, and to return the image.

buildah's temporary files lie in a scratch directory. A build that is killed leaves, besides that, the working
container of the step it was in, which `buildah rm -a` or a prune of external containers removes, and the cached steps,
which the next build uses.

Covers: libpod/runtime_img.go (Build)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import attrs

from libpod.define.errors import CommandError, ImageError, InvalidArgumentError, ProgramMissingError
from libpod.image import credentials
from libpod.image.platforms import platform_text
from libpod.image.pull import PullPolicy
from libpod.image.scratch import scratch
from libpod.image.transport import Skopeo, StoreAddress, inherited
from libpod.linux.process import environment, find_program
from libpod.linux.transcript import followed
from libpod.spec.image import Platform


@attrs.frozen(kw_only=True)
class BuildOptions:
    """What may be asked of a build; the names are those of the command line."""

    files: Sequence[Path] = ()
    """Containerfiles; default `Containerfile` or `Dockerfile` in the context."""
    tags: Sequence[str] = ()
    build_args: Mapping[str, str] = attrs.field(factory=dict)
    build_contexts: Mapping[str, str] = attrs.field(factory=dict)
    target: str = ""
    labels: Mapping[str, str] = attrs.field(factory=dict)
    annotations: Mapping[str, str] = attrs.field(factory=dict)
    env: Mapping[str, str] = attrs.field(factory=dict)
    platform: Platform | None = None
    pull: PullPolicy = PullPolicy.MISSING
    layers: bool = True
    no_cache: bool = False
    squash: bool = False
    format: str = "oci"
    timestamp: int | None = None
    """Seconds since 1970 for everything the build creates: equal sources give equal images."""
    volumes: Sequence[str] = ()
    secrets: Sequence[str] = ()
    network: str = ""
    isolation: str = ""
    runtime: str = ""
    """The OCI runtime for RUN steps."""
    authfile: Path | None = None
    creds: tuple[str, str] | None = attrs.field(default=None, repr=False)
    tls_verify: bool | None = None
    cert_dir: Path | None = None
    extra: Sequence[str] = ()
    """Further options of buildah, passed on as they are."""

    def __attrs_post_init__(self) -> None:
        if self.format not in ("oci", "docker"):
            raise InvalidArgumentError(
                f'"{self.format}" is not an image format', resolution="use oci or docker"
            )


def build(
    skopeo: Skopeo,
    context: Path,
    options: BuildOptions | None = None,
    *,
    on_output: Callable[[bytes], None] | None = None,
    program: str = "buildah",
) -> str:
    """Build the directory *context* and return the image's id; *on_output* gets what buildah prints, piece by piece.

    Raises ProgramMissingError without buildah, and ImageError with the last lines of a build that failed.
    """
    wish = options or BuildOptions()
    found = find_program(program)
    if found is None:
        raise ProgramMissingError(program, purpose="build images")
    if not context.is_dir():
        raise InvalidArgumentError(f"the build context {context} is not a directory")
    with scratch(skopeo.tmpdir) as work:
        authfile, id_file = wish.authfile, work.path / "id"
        if wish.creds is not None:
            authfile = work.path / "auth.json"
            credentials.write_temporary(authfile, base_registries(context, wish), wish.creds)
        argv = build_args(
            found, skopeo.store, context, wish, authfile=authfile, id_file=id_file, policy=skopeo.policy
        )
        env = environment(inherited() | {"TMPDIR": str(work.path)} | skopeo.registries.environment())
        try:
            followed(
                argv, on_output=on_output or (lambda _: None), env=env, pass_fds=(work.lock,), terminal=False
            )
        except CommandError as error:
            raise ImageError(
                f"building {context} failed: {_reason(error.stderr)}", details=error.details
            ) from error
        return id_file.read_text().strip().removeprefix("sha256:")


def build_args(
    program: str,
    store: StoreAddress,
    context: Path,
    options: BuildOptions,
    *,
    authfile: Path | None,
    id_file: Path,
    policy: Path | None = None,
) -> list[str]:
    """The command line of a build. Pure."""
    argv = [
        program,
        "--root", str(store.graphroot), "--runroot", str(store.runroot), "--storage-driver", store.driver,
        *(word for option in store.options for word in ("--storage-opt", option)),
        "build", "--force-rm", "--iidfile", str(id_file), "--format", options.format,
        f"--layers={'true' if options.layers else 'false'}",
        *_pull_args(options.pull),
    ]  # fmt: skip
    argv += [word for file in options.files for word in ("--file", str(file))]
    argv += [word for tag in options.tags for word in ("--tag", tag)]
    for option, pairs in (
        ("--build-arg", options.build_args),
        ("--build-context", options.build_contexts),
        ("--label", options.labels),
        ("--annotation", options.annotations),
        ("--env", options.env),
    ):
        argv += [word for name, value in pairs.items() for word in (option, f"{name}={value}")]
    argv += [word for volume in options.volumes for word in ("--volume", volume)]
    argv += [word for secret in options.secrets for word in ("--secret", secret)]
    for option, text in (
        ("--target", options.target),
        ("--network", options.network),
        ("--isolation", options.isolation),
        ("--runtime", options.runtime),
        ("--platform", platform_text(options.platform) if options.platform is not None else ""),
        ("--timestamp", str(options.timestamp) if options.timestamp is not None else ""),
        ("--authfile", str(authfile) if authfile is not None else ""),
        ("--cert-dir", str(options.cert_dir) if options.cert_dir is not None else ""),
        ("--signature-policy", str(policy) if policy is not None else ""),
    ):
        argv += [option, text] if text else []
    argv += ["--no-cache"] if options.no_cache else []
    argv += ["--squash"] if options.squash else []
    if options.tls_verify is not None:
        argv += [f"--tls-verify={'true' if options.tls_verify else 'false'}"]
    return [*argv, *options.extra, str(context)]


def base_registries(context: Path, options: BuildOptions) -> list[str]:
    """The registries that the FROM lines of the build name: those that credentials given with it are for."""
    files = (
        options.files
        or [context / name for name in ("Containerfile", "Dockerfile") if (context / name).is_file()][:1]
    )
    found = []
    for file in files:
        path = file if file.is_absolute() or file.exists() else context / file
        try:
            lines = path.read_text(errors="replace").splitlines()
        except OSError:
            continue  # buildah says it better
        for words in (line.split() for line in lines):
            if len(words) > 1 and words[0].upper() == "FROM":
                image = next((word for word in words[1:] if not word.startswith("--")), "")
                first, slash, _ = image.partition("/")
                host = (
                    first if slash and ("." in first or ":" in first or first == "localhost") else "docker.io"
                )
                found.append(host)
    return list(dict.fromkeys(found))


def _pull_args(policy: PullPolicy) -> list[str]:
    # `--pull` alone differs between versions; these spellings mean the same in all of them.
    return {
        PullPolicy.ALWAYS: ["--pull-always"],
        PullPolicy.NEVER: ["--pull-never"],
        PullPolicy.NEWER: ["--pull=true"],
        PullPolicy.MISSING: ["--pull=false"],
    }[policy]


def _reason(stderr: str) -> str:
    lines = [line for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error:")] or lines[-1:]
    return errors[-1].partition(":")[2].strip() if errors and ":" in errors[-1] else "buildah says nothing"
