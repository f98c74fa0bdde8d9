"""Mounting: counts, the private home, stale entries, many layers, options."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from libpod.define.errors import ConfigError, StorageError
from libpod.define.ids import new_id
from libpod.linux import mounts
from libpod.storage import overlay_mount
from libpod.storage.id_maps import NO_MAPS
from libpod.storage.options import StoreOptions
from libpod.storage.overlay_mount import effective_options, mount_data, plan
from libpod.storage.store import Store
from libpod.storage.stored import StoredImage
from tests.storage.store_sandbox import Sandbox

pytestmark = pytest.mark.root


def test_a_mounted_container_shows_the_image_and_takes_writes(
    sandbox: Sandbox, store: Store, made: Callable[[str], str]
) -> None:
    ctr_id = made("web")
    root = store.mount(ctr_id)
    assert (root / "etc/one").read_text() == "one\n"
    assert (root / "etc/three").read_text() == "three\n"
    assert not (root / "etc/two").exists()
    (root / "etc/one").write_text("changed\n")
    layer = store.container(ctr_id).layer_id  # type: ignore[union-attr]
    assert root == sandbox.graph / "overlay" / layer / "merged"
    assert (store.upper_directory(ctr_id) / "etc/one").read_text() == "changed\n"
    lowers = store.lower_directories(ctr_id)
    assert len(lowers) == 2
    assert (lowers[1] / "etc/one").read_text() == "one\n"


def test_every_mount_needs_an_unmount(store: Store, made: Callable[[str], str], sandbox: Sandbox) -> None:
    ctr_id = made("web")
    assert store.mount_count(ctr_id) == 0
    assert store.mountpoint(ctr_id) is None
    root = store.mount(ctr_id)
    assert store.mount(ctr_id) == root
    assert store.mount_count(ctr_id) == 2
    assert store.mountpoint(ctr_id) == root
    assert store.unmount(ctr_id) is True
    assert mounts.is_mount_point(root)
    assert store.unmount(ctr_id) is False
    assert not mounts.is_mount_point(root)
    assert store.unmount(ctr_id) is False
    assert sandbox.json("R/overlay-layers/mountpoints.json") == []


def test_a_forced_unmount_takes_all_users_off(store: Store, made: Callable[[str], str]) -> None:
    ctr_id = made("web")
    root = store.mount(ctr_id)
    store.mount(ctr_id)
    assert store.unmount(ctr_id, force=True) is False
    assert not mounts.is_mount_point(root)
    assert store.mount_count(ctr_id) == 0


def test_the_home_is_a_private_mount_before_anything_is_mounted(
    sandbox: Sandbox, store: Store, made: Callable[[str], str]
) -> None:
    ctr_id = made("web")
    home = sandbox.graph / "overlay"
    assert not mounts.is_mount_point(home)
    root = store.mount(ctr_id)
    entries = {entry.target: entry for entry in mounts.read_mountinfo()}
    assert entries[str(home)].propagation == ()
    assert entries[str(root)].parent_id == entries[str(home)].mount_id
    store.unmount(ctr_id)
    store.mount(ctr_id)
    assert [entry.target for entry in mounts.read_mountinfo()].count(str(home)) == 1


def test_a_count_without_a_mount_is_begun_anew(
    sandbox: Sandbox, store: Store, made: Callable[[str], str]
) -> None:
    """What a kill between unmounting and recording leaves, or a reboot with a run root that survives."""
    ctr_id = made("web")
    root = store.mount(ctr_id)
    store.mount(ctr_id)
    mounts.unmount(root, mounts.MNT_DETACH)
    assert store.mount_count(ctr_id) == 0
    assert store.mountpoint(ctr_id) is None
    store.mount(ctr_id)
    assert store.mount_count(ctr_id) == 1
    assert (root / "etc/one").exists()
    assert store.unmount(ctr_id) is False


def test_a_mount_that_was_not_recorded_is_found_again(
    sandbox: Sandbox, store: Store, made: Callable[[str], str]
) -> None:
    """What a kill between mounting and recording leaves."""
    ctr_id = made("web")
    root = store.mount(ctr_id)
    (sandbox.run / "overlay-layers/mountpoints.json").write_text("[]")
    assert store.mount(ctr_id) == root
    assert store.mount_count(ctr_id) == 1
    assert mounts.mounts_below(root) == [str(root)]
    (sandbox.run / "overlay-layers/mountpoints.json").write_text("[]")
    store.unmount(ctr_id, force=True)
    assert not mounts.is_mount_point(root)


def test_a_missing_mount_point_is_made_again(store: Store, made: Callable[[str], str]) -> None:
    """podman up to 5.0 removes it when it unmounts."""
    ctr_id = made("web")
    root = store.mount(ctr_id)
    store.unmount(ctr_id)
    root.rmdir()
    assert store.mount(ctr_id) == root


def test_a_running_user_keeps_its_view_when_the_mount_goes(store: Store, made: Callable[[str], str]) -> None:
    ctr_id = made("web")
    root = store.mount(ctr_id)
    with open(root / "etc/one") as stream:
        store.unmount(ctr_id)
        assert stream.read() == "one\n"


def test_a_container_that_somebody_removed_is_no_error_to_unmount_but_to_mount(
    store: Store, made: Callable[[str], str]
) -> None:
    ctr_id = made("web")
    store.delete_container(ctr_id)
    assert store.unmount(ctr_id, force=True) is False
    assert store.mount_count(ctr_id) == 0
    with pytest.raises(StorageError, match="is gone from the store"):
        store.mount(ctr_id)


def test_a_container_whose_layer_is_gone_says_so(
    sandbox: Sandbox, store: Store, made: Callable[[str], str]
) -> None:
    made("web")
    (ctr,) = store.containers()
    file = sandbox.graph / "overlay-layers/layers.json"
    file.write_text(json.dumps([r for r in json.loads(file.read_text()) if r["id"] != ctr.layer_id]))
    with pytest.raises(StorageError, match=ctr.layer_id):
        store.mount(ctr.id)
    assert store.unmount(ctr.id) is False


def test_what_was_mounted_volatile_can_be_mounted_again(
    sandbox: Sandbox, store: Store, made: Callable[[str], str]
) -> None:
    made("web")
    (ctr,) = store.containers()
    mark = sandbox.layer_directory(ctr.layer_id) / "work/work/incompat/volatile"
    mark.mkdir(parents=True)
    store.mount(ctr.id)
    assert not mark.exists()


def test_an_image_is_mounted_read_only_and_counted(store: Store, image: StoredImage) -> None:
    root = store.mount_image(image.id)
    assert (root / "etc/three").read_text() == "three\n"
    with pytest.raises(OSError, match="Read-only"):
        (root / "file").write_text("x")
    assert store.mount_image(image.id) == root
    assert store.unmount_image(image.id) is True
    assert store.unmount_image(image.id) is False
    assert not mounts.is_mount_point(root)


def test_a_base_layer_alone_is_mounted_read_only_too(store: Store, image: StoredImage) -> None:
    base = next(other for other in store.images() if other.id != image.id)
    root = store.mount_image(base.id)
    assert (root / "etc/two").read_text() == "two\n"
    with pytest.raises(OSError, match="Read-only"):
        (root / "file").write_text("x")
    store.unmount_image(base.id)


def test_mount_options_of_the_store_and_of_a_container(sandbox: Sandbox, image: StoredImage) -> None:
    store = sandbox.open(options=StoreOptions(mount_options=("nodev", "metacopy=on")))
    one = store.create_container(new_id(), name="one", image_id=image.id)
    two = store.create_container(new_id(), name="two", image_id=image.id, mount_options=["nosuid"])
    assert two.mount_options == ("nosuid",)
    for ctr_id, has, lacks in ((one.id, "nodev", "nosuid"), (two.id, "nosuid", "nodev")):
        root = str(store.mount(ctr_id))
        entry = next(entry for entry in mounts.read_mountinfo() if entry.target == root)
        assert has in entry.options
        assert lacks not in entry.options
        assert "metacopy=on" in entry.data


def stack_layers(store: Store, sandbox: Sandbox, count: int) -> str:
    """A container on *count* image layers, made by writing records and directories as an image puller would."""
    records = json.loads((sandbox.graph / "overlay-layers/layers.json").read_text())
    parent: str | None = None
    for number in range(count):
        layer_id = new_id()
        store.driver.create(layer_id, parent, NO_MAPS)
        (sandbox.layer_directory(layer_id) / "diff" / f"file{number}").write_text(str(number))
        record = {"id": layer_id, "created": "2024-01-01T00:00:00Z"}
        records.append(record if parent is None else {**record, "parent": parent})
        parent = layer_id
    (sandbox.graph / "overlay-layers/layers.json").write_text(json.dumps(records))
    images = json.loads((sandbox.graph / "overlay-images/images.json").read_text())
    image_id = new_id()
    images.append({"id": image_id, "layer": parent, "created": "2024-01-01T00:00:00Z"})
    (sandbox.graph / "overlay-images/images.json").write_text(json.dumps(images))
    return store.create_container(new_id(), name="deep", image_id=image_id).id


def test_130_lower_layers_are_mounted(sandbox: Sandbox, store: Store) -> None:
    ctr_id = stack_layers(store, sandbox, 130)
    root = store.mount(ctr_id)
    assert len(os.listdir(root)) == 130
    (root / "file7").write_text("changed")
    assert (store.upper_directory(ctr_id) / "file7").read_text() == "changed"
    assert [str(change) for change in store.changes(ctr_id)] == ["C /file7"]


def test_130_lower_layers_are_mounted_where_the_kernel_has_no_lowerdir_plus(
    sandbox: Sandbox, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> int:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(overlay_mount, "detached", refuse)
    ctr_id = stack_layers(store, sandbox, 130)
    here = os.getcwd()
    root = store.mount(ctr_id)
    assert len(os.listdir(root)) == 130
    assert os.getcwd() == here
    (root / "new").write_text("x")


def test_more_layers_than_overlay_joins_are_refused(sandbox: Sandbox, store: Store) -> None:
    with pytest.raises(StorageError, match="more than 499"):
        stack_layers(store, sandbox, 502)


def test_awkward_characters_in_the_graph_root_reach_the_kernel(sandbox: Sandbox, image: StoredImage) -> None:
    odd = sandbox.top / "a,b:c\\d e"
    sandbox.graph.rename(odd)
    sandbox.graph = odd
    store = sandbox.open()
    made = store.create_container(new_id(), name="odd", image_id=image.id)
    assert (store.mount(made.id) / "etc/one").exists()


# ---- the plan, without mounting -------------------------------------------------------------------------------


def planned(options: list[str], **changes: object) -> overlay_mount.OverlayPlan:
    arguments: dict[str, object] = {
        "upper": Path("/u"),
        "work": Path("/w"),
        "lowers": [Path("/a"), Path("/b")],
        "options": options,
        "label": "",
        "read_only": False,
    }
    return plan(**(arguments | changes))  # type: ignore[arg-type]


def test_generic_words_become_flags_and_the_rest_stays_data() -> None:
    result = planned(["nodev", "noexec", "exec", "metacopy=on", "rprivate"])
    assert result.flags == mounts.MS_NODEV
    assert mount_data(result) == "lowerdir=/a:/b,upperdir=/u,workdir=/w,metacopy=on"


def test_a_read_only_plan_has_the_upper_as_its_nearest_lower() -> None:
    for result in (planned(["ro"]), planned([], read_only=True)):
        assert mount_data(result) == "lowerdir=/u:/a:/b"
        assert result.flags == mounts.MS_RDONLY


def test_a_label_comes_last_and_in_quotes() -> None:
    label = "system_u:object_r:container_file_t:s0:c1,c2"
    assert mount_data(planned([], label=label)).endswith(f',context="{label}"')


def test_paths_are_escaped_for_the_kernel() -> None:
    result = planned([], lowers=[Path("/a:b,c")], upper=Path("/u,v:w"))
    assert mount_data(result) == "lowerdir=/a\\:b\\,c,upperdir=/u\\,v:w,workdir=/w"


@pytest.mark.parametrize("option", ["lowerdir=/etc", "upperdir=/x", "workdir=/y", "lowerdir+=/etc"])
def test_options_cannot_replace_the_directories(option: str) -> None:
    with pytest.raises(ConfigError, match="cannot be a mount option"):
        planned([option])


def test_a_container_s_options_take_the_place_of_the_driver_s_except_metacopy() -> None:
    assert effective_options(["nodev", "metacopy=on"], None) == ["nodev", "metacopy=on"]
    assert effective_options(["nodev", "metacopy=on"], ["ro"]) == ["ro", "metacopy=on"]
    assert effective_options(["nodev"], ["ro"]) == ["ro"]
