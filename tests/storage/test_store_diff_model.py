"""Random changes in a container, and whether the diff carries exactly them when it is put onto the image."""

from __future__ import annotations

import io
import os
import shutil
import stat
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from libpod.define.ids import new_id
from libpod.storage.changes import ChangeKind
from libpod.storage.options import StoreOptions
from libpod.storage.store import Store
from libpod.storage.upper import NeedsMergedView, walk
from tests.storage.store_sandbox import UPPER, Sandbox

pytestmark = pytest.mark.root

NAMES = """
    etc etc/one etc/two etc/three opt opt/old opt/old/file opt/old/inner opt/old/inner/deep opt/gone
    var/log var/log/messages lib dangling new new/a new/a/b
"""
PATHS = st.sampled_from(NAMES.split())
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), PATHS, st.text("xyz", max_size=3)),
        st.tuples(st.sampled_from(["remove", "mkdir", "link", "chmod"]), PATHS, st.just("")),
        st.tuples(st.sampled_from(["rename", "hard link"]), PATHS, PATHS),
    ),
    max_size=10,
)
Tree = dict[str, tuple[object, ...]]


def apply(root: Path, steps: list[tuple[str, str, str]]) -> None:
    """Do what can be done of the steps; the rest is refused by the kernel, as it would be in a container."""
    for verb, path, argument in steps:
        target = root / path
        if any(parent.is_symlink() for parent in target.parents if parent.is_relative_to(root)):
            continue
        try:
            if verb == "write":
                if not target.is_symlink():
                    target.write_text(argument)
            elif verb == "remove":
                if target.is_symlink() or not target.is_dir():
                    target.unlink()
                else:
                    shutil.rmtree(target)
            elif verb == "mkdir":
                target.mkdir()
            elif verb == "link":
                target.symlink_to("somewhere")
            elif verb == "chmod":
                if not target.is_symlink():
                    target.chmod(0o700)
            elif verb == "rename":
                target.rename(root / argument)
            else:
                os.link(target, root / argument, follow_symlinks=False)
        except OSError:
            continue


def tree_of(root: Path) -> Tree:
    found: Tree = {}
    for directory, directories, files in os.walk(root):
        for name in [*directories, *files]:
            path = Path(directory, name)
            status = path.lstat()
            content: object = None
            if stat.S_ISREG(status.st_mode):
                content = path.read_bytes()
            elif stat.S_ISLNK(status.st_mode):
                content = os.readlink(path)
            found[str(path.relative_to(root))] = (
                stat.S_IFMT(status.st_mode),
                status.st_mode & 0o7777,
                content,
            )
    return found


def applied(tree: Tree, layer: bytes) -> Tree:
    """The tree with a layer on top of it, by the rules of the image format."""
    result = dict(tree)

    def forget(path: str, *, only_inside: bool = False) -> None:
        for known in list(result):
            if known.startswith(path + "/") or (known == path and not only_inside):
                del result[known]

    with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
        members = archive.getmembers()
        # A whiteout is about the layers below, wherever in the archive it stands.
        for member in members:
            parent, _, name = member.name.rpartition("/")
            if name == ".wh..wh..opq":
                forget(parent, only_inside=True)
            elif name.startswith(".wh."):
                forget(f"{parent}/{name[4:]}".lstrip("/"))
        for member in members:
            if member.name.rpartition("/")[2].startswith(".wh."):
                continue
            if not member.isdir() or result.get(member.name, (stat.S_IFDIR,))[0] != stat.S_IFDIR:
                forget(member.name)
            if member.isdir():
                result[member.name] = (stat.S_IFDIR, member.mode, None)
            elif member.issym():
                result[member.name] = (stat.S_IFLNK, member.mode, member.linkname)
            elif member.islnk():
                result[member.name] = result[member.linkname]
            else:
                stream = archive.extractfile(member)
                assert stream is not None
                result[member.name] = (stat.S_IFREG, member.mode, stream.read())
    return result


@pytest.mark.parametrize(
    "mount_options", [(), ("redirect_dir=on", "metacopy=on")], ids=["plain", "redirects"]
)
def test_the_image_with_the_diff_on_top_is_the_container(
    sandbox: Sandbox, mount_options: tuple[str, ...]
) -> None:
    store = sandbox.open(options=StoreOptions(mount_options=mount_options))
    image = store.find_image(UPPER)
    assert image is not None
    ways: set[str] = set()

    @settings(
        max_examples=40,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(STEPS)
    def check(steps: list[tuple[str, str, str]]) -> None:
        ctr = store.create_container(new_id(), name="model", image_id=image.id)
        try:
            root = store.mount(ctr.id)
            before = tree_of(root)
            apply(root, steps)
            after = tree_of(root)
            sink = io.BytesIO()
            store.diff_tar(ctr.id, sink)
            assert applied(before, sink.getvalue()) == after
            check_changes(store, ctr.id, before, after)
            stack = store.driver.stack(ctr.layer_id, image.top_layer)
            try:
                list(walk(stack.upper, stack.lowers))
                ways.add("upper")
            except NeedsMergedView:
                ways.add("merged")
        finally:
            store.delete_container(ctr.id)

    check()
    assert ways == ({"upper", "merged"} if mount_options else {"upper"})
    assert store.check() == []


def check_changes(store: Store, ctr_id: str, before: Tree, after: Tree) -> None:
    changes = store.changes(ctr_id)
    shown = {change.path[1:] for change in changes}
    deleted = {change.path[1:] for change in changes if change.kind is ChangeKind.DELETED}
    for path in set(before) | set(after):
        if path not in after:
            assert any(path == gone or path.startswith(gone + "/") for gone in deleted) or parent_became_file(
                path, after
            ), path
        elif before.get(path) != after[path]:
            assert path in shown, path
    assert len(changes) == len({(change.kind, change.path) for change in changes})


def parent_became_file(path: str, after: Tree) -> bool:
    """What was in a directory is not named when something else took the directory's place."""
    parents = [str(parent) for parent in Path(path).parents if str(parent) != "."]
    return any(parent in after and after[parent][0] != stat.S_IFDIR for parent in parents)
