"""Parents, children, history, filters and prune candidates, all without a store."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from libpod.define.errors import ImageError, ImageInUseError, InvalidArgumentError, NoSuchImageError
from libpod.image.filters import FilterContext, apply_filters, matches_reference, parse_moment
from libpod.image.graph import MISSING, ImageGraph
from libpod.image.look_up import FoundImage, look_up
from libpod.image.registries import RegistriesConfig
from libpod.image.removing import plan_removal, prune_candidates
from libpod.spec.image import History, ImageSettings
from libpod.storage.stored import StoredImage
from tests.image.stored import digest, image, layer


def settings(layers: str, *steps: str, labels: Mapping[str, str] | None = None) -> ImageSettings:
    """One letter per layer, one text per step of the history; a step in lower case adds no layer."""
    history: list[History] = []
    for step in steps:
        entry: History = {"created_by": step}
        if step.islower():
            entry["empty_layer"] = True
        history.append(entry)
    return ImageSettings(
        diff_ids=tuple(digest(letter) for letter in layers), history=tuple(history), labels=labels or {}
    )


BASE = image("base", "localhost/base:1", layer="A", created="2024-01-01T00:00:00Z")
STEP = image("step", layer="A", created="2024-01-02T00:00:00Z")
APP = image("app", "localhost/app:1", layer="B", created="2024-01-03T00:00:00Z")
LOOSE = image("loose", layer="C", created="2024-01-04T00:00:00Z")
TWIN = image("twin", "quay.io/twin:2", layer="A", created="2024-01-05T00:00:00Z")
BROKEN = image("broken", layer="Z")
FOREIGN = image("foreign", layer="C", read_only=True)
SETTINGS = {
    BASE.id: settings("A", "ADD"),
    STEP.id: settings("A", "ADD", "env"),
    APP.id: settings("AB", "ADD", "env", "COPY", labels={"role": "web", "v": "1"}),
    LOOSE.id: settings("C", "OTHER"),
    TWIN.id: settings("A", "DIFFERENT"),
    FOREIGN.id: settings("C", "OTHER"),
}
LAYERS = [layer("A", size=100), layer("B", "A", size=20), layer("C", size=7)]


def read(stored: StoredImage) -> ImageSettings:
    try:
        return SETTINGS[stored.id]
    except KeyError:
        raise ImageError("damaged") from None


def graph(*more: StoredImage) -> ImageGraph:
    return ImageGraph([BASE, STEP, APP, LOOSE, TWIN, BROKEN, *more], LAYERS, read)


def test_a_parent_is_one_step_and_the_same_beginning_behind() -> None:
    g = graph()
    assert g.parent(APP) == STEP
    assert g.parent(STEP) == BASE
    assert g.parent(BASE) is None
    assert g.children(BASE) == [STEP]
    assert g.children(STEP) == [APP]
    assert g.children(TWIN) == [], "an equal layer alone makes no relatives"


def test_dangling_and_intermediate_differ_by_children() -> None:
    g = graph()
    assert [each for each in g.images if g.is_dangling(each)] == [LOOSE, BROKEN]
    assert [each for each in g.images if g.is_intermediate(each)] == [STEP]


def test_sizes_count_each_layer_once_and_the_documents() -> None:
    g = graph()
    assert g.size(APP) == 130
    assert g.shared_size(APP) == 100
    assert g.size(BROKEN) == 10


def test_the_history_gives_layers_and_images_their_places() -> None:
    entries = graph().history(APP)
    assert [(entry.created_by, entry.size) for entry in entries] == [("COPY", 20), ("env", 0), ("ADD", 100)]
    assert entries[0].id == APP.id
    assert entries[2].id == MISSING or entries[2].id in {BASE.id, STEP.id, TWIN.id}
    assert graph().history(BASE)[0].id == BASE.id


def test_the_tree_shows_what_is_below_and_what_is_above() -> None:
    g = graph()
    assert [(node.layer_id, node.depth) for node in g.tree(APP)] == [("A", 0), ("B", 1)]
    assert [(node.layer_id, node.depth) for node in g.tree_above(BASE)] == [("A", 0), ("B", 1)]
    assert g.tree(APP)[0].tags == ("localhost/base:1", "quay.io/twin:2")


def test_a_ring_of_layers_ends() -> None:
    ring = ImageGraph([image("ring", layer="X")], [layer("X", "Y"), layer("Y", "X")], read)
    assert len(ring.chain(ring.images[0])) <= 3
    assert ring.tree_above(ring.images[0])


# ---- filters --------------------------------------------------------------------------------------------------


def context(g: ImageGraph, used: tuple[str, ...] = ()) -> FilterContext:
    return FilterContext(
        graph=g,
        find=lambda text: look_up(g.images, text, RegistriesConfig()).image,
        used_images=used,
        is_list=lambda each: False,
        now_ns=1_704_326_400_000_000_000,  # 2024-01-04
    )


def chosen(*filters: str, used: tuple[str, ...] = ()) -> list[StoredImage]:
    g = graph(FOREIGN)
    return apply_filters(g.images, filters, context(g, used))


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (["dangling=true"], [LOOSE, BROKEN, FOREIGN]),
        (["intermediate=true"], [STEP]),
        (["readonly=true"], [FOREIGN]),
        (["label=role"], [APP]),
        (["label=role=web", "label=v=1"], [APP]),
        (["label=role=db"], []),
        (["reference=localhost/*"], [BASE, APP]),
        (["reference=*app*"], [APP]),
        (["reference=base"], [BASE]),
        (["reference=quay.io/*:2"], [TWIN]),
        (["reference!=*", "dangling=false"], [STEP]),
        ([f"id={APP.id[:5]}"], [APP]),
        ([f"digest={digest('manifest of app')[:20]}"], [APP]),
        (["before=app:1", "dangling=false"], [BASE, STEP]),
        (["since=app:1", "dangling=false"], [TWIN]),
        (["after=app:1", "readonly=false", "dangling=false"], [TWIN]),
        (["until=2024-01-02T12:00:00", "dangling=false"], [BASE, STEP]),
        (["until=36h", "dangling=false"], [BASE, STEP]),
        (["manifest=true"], []),
    ],
)
def test_a_filter_chooses(filters: list[str], expected: list[StoredImage]) -> None:
    assert chosen(*filters) == expected


def test_containers_are_a_filter_too() -> None:
    assert chosen("containers=true", used=(APP.id,)) == [APP]


@pytest.mark.parametrize("text", ["", "dangling", "what=1", "dangling=maybe", "until=soon", "digest=abc"])
def test_what_is_no_filter_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError):
        chosen(text)


def test_an_unknown_image_in_a_filter_is_a_missing_image() -> None:
    with pytest.raises(NoSuchImageError):
        chosen("before=nonesuch")


def test_a_star_does_not_cross_a_slash() -> None:
    assert matches_reference(image("x", "quay.io/a/b:1"), "quay.io/*/b")
    assert not matches_reference(image("x", "quay.io/a/b:1"), "quay.io/*")
    assert matches_reference(image("x", "quay.io/a/b:1"), "[a-c]")
    assert not matches_reference(image("x", "quay.io/a/b:1"), "[^a-c]")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1704067200", 1_704_067_200),
        ("1704067200.5", 1_704_067_200.5),
        ("2024-01-01", 1_704_067_200),
        ("2024-01-01T01:00", 1_704_070_800),
        ("2024-01-01T01:00:00+01:00", 1_704_067_200),
        ("10m", 1_000_000_000 - 600),
    ],
)
def test_times_are_read_as_people_write_them(text: str, seconds: float) -> None:
    assert parse_moment(text, now_ns=10**18) == int(seconds * 10**9)


# ---- removal --------------------------------------------------------------------------------------------------


def test_a_prune_takes_what_is_dangling_and_unused() -> None:
    g = graph(FOREIGN)
    assert prune_candidates(g, used_images=[LOOSE.id]) == [BROKEN]
    assert prune_candidates(g, used_images=[]) == [LOOSE, BROKEN]


def test_a_prune_of_everything_takes_children_before_their_parents() -> None:
    taken = prune_candidates(graph(FOREIGN), used_images=[TWIN.id], everything=True)
    assert {each.id for each in taken} == {each.id for each in (BASE, STEP, APP, LOOSE, BROKEN)}
    assert taken.index(APP) < taken.index(STEP) < taken.index(BASE)


TWO = image("two", "localhost/a:1", "localhost/b:1", layer="A")


def test_one_of_several_names_goes_alone() -> None:
    plan = plan_removal(FoundImage(image=TWO, name="localhost/a:1"), users=["c"])
    assert (plan.untag, plan.delete) == (("localhost/a:1",), False)


def test_by_id_several_names_need_force() -> None:
    with pytest.raises(ImageError, match="several names"):
        plan_removal(FoundImage(image=TWO, name=""), users=[])
    assert plan_removal(FoundImage(image=TWO, name=""), users=[], force=True).delete
    assert plan_removal(FoundImage(image=TWO, name=""), users=[], whole=True).delete


def test_the_last_name_takes_the_image_along_unless_a_container_needs_it() -> None:
    found = FoundImage(image=BASE, name="localhost/base:1")
    assert plan_removal(found, users=[]).delete
    with pytest.raises(ImageInUseError):
        plan_removal(found, users=["c1"])
    assert plan_removal(found, users=["c1"], force=True).containers == ("c1",)


def test_an_image_of_a_read_only_store_stays() -> None:
    with pytest.raises(ImageError, match="read-only"):
        plan_removal(FoundImage(image=FOREIGN, name=""), users=[], force=True)
