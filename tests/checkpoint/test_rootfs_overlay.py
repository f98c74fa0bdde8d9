"""The changes of a real overlay mount: taken from it, applied to another mount of the same image."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest

from libpod.checkpoint.rootfs import (
    PathChange,
    RootfsDiff,
    is_opaque,
    is_whiteout,
    lower_children,
    rootfs_diff,
)
from libpod.checkpoint.unpack import apply_rootfs, apply_rootfs_diff, remove_deleted
from tests.checkpoint.trees import Collected, look

pytestmark = pytest.mark.root


@attrs.frozen
class Overlay:
    base: Path
    lowers: tuple[Path, ...]

    @property
    def root(self) -> Path:
        return self.base / "merged"

    @property
    def upper(self) -> Path:
        return self.base / "upper"

    def changes(self) -> list[PathChange]:
        """What a storage driver would say: a walk of the upper directory."""
        found = []
        for directory, subdirectories, files in os.walk(self.upper):
            for name in sorted([*subdirectories, *files]):
                path = Path(directory, name)
                relative = path.relative_to(self.upper)
                below = os.path.lexists(self.base / "image" / relative)
                replaced = below and path.is_dir() and not path.is_symlink() and is_opaque(path)
                if replaced or is_whiteout(os.lstat(path)):
                    found.append(PathChange("D", f"/{relative}"))
                else:
                    found.append(PathChange("C" if below else "A", f"/{relative}"))
        return found

    def diff(self) -> RootfsDiff:
        return rootfs_diff(self.changes(), self.root, upper=self.upper, lowers=self.lowers)


@pytest.fixture
def overlays(tmp_path: Path) -> Iterator[Callable[[str], Overlay]]:
    """Overlay mounts over one image of two layers."""
    low, high = tmp_path / "low", tmp_path / "high"
    for path in ("opt/app/sub", "opt/other", "etc", "var/real"):
        (low / path).mkdir(parents=True)
    for path in ("opt/app/one", "opt/app/sub/two", "opt/other/three", "etc/conf", "etc/hosts", "var/real/f"):
        (low / path).write_text(path)
    os.symlink("real", low / "var" / "link")
    (high / "opt").mkdir(parents=True)
    shutil.copytree(low / "opt/app", high / "opt/app")
    (high / "opt/app/three").write_text("from above")
    os.mknod(high / "opt/app/one2", 0o600 | stat.S_IFCHR, os.makedev(0, 0))
    made: list[Path] = []

    def mount(name: str) -> Overlay:
        base = tmp_path / name
        for part in ("upper", "work", "merged"):
            (base / part).mkdir(parents=True)
        shutil.copytree(low, base / "image", symlinks=True)
        shutil.copytree(high / "opt/app", base / "image/opt/app", symlinks=True, dirs_exist_ok=True,
                        ignore=lambda *_: ["one2"])  # fmt: skip
        options = f"lowerdir={high}:{low},upperdir={base / 'upper'},workdir={base / 'work'},metacopy=off"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, base / "merged"], check=True)
        made.append(base / "merged")
        return Overlay(base, (high, low))

    yield mount
    for mounted in made:
        subprocess.run(["umount", mounted], check=True)


def in_root(command: str, overlay: Overlay) -> None:
    subprocess.run(["bash", "-ec", command], cwd=overlay.root, check=True)


SCRIPTS = {
    "a changed file": "echo more >> opt/app/one",
    "a changed file that no host has": "echo more >> opt/app/sub/two",
    "a new tree": "mkdir -p srv/a/b; echo x > srv/a/b/c; ln -s nowhere srv/a/l; mkfifo srv/p; mknod srv/n c 1 3",
    "owner and mode of a directory": "chown 7:8 opt/other; chmod 2711 opt/other",
    "attributes of a directory": 'python3 -c \'import os; os.setxattr("opt/other", "user.x", b"y")\'',
    "time of a directory": "touch -d '2001-02-03 04:05:06.789' opt/other",
    "a deleted file": "rm opt/app/one",
    "a deleted tree": "rm -r opt/app",
    "a file deleted and made again": "rm opt/app/one; echo new > opt/app/one",
    "a directory replaced by another": "rm -r opt/app; mkdir opt/app; echo n > opt/app/new",
    "a directory replaced, with children of the same names": (
        "rm -r opt/app; mkdir -p opt/app/sub; echo n > opt/app/sub/new; echo o > opt/app/one"
    ),
    "a directory replaced by a file": "rm -r opt/app; echo file > opt/app",
    "a directory replaced by a link": "rm -r opt/app; ln -s /etc opt/app",
    "a file replaced by a directory": "rm opt/app/one; mkdir opt/app/one; echo x > opt/app/one/in",
    "a link replaced by a directory": "rm var/link; mkdir var/link; echo x > var/link/in",
    "a renamed tree": "cp -a opt/other opt/moved; rm -r opt/other; mv opt/moved opt/third",
    "hard links": "echo x > srvfile; ln srvfile srvlink; ln opt/app/one opt/app/uno",
    "a sparse file": "truncate -s 20M big; echo end >> big",
    "names with trouble": "mkdir $'new\\nline'; echo x > $'new\\nline'/' '; echo y > -- '-rf'; echo z > $'\\xff\\xfe'",
    "set-user-id and owners": "cp /bin/true su; chown 5:6 su; chmod 4755 su",
    "a directory emptied": "rm -r opt/app/*",
    "a long name": 'mkdir -p $(printf "%0100d/%0100d/%0100d" 1 2 3); echo x > $(printf "%0100d/%0100d/%0100d" 1 2 3)/f',
    "a socket": "python3 -c 'import socket; s = socket.socket(socket.AF_UNIX); s.bind(\"opt/sock\")'",
    "everything at once": (
        "rm -r opt/app; mkdir opt/app; echo 1 > opt/app/one; rm var/link; echo 2 > var/link; rm etc/conf;"
        "echo 3 >> var/real/f; chmod 700 etc; mkdir -p var/real/deep/er; ln var/real/f var/real/g"
    ),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_another_mount_of_the_image_becomes_the_same(
    name: str, overlays: Callable[[str], Overlay], tmp_path: Path
) -> None:
    container, restored = overlays("c"), overlays("r")
    in_root(SCRIPTS[name], container)
    diff = container.diff()
    staging = tmp_path / "staging"
    staging.mkdir()
    if diff.tree is not None:
        sink = Collected()
        assert diff.tree.write(sink) == []
        assert len(sink.data) == diff.tree.size
        (staging / "rootfs-diff.tar").write_bytes(sink.data)
        subprocess.run(["tar", "tvf", staging / "rootfs-diff.tar"], check=True, stdout=subprocess.DEVNULL)
    if diff.deleted_document is not None:
        (staging / "deleted.files").write_bytes(diff.deleted_document)
    apply_rootfs(staging, restored.root)
    wanted = {path: facts for path, facts in look(container.root).items() if not stat.S_ISSOCK(facts["mode"])}
    assert look(restored.root) == wanted


def test_what_an_engine_makes_anew_does_not_travel(overlays: Callable[[str], Overlay]) -> None:
    container = overlays("c")
    in_root(
        "echo x >> etc/hosts; mkdir -p run/secrets dev proc; echo y > run/foo; echo z > etc/mine", container
    )
    tree = container.diff().tree
    assert tree is not None
    assert {entry.path for entry in tree.entries} == {"", "etc", "etc/mine", "run", "run/foo"}


def test_a_mount_point_in_the_root_stays_empty(overlays: Callable[[str], Overlay]) -> None:
    container = overlays("c")
    in_root("mkdir -p data/vol", container)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", container.root / "data/vol"], check=True)
    try:
        (container.root / "data/vol/secret").write_text("x")
        tree = container.diff().tree
    finally:
        subprocess.run(["umount", container.root / "data/vol"], check=True)
    assert tree is not None
    assert [entry.path for entry in tree.entries] == ["", "data", "data/vol"]


def test_a_deleted_name_that_is_not_utf8_travels_unless_podman_would_delete_another(
    overlays: Callable[[str], Overlay],
) -> None:
    container = overlays("c")
    changes = [PathChange("D", "/caf\udce9"), PathChange("D", "/th\udce9")]
    (container.root / "th\ufffd").write_text("that other file")
    diff = rootfs_diff(changes, container.root)
    assert diff.deleted == ("/caf\udce9",)
    assert diff.deleted_document == b'[\n  "/caf\\udce9"\n]'


def test_the_list_of_deleted_paths_has_one_line_for_a_tree(overlays: Callable[[str], Overlay]) -> None:
    container = overlays("c")
    changes = [
        PathChange("D", "/a"),
        PathChange("D", "/a/b"),
        PathChange("D", "/a.c"),
        PathChange("D", "/etc/hosts"),
    ]
    assert rootfs_diff(changes, container.root).deleted == ("/a", "/a.c")


def test_lower_layers_show_what_the_kernel_shows(overlays: Callable[[str], Overlay]) -> None:
    container = overlays("c")
    shown = {
        entry.name: entry.is_dir(follow_symlinks=False) for entry in os.scandir(container.root / "opt/app")
    }
    assert lower_children(container.lowers, "opt/app") == shown


def test_a_link_of_the_image_is_followed_inside_the_root(
    overlays: Callable[[str], Overlay], tmp_path: Path
) -> None:
    """An archive of podman's may name a path below a link, when the image it is restored on differs."""
    restored = overlays("r")
    source = tmp_path / "s"
    (source / "var/link").mkdir(parents=True)
    (source / "var/link/new").write_text("x")
    from libpod.checkpoint.frozen import freeze_paths

    sink = Collected()
    freeze_paths(source, ["var/link/new"]).write(sink)
    (tmp_path / "t.tar").write_bytes(sink.data)
    apply_rootfs_diff(tmp_path / "t.tar", restored.root)
    assert (restored.root / "var/real/new").read_text() == "x"


def test_deleting_through_an_absolute_link_stays_inside(
    overlays: Callable[[str], Overlay], tmp_path: Path
) -> None:
    restored = overlays("r")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "f").write_text("x")
    os.symlink(outside, restored.root / "out")
    os.symlink("/etc", restored.root / "in")
    remove_deleted(b'["/out/f", "/in/conf", "/missing/x", "/opt/app/one/x", "out"]', restored.root)
    assert (outside / "f").exists()
    assert not (restored.root / "etc/conf").exists()
    assert not os.path.lexists(restored.root / "out")
