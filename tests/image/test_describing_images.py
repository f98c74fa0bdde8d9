"""Lists, documents, history and trees: equal to podman's on the same store."""

from __future__ import annotations

import json
from typing import Any

import pytest

from libpod.define.errors import (
    ImageError,
    ImageInUseError,
    InvalidArgumentError,
    LibpodError,
    NoSuchImageError,
)
from libpod.define.ids import new_id
from libpod.image.build import BuildOptions, build
from libpod.image.describing import history, inspect, summaries, tree
from libpod.image.filters import filtered
from libpod.image.local import LocalImages
from libpod.image.platforms import host_platform
from libpod.image.removing import prune, remove, remove_all
from libpod.storage.store import Store
from libpod.storage.stored import StoredContainer
from tests.image.image_sandbox import ImageSandbox

pytestmark = [pytest.mark.root, pytest.mark.podman]


@pytest.fixture(scope="module")
def family(box: ImageSandbox) -> dict[str, str]:
    """A base, an image built on it with cached steps, one with two names, and one without any."""
    ids = {"base": box.make("base:1", {"a": "a"}, "CMD x", "LABEL role=base", "ENV A=1")}
    context = box.top / "context"
    context.mkdir()
    (context / "file").write_text("content")
    (context / "Containerfile").write_text("FROM localhost/base:1\nCOPY file /one\nENV B=2\nCOPY file /two\n")
    ids["built"] = build(box.skopeo, context, BuildOptions(tags=["built:1"], format="docker"))
    ids["two"] = box.make("two:a", {"b": "b"})
    box.images.tag("two:a", ["quay.io/two:b"])
    ids["nameless"] = box.make(None, {"c": "c"}, "HEALTHCHECK CMD true")
    return ids


def test_the_list_is_podmans(box: ImageSandbox, family: dict[str, str]) -> None:
    ours = {summary.id: summary.document() for summary in summaries(box.images, include_intermediate=True)}
    theirs = {document["Id"]: document for document in box.podman_json("images", "-a", "--format", "json")}
    assert ours == theirs
    assert len(ours) > len(family), "the steps of the build are there"
    shown = {summary.id for summary in summaries(box.images)}
    assert shown == {document["Id"] for document in box.podman_json("images", "--format", "json")}


@pytest.mark.parametrize("which", ["base", "built", "two", "nameless"])
def test_the_document_is_podmans(box: ImageSandbox, family: dict[str, str], which: str) -> None:
    ours = inspect(box.images, family[which])
    theirs: dict[str, Any] = box.podman_json("image", "inspect", family[which])[0]
    if theirs["ManifestType"].endswith("oci.image.manifest.v1+json"):
        ours.pop("Healthcheck", None)  # podman does not look for it there
    assert json.loads(json.dumps(ours)) == theirs


def test_the_history_is_podmans(box: ImageSandbox, family: dict[str, str]) -> None:
    ours = history(box.images, "built:1")
    theirs = box.podman_json("history", "--format", "json", "built:1")
    assert [(entry.created_by, entry.size, entry.comment, entry.id) for entry in ours] == [
        (entry["CreatedBy"], entry["size"], entry.get("comment", ""), entry["id"]) for entry in theirs
    ]


def test_the_tree_has_podmans_layers(box: ImageSandbox, family: dict[str, str]) -> None:
    drawn = box.podman("image", "tree", "built:1")
    nodes = tree(box.images, "built:1")
    assert [node.layer_id[:12] for node in nodes] == [
        line.split("ID: ")[1][:12] for line in drawn.splitlines() if "── ID: " in line
    ]
    above = tree(box.images, "base:1", what_requires=True)
    assert above[0].tags == ("localhost/base:1",)
    assert {node.layer_id for node in nodes} <= {node.layer_id for node in above}


@pytest.mark.parametrize(
    "text", ["dangling=true", "dangling=false", "label=role", "label=role=base", "reference=localhost/*",
             "reference=two*", "reference=quay.io/two", "before=two:a", "since=base:1", "intermediate=true",
             "containers=false"],
)  # fmt: skip
def test_the_filters_choose_what_podmans_do(box: ImageSandbox, family: dict[str, str], text: str) -> None:
    theirs = {line for line in box.podman("images", "-aq", "--no-trunc", "--filter", text).split() if line}
    assert {f"sha256:{image.id}" for image in filtered(box.images, [text])} == theirs


def test_a_name_or_pattern_narrows_the_list(box: ImageSandbox, family: dict[str, str]) -> None:
    assert [summary.id for summary in summaries(box.images, name="base:1")] == [family["base"]]
    assert {summary.id for summary in summaries(box.images, name="quay.io/*")} == {family["two"]}
    assert summaries(box.images, name="nothing-of-the-kind*") == []


def test_an_image_with_broken_documents_spoils_nothing_but_itself(fresh: ImageSandbox) -> None:
    good, bad = fresh.make("good"), fresh.make("bad", {"x": "x"})
    for path in (fresh.graph / "overlay-images" / bad).iterdir():
        path.write_bytes(b"\x00garbage")
    assert {summary.id for summary in summaries(fresh.images)} == {good, bad}
    with pytest.raises(LibpodError) as caught:
        inspect(fresh.images, "bad")
    assert "\n" not in str(caught.value)
    remove(fresh.images, "bad")
    assert [image.id for image in fresh.images.all()] == [good]


def test_a_manifest_list_stands_for_the_image_of_this_machine_but_is_tagged_and_removed_itself(
    fresh: ImageSandbox,
) -> None:
    arch = host_platform()["architecture"]
    image_id = fresh.make("instance")
    fresh.buildah("manifest", "create", "thelist")
    fresh.buildah("manifest", "add", "--arch", arch, "thelist", fresh.reference("localhost/instance:latest"))
    listed = fresh.images.look_up("thelist").image
    assert listed.id != image_id
    assert fresh.images.find("thelist").id == image_id
    assert inspect(fresh.images, "thelist")["Id"] == image_id
    assert [each.id for each in filtered(fresh.images, ["manifest=true"])] == [listed.id]
    fresh.images.tag("thelist", ["other"])
    assert set(fresh.images.look_up("other").image.names) == {
        "localhost/other:latest",
        "localhost/thelist:latest",
    }
    remove(fresh.images, "other")
    remove(fresh.images, "instance")
    assert fresh.images.exists("thelist")
    with pytest.raises(ImageError, match="without its image"):
        fresh.images.find("thelist")
    assert {summary.id for summary in summaries(fresh.images)} == {listed.id}
    remove(fresh.images, "thelist")
    assert fresh.images.all() == []


# ---- tagging and removing, on a store of their own -------------------------------------------------------------


def test_tags_move_and_podman_sees_them(fresh: ImageSandbox) -> None:
    one, two = fresh.make("one"), fresh.make("two", {"x": "2"})
    fresh.images.tag("one", ["moving:1", "quay.io/x"])
    fresh.images.tag("two", ["moving:1"])
    assert fresh.images.find("moving:1").id == two
    assert fresh.podman_json("image", "inspect", "moving:1")[0]["Id"] == two
    assert fresh.images.find(one).names == ("quay.io/x:latest", "localhost/one:latest")
    with pytest.raises(InvalidArgumentError, match="has a digest"):
        fresh.images.tag("one", ["x@sha256:" + "0" * 64])
    with pytest.raises(NoSuchImageError, match="has no name"):
        fresh.images.untag("one", ["two"])
    fresh.images.untag("one", ["quay.io/x"])
    assert fresh.images.find(one).names == ("localhost/one:latest",)
    fresh.images.untag("one")
    assert fresh.images.find(one).names == ()
    assert (
        fresh.images.find(one).names_history[0] == "quay.io/x:latest" or fresh.images.find(one).names_history
    )


def test_removing_follows_the_rules(fresh: ImageSandbox) -> None:
    image_id = fresh.make("a")
    fresh.images.tag("a", ["b"])
    assert remove(fresh.images, "a")[0].untagged == ("localhost/a:latest",)
    ctr_id = new_id()
    fresh.store.create_container(ctr_id, name="user", image_id=image_id)
    with pytest.raises(ImageInUseError):
        remove(fresh.images, "b")
    removed: list[str] = []

    def remove_container(each: str) -> None:
        removed.append(each)
        fresh.store.delete_container(each)

    reports = remove(fresh.images, "b", force=True, remove_container=remove_container)
    assert removed == [ctr_id]
    assert reports[0].deleted
    assert reports[0].size > 0
    assert fresh.images.all() == []
    assert fresh.store.layers() == []
    with pytest.raises(NoSuchImageError):
        remove(fresh.images, "b")


def test_the_steps_of_a_build_go_with_it_and_a_parent_in_use_stays(fresh: ImageSandbox) -> None:
    base = fresh.make("base")
    context = fresh.top / "context"
    context.mkdir()
    (context / "file").write_text("x")
    (context / "Containerfile").write_text("FROM localhost/base\nCOPY file /1\nCOPY file /2\nCOPY file /3\n")
    built = build(fresh.skopeo, context, BuildOptions(tags=["built"]))
    assert len(fresh.images.all()) == 4
    reports = remove(fresh.images, "built")
    assert reports[0].id == built
    assert len(reports) == 3
    assert [image.id for image in fresh.images.all()] == [base]
    assert json.loads(fresh.podman("images", "-a", "--format", "json"))[0]["Id"] == base


def test_a_prune_removes_what_podman_would(fresh: ImageSandbox) -> None:
    used = fresh.make(None, {"u": "u"})
    loose = fresh.make(None, {"l": "l"})
    named = fresh.make("named")
    ctr_id = new_id()
    fresh.store.create_container(ctr_id, name="user", image_id=used)
    assert prune(fresh.images, filters=["label=nothing"]) == []
    assert [report.id for report in prune(fresh.images)] == [loose]
    assert prune(fresh.images) == []
    assert [report.id for report in prune(fresh.images, everything=True)] == [named]
    assert [image.id for image in fresh.images.all()] == [used]
    fresh.podman("image", "prune", "-af")
    assert [image.id for image in fresh.images.all()] == [used]


def test_removing_everything_reports_what_had_to_stay(fresh: ImageSandbox) -> None:
    used, free = fresh.make("used", {"u": "u"}), fresh.make("free")
    ctr_id = new_id()
    fresh.store.create_container(ctr_id, name="user", image_id=used)
    reports, errors = remove_all(fresh.images)
    assert [report.id for report in reports] == [free]
    assert list(errors) == [used]
    assert isinstance(errors[used], ImageInUseError)
    reports, errors = remove_all(fresh.images, force=True)
    assert not errors
    assert fresh.images.all() == []


class LateStore(Store):
    """A store in which somebody makes a container right after the containers were listed."""

    victim = ""

    def containers(self) -> list[StoredContainer]:
        before = super().containers()
        if self.victim and not before:
            self.create_container(new_id(), name="late", image_id=self.victim)
        return before


def test_an_image_that_gets_a_container_meanwhile_is_kept(fresh: ImageSandbox) -> None:
    store = LateStore.open(fresh.graph, fresh.run)
    assert isinstance(store, LateStore)
    store.victim = fresh.make(None)
    assert prune(LocalImages(store)) == []
    assert fresh.images.exists(store.victim)
