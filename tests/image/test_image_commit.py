"""Commits: what is in the new layer, what the configuration says, and the same from podman."""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from libpod.define.errors import ImageError, InvalidArgumentError
from libpod.define.ids import new_id
from libpod.image.commit import CommitOptions, commit
from libpod.image.layout import Layout
from libpod.image.tree_tar import write_tree
from tests.image.image_sandbox import CREATED, ImageSandbox, checked
from tests.image.test_importing import facts

pytestmark = [pytest.mark.root]
FILES = {
    "etc/motd": "hello\n",
    "dir/a": "a",
    "dir/sub/b": "b",
    "replaced/x": "x",
    "gone/file": "y",
    "mode": "m",
}


def change(root: Path) -> None:
    """Everything that can happen to files, in a mounted container."""
    (root / "etc/motd").write_text("changed\n")
    (root / "dir/a").unlink()
    shutil.rmtree(root / "replaced")
    (root / "replaced").mkdir()
    (root / "replaced/new").write_text("new")
    shutil.rmtree(root / "gone")
    os.chmod(root / "mode", 0o4755)
    (root / "added").mkdir(mode=0o710)
    (root / "added/one").write_bytes(os.urandom(0) + b"one")
    os.link(root / "added/one", root / "added/two")
    os.symlink("/nowhere", root / "added/link")
    os.mknod(root / "added/device", stat.S_IFCHR | 0o600, os.makedev(1, 5))
    os.setxattr(root / "added/one", "user.k", b"\x00v")
    os.setxattr(
        root / "added/one", "security.capability", bytes.fromhex("0100000200040000000000000000000000000000")
    )
    os.chown(root / "added/one", 11, 22)
    Path(os.fsdecode(os.fsencode(root) + b"/odd \xff\n name")).write_text("odd")
    for folder, _, files in os.walk(root):
        for name in files:
            path = Path(folder) / name
            os.utime(path, (1_600_000_000, 1_600_000_000), follow_symlinks=False)
    for folder in ("added", "replaced", "dir", ""):
        os.utime(root / folder, (1_600_000_000, 1_600_000_000))


def container(box: ImageSandbox, image_id: str) -> str:
    ctr_id = new_id()
    box.store.create_container(ctr_id, name=f"c-{ctr_id[:12]}", image_id=image_id)
    change(box.store.mount(ctr_id))
    box.store.unmount(ctr_id)
    return ctr_id


def layer_facts(box: ImageSandbox, image_id: str) -> dict[bytes, tuple[object, ...]]:
    """The top layer as overlay has it, and which of its directories are opaque."""
    root = box.layer_files(image_id)
    found = facts(root)
    for folder, directories, _ in os.walk(root):
        for name in directories:
            path = os.path.join(folder, name)
            if "trusted.overlay.opaque" in os.listxattr(path):
                found[os.fsencode(os.path.relpath(path, root)) + b" opaque"] = ()
    return found


@pytest.mark.podman
def test_the_new_layer_is_the_same_as_the_one_of_podman(box: ImageSandbox) -> None:
    base = box.make("commit-base", FILES, "CMD x")
    ctr_id = container(box, base)
    ours = commit(
        box.skopeo, box.images, box.images.find(base), lambda sink: box.store.diff_tar(ctr_id, sink), "ours"
    )
    box.podman("create", "--name", "theirs", "commit-base", "x")
    change(Path(box.podman("mount", "theirs").strip()))
    box.podman("umount", "theirs")
    theirs = box.podman("commit", "-q", "theirs", "localhost/theirs:1").strip().removeprefix("sha256:")
    box.podman("rm", "theirs")
    assert layer_facts(box, ours) == layer_facts(box, theirs)
    assert b"replaced opaque" in layer_facts(box, ours)
    # Both show the same tree to a container.
    trees = []
    for image_id in (ours, theirs):
        ctr = new_id()
        box.store.create_container(ctr, name=f"t-{ctr[:12]}", image_id=image_id)
        trees.append(facts(box.store.mount(ctr)))
        box.store.delete_container(ctr)
    assert trees[0] == trees[1]


def test_the_configuration_is_the_bases_with_changes_and_one_more_step(box: ImageSandbox) -> None:
    base_id = box.make("config-base", None, "CMD old", "ENV A=1", "LABEL x=y")
    base = box.images.find(base_id)
    image_id = commit(
        box.skopeo, box.images, base, write_one, "configured:1",
        CommitOptions(
            author="me", message="why", created_by="sh -c x", created=CREATED,
            changes=["ENV B=2", "HEALTHCHECK CMD true", "USER 5"], annotations={"note": "n"},
        ),
    )  # fmt: skip
    image = box.images.find("configured:1")
    assert image.id == image_id
    settings, before = box.images.settings(image), box.images.settings(base)
    assert settings.env == ("A=1", "B=2")
    assert (settings.user, settings.author, settings.labels) == ("5", "me", {"x": "y"})
    assert settings.cmd == before.cmd
    assert settings.diff_ids[:-1] == before.diff_ids
    assert settings.history[:-1] == before.history
    assert settings.history[-1] == {
        "created": CREATED,
        "created_by": "sh -c x",
        "author": "me",
        "comment": "why",
    }
    assert settings.healthcheck == {"Test": ["CMD-SHELL", "true"]}
    assert box.images.manifest(image)["annotations"] == {"note": "n"}
    assert box.images.graph().parent(image) == base
    assert box.leftovers() == []


def test_the_settings_of_the_container_replace_those_of_the_image(box: ImageSandbox) -> None:
    base = box.images.find(box.make("replaced-base", None, "CMD old", "ENV A=1"))
    image_id = commit(
        box.skopeo, box.images, base, write_one, None,
        CommitOptions(defaults={"Env": ["C=3"], "Entrypoint": ["/init"]}, changes=["CMD new"]),
    )  # fmt: skip
    settings = box.images.settings(box.images.find(image_id))
    assert settings.env == ("C=3",)
    assert settings.command == ("/init", "/bin/sh", "-c", "new")
    assert box.images.find(image_id).names == ()


def write_one(sink: BinaryIO) -> None:
    import io
    import tarfile

    with tarfile.open(fileobj=sink, mode="w|") as tar:
        info = tarfile.TarInfo("one")
        info.size = 3
        tar.addfile(info, io.BytesIO(b"one"))


@pytest.mark.podman
@pytest.mark.parametrize(
    ("kind", "manifest_type"),
    [
        ("oci", "application/vnd.oci.image.manifest.v1+json"),
        ("docker", "application/vnd.docker.distribution.manifest.v2+json"),
    ],
)
def test_both_formats_are_understood_by_podman(box: ImageSandbox, kind: str, manifest_type: str) -> None:
    base = box.images.find(box.make(f"format-{kind}"))
    image_id = commit(
        box.skopeo, box.images, base, write_one, f"formatted-{kind}",
        CommitOptions(format=kind, changes=["HEALTHCHECK CMD true"]),
    )  # fmt: skip
    document = box.podman_json("image", "inspect", f"formatted-{kind}")[0]
    assert document["Id"] == image_id
    assert document["ManifestType"] == manifest_type
    if kind == "docker":
        assert document["Healthcheck"] == {"Test": ["CMD-SHELL", "true"]}
    checked(["skopeo", "inspect", box.reference(f"localhost/formatted-{kind}:latest")])


def test_a_squashed_image_has_one_layer_with_the_whole_tree(box: ImageSandbox) -> None:
    base_id = box.make("squash-base", FILES, "ENV A=1")
    ctr_id = container(box, base_id)
    root = box.store.mount(ctr_id)
    expected = facts(root)
    image_id = commit(
        box.skopeo, box.images, box.images.find(base_id), lambda sink: write_tree(root, sink), "squashed",
        CommitOptions(squash=True, created=CREATED),
    )  # fmt: skip
    box.store.delete_container(ctr_id)
    settings = box.images.settings(box.images.find("squashed"))
    assert len(settings.diff_ids) == len(settings.history) == 1
    assert settings.env == ("A=1",)
    assert facts(box.layer_files(image_id)) == expected


def test_a_container_from_nothing_becomes_an_image_too(box: ImageSandbox) -> None:
    image_id = commit(box.skopeo, box.images, None, write_one, None, CommitOptions(created=CREATED))
    settings = box.images.settings(box.images.find(image_id))
    assert settings.os == "linux"
    assert settings.architecture
    assert len(settings.diff_ids) == 1


def test_equal_commits_give_equal_images(box: ImageSandbox) -> None:
    base = box.images.find(box.make("equal-base"))
    ids = {
        commit(box.skopeo, box.images, base, write_one, name, CommitOptions(created=CREATED))
        for name in ("equal-a", "equal-b")
    }
    assert len(ids) == 1


def write_garbage(sink: BinaryIO) -> None:
    sink.write(b"x" * 600)


def test_an_error_of_the_writer_goes_through_and_nothing_is_left(box: ImageSandbox) -> None:
    before = [image.id for image in box.images.all()]

    def fail(sink: BinaryIO) -> None:
        sink.write(b"half")
        raise RuntimeError("the container changed")

    with pytest.raises(RuntimeError, match="changed"):
        commit(box.skopeo, box.images, None, fail, "never")
    with pytest.raises(ImageError):
        commit(box.skopeo, box.images, None, write_garbage, "never")
    with pytest.raises(InvalidArgumentError):
        CommitOptions(format="zip")
    with pytest.raises(InvalidArgumentError):
        commit(box.skopeo, box.images, None, write_one, "never", CommitOptions(changes=["NONSENSE x"]))
    assert [image.id for image in box.images.all()] == before
    assert box.leftovers() == []


def test_a_base_whose_layers_are_not_its_own_is_refused(box: ImageSandbox, fresh: ImageSandbox) -> None:
    fresh.make("torn")
    base = fresh.images.find("torn")
    path = fresh.graph / "overlay-layers/layers.json"
    layers: list[dict[str, Any]] = json.loads(path.read_text())
    layers[0]["diff-digest"] = "sha256:" + "0" * 64
    path.write_text(json.dumps(layers))
    with pytest.raises(ImageError, match="not those of its configuration"):
        commit(fresh.skopeo, fresh.images, base, write_one, "never")


def test_layouts_are_deterministic(tmp_path: Path) -> None:
    ids = set()
    for name in ("a", "b"):
        layout = Layout(tmp_path / name)
        with layout.layer() as sink:
            sink.write(b"layer")
        ids.add((sink.digest(), sink.size, layout.finish({"os": "linux"}, [])))
    assert len(ids) == 1
