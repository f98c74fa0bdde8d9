"""Trees for the tests: made from a description, and looked at in a form that can be compared."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

NAMES = st.one_of(
    st.text(alphabet="abXY._-+ ~", min_size=1, max_size=8),
    st.text(alphabet=st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=12),
    st.binary(min_size=1, max_size=12)
    .filter(lambda raw: b"/" not in raw and b"\0" not in raw)
    .map(os.fsdecode),
    st.integers(101, 255).map(lambda length: "n" * length),
    st.sampled_from([".wh.gone", ".wh..wh..opq", "back\\slash", "new\nline", "-rf", "*", "a" * 100]),
).filter(lambda name: name not in (".", "..") and len(os.fsencode(name)) <= 255)

OWNERS = st.sampled_from([0, 1, 1000, 65534, 2097151, 2097152, 4000000000])
TIMES = st.one_of(
    st.integers(0, 2_000_000_000).map(lambda seconds: seconds * 1_000_000_000),
    st.integers(0, 2**60),
    st.integers(-(10**18), -1),
)
XATTRS = st.dictionaries(
    st.sampled_from(["user.a", "user.with sign", "user.ünicode"]), st.binary(max_size=40), max_size=2
)


def _meta(modes: st.SearchStrategy[int]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"mode": modes, "uid": OWNERS, "gid": OWNERS, "mtime": TIMES})


CONTENTS = st.one_of(
    st.binary(max_size=2000),
    st.sampled_from(["0" * 70, "x" + "0" * 200 + "y", "0" * 64 + "z", "q" * 64 + "0" * 64]).map(
        lambda shape: b"".join(bytes(1024) if letter == "0" else letter.encode() * 1024 for letter in shape)
    ),
)
_FILE = st.tuples(st.just("file"), CONTENTS, _meta(st.integers(0, 0o7777)), XATTRS)
_LINK = st.tuples(
    st.just("symlink"),
    st.one_of(st.just("/etc/passwd"), st.just("../.."), st.text("ab/", min_size=1, max_size=120)),
    _meta(st.just(0o777)),
    st.just({}),
)
_FIFO = st.tuples(st.just("fifo"), st.just(b""), _meta(st.integers(0, 0o777)), st.just({}))
_DEVICE = st.tuples(
    st.sampled_from(["char", "block"]), st.just((1, 3)), _meta(st.integers(0, 0o777)), st.just({})
)
_LEAF = st.one_of(_FILE, _FILE, _LINK, _FIFO, _DEVICE)


def trees(names: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, Any]]:
    """Descriptions of trees."""

    def directory(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        return st.tuples(
            st.just("dir"),
            st.dictionaries(names, children, max_size=4),
            _meta(st.integers(0, 0o7777)),
            XATTRS,
        )

    return st.dictionaries(names, st.recursive(_LEAF, directory, max_leaves=12), max_size=5)


TREES = trees(NAMES)
FEW_NAMES = trees(st.sampled_from(["a", "b", "c", "d e", "ä"]))
"""So that two trees have paths in common."""


def build(root: Path, tree: dict[str, Any]) -> None:
    """Make *tree* below the existing directory *root*."""
    for name, node in tree.items():
        _build_node(os.path.join(root, name), node)


def _build_node(path: str, node: Any) -> None:
    kind, content, meta, xattrs = node
    if kind == "file":
        with open(path, "wb") as stream:
            stream.write(content)
    elif kind == "symlink":
        os.symlink(content, path)
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind in ("char", "block"):
        os.mknod(path, 0o600 | (stat.S_IFCHR if kind == "char" else stat.S_IFBLK), os.makedev(*content))
    else:
        os.mkdir(path)
        build(Path(path), content)
    os.chown(path, meta["uid"], meta["gid"], follow_symlinks=False)
    for key, value in xattrs.items():
        os.setxattr(path, key, value, follow_symlinks=False)
    if kind != "symlink":
        os.chmod(path, meta["mode"])
    os.utime(path, ns=(meta["mtime"], meta["mtime"]), follow_symlinks=False)


def look(root: Path, *, times: bool = True) -> dict[str, Any]:
    """Everything about a tree that must survive, by relative path."""
    seen: dict[str, Any] = {}
    groups: dict[tuple[int, int], str] = {}
    for directory, subdirectories, files in os.walk(root):
        for name in sorted([*subdirectories, *files]):
            path = os.path.join(directory, name)
            seen[os.path.relpath(path, root)] = _look_at(path, groups, os.path.relpath(path, root), times)
    return seen


def _look_at(path: str, groups: dict[tuple[int, int], str], relative: str, times: bool) -> dict[str, Any]:
    found = os.lstat(path)
    facts: dict[str, Any] = {
        "mode": found.st_mode,
        "owner": (found.st_uid, found.st_gid),
        "xattrs": {
            key: os.getxattr(path, key, follow_symlinks=False)
            for key in os.listxattr(path, follow_symlinks=False)
            if key.startswith(("user.", "security.capability"))
        },
    }
    if times:
        facts["mtime"] = found.st_mtime_ns
    if stat.S_ISREG(found.st_mode):
        facts["size"] = found.st_size
        with open(path, "rb") as stream:
            facts["content"] = hashlib.sha256(stream.read()).hexdigest()
        if found.st_nlink > 1:
            facts["same as"] = groups.setdefault((found.st_dev, found.st_ino), relative)
    elif stat.S_ISLNK(found.st_mode):
        facts["target"] = os.readlink(path)
    elif stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode):
        facts["device"] = found.st_rdev
    return facts


class Collected:
    """A ByteSink that keeps everything."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes | bytearray | memoryview, /) -> None:
        self.data += data

    def copy_from(self, descriptor: int, size: int, /) -> int:
        while size:
            piece = os.read(descriptor, min(size, 1 << 20))
            if not piece:
                break
            self.data += piece
            size -= len(piece)
        return size
