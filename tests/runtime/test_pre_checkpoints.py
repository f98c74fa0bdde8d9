"""Memory in two steps. Where the kernel does not track changed pages, a dump is split by hand to test the rest."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import libpod
from libpod.checkpoint import criu, criu_images
from libpod.model.move_options import CheckpointOptions
from libpod.oci.arguments import checkpoint_args
from libpod.oci.base import Bundle, DumpRequest
from tests.engines import COUNT, counts_on, last_count

pytestmark = [pytest.mark.root, pytest.mark.criu]
TRACKS = criu.PREFIX.exists() and criu.has_feature(criu.MEMORY_TRACKING, criu.PREFIX)
IN_PARENT = 1


@pytest.fixture
def counter(runtime: libpod.Runtime) -> libpod.Container:
    container = runtime.run("bb:1", "sh", "-c", COUNT, name="counter", network="none")
    counts_on(container, 2)
    return container


@pytest.mark.skipif(TRACKS, reason="kernel: it tracks memory, so nothing is refused")
@pytest.mark.parametrize("which", ["pre_checkpoint", "with_previous"])
def test_a_kernel_that_does_not_track_memory_is_named_before_anything_is_touched(
    runtime, counter, tmp_path, which
):
    (runtime.root / "overlay-containers" / counter.id / "userdata/pre-checkpoint").mkdir()
    before = sorted(
        path.name for path in (runtime.root / "overlay-containers" / counter.id / "userdata").iterdir()
    )
    with pytest.raises(libpod.NotSupportedError, match=r"lacks mem_dirty_track.*CONFIG_MEM_SOFT_DIRTY"):
        runtime.checkpoint("counter", export=tmp_path / "c.tar", **{which: True})
    after = sorted(
        path.name for path in (runtime.root / "overlay-containers" / counter.id / "userdata").iterdir()
    )
    assert after == before
    assert list(tmp_path.iterdir()) == []
    assert not counter.state().checkpointing
    counts_on(counter, last_count(counter))


@pytest.mark.skipif(not TRACKS, reason="kernel: no soft-dirty tracking")
def test_a_checkpoint_in_two_steps_wakes_from_two_archives(runtime, counter, tmp_path):
    runtime.checkpoint("counter", export=tmp_path / "pre.tar", pre_checkpoint=True)
    counts_on(counter, last_count(counter))
    runtime.checkpoint("counter", export=tmp_path / "rest.tar", with_previous=True)
    stood = last_count(counter)
    counter.remove()
    twin = runtime.restore(import_=tmp_path / "rest.tar", import_previous=tmp_path / "pre.tar")
    counts_on(twin, stood)


def test_the_runtime_is_asked_for_both_steps(tmp_path):
    def words(**options: Any) -> list[str]:
        bundle = Bundle(id="a" * 64, name="c", directory=tmp_path, run_dir=tmp_path, exit_dir=tmp_path,
                        persist_dir=tmp_path)  # fmt: skip
        request = DumpRequest(image_dir=tmp_path / "i", work_dir=tmp_path, **options)
        return [str(word) for word in checkpoint_args(Path("/usr/bin/runc"), bundle, request)]

    first = words(pre_dump=True, leave_running=True)
    assert "--pre-dump" in first
    assert "--parent-path" not in first
    second = words(parent_path="../pre-checkpoint")
    assert second[second.index("--parent-path") + 1] == "../pre-checkpoint"
    assert "--pre-dump" not in second
    with pytest.raises(libpod.InvalidArgumentError):
        CheckpointOptions(pre_checkpoint=True, with_previous=True)


# ---- a dump split by hand ------------------------------------------------------------------------------------------


def rewritten(
    source: Path, target: Path, change: Callable[[dict[str, bytes]], dict[str, bytes]], *, link: bool
) -> None:
    """The archive again with other members; *link* adds CRIU's link to the pre-checkpoint."""
    with tarfile.open(source) as archive:
        content = {
            item.name: archive.extractfile(item).read()  # type: ignore[union-attr]
            for item in archive.getmembers()
            if item.isfile()
        }
    with tarfile.open(target, "w") as archive:
        for name, data in change(content).items():
            item = tarfile.TarInfo(name)
            item.size = len(data)
            archive.addfile(item, io.BytesIO(data))
        if link:
            item = tarfile.TarInfo("checkpoint/parent")
            item.type, item.linkname = tarfile.SYMTYPE, "../pre-checkpoint"
            archive.addfile(item)


def first_half(members: dict[str, bytes]) -> dict[str, bytes]:
    """All pages, in a pre-checkpoint."""
    kept = {}
    for name, data in members.items():
        if name in ("config.dump", "spec.dump", "network.status"):
            kept[name] = data
        elif name.startswith("checkpoint/") and name.split("/")[1].startswith(
            ("pagemap-", "pages-", "inventory")
        ):
            kept[name.replace("checkpoint/", "pre-checkpoint/", 1)] = data
    return kept


def second_half(members: dict[str, bytes]) -> dict[str, bytes]:
    """Everything but the pages, all of which are said to be in the parent."""
    images = criu_images.require_decoder(criu.PREFIX)
    changed = dict(members)
    for name, data in members.items():
        if name.startswith("checkpoint/pagemap-"):
            document = images.load(io.BytesIO(data))
            for entry in document["entries"][1:]:
                entry["flags"] = IN_PARENT
            out = io.BytesIO()
            images.dump(document, out)
            changed[name] = out.getvalue()
        elif name.startswith("checkpoint/pages-"):
            changed[name] = b""
    return changed


@pytest.fixture
def halves(runtime, counter, tmp_path) -> tuple[Path, Path, int]:
    whole = tmp_path / "whole.tar"
    runtime.checkpoint("counter", export=whole)
    stood = last_count(counter)
    counter.remove()
    rewritten(whole, tmp_path / "pre.tar", first_half, link=False)
    rewritten(whole, tmp_path / "rest.tar", second_half, link=True)
    return tmp_path / "pre.tar", tmp_path / "rest.tar", stood


def test_two_archives_make_one_container(runtime, halves):
    before, after, stood = halves
    twin = runtime.restore(import_=after, import_previous=before)
    counts_on(twin, stood)
    directory = runtime.root / "overlay-containers" / twin.id / "userdata"
    assert not (directory / "pre-checkpoint").exists()


def test_what_is_missing_is_said_before_anything_is_woken(runtime, halves, tmp_path):
    before, after, _ = halves
    with pytest.raises(
        libpod.ArchiveError, match=r"only what changed since a pre-checkpoint.*import_previous"
    ):
        runtime.restore(import_=after)
    with pytest.raises(libpod.ArchiveError, match="pre-checkpoint only"):
        runtime.restore(import_=before)
    with pytest.raises(libpod.ArchiveError, match="no pre-checkpoint"):
        runtime.restore(import_=after, import_previous=after)

    def other(members: dict[str, bytes]) -> dict[str, bytes]:
        config = json.loads(members["config.dump"]) | {"id": "f" * 64}
        return members | {"config.dump": json.dumps(config).encode()}

    rewritten(before, tmp_path / "other.tar", other, link=False)
    with pytest.raises(libpod.ArchiveError, match="another container"):
        runtime.restore(import_=after, import_previous=tmp_path / "other.tar")
    assert runtime.containers() == []
