"""Images in motion: skopeo as a child process.

One `Skopeo` knows everything that is the same for every copy – the program, the store, where temporary files go, the
signature policy, registries.conf – and `copy` does one. What skopeo guarantees is what we rely on: layers appear in
the store completely or not at all, under the locks of the format; the record of an image comes after its layers, its
name last. A copy that is killed at any point, with us or without us, therefore leaves at most complete layers that no
image uses yet, which the next copy of the same image uses again, and a scratch directory that `scratch.sweep` removes.

Credentials are written to a file of mode 0600 in the scratch directory and given by its path; they are in no argument,
no environment and no log. The words of a command are `skopeo_args`, its complaints `transfer_errors`.

Covers: libimage/copier.go, image/copy, cmd/skopeo
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from libpod.define.errors import CommandError, InvalidArgumentError, ProgramMissingError
from libpod.image import credentials
from libpod.image.progress import Progress, ProgressReader
from libpod.image.references import Location, Reference, Transport
from libpod.image.registries import RegistriesConfig
from libpod.image.scratch import Scratch, scratch
from libpod.image.skopeo_args import CopyOptions, copy_args, global_args, registries_of, side_args
from libpod.image.transfer_errors import describe, shown, translate
from libpod.linux.process import environment, find_program, run
from libpod.linux.transcript import followed
from libpod.spec.image import decode_document

__all__ = ["CopyOptions", "Skopeo", "StoreAddress", "inherited"]

if TYPE_CHECKING:
    from libpod.storage.store import Store

INHERITED = (
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "GNUPGHOME", "XDG_DATA_HOME"),
)


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
            self._find(), *global_args(self.policy, wish),
            *copy_args(source, destination, wish, authfile=authfile, digestfile=digestfile),
        ]  # fmt: skip
        self.run(
            argv,
            subject=subject or describe(source, destination),
            name=shown(source),
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
        return self._inspect(["--raw"], location, options, work, subject or f"reading {location}")

    def inspect_config(
        self,
        location: Location,
        options: CopyOptions | None = None,
        *,
        work: Scratch | None = None,
        subject: str = "",
    ) -> bytes:
        """The configuration of an image elsewhere, byte for byte, of a list that of the chosen instance."""
        return self._inspect(["--config", "--raw"], location, options, work, subject or f"reading {location}")

    def _inspect(
        self,
        what: Sequence[str],
        location: Location,
        options: CopyOptions | None,
        work: Scratch | None,
        subject: str,
    ) -> bytes:
        if work is None:
            with scratch(self.tmpdir) as own:
                return self._inspect(what, location, options, own, subject)
        wish = options or CopyOptions()
        remote = location.transport is Transport.REGISTRY
        authfile = self._authfile(wish, work, location)
        argv = [
            self._find(), *global_args(self.policy, wish),
            "inspect", *what, *(side_args("", wish, authfile) if remote else ()), str(location),
        ]  # fmt: skip
        return self.run(argv, subject=subject, name=shown(location), work=work, remote=remote)

    def list_tags(self, repository: Reference, options: CopyOptions | None = None) -> list[str]:
        """The tags a registry has of *repository*; raises as `copy` does."""
        wish = options or CopyOptions()
        location = Location.registry(repository)
        with scratch(self.tmpdir) as work:
            authfile = self._authfile(wish, work, location)
            argv = [
                self._find(), *global_args(self.policy, wish),
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
                self._find(), *global_args(self.policy, wish),
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
