"""Images through the façade: progress, all tags, sizes, differences, events."""

from __future__ import annotations

import io

import pytest

import libpod
from libpod.image.progress import BlobProgress, BlobState
from tests.image.registry_server import serving

PLAIN = {"tls_verify": False}


@pytest.fixture(scope="module")
def registry():
    yield from serving()


@pytest.fixture
def seen() -> list[BlobProgress]:
    return []


def is_complete(seen: list[BlobProgress]) -> bool:
    """Whether every blob that was begun came to its end."""
    last = {(step.kind, step.digest): step.state for step in seen}
    return bool(last) and set(last.values()) <= {BlobState.DONE, BlobState.SKIPPED}


def test_every_transfer_reports_its_blobs(runtime, empty_engine, registry, seen, tmp_path):
    digest = runtime.push("bb:1", f"docker://{registry.host}/app:1", progress=seen.append, **PLAIN)
    assert digest.startswith("sha256:")
    assert is_complete(seen)
    with empty_engine.runtime() as other:
        seen.clear()
        pulled = other.pull(f"{registry.host}/app:1", progress=seen.append, **PLAIN)
        assert is_complete(seen)
        assert pulled.id == runtime.image("bb:1").id
    seen.clear()
    runtime.save_images(["bb:1"], tmp_path / "bb.tar", progress=seen.append)
    assert is_complete(seen)
    seen.clear()
    runtime.load_images(tmp_path / "bb.tar", progress=seen.append)
    assert is_complete(seen)


def test_a_callback_that_raises_ends_the_transfer_and_it_can_be_repeated(runtime, empty_engine, registry):
    class EnoughError(Exception):
        pass

    def enough(_: BlobProgress) -> None:
        raise EnoughError

    runtime.push("bb:1", f"docker://{registry.host}/ended:1", **PLAIN)
    with empty_engine.runtime() as other:
        with pytest.raises(EnoughError):
            other.pull(f"{registry.host}/ended:1", progress=enough, **PLAIN)
        assert other.pull(f"{registry.host}/ended:1", **PLAIN).id == runtime.image("bb:1").id


def test_all_tags_of_a_repository_come_at_once(runtime, empty_engine, registry):
    for tag in ("a", "b"):
        runtime.push("bb:1", f"docker://{registry.host}/many:{tag}", **PLAIN)
    with empty_engine.runtime() as other:
        pulled = other.pull_all_tags(f"{registry.host}/many", **PLAIN)
        assert [image.id for image in pulled] == [runtime.image("bb:1").id]
        assert sorted(other.images()[0].names) == [f"{registry.host}/many:{tag}" for tag in ("a", "b")]


def test_sizes_tell_what_a_container_wrote(runtime):
    container = runtime.create("bb:1", "true", name="sized")
    before = container.size()
    content = bytes(range(256)) * 4096
    root = container.mount()
    (root / "tmp/big").write_bytes(content)
    container.unmount()
    after = container.size()
    assert after.own - before.own >= len(content)
    assert after.root == before.root > 1 << 20
    document = container.inspect(size=True)
    assert (document["SizeRw"], document["SizeRootFs"]) == (after.own, after.root)


def test_differences_are_seen_from_either_side(runtime):
    container = runtime.create("bb:1", "true", name="changed")
    root = container.mount()
    (root / "etc/new").write_text("new\n")
    (root / "etc/image-file").unlink()
    container.unmount()
    container.commit("changed:1")
    runtime.create("bb:1", "true", name="fresh")
    try:
        forward = {str(change) for change in runtime.diff("changed", "bb:1")}
        assert {"A /etc/new", "D /etc/image-file"} <= forward
        assert forward == {str(change) for change in runtime.diff("changed:1", "fresh")}
        assert {"D /etc/new", "A /etc/image-file"} <= {
            str(change) for change in runtime.diff("fresh", "changed:1")
        }
        assert runtime.diff("changed", "changed:1") == []
        own = [str(change) for change in runtime.diff("changed")]
        assert own == [str(change) for change in runtime.image("changed:1").diff()]
    finally:
        container.remove()
        runtime.remove_image("changed:1")


def test_what_is_done_to_images_is_an_event(runtime):
    image = runtime.image("bb:1")
    path = image.mount()
    assert (path / "bin/busybox").exists()
    assert image.mountpoint() == path
    assert not image.unmount()
    statuses = [event.status.value for event in runtime.events() if event.id == image.id]
    assert statuses[-2:] == ["mount", "unmount"]


def test_one_image_of_an_archive_is_chosen_by_its_name(runtime, tmp_path):
    runtime.image("bb:1").tag("second:1")
    try:
        runtime.save_images(["bb:1", "second:1"], tmp_path / "two.tar")
        loaded = runtime.load_images(tmp_path / "two.tar", only="localhost/second:1")
        assert [image.id for image in loaded] == [runtime.image("bb:1").id]
        with pytest.raises(libpod.NoSuchImageError, match='has no image "absent:1"'):
            runtime.load_images(io.BytesIO((tmp_path / "two.tar").read_bytes()), only="absent:1")
    finally:
        runtime.image("bb:1").untag("second:1")
