"""Users and groups, looked up in the texts of a container's own /etc/passwd and /etc/group.

The texts come from an image and are believed only as far as they parse: a line that does not is skipped. Names win over
numbers; a number that is in no file is taken as it is, with group 0 and no home.

Covers: libpod/lookup, pkg/lookup, github.com/moby/sys/user (GetExecUser)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from libpod.define.errors import InvalidArgumentError

_LARGEST = 2**32 - 2
MAX_FILE = 16 * 1024 * 1024
"""How much of a container's passwd or group file is worth reading."""


class ResolvedUser(msgspec.Struct, frozen=True, kw_only=True):
    """Who a process is, in numbers."""

    uid: int = 0
    gid: int = 0
    additional_gids: tuple[int, ...] = ()
    home: str = "/"
    """Empty for a number that is in no passwd file: the runtime then looks into the one the container really has."""
    name: str = ""
    """Empty when the number is in no passwd file."""


class PasswdEntry(msgspec.Struct, frozen=True):
    name: str
    uid: int
    gid: int
    home: str
    shell: str


class GroupEntry(msgspec.Struct, frozen=True):
    name: str
    gid: int
    members: tuple[str, ...]


def passwd_entries(text: str) -> Iterator[PasswdEntry]:
    """The well-formed lines of a passwd file."""
    for fields in _rows(text):
        if len(fields) >= 4 and _is_id(fields[2]) and _is_id(fields[3]):
            home = fields[5] if len(fields) > 5 else ""
            shell = fields[6] if len(fields) > 6 else ""
            yield PasswdEntry(fields[0], int(fields[2]), int(fields[3]), home, shell)


def group_entries(text: str) -> Iterator[GroupEntry]:
    """The well-formed lines of a group file."""
    for fields in _rows(text):
        if len(fields) >= 3 and _is_id(fields[2]):
            members = tuple(filter(None, fields[3].split(","))) if len(fields) > 3 else ()
            yield GroupEntry(fields[0], int(fields[2]), members)


def _rows(text: str) -> Iterator[list[str]]:
    for line in text.splitlines():
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            yield stripped.split(":")


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdecimal() and int(text) <= _LARGEST


def resolve_user(user: str, *, passwd: str, group: str, extra_groups: Sequence[str] = ()) -> ResolvedUser:
    """The numbers behind `name|uid[:name|gid]`; empty is root.

    Without a group the user's own is taken, and the groups that list the user come along. *extra_groups* are added by
    name or number. The primary group of a user that was asked for is among the additional ones too: a set-group-id
    program cannot then get rid of it (CVE-2022-2989). Raises InvalidArgumentError for a name that is not in the files.
    """
    user_part, colon, group_part = user.partition(":")
    if colon and not group_part:
        raise InvalidArgumentError(f'"{user}" names no group after the colon')
    entry = _find_user(user_part or "0", passwd)
    groups = list(group_entries(group))
    uid, gid, home, name = entry.uid, entry.gid, entry.home, entry.name
    if group_part:
        gid = _find_group(group_part, groups)
    additional = [gid] if user else []
    additional += [_find_group(text, groups) for text in extra_groups]
    if name and not group_part:
        additional += [item.gid for item in groups if name in item.members]
    return ResolvedUser(
        uid=uid, gid=gid, additional_gids=tuple(dict.fromkeys(additional)), home=home, name=name
    )


def _find_user(text: str, passwd: str) -> PasswdEntry:
    by_number = None
    for entry in passwd_entries(passwd):
        if entry.name == text:
            return entry
        if by_number is None and _is_id(text) and entry.uid == int(text):
            by_number = entry
    if by_number is not None:
        return by_number
    if _is_id(text):
        return PasswdEntry("", int(text), 0, "", "")
    raise InvalidArgumentError(
        f'there is no user "{text}" in the container\'s /etc/passwd',
        resolution="use a number, or a user of the image",
    )


def _find_group(text: str, groups: Sequence[GroupEntry]) -> int:
    for entry in groups:
        if entry.name == text:
            return entry.gid
    if _is_id(text):
        return int(text)
    raise InvalidArgumentError(
        f'there is no group "{text}" in the container\'s /etc/group',
        resolution="use a number, or a group of the image",
    )


def needs_passwd_entry(user: ResolvedUser, passwd: str) -> bool:
    """Whether the uid is in no line of *passwd*, so that programs would not find a name or a home for it."""
    return user.uid != 0 and all(entry.uid != user.uid for entry in passwd_entries(passwd))


def passwd_with(text: str, *, uid: int, gid: int, workdir: str) -> str:
    """*text* with a line for a user that is only a number: podman's words, the working directory as its home."""
    body = text if not text or text.endswith("\n") else f"{text}\n"
    return f"{body}{uid}:*:{uid}:{gid}:container user:{workdir}:/bin/sh\n"


def group_with(text: str, *, gid: int) -> str:
    """*text* with a line for a group that is only a number."""
    body = text if not text or text.endswith("\n") else f"{text}\n"
    return f"{body}{gid}:x:{gid}:\n"
