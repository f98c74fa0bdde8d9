"""Opening a store, its options, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from libpod.define.errors import ConfigError, NotSupportedError, StorageError
from libpod.define.ids import new_id
from libpod.storage.options import StoreOptions
from libpod.storage.store import Store
from tests.storage.store_sandbox import BASE, Sandbox

pytestmark = pytest.mark.root


def test_the_first_use_makes_the_directories_that_podman_expects(empty_sandbox: Sandbox) -> None:
    store = empty_sandbox.open()
    assert [store.containers(), store.images(), store.layers(), store.check()] == [[], [], [], []]
    for name in ("overlay", "overlay-layers", "overlay-images", "overlay-containers"):
        assert (empty_sandbox.graph / name).stat().st_mode & 0o777 == 0o700
    made = store.create_container(new_id(), name="first", image_id=None)
    store.mount(made.id)
    assert store.check() == []
    assert "first" in empty_sandbox.podman("ps", "-a", "--external")
    assert (store.graph_root, store.run_root) == (empty_sandbox.graph, empty_sandbox.run)


@pytest.mark.podman
def test_a_store_that_we_made_takes_images_from_skopeo(empty_sandbox: Sandbox, template: Path) -> None:
    store = empty_sandbox.open(options=StoreOptions(mount_options=("nodev", "metacopy=on")))
    source = f"containers-storage:[overlay@{template}+{empty_sandbox.top / 'other'}]{BASE}"
    empty_sandbox.skopeo("copy", "-q", source, f"containers-storage:[{store.specifier()}]{BASE}")
    image = store.find_image(BASE)
    assert image is not None
    made = store.create_container(new_id(), name="first", image_id=image.id)
    assert (store.mount(made.id) / "etc/two").exists()


@pytest.mark.parametrize("driver", ["btrfs", "zfs", "devicemapper", ""])
def test_other_drivers_are_refused(empty_sandbox: Sandbox, driver: str) -> None:
    with pytest.raises(NotSupportedError, match="is not supported"):
        empty_sandbox.open(driver=driver)
    assert not empty_sandbox.graph.exists()


def test_overlay2_is_another_word_for_overlay(empty_sandbox: Sandbox) -> None:
    assert empty_sandbox.open(driver="overlay2").driver.name == "overlay"
    assert (empty_sandbox.graph / "overlay").is_dir()


def test_a_store_of_a_mount_program_is_refused(sandbox: Sandbox) -> None:
    mark = sandbox.graph / "overlay/.has-mount-program"
    mark.write_text("false")
    sandbox.open()
    mark.write_text("true")
    with pytest.raises(NotSupportedError, match="mount program"):
        sandbox.open()


def test_a_composefs_image_is_refused_when_it_is_mounted(sandbox: Sandbox, store: Store) -> None:
    image = store.images()[0]
    made = store.create_container(new_id(), name="web", image_id=image.id)
    (sandbox.layer_directory(str(image.top_layer)) / "composefs-data").mkdir()
    with pytest.raises(NotSupportedError, match="composefs"):
        store.mount(made.id)


def test_relative_paths_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="absolute"):
        Store.open(Path("G"), tmp_path)


def test_a_place_where_nothing_can_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file/G"):
        Store.open(tmp_path / "file/G", tmp_path / "R")


def test_options_are_read_with_and_without_the_driver_s_name() -> None:
    options = StoreOptions.parse(
        [
            "overlay.mountopt=nodev,metacopy=on",
            "skip_mount_home=true",
            "overlay2.ignore_chown_errors=false",
            ".additionalimagestores=/a,/b",
            "overlay.imagestore=/c",
            "vfs.ignore_chown_errors=true",
            "overlay.use_composefs=false",
            "overlay.sync=none",
        ],
        image_stores=[Path("/z")],
    )
    assert options == StoreOptions(
        mount_options=("nodev", "metacopy=on"),
        additional_image_stores=(Path("/z"), Path("/a"), Path("/b"), Path("/c")),
        skip_mount_home=True,
    )
    assert StoreOptions.parse(options.strings("overlay")) == options


@pytest.mark.parametrize("option", ["overlay.nonsense=1", "mountopt"])
def test_what_is_no_option_is_refused(option: str) -> None:
    with pytest.raises(ConfigError):
        StoreOptions.parse([option])


@pytest.mark.parametrize(
    "option",
    [
        "force_mask=700",
        "overlay.use_composefs=true",
        "size=1g",
    ],
)
def test_what_would_change_the_disk_and_is_not_built_is_refused(option: str) -> None:
    with pytest.raises(NotSupportedError, match="libpod cannot do"):
        StoreOptions.parse([option])


def test_options_reach_skopeo() -> None:
    options = StoreOptions(mount_options=("nodev", "metacopy=on"), additional_image_stores=(Path("/c"),))
    assert options.strings("overlay") == ["overlay.mountopt=nodev,metacopy=on", "overlay.imagestore=/c"]
