"""Containers in the store: creating, renaming, deleting; what is on disk afterwards."""

from __future__ import annotations

import json
import os
from collections.abc import Callable

import pytest

from libpod.define.errors import (
    ContainerExistsError,
    InvalidArgumentError,
    NoSuchContainerError,
    NoSuchImageError,
    StorageError,
)
from libpod.define.ids import new_id
from libpod.storage.overlay import OverlayDriver
from libpod.storage.store import Store
from libpod.storage.stored import StoredImage
from tests.storage.store_sandbox import Sandbox

pytestmark = pytest.mark.root


def test_a_container_is_recorded_as_podman_does_it(
    sandbox: Sandbox, store: Store, image: StoredImage
) -> None:
    ctr_id = new_id()
    made = store.create_container(
        ctr_id, name="web", image_id=image.id, image_name="localhost/upper:1", metadata={"more": 1}
    )
    (record,) = sandbox.json("G/overlay-containers/containers.json")
    assert record["id"] == ctr_id
    assert record["names"] == ["web"]
    assert record["image"] == image.id
    assert record["layer"] == made.layer_id
    assert (record["flags"]["MountLabel"], record["flags"]["ProcessLabel"]) == ("", "")
    metadata = json.loads(record["metadata"])
    created_at = metadata.pop("created-at")
    assert metadata == {"image-name": "localhost/upper:1", "image-id": image.id, "name": "web", "more": 1}
    assert isinstance(created_at, int)
    layer = sandbox.json("G/overlay-layers/layers.json")[-1]
    assert layer["id"] == made.layer_id
    assert layer["names"] == ["web-layer"]
    assert layer["parent"] == image.top_layer
    assert "incomplete" not in layer["flags"]
    assert store.container(ctr_id) == made == store.containers()[0]
    for directory in (store.container_directory(ctr_id), store.container_run_directory(ctr_id)):
        assert directory.is_dir()
        assert directory.stat().st_mode & 0o777 == 0o700
    assert store.container_directory(ctr_id) == sandbox.graph / "overlay-containers" / ctr_id / "userdata"
    assert store.container_run_directory(ctr_id) == sandbox.run / "overlay-containers" / ctr_id / "userdata"


def test_the_long_lists_are_written_once_to_create_and_once_to_delete(
    sandbox: Sandbox, store: Store, image: StoredImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    ctr_id = new_id()
    store.create_container(ctr_id, name="first", image_id=image.id)
    rename = os.rename
    written: list[str] = []

    def watched(old: str, new: os.PathLike[str] | str) -> None:
        written.append(os.path.basename(new))
        rename(old, new)

    monkeypatch.setattr(os, "rename", watched)
    for change in (
        lambda: store.create_container(new_id(), name="second", image_id=image.id),
        lambda: store.delete_container(ctr_id),
    ):
        written.clear()
        change()
        assert written.count("layers.json") == 1
        assert written.count("containers.json") == 1
        assert not (sandbox.graph / "overlay-layers/volatile-layers.json").exists()


def test_an_incomplete_layer_is_in_the_volatile_file_as_long_as_it_is_made_or_removed(
    sandbox: Sandbox, store: Store, image: StoredImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[bool, bool]] = []

    def watch(operation: str) -> None:
        original = getattr(OverlayDriver, operation)

        def watched(self: OverlayDriver, layer_id: str, *more: object) -> None:
            stable = {record["id"] for record in sandbox.json("G/overlay-layers/layers.json")}
            volatile = {r["id"]: r for r in sandbox.json("G/overlay-layers/volatile-layers.json")}
            seen.append((layer_id in stable, volatile[layer_id]["flags"]["incomplete"]))
            original(self, layer_id, *more)

        monkeypatch.setattr(OverlayDriver, operation, watched)

    watch("create")
    watch("remove")
    ctr_id = new_id()
    store.create_container(ctr_id, name="web", image_id=image.id)
    store.delete_container(ctr_id)
    assert seen == [(False, True), (False, True)]


def test_the_layer_directory_has_what_the_format_asks_for(
    sandbox: Sandbox, store: Store, image: StoredImage
) -> None:
    made = store.create_container(new_id(), name="a", image_id=image.id)
    directory = sandbox.layer_directory(made.layer_id)
    home = directory.parent
    link = (directory / "link").read_text()
    assert len(link) == 26
    assert os.readlink(home / "l" / link) == f"../{made.layer_id}/diff"
    layers = {layer.id: layer for layer in store.layers()}
    top = str(image.top_layer)
    below = [top, str(layers[top].parent)]
    links = [(home / layer / "link").read_text() for layer in below]
    assert (directory / "lower").read_text() == ":".join(f"l/{name}" for name in links)
    assert (directory / "lower-layers").read_text() == ":".join(below)
    assert sorted(os.listdir(directory)) == ["diff", "link", "lower", "lower-layers", "merged", "work"]
    parent = (home / top / "diff").stat()
    assert (directory / "diff").stat().st_mode == parent.st_mode
    for name in ("work", "merged", "."):
        assert (directory / name).stat().st_mode & 0o777 == 0o700


def test_a_strange_umask_changes_no_mode(sandbox: Sandbox, store: Store, image: StoredImage) -> None:
    before = os.umask(0o077)
    try:
        made = store.create_container(new_id(), name="a", image_id=image.id)
    finally:
        os.umask(before)
    directory = sandbox.layer_directory(made.layer_id)
    parent = (directory.parent / str(image.top_layer) / "diff").stat()
    assert (directory / "diff").stat().st_mode == parent.st_mode
    assert (directory / "link").stat().st_mode & 0o777 == 0o644
    assert (directory / "lower").stat().st_mode & 0o777 == 0o644


def test_a_container_without_image_is_empty_and_mounts(sandbox: Sandbox, store: Store) -> None:
    made = store.create_container(new_id(), name="scratch", image_id=None)
    directory = sandbox.layer_directory(made.layer_id)
    assert (directory / "empty").is_dir()
    assert (directory / "diff").stat().st_mode & 0o777 == 0o555
    target = store.mount(made.id)
    (target / "file").write_text("x")
    assert (directory / "diff/file").read_text() == "x"
    assert made.image_id is None


def test_an_id_or_name_that_is_taken_is_refused_and_leaves_nothing(
    sandbox: Sandbox, store: Store, image: StoredImage, made: Callable[[str], str]
) -> None:
    ctr_id = made("web")
    before = sandbox.json("G/overlay-layers/layers.json"), os.listdir(sandbox.graph / "overlay")
    with pytest.raises(ContainerExistsError, match='"web"'):
        store.create_container(new_id(), name="web", image_id=image.id)
    with pytest.raises(ContainerExistsError, match=ctr_id):
        store.create_container(ctr_id, name="other", image_id=image.id)
    assert (sandbox.json("G/overlay-layers/layers.json"), os.listdir(sandbox.graph / "overlay")) == before


def test_an_unknown_image_and_a_wrong_id_are_refused(store: Store) -> None:
    with pytest.raises(NoSuchImageError):
        store.create_container(new_id(), name="a", image_id="f" * 64)
    with pytest.raises(InvalidArgumentError):
        store.create_container("../../etc", name="a", image_id=None)
    with pytest.raises(InvalidArgumentError):
        store.create_container(new_id(), name="", image_id=None)


def test_an_image_whose_layer_is_gone_is_refused_in_a_sentence(
    sandbox: Sandbox, store: Store, image: StoredImage
) -> None:
    file = sandbox.graph / "overlay-layers/layers.json"
    file.write_text(json.dumps([r for r in json.loads(file.read_text()) if r["id"] != image.top_layer]))
    with pytest.raises(StorageError, match=r"top layer .* is missing"):
        store.create_container(new_id(), name="a", image_id=image.id)


def test_a_failure_while_the_directory_is_made_takes_the_record_back(
    sandbox: Sandbox, store: Store, image: StoredImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    symlink = os.symlink

    def refuse(source: str, target: str, **_: object) -> None:
        raise OSError(28, "No space left on device")

    before = sandbox.json("G/overlay-layers/layers.json"), sorted(os.listdir(sandbox.graph / "overlay"))
    monkeypatch.setattr(os, "symlink", refuse)
    with pytest.raises(StorageError, match="No space left"):
        store.create_container(new_id(), name="a", image_id=image.id)
    monkeypatch.setattr(os, "symlink", symlink)
    assert (
        sandbox.json("G/overlay-layers/layers.json"),
        sorted(os.listdir(sandbox.graph / "overlay")),
    ) == before
    assert store.check() == []


def test_renaming_takes_effect_and_refuses_a_taken_name(store: Store, made: Callable[[str], str]) -> None:
    one, two = made("one"), made("two")
    store.rename_container(one, "new")
    assert store.container(one).names == ("new",)  # type: ignore[union-attr]
    with pytest.raises(ContainerExistsError):
        store.rename_container(one, "two")
    store.rename_container(two, "two")
    with pytest.raises(NoSuchContainerError):
        store.rename_container("f" * 64, "x")


def test_deleting_takes_everything_away_and_may_be_repeated(
    sandbox: Sandbox, store: Store, image: StoredImage, made: Callable[[str], str]
) -> None:
    before = sorted(os.listdir(sandbox.graph / "overlay")), sorted(os.listdir(sandbox.graph / "overlay/l"))
    ctr_id = made("web")
    (store.mount(ctr_id) / "file").write_text("x")
    (store.container_directory(ctr_id) / "config.json").write_text("{}")
    store.delete_container(ctr_id)
    store.delete_container(ctr_id)
    after = sorted(os.listdir(sandbox.graph / "overlay")), sorted(os.listdir(sandbox.graph / "overlay/l"))
    assert after == before
    assert store.container(ctr_id) is None
    assert not store.container_directory(ctr_id).parent.exists()
    assert not store.container_run_directory(ctr_id).parent.exists()
    assert sandbox.json("R/overlay-layers/mountpoints.json") == []
    assert store.check() == []


@pytest.mark.parametrize("missing", ["layer record", "layer directory", "both", "link", "userdata"])
def test_deleting_finishes_what_was_begun(
    sandbox: Sandbox, store: Store, made: Callable[[str], str], missing: str
) -> None:
    ctr_id = made("web")
    layer = store.container(ctr_id).layer_id  # type: ignore[union-attr]
    if missing in ("layer record", "both"):
        file = sandbox.graph / "overlay-layers/layers.json"
        file.write_text(json.dumps([r for r in json.loads(file.read_text()) if r["id"] != layer]))
    if missing in ("layer directory", "both"):
        store.driver.remove(layer)
    if missing == "link":
        (sandbox.layer_directory(layer) / "link").unlink()
    if missing == "userdata":
        os.rmdir(store.container_directory(ctr_id))
    store.delete_container(ctr_id)
    assert store.container(ctr_id) is None
    assert not sandbox.layer_directory(layer).exists()
    assert layer not in [other.id for other in store.layers()]


def test_directories_without_a_record_are_removed_too(store: Store, made: Callable[[str], str]) -> None:
    ctr_id = made("web")
    userdata = store.container_directory(ctr_id)
    store.delete_container(ctr_id)
    userdata.mkdir(parents=True)
    store.delete_container(ctr_id)
    assert not userdata.parent.exists()


def test_an_empty_link_file_costs_no_other_layer_its_link(
    sandbox: Sandbox, store: Store, made: Callable[[str], str]
) -> None:
    """The way in which podman loses all links of a store."""
    kept, broken = made("kept"), made("broken")
    layer = store.container(broken).layer_id  # type: ignore[union-attr]
    (sandbox.layer_directory(layer) / "link").write_text("")
    before = set(os.listdir(sandbox.graph / "overlay/l"))
    store.delete_container(broken)
    assert len(before - set(os.listdir(sandbox.graph / "overlay/l"))) == 0
    store.mount(kept)


def test_deleting_does_not_reach_into_what_is_mounted_below(
    sandbox: Sandbox, store: Store, made: Callable[[str], str]
) -> None:
    from libpod.linux import mounts

    ctr_id = made("web")
    precious = sandbox.top / "precious"
    precious.mkdir()
    (precious / "file").write_text("x")
    layer = store.container(ctr_id).layer_id  # type: ignore[union-attr]
    mounts.bind(precious, sandbox.layer_directory(layer) / "work")
    store.delete_container(ctr_id)
    assert (precious / "file").read_text() == "x"


def test_the_volatile_file_is_read_and_its_containers_protect_their_image(
    sandbox: Sandbox, store: Store, image: StoredImage, made: Callable[[str], str]
) -> None:
    from libpod.define.errors import ImageInUseError

    ctr_id = made("web")
    for kind in ("containers", "layers"):
        stable = sandbox.graph / f"overlay-{kind}/{kind}.json"
        records = json.loads(stable.read_text())
        sandbox_file = stable.with_name(f"volatile-{kind}.json")
        sandbox_file.write_text(json.dumps(records[-1:]))
        stable.write_text(json.dumps(records[:-1]))
    assert store.container(ctr_id).name == "web"  # type: ignore[union-attr]
    with pytest.raises(ImageInUseError):
        store.delete_image(image.id)
    store.mount(ctr_id)
    store.delete_container(ctr_id)
    assert sandbox.json("G/overlay-layers/volatile-layers.json") == []
    assert store.check() == []


def test_unknown_keys_of_other_containers_survive_our_writing(
    sandbox: Sandbox, store: Store, made: Callable[[str], str]
) -> None:
    ctr_id = made("one")
    file = sandbox.graph / "overlay-containers/containers.json"
    records = json.loads(file.read_text())
    records[0]["of-the-future"] = {"kept": True}
    file.write_text(json.dumps(records))
    made("two")
    store.rename_container(ctr_id, "three")
    first = json.loads(file.read_text())[0]
    assert first["of-the-future"] == {"kept": True}
    assert first["names"] == ["three"]
    assert store.container(ctr_id).record["of-the-future"] == {"kept": True}  # type: ignore[union-attr]
