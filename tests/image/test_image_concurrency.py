"""Several programs on one store at once: nothing is lost, nobody sees an error."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from libpod.define.errors import NoSuchImageError
from libpod.image.describing import summaries
from libpod.image.removing import prune, remove
from tests.image.image_sandbox import ImageSandbox

pytestmark = [pytest.mark.root, pytest.mark.podman, pytest.mark.slow]


def hammered(seconds: float, *works: Callable[[int], None]) -> list[str]:
    """Run each function over and over in a thread of its own; returns what went wrong."""
    end = time.monotonic() + seconds
    errors: list[str] = []

    def loop(work: Callable[[int], None]) -> None:
        number = 0
        while time.monotonic() < end and not errors:
            try:
                work(number)
            except Exception as error:  # noqa: BLE001 - a thread's error must reach the test
                errors.append(f"{work.__name__} {number}: {error!r}")
            number += 1

    threads = [threading.Thread(target=loop, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def test_imports_tags_removals_and_lists_beside_podman_and_skopeo(fresh: ImageSandbox) -> None:
    keep = fresh.make("keep", {"k": "k"}, "CMD x")
    # podman 4 replaces all names of an image by what it read before, so an image that it tags is its own here.
    fresh.make("podmans", {"p": "p"})
    box = fresh

    def import_and_remove(number: int) -> None:
        name = f"import-{number % 3}"
        box.make(name, {"n": str(number)})
        remove(box.images, name)

    def tag_and_untag(number: int) -> None:
        box.images.tag("keep", [f"tag:{number}"])
        box.images.untag("keep", [f"tag:{number}"])

    def list_and_read(_: int) -> None:
        assert keep in {summary.id for summary in summaries(box.images)}
        assert box.images.settings(box.images.find(keep)).cmd

    def podman_tags(number: int) -> None:
        box.podman("tag", "podmans", f"podman:{number % 2}")
        box.podman("untag", "podmans", f"localhost/podman:{number % 2}")

    def skopeo_copies(number: int) -> None:
        box.run_skopeo("copy", "-q", box.reference(f"@{keep}"), box.reference(f"localhost/copy:{number % 2}"))

    errors = hammered(6, import_and_remove, tag_and_untag, list_and_read, podman_tags, skopeo_copies)
    assert errors == []
    assert "localhost/keep:latest" in box.images.find(keep).names
    assert box.leftovers() == []
    prune(box.images)
    assert box.store.check() == []
    assert {document["Id"] for document in box.podman_json("images", "-a", "--format", "json")} == {
        image.id for image in box.images.all()
    }


def test_one_image_asked_for_by_many_threads_is_one_image(fresh: ImageSandbox) -> None:
    ids: list[str] = []
    threads = [
        threading.Thread(target=lambda n=n: ids.append(fresh.make(f"same-{n}", {"s": "s"}))) for n in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(ids)) == 1
    assert len(ids) == 6
    assert {f"localhost/same-{n}:latest" for n in range(6)} == set(fresh.images.find(ids[0]).names)
    with pytest.raises(NoSuchImageError):
        fresh.images.find("same-none")
