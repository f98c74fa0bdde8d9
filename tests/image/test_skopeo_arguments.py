"""Command lines for skopeo and buildah, and what their complaints mean; nothing runs here."""

from __future__ import annotations

from pathlib import Path

import pytest

from libpod.define.errors import (
    ImageError,
    ImageInUseError,
    ImagePolicyError,
    InvalidArgumentError,
    NoSuchImageError,
    RegistryAccessError,
    RegistryUnreachableError,
)
from libpod.image.build import BuildOptions, base_registries, build_args
from libpod.image.pull import PullPolicy
from libpod.image.references import Location, Reference
from libpod.image.skopeo_args import CopyOptions, copy_args, global_args, registries_of
from libpod.image.transfer_errors import translate
from libpod.image.transport import StoreAddress

STORE = StoreAddress(graphroot=Path("/g"), runroot=Path("/r"), options=("overlay.mountopt=nodev",))
SOURCE = Location.registry(Reference.parse("quay.io/x:1"))


def test_the_store_is_named_with_its_options() -> None:
    assert str(STORE.location(Reference.parse("localhost/x:1"))) == (
        "containers-storage:[overlay@/g+/r:overlay.mountopt=nodev]localhost/x:1"
    )
    assert STORE.location(image_id="ab").details.endswith("]@ab")


@pytest.mark.parametrize("path", ["/a:b", "/a+b", "/a]b"])
def test_a_store_path_that_skopeo_would_misread_is_refused(path: str) -> None:
    with pytest.raises(InvalidArgumentError):
        StoreAddress(graphroot=Path(path), runroot=Path("/r"))


def test_options_of_the_registry_go_to_its_side_only() -> None:
    options = CopyOptions(
        tls_verify=False, cert_dir=Path("/c"), retries=3, format="oci", remove_signatures=True
    )
    argv = copy_args(
        SOURCE, STORE.location(image_id="ab"), options, authfile=Path("/auth"), digestfile=Path("/digest")
    )
    assert argv == [
        "copy", "--digestfile", "/digest", "--src-authfile", "/auth", "--src-tls-verify=false", "--src-cert-dir", "/c",
        "--format", "oci", "--remove-signatures", "--retry-times", "3",
        "docker://quay.io/x:1", "containers-storage:[overlay@/g+/r:overlay.mountopt=nodev]@ab",
    ]  # fmt: skip
    assert "--dest-authfile" in copy_args(
        STORE.location(image_id="ab"), SOURCE, options, authfile=Path("/auth"), digestfile=Path("/d")
    )


def test_credentials_are_in_no_command_line() -> None:
    options = CopyOptions(creds=("me", "secret"))
    argv = copy_args(SOURCE, SOURCE, options, authfile=Path("/auth"), digestfile=Path("/d"))
    assert not any("secret" in word for word in argv)
    assert "secret" not in repr(options)


def test_the_policy_is_the_given_one_or_that_of_the_system_or_none() -> None:
    given = Path("/p.json")
    assert global_args(given, CopyOptions()) == ["--policy", "/p.json"]
    platform = CopyOptions(platform={"os": "linux", "architecture": "arm", "variant": "v7"})
    assert global_args(given, platform)[2:] == [
        "--override-os", "linux", "--override-arch", "arm", "--override-variant", "v7",
    ]  # fmt: skip


def test_compression_depends_on_the_destination() -> None:
    def args(destination: str, **options: object) -> list[str]:
        location = Location.parse(destination)
        assert location is not None
        wish = CopyOptions(**options)  # type: ignore[arg-type]
        return copy_args(STORE.location(), location, wish, authfile=None, digestfile=Path("/d"))

    assert "--dest-oci-accept-uncompressed-layers" in args("oci:/x", compression="none")
    assert "--dest-decompress" in args("dir:/x", compression="none")
    zstd = args("docker://a.io/x", compression="zstd", compression_level=3)
    assert zstd[-6:-2] == ["--dest-compress-format", "zstd", "--dest-compress-level", "3"]


@pytest.mark.parametrize("options", [{"format": "x"}, {"compression": "lz4"}])
def test_options_that_make_no_sense_are_refused(options: dict[str, str]) -> None:
    with pytest.raises(InvalidArgumentError):
        CopyOptions(**options)  # type: ignore[arg-type]


def test_the_registries_of_a_copy_are_known() -> None:
    docker = Location.parse("docker://busybox")
    assert docker is not None
    assert registries_of(SOURCE, STORE.location(), docker) == ["quay.io", "docker.io"]


def fatal(text: str) -> str:
    return f'time="2024-01-02T03:04:05Z" level=fatal msg="{text}"\n'


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("initializing source docker://a/x: reading manifest 2 in a/x: manifest unknown: manifest unknown",
         NoSuchImageError),
        ("reading manifest latest in a/x: name unknown: repository name not known to registry", NoSuchImageError),
        ("reading manifest latest in a/x: unauthorized: authentication required", RegistryAccessError),
        ("reading manifest x in docker.io/library/x: errors:\\ndenied: requested access to the resource is denied",
         RegistryAccessError),
        ("unable to retrieve auth token: invalid username/password: unauthorized: x", RegistryAccessError),
        ("pinging container registry a: Get \\\"https://a/v2/\\\": dial tcp 1.2.3.4:443: connect: connection refused",
         RegistryUnreachableError),
        ("pinging container registry a: Get \\\"https://a/v2/\\\": dial tcp: lookup a: no such host",
         RegistryUnreachableError),
        ("x509: certificate signed by unknown authority", RegistryUnreachableError),
        ("http: server gave HTTP response to HTTPS client", RegistryUnreachableError),
        ("reading blob sha256:ab: unexpected EOF", RegistryUnreachableError),
        ("writing blob: Patch \\\"http://a/v2/\\\": write tcp 1:2->3:4: use of closed network connection",
         RegistryUnreachableError),
        ("received unexpected HTTP status: 503 Service Unavailable", RegistryUnreachableError),
        ("Source image rejected: Running image docker://a/x:latest is rejected by policy.", ImagePolicyError),
        ("writing blob: storing blob to file: write /var/tmp/x: no space left on device", ImageError),
        ("image is in use by a container: 0123", ImageInUseError),
        ("something nobody has seen before", ImageError),
    ],
)  # fmt: skip
def test_a_complaint_of_skopeo_becomes_the_error_a_program_can_act_on(
    said: str, kind: type[Exception]
) -> None:
    error = translate(fatal(said), subject="pulling a/x", name="a/x", remote=True)
    assert type(error) is kind
    assert "level=" not in str(error)
    assert "\n" not in str(error)


def test_an_early_end_without_a_registry_is_damage() -> None:
    error = translate(fatal("copying: unexpected EOF"), subject="loading x", name="x", remote=False)
    assert type(error) is ImageError
    tar = 'writing blob: adding layer with blob \\"sha256:0\\": processing tar file(unexpected EOF): exit status 1'
    damage = translate(fatal(tar), subject="loading x", name="x", remote=False)
    assert str(damage) == "loading x failed: a layer is not a tar that can be unpacked (unexpected EOF)"


def test_even_no_output_is_a_sentence() -> None:
    assert "no output" in str(translate("", subject="pulling x", name="x", remote=True))


# ---- buildah --------------------------------------------------------------------------------------------------


def test_a_build_is_one_command_line_in_the_same_store() -> None:
    options = BuildOptions(
        tags=["a", "b"], build_args={"V": "1"}, target="final", pull=PullPolicy.NEVER, squash=True, runtime="/runc",
        platform={"os": "linux", "architecture": "arm64"}, tls_verify=False, extra=["--jobs", "2"], timestamp=0,
    )  # fmt: skip
    argv = build_args("buildah", STORE, Path("/ctx"), options, authfile=Path("/auth"), id_file=Path("/id"))
    assert argv == [
        "buildah", "--root", "/g", "--runroot", "/r", "--storage-driver", "overlay",
        "--storage-opt", "overlay.mountopt=nodev", "build", "--force-rm", "--iidfile", "/id", "--format", "oci",
        "--layers=true",
        "--pull-never", "--tag", "a", "--tag", "b", "--build-arg", "V=1", "--target", "final", "--runtime", "/runc",
        "--platform", "linux/arm64", "--timestamp", "0", "--authfile", "/auth", "--squash", "--tls-verify=false",
        "--jobs", "2", "/ctx",
    ]  # fmt: skip


def test_credentials_of_a_build_are_for_the_registries_it_names(tmp_path: Path) -> None:
    (tmp_path / "Containerfile").write_text(
        "FROM --platform=linux/arm64 a.io:5000/x AS one\nfrom b.io/y\nFROM busybox\nFROM one\nRUN FROM c.io/z\n"
    )
    assert base_registries(tmp_path, BuildOptions()) == ["a.io:5000", "b.io", "docker.io"]
