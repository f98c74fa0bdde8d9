"""Archives of every kind: ours read by podman and skopeo, theirs by us, and those nobody should write."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from libpod.define.errors import ImageError, InvalidArgumentError, LibpodError, NoSuchImageError
from libpod.image.archives import ArchiveKind, recognise
from libpod.image.loading import load
from libpod.image.pull import pull
from libpod.image.saving import SaveFormat, SaveOptions, TargetExistsError, save
from libpod.image.skopeo_args import CopyOptions
from tests.image.image_sandbox import ImageSandbox, rootfs_tar

pytestmark = [pytest.mark.root]
FORMATS = list(SaveFormat)
SKOPEO_TRANSPORT = {
    SaveFormat.DOCKER_ARCHIVE: "docker-archive",
    SaveFormat.OCI_ARCHIVE: "oci-archive",
    SaveFormat.OCI_DIRECTORY: "oci",
    SaveFormat.DOCKER_DIRECTORY: "dir",
}


def config_digest(box: ImageSandbox, location: str) -> str:
    return str(json.loads(box.run_skopeo("inspect", "--raw", location))["config"]["digest"])


@pytest.mark.parametrize("kind", FORMATS)
def test_what_we_save_we_load_with_the_same_id_names_and_layers(
    box: ImageSandbox, fresh: ImageSandbox, tmp_path: Path, kind: SaveFormat
) -> None:
    image_id = box.make(f"own-{kind}:1")
    target = tmp_path / "saved"
    save(box.skopeo, box.images, [f"own-{kind}:1"], target, SaveOptions(format=kind))
    assert list(tmp_path.iterdir()) == [target]
    loaded = load(fresh.skopeo, fresh.images, target)
    assert [image.id for image in loaded] == [image_id]
    if kind is not SaveFormat.DOCKER_DIRECTORY:  # which has no place for a name
        assert loaded[0].names == (f"localhost/own-{kind}:1",)
        assert fresh.images.find(f"own-{kind}:1").id == image_id
    theirs, ours = fresh.images.find(image_id), box.images.find(image_id)
    assert theirs.top_layer == ours.top_layer
    assert fresh.leftovers() == box.leftovers() == []


@pytest.mark.parametrize("kind", FORMATS)
def test_skopeo_reads_what_we_save(box: ImageSandbox, tmp_path: Path, kind: SaveFormat) -> None:
    image_id = box.make(f"skopeo-{kind}:1")
    save(box.skopeo, box.images, [f"skopeo-{kind}:1"], tmp_path / "saved", SaveOptions(format=kind))
    assert config_digest(box, f"{SKOPEO_TRANSPORT[kind]}:{tmp_path}/saved") == f"sha256:{image_id}"


@pytest.mark.parametrize("kind", FORMATS)
def test_we_read_what_skopeo_writes(
    box: ImageSandbox, fresh: ImageSandbox, tmp_path: Path, kind: SaveFormat
) -> None:
    image_id = box.make(f"written-{kind}:1")
    suffix = "" if kind is SaveFormat.DOCKER_DIRECTORY else ":quay.io/theirs:2"
    box.run_skopeo(
        "copy",
        "-q",
        box.reference(f"localhost/written-{kind}:1"),
        f"{SKOPEO_TRANSPORT[kind]}:{tmp_path}/t{suffix}",
    )
    loaded = load(fresh.skopeo, fresh.images, tmp_path / "t")
    assert [image.id for image in loaded] == [image_id]
    assert loaded[0].names == (("quay.io/theirs:2",) if suffix else ())


@pytest.mark.podman
@pytest.mark.parametrize("kind", FORMATS)
def test_podman_loads_what_we_save(
    box: ImageSandbox, fresh: ImageSandbox, tmp_path: Path, kind: SaveFormat
) -> None:
    image_id = box.make(f"podman-{kind}:1")
    save(box.skopeo, box.images, [f"podman-{kind}:1"], tmp_path / "saved", SaveOptions(format=kind))
    fresh.podman("load", "-q", "-i", tmp_path / "saved")
    assert fresh.images.exists(image_id)


@pytest.mark.podman
@pytest.mark.parametrize("kind", FORMATS)
def test_we_load_what_podman_saves(
    box: ImageSandbox, fresh: ImageSandbox, tmp_path: Path, kind: SaveFormat
) -> None:
    image_id = box.make(f"bypodman-{kind}:1")
    box.podman("save", "-q", "--format", str(kind), "-o", tmp_path / "saved", f"bypodman-{kind}:1")
    assert [image.id for image in load(fresh.skopeo, fresh.images, tmp_path / "saved")] == [image_id]


@pytest.mark.parametrize(
    "kind", [SaveFormat.DOCKER_ARCHIVE, SaveFormat.OCI_ARCHIVE, SaveFormat.OCI_DIRECTORY]
)
def test_several_images_go_into_one_archive(
    box: ImageSandbox, fresh: ImageSandbox, tmp_path: Path, kind: SaveFormat
) -> None:
    one, two = box.make(f"one-{kind}"), box.make(f"two-{kind}")
    box.images.tag(one, [f"quay.io/alias-{kind}:7"])
    names = [f"one-{kind}", f"two-{kind}", f"quay.io/alias-{kind}:7"]
    save(box.skopeo, box.images, names, tmp_path / "saved", SaveOptions(format=kind))
    loaded = load(fresh.skopeo, fresh.images, tmp_path / "saved")
    assert {image.id for image in loaded} == {one, two}
    assert set(fresh.images.find(one).names) == {f"localhost/one-{kind}:latest", f"quay.io/alias-{kind}:7"}
    assert fresh.images.find(f"two-{kind}").id == two


@pytest.mark.podman
def test_podman_loads_our_archive_of_several_images_and_we_load_podmans(
    box: ImageSandbox, fresh: ImageSandbox, tmp_path: Path
) -> None:
    ids = {box.make("multi-a"), box.make("multi-b")}
    save(box.skopeo, box.images, ["multi-a", "multi-b"], tmp_path / "ours")
    fresh.podman("load", "-q", "-i", tmp_path / "ours")
    assert {image.id for image in fresh.images.all()} == ids
    box.podman("save", "-q", "-m", "-o", tmp_path / "theirs", "multi-a", "multi-b")
    assert {image.id for image in load(box.skopeo, box.images, tmp_path / "theirs")} == ids


@pytest.mark.parametrize("kind", [SaveFormat.DOCKER_ARCHIVE, SaveFormat.OCI_ARCHIVE])
def test_archives_travel_through_streams_and_compressed(
    box: ImageSandbox, fresh: ImageSandbox, tmp_path: Path, kind: SaveFormat
) -> None:
    image_id = box.make(f"stream-{kind}")
    buffer = io.BytesIO()
    save(box.skopeo, box.images, [f"stream-{kind}"], buffer, SaveOptions(format=kind))
    buffer.seek(0)
    assert [image.id for image in load(fresh.skopeo, fresh.images, buffer)] == [image_id]
    compressed = tmp_path / "with:colon"
    compressed.write_bytes(gzip.compress(buffer.getvalue()))
    assert recognise(compressed).compression == "gzip"
    assert [image.id for image in load(fresh.skopeo, fresh.images, compressed)] == [image_id]
    assert fresh.leftovers() == []


@pytest.mark.parametrize("kind", FORMATS)
def test_a_path_with_a_colon_works_too(box: ImageSandbox, tmp_path: Path, kind: SaveFormat) -> None:
    image_id = box.make(f"colon-{kind}")
    folder = tmp_path / "a:b"
    folder.mkdir()
    save(box.skopeo, box.images, [f"colon-{kind}"], folder / "c:d", SaveOptions(format=kind))
    assert [image.id for image in load(box.skopeo, box.images, folder / "c:d")] == [image_id]


def test_an_image_is_pulled_out_of_an_archive_by_its_transport(
    box: ImageSandbox, fresh: ImageSandbox, tmp_path: Path
) -> None:
    one, two = box.make("chosen-a:1"), box.make("chosen-b:1")
    save(box.skopeo, box.images, ["chosen-a:1", "chosen-b:1"], tmp_path / "s")
    assert pull(fresh.skopeo, fresh.images, f"docker-archive:{tmp_path}/s:localhost/chosen-b:1") == [two]
    assert not fresh.images.exists(one)
    assert pull(fresh.skopeo, fresh.images, f"docker-archive:{tmp_path}/s") == [one, two]
    with pytest.raises(NoSuchImageError):
        pull(fresh.skopeo, fresh.images, f"docker-archive:{tmp_path}/s:other")


def test_an_existing_target_is_refused_and_untouched(box: ImageSandbox, tmp_path: Path) -> None:
    box.make("there")
    (tmp_path / "file").write_text("precious")
    with pytest.raises(TargetExistsError):
        save(box.skopeo, box.images, ["there"], tmp_path / "file")
    assert (tmp_path / "file").read_text() == "precious"
    full = tmp_path / "full"
    full.mkdir()
    (full / "x").write_text("precious")
    with pytest.raises(TargetExistsError):
        save(box.skopeo, box.images, ["there"], full, SaveOptions(format=SaveFormat.OCI_DIRECTORY))
    empty = tmp_path / "empty"
    empty.mkdir()
    save(box.skopeo, box.images, ["there"], empty, SaveOptions(format=SaveFormat.OCI_DIRECTORY))
    assert (empty / "index.json").exists()


def test_requests_that_make_no_sense_are_refused(box: ImageSandbox, tmp_path: Path) -> None:
    box.make("sense-a")
    box.make("sense-b")
    with pytest.raises(InvalidArgumentError):
        save(box.skopeo, box.images, [], tmp_path / "x")
    with pytest.raises(NoSuchImageError):
        save(box.skopeo, box.images, ["nonesuch-zz"], tmp_path / "x")
    with pytest.raises(InvalidArgumentError, match="one image only"):
        save(
            box.skopeo, box.images, ["sense-a", "sense-b"], tmp_path / "x",
            SaveOptions(format=SaveFormat.DOCKER_DIRECTORY),
        )  # fmt: skip
    with pytest.raises(InvalidArgumentError, match="stream"):
        save(box.skopeo, box.images, ["sense-a"], io.BytesIO(), SaveOptions(format=SaveFormat.OCI_DIRECTORY))
    with pytest.raises(InvalidArgumentError, match="not a directory"):
        save(box.skopeo, box.images, ["sense-a"], tmp_path / "none/x")
    assert list(tmp_path.iterdir()) == []


# ---- hostile archives -----------------------------------------------------------------------------------------


def tar_of(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


OCI = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}
HOSTILE = {
    "nothing": b"",
    "noise": bytes(range(256)) * 100,
    "text": b"hello\n",
    "a root file system": rootfs_tar({"etc/passwd": "x"}),
    "gzip of noise": gzip.compress(os.urandom(4000)),
    "broken gzip": gzip.compress(rootfs_tar({"a": "b"}))[:-20],
    "a manifest that is no JSON": tar_of({"manifest.json": b"{"}),
    "a manifest that is no list": tar_of({"manifest.json": b"{}"}),
    "a manifest without images": tar_of({"manifest.json": b"[]"}),
    "a manifest of garbage": tar_of({"manifest.json": b"[1, 2]"}),
    "a manifest without its config": tar_of({"manifest.json": b'[{"Config":"x.json","RepoTags":["a:1"],"Layers":[]}]'}),
    "a manifest with paths": tar_of(
        {"manifest.json": b'[{"Config":"../../../etc/passwd","RepoTags":["a:1"],"Layers":["../../etc/shadow"]}]'}
    ),
    "a deep manifest": tar_of({"manifest.json": b"[" * 100_000}),
    "an index without manifests": tar_of({**OCI, "index.json": b'{"schemaVersion":2,"manifests":[]}'}),
    "an index of garbage": tar_of({**OCI, "index.json": b'{"schemaVersion":2,"manifests":[7]}'}),
    "an index of a missing blob": tar_of(
        {**OCI, "index.json": json.dumps({"schemaVersion": 2, "manifests": [
            {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "sha256:" + "0" * 64, "size": 2}
        ]}).encode()}
    ),
    "an index with a path for a digest": tar_of(
        {**OCI, "index.json": json.dumps({"schemaVersion": 2, "manifests": [
            {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "sha256:../../etc/passwd", "size": 2}
        ]}).encode()}
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_garbage_is_refused_in_one_sentence_and_leaves_nothing(
    box: ImageSandbox, tmp_path: Path, what: str
) -> None:
    before = [image.id for image in box.images.all()]
    path = tmp_path / "archive"
    path.write_bytes(HOSTILE[what])
    with pytest.raises(LibpodError) as caught:
        load(box.skopeo, box.images, path)
    assert isinstance(caught.value, (ImageError, NoSuchImageError))
    assert "\n" not in str(caught.value)
    assert "Traceback" not in str(caught.value.details)
    assert [image.id for image in box.images.all()] == before
    assert box.leftovers() == []


def test_a_huge_index_is_not_read(box: ImageSandbox, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(tar_of({"manifest.json": b" " * (5 << 20)}))
    with pytest.raises(ImageError, match="is not read"):
        load(box.skopeo, box.images, tmp_path / "big")


@pytest.mark.parametrize("what", ["config", "layer"])
def test_a_blob_that_is_not_what_its_digest_says_is_refused(
    box: ImageSandbox, fresh: ImageSandbox, tmp_path: Path, what: str
) -> None:
    image_id = box.make("forged")
    save(box.skopeo, box.images, ["forged"], tmp_path / "l", SaveOptions(format=SaveFormat.OCI_DIRECTORY))
    blobs = tmp_path / "l/blobs/sha256"
    index = json.loads((tmp_path / "l/index.json").read_text())
    manifest = json.loads((blobs / index["manifests"][0]["digest"].partition(":")[2]).read_text())
    described = manifest["config"] if what == "config" else manifest["layers"][0]
    blob = blobs / described["digest"].partition(":")[2]
    data = bytearray(blob.read_bytes())
    data[len(data) // 2] ^= 1
    blob.write_bytes(data)
    with pytest.raises(ImageError):
        load(fresh.skopeo, fresh.images, tmp_path / "l")
    assert not fresh.images.exists(image_id)


def test_names_that_are_no_names_are_left_out(box: ImageSandbox, fresh: ImageSandbox, tmp_path: Path) -> None:
    image_id = box.make("renamed:1")
    save(box.skopeo, box.images, ["renamed:1"], tmp_path / "a")
    with tarfile.open(tmp_path / "a") as tar:
        members = {m.name: tar.extractfile(m).read() for m in tar if m.isreg()}  # type: ignore[union-attr]
    manifest = json.loads(members["manifest.json"])
    manifest[0]["RepoTags"] = ["localhost/renamed:1", "Not A Name", "../../x"]
    members["manifest.json"] = json.dumps(manifest).encode()
    members.pop("repositories", None)
    (tmp_path / "b").write_bytes(tar_of(members))
    try:
        loaded = load(fresh.skopeo, fresh.images, tmp_path / "b")
    except ImageError:
        return  # this skopeo refuses the archive as a whole, which is as good
    assert loaded[0].id == image_id
    assert loaded[0].names == ("localhost/renamed:1",)


@pytest.mark.parametrize("kind", [SaveFormat.OCI_DIRECTORY, SaveFormat.DOCKER_DIRECTORY])
def test_directories_are_recognised(box: ImageSandbox, tmp_path: Path, kind: SaveFormat) -> None:
    box.make("recognised")
    save(box.skopeo, box.images, ["recognised"], tmp_path / "d", SaveOptions(format=kind))
    expected = {
        SaveFormat.OCI_DIRECTORY: ArchiveKind.OCI_LAYOUT,
        SaveFormat.DOCKER_DIRECTORY: ArchiveKind.DOCKER_DIRECTORY,
    }
    assert recognise(tmp_path / "d").kind is expected[kind]
    shutil.rmtree(tmp_path / "d")
    (tmp_path / "d").mkdir()
    with pytest.raises(ImageError, match="not an image archive"):
        recognise(tmp_path / "d")


def nested(layout: Path, *architectures: str) -> None:
    """Put the one image of a layout into an index of its own, as several tools do, under more platforms."""
    blobs = layout / "blobs/sha256"
    index = json.loads((layout / "index.json").read_text())
    entry = index["manifests"][0]
    inner = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [
            {
                "mediaType": entry["mediaType"],
                "size": entry["size"],
                "digest": entry["digest"] if arch == "amd64" else "sha256:" + "0" * 64,
                "platform": {"os": "linux", "architecture": arch},
            }
            for arch in architectures
        ],
    }
    data = json.dumps(inner).encode()
    digest = hashlib.sha256(data).hexdigest()
    (blobs / digest).write_bytes(data)
    outer = {"mediaType": inner["mediaType"], "digest": f"sha256:{digest}", "size": len(data)}
    index["manifests"] = [outer | {"annotations": entry.get("annotations", {})}]
    (layout / "index.json").write_text(json.dumps(index))


def test_an_index_inside_of_a_layout_gives_the_image_for_the_platform(
    box: ImageSandbox, fresh: ImageSandbox, tmp_path: Path
) -> None:
    image_id = box.make("nested:1")
    save(box.skopeo, box.images, ["nested:1"], tmp_path / "l", SaveOptions(format=SaveFormat.OCI_DIRECTORY))
    nested(tmp_path / "l", "s390x", "amd64")
    wish = CopyOptions(platform={"os": "linux", "architecture": "amd64"})
    loaded = load(fresh.skopeo, fresh.images, tmp_path / "l", options=wish)
    assert [(image.id, image.names) for image in loaded] == [(image_id, ("localhost/nested:1",))]
    nested(tmp_path / "l", "s390x")
    with pytest.raises(LibpodError):
        load(fresh.skopeo, fresh.images, tmp_path / "l", options=wish)


def test_several_images_without_names_cannot_be_chosen(box: ImageSandbox, tmp_path: Path) -> None:
    box.make("unnamed:1")
    save(box.skopeo, box.images, ["unnamed:1"], tmp_path / "l", SaveOptions(format=SaveFormat.OCI_DIRECTORY))
    index = json.loads((tmp_path / "l/index.json").read_text())
    index["manifests"][0].pop("annotations")
    index["manifests"] *= 2
    (tmp_path / "l/index.json").write_text(json.dumps(index))
    with pytest.raises(ImageError, match="without names"):
        load(box.skopeo, box.images, tmp_path / "l")


def test_what_docker_makes_with_its_newer_versions_is_read_as_oci(
    box: ImageSandbox, fresh: ImageSandbox, tmp_path: Path
) -> None:
    """Such archives are an OCI layout with a manifest.json beside it."""
    image_id = box.make("hybrid:3")
    save(box.skopeo, box.images, ["hybrid:3"], tmp_path / "l", SaveOptions(format=SaveFormat.OCI_DIRECTORY))
    (tmp_path / "l/manifest.json").write_text("[]")
    subprocess.run(["tar", "-C", tmp_path / "l", "-cf", tmp_path / "a", "."], check=True)
    assert recognise(tmp_path / "a").kind is ArchiveKind.OCI_ARCHIVE
    assert [image.id for image in load(fresh.skopeo, fresh.images, tmp_path / "a")] == [image_id]
