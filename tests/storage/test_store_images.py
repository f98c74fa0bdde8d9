"""Images: reading, names, removal."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable

import pytest

from libpod.define.errors import ImageInUseError, InvalidArgumentError, NoSuchImageError, StorageError
from libpod.storage import big_data
from libpod.storage.images import unneeded_layers
from libpod.storage.records import snapshot_of
from libpod.storage.store import Store
from libpod.storage.stored import StoredImage
from tests.storage.store_sandbox import BASE, UPPER, Sandbox

pytestmark = pytest.mark.root


@pytest.fixture
def base(store: Store) -> StoredImage:
    """The image with one layer, which is also the lower layer of the other."""
    return next(image for image in store.images() if BASE in image.names)


def test_what_skopeo_wrote_is_read(store: Store, image: StoredImage, base: StoredImage) -> None:
    assert {name for one in store.images() for name in one.names} == {BASE, UPPER}
    assert store.image(image.id) == image
    assert store.image("f" * 64) is None
    assert store.image(image.id[:12]) is None
    assert store.find_image(UPPER) == store.find_image(image.id[:12]) == store.find_image(image.id) == image
    manifest = store.image_data(image.id, "manifest")
    assert image.digest == "sha256:" + hashlib.sha256(manifest).hexdigest()
    assert image.digest in image.digests
    assert store.image_manifest(image.id) == json.loads(manifest)
    config = store.image_config(image.id)
    assert config["config"]["Labels"] == {"made": "by a test"}
    assert len(config["rootfs"]["diff_ids"]) == 2
    layers = {layer.id: layer for layer in store.layers()}
    top = layers[str(image.top_layer)]
    assert top.parent == base.top_layer
    assert top.diff_digest == config["rootfs"]["diff_ids"][1]


def test_sizes_are_those_of_podman(sandbox: Sandbox, store: Store, image: StoredImage) -> None:
    printed = json.loads(sandbox.podman("inspect", "--type", "image", UPPER))[0]
    assert store.image_size(image.id) == printed["Size"]
    layers = {layer.id: layer for layer in store.layers()}
    top = layers[str(image.top_layer)]
    assert store.root_fs_size(image.id) == (top.diff_size or 0) + (layers[str(top.parent)].diff_size or 0)


def test_missing_images_and_data_are_named(store: Store, image: StoredImage) -> None:
    with pytest.raises(NoSuchImageError):
        store.image_data("f" * 64, "manifest")
    with pytest.raises(NoSuchImageError):
        store.image_size("f" * 64)
    with pytest.raises(StorageError, match="has no data"):
        store.image_data(image.id, "nothing")


def test_names_are_set_added_and_removed_and_remembered(
    sandbox: Sandbox, store: Store, image: StoredImage, base: StoredImage
) -> None:
    changed = store.add_image_names(image.id, ["localhost/a:1", "localhost/b:1", "localhost/a:1"])
    assert changed.names == ("localhost/a:1", "localhost/b:1", UPPER)
    assert changed.names_history == (UPPER, "localhost/b:1", "localhost/a:1")
    assert store.remove_image_names(image.id, [UPPER, "localhost/never:1"]).names == (
        "localhost/a:1",
        "localhost/b:1",
    )
    assert store.set_image_names(image.id, [BASE]).names == (BASE,)
    assert store.image(base.id).names == ()  # type: ignore[union-attr]
    assert store.find_image(BASE) == store.image(image.id)
    assert sandbox.podman("image", "exists", BASE) == ""
    assert image.id[:12] in sandbox.podman("images")


def test_unknown_keys_of_an_image_survive_a_new_name(
    sandbox: Sandbox, store: Store, image: StoredImage
) -> None:
    file = sandbox.graph / "overlay-images/images.json"
    records = json.loads(file.read_text())
    for record in records:
        record["of-the-future"] = [1]
    file.write_text(json.dumps(records))
    store.add_image_names(image.id, ["localhost/a:1"])
    assert all(record["of-the-future"] == [1] for record in json.loads(file.read_text()))


def test_deleting_an_image_takes_the_layers_nobody_else_needs(
    sandbox: Sandbox, store: Store, image: StoredImage, base: StoredImage
) -> None:
    assert store.delete_image(image.id) == [image.top_layer]
    assert [one.id for one in store.images()] == [base.id]
    assert [layer.id for layer in store.layers()] == [base.top_layer]
    assert not (sandbox.graph / "overlay-images" / image.id).exists()
    assert not (sandbox.graph / "overlay-layers" / f"{image.top_layer}.tar-split.gz").exists()
    assert store.check() == []
    assert store.delete_image(base.id) == [base.top_layer]
    assert sandbox.podman("images", "-q") == ""
    assert os.listdir(sandbox.graph / "overlay/l") == []
    with pytest.raises(NoSuchImageError):
        store.delete_image(base.id)


def test_an_image_below_another_leaves_its_layers_to_that(
    store: Store, image: StoredImage, base: StoredImage
) -> None:
    assert store.delete_image(base.id) == []
    assert store.delete_image(image.id) == [image.top_layer, base.top_layer]
    assert store.layers() == []


def test_an_image_in_use_is_kept(store: Store, image: StoredImage, made: Callable[[str], str]) -> None:
    ctr_id = made("web")
    with pytest.raises(ImageInUseError, match=ctr_id[:12]):
        store.delete_image(image.id)
    store.delete_container(ctr_id)
    store.delete_image(image.id)


def test_an_image_of_an_additional_store_is_used_and_never_changed(
    sandbox: Sandbox, empty_sandbox: Sandbox, template: object
) -> None:
    from libpod.define.ids import new_id
    from libpod.storage.options import StoreOptions

    options = StoreOptions(additional_image_stores=(sandbox.graph,))
    before = snapshot(sandbox)
    store = empty_sandbox.open(options=options)
    image = store.find_image(UPPER)
    assert image is not None
    assert image.read_only
    assert store.image_config(image.id)["os"] == "linux"
    with pytest.raises(StorageError, match="additional store"):
        store.mount_image(image.id)
    ctr = store.create_container(new_id(), name="web", image_id=image.id)
    root = store.mount(ctr.id)
    assert (root / "etc/three").read_text() == "three\n"
    (root / "etc/one").unlink()
    assert [str(change) for change in store.changes(ctr.id)] == ["C /etc", "D /etc/one"]
    with pytest.raises(StorageError, match="read-only store"):
        store.delete_image(image.id)
    assert UPPER in empty_sandbox.podman(
        "--storage-opt", f"overlay.imagestore={sandbox.graph}", "ps", "-a", "--external"
    )
    store.unmount(ctr.id)
    renamed = store.add_image_names(image.id, ["localhost/mine:1"])
    assert not store.image(image.id).read_only  # type: ignore[union-attr]
    assert renamed.names == ("localhost/mine:1", UPPER)
    assert store.image_manifest(image.id) == json.loads(store.image_data(image.id, "manifest"))
    store.delete_container(ctr.id)
    assert store.delete_image(image.id) == []
    assert store.find_image(UPPER).read_only  # type: ignore[union-attr]
    assert snapshot(sandbox) == before


def snapshot(sandbox: Sandbox) -> list[tuple[str, float]]:
    """Everything in a graph root with its modification time, except directories that podman opens for locks."""
    return sorted(
        (os.path.join(directory, name), os.lstat(os.path.join(directory, name)).st_mtime_ns)
        for directory, _, names in os.walk(sandbox.graph)
        for name in names
        if not name.endswith(".lock")
    )


# ---- pure -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("manifest", "manifest"),
        ("a.1", "a.1"),
        ("a_b", "=YV9i"),
        ("A", "=QQ=="),
        ("sha256:ab", "=c2hhMjU2OmFi"),
        ("..", "=Li4="),
    ],
)
def test_a_key_of_big_data_becomes_a_file_name(key: str, name: str) -> None:
    assert big_data.file_name(key) == name


@pytest.mark.parametrize("key", ["", "aa?"])
def test_keys_without_a_file_name_are_refused(key: str) -> None:
    with pytest.raises(InvalidArgumentError):
        big_data.file_name(key)


def an_image(layer: str, mapped: tuple[str, ...] = ()) -> StoredImage:
    return StoredImage.of({"id": "i", "layer": layer, "mapped-layers": list(mapped)})


LAYERS = snapshot_of(
    [[{"id": "a"}, {"id": "b", "parent": "a"}, {"id": "c", "parent": "b"}, {"id": "m", "parent": "b"}]]
)
NONE = snapshot_of([[]])


def test_layers_go_down_to_the_base_with_the_mapped_copies_first() -> None:
    assert unneeded_layers(an_image("c", ("m",)), NONE, LAYERS, NONE) == ["m", "c", "b", "a"]


def test_a_layer_with_another_child_stops_the_walk() -> None:
    assert unneeded_layers(an_image("c"), NONE, LAYERS, NONE) == ["c"]


def test_the_top_of_another_image_stops_the_walk() -> None:
    others = snapshot_of([[{"id": "other", "layer": "b"}, {"id": "i", "layer": "c"}]])
    assert unneeded_layers(an_image("c", ("m",)), others, LAYERS, NONE) == ["m", "c"]


def test_a_layer_that_a_container_writes_to_stops_the_walk() -> None:
    containers = snapshot_of([[{"id": "x", "layer": "c"}]])
    assert unneeded_layers(an_image("c"), NONE, LAYERS, containers) == []


def test_an_image_without_layers_takes_none_along() -> None:
    assert unneeded_layers(StoredImage.of({"id": "i"}), NONE, LAYERS, NONE) == []
