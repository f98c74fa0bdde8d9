"""Who a container's process is, from the passwd and group files inside its root.

The root is the container's and may lie: the files are opened inside it, links resolved as the container would.

Covers: pkg/lookup/lookup.go
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from libpod.linux.openat import open_inside
from libpod.spec.users import MAX_FILE, ResolvedUser, needs_passwd_entry, passwd_with, resolve_user

StrPath = str | os.PathLike[str]


def resolve(root: StrPath, user: str, *, groups: Sequence[str] = ()) -> ResolvedUser:
    """The numbers behind *user* (empty: root); raises InvalidArgumentError for a name that the root does not know."""
    return resolve_user(
        user,
        passwd=text_inside(root, "etc/passwd"),
        group=text_inside(root, "etc/group"),
        extra_groups=groups,
    )


def passwd_for(root: StrPath, user: ResolvedUser, workdir: str) -> str | None:
    """The passwd file that a container needs instead of its image's, or None when that one will do."""
    text = text_inside(root, "etc/passwd")
    if not needs_passwd_entry(user, text):
        return None
    return passwd_with(text, uid=user.uid, gid=user.gid, workdir=workdir)


def text_inside(root: StrPath, path: str) -> str:
    """The text of a file of the container; empty when there is none that can be read."""
    top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            descriptor = open_inside(top, path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        except (FileNotFoundError, NotADirectoryError):
            return ""
        with os.fdopen(descriptor, "rb") as stream:
            return stream.read(MAX_FILE).decode(errors="surrogateescape")
    finally:
        os.close(top)
