"""A container's files as the host sees them: mount, diff, export, size."""

from __future__ import annotations

import io
import tarfile

import pytest

import libpod


@pytest.fixture
def changed(runtime):
    script = "echo new > /new; echo more >> /etc/image-file; rm /etc/passwd; touch -- /-dash; sleep 1000"
    container = runtime.run("bb:1", "sh", "-c", script, network="none", name="changed")
    while container.run("test", "-e", "/-dash").exit_code:
        pass
    return container


def test_diff_names_what_differs_from_the_image(changed):
    assert [str(change) for change in changed.diff()] == [
        "A /-dash",
        "C /etc",
        "C /etc/image-file",
        "D /etc/passwd",
        "A /new",
    ]


def test_export_is_the_whole_root_with_podmans_names(changed):
    sink = io.BytesIO()
    changed.export(sink)
    sink.seek(0)
    with tarfile.open(fileobj=sink) as archive:
        names = archive.getnames()
        assert {"bin/busybox", "new", "-dash", "etc/image-file"} <= set(names)
        assert not any(name.startswith(("./", "/")) for name in names)
        assert archive.extractfile("etc/image-file").read() == b"from the image\nmore\n"


def test_a_mount_is_counted_and_the_containers_own_stays(changed):
    root = changed.mount()
    assert (root / "new").read_text() == "new\n"
    changed.unmount()
    with pytest.raises(libpod.InvalidStateError, match="stop it first"):
        changed.unmount()
    assert changed.run("cat", "/new").stdout == b"new\n"


def test_inspect_tells_sizes_when_asked(changed):
    assert "SizeRw" not in changed.inspect()
    document = changed.inspect(size=True)
    assert document["SizeRw"] >= len("new\n")
    assert document["SizeRootFs"] > 100_000
