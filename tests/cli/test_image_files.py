"""Images built, mounted, compared and drawn at the command line."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.cli.command import Command

CONTAINERFILE = """\
FROM localhost/bb:1
ARG WORD=none
COPY file /opt/copied
RUN echo "$WORD" > /opt/word
CMD ["cat", "/opt/word"]
"""


@pytest.fixture(scope="module")
def built(shared_engine, tmp_path_factory):
    """The id of an image "built:1"."""
    context = tmp_path_factory.mktemp("context")
    (context / "Containerfile").write_text(CONTAINERFILE)
    (context / "file").write_text("from the context\n")
    cli = Command(shared_engine.arguments)
    words = (
        "build",
        "-t",
        "built:1",
        "--build-arg",
        "WORD=hello",
        "--network",
        "host",
        "--isolation",
        "chroot",
    )
    output = cli(*words, str(context))
    yield output.splitlines()[-1]
    cli("rmi", "-f", "built:1")


def test_an_image_is_built_and_runs(cli, built, tmp_path):
    assert cli("image", "inspect", "--format", "{{.Id}}", "built:1") == built
    assert cli("run", "--rm", "--network", "none", "built:1") == "hello"


def test_a_build_that_fails_says_why(cli, tmp_path):
    (tmp_path / "Containerfile").write_text("FROM localhost/bb:1\nRUN exit 7\n")
    said = cli.run("build", "--network", "host", "--isolation", "chroot", str(tmp_path))
    assert said.returncode == 125
    assert f"building {tmp_path} failed" in said.stderr


def test_images_and_containers_are_compared_with_each_other(cli, built):
    cli("create", "--name", "plain", "bb:1")
    assert "A /opt/copied" in cli("diff", "built:1", "bb:1").splitlines()
    assert "D /opt" in cli("diff", "bb:1", "built:1").splitlines()
    assert "A /opt/word" in cli("diff", "built:1", "plain").splitlines()
    assert cli("diff", "plain", "bb:1") == ""
    assert "A /opt/word" in cli("image", "diff", "built:1").splitlines()
    assert "/opt/copied" in json.loads(cli("diff", "--format", "json", "built:1", "plain"))["added"]


def test_images_are_mounted_counted_and_listed(cli, built):
    path = cli("image", "mount", "built:1")
    assert Path(path, "opt/word").read_text() == "hello\n"
    with pytest.raises(OSError, match="Read-only"):
        os.mkdir(f"{path}/new")
    assert cli("image", "mount", "built:1") == path
    assert ["localhost/built:1", path] in [line.split() for line in cli("image", "mount").splitlines()]
    assert {found["mountpoint"] for found in json.loads(cli("image", "mount", "--format", "json"))} == {path}
    cli("image", "unmount", "built:1")
    assert os.path.exists(f"{path}/opt")
    assert cli("image", "unmount", "built:1") == built
    assert cli("image", "mount") == ""
    assert not os.path.exists(f"{path}/opt")


def test_the_tree_of_an_image_names_its_layers_and_tags(cli, built):
    lines = cli("image", "tree", "built:1").splitlines()
    assert lines[1] == "Tags:     [localhost/built:1]"
    assert "Top Layer of: [localhost/bb:1]" in lines[4]
    assert "Top Layer of: [localhost/built:1]" in lines[-1]
    assert "localhost/built:1" in cli("image", "tree", "--whatrequires", "bb:1")


def test_copying_at_the_command_line_follows_podmans_words(cli, tmp_path):
    cli("create", "--name", "box", "--network", "none", "bb:1", "sleep", "1000")
    (tmp_path / "f").write_text("one\n")
    assert cli("cp", str(tmp_path / "f"), "box:/tmp/g") == ""
    cli("cp", "box:/tmp/g", str(tmp_path / "back"))
    assert (tmp_path / "back").read_text() == "one\n"
    assert cli.fails("cp", "box:/nowhere", str(tmp_path)).startswith(
        '"/nowhere" could not be found on container box'
    )
    assert "tmp/g" in cli("cp", "box:/tmp", "-")
