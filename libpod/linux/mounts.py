"""Mounts: mount(2), umount(2), mountinfo and the mount API of file descriptors.

Three groups of thin functions over the C library:

* ``mount``, ``bind``, ``set_propagation``, ``unmount``: the classic calls;
* ``is_mount_point``, ``mounts_below``, ``read_mountinfo``: what is mounted in this mount namespace;
* ``open_filesystem``, ``configure``, ``create_mount``, ``move_mount``, ``clone_tree``, ``set_id_map``: the calls that
  build a mount as a file descriptor first (Linux 5.2; ``set_id_map`` 5.12). A mount that was never attached disappears
  with its descriptor, which is the only mount a killed process cannot leave behind.

No policy: no retry, no default flag. A failure raises OSError with the target's path.

Covers: storage/pkg/mount, storage/drivers/overlay/mount.go and idmapped_utils.go (the system calls)
"""

from __future__ import annotations

import ctypes
import errno as errnos
import functools
import os
from collections.abc import Iterable

import msgspec

from libpod.define.patterns import pattern

StrPath = str | os.PathLike[str]

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_SYNCHRONOUS = 16
MS_REMOUNT = 32
MS_DIRSYNC = 128
MS_NOATIME = 1024
MS_NODIRATIME = 2048
MS_BIND = 4096
MS_REC = 16384
MS_UNBINDABLE = 1 << 17
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_SHARED = 1 << 20
MS_RELATIME = 1 << 21
MS_STRICTATIME = 1 << 24

MNT_DETACH = 2
UMOUNT_NOFOLLOW = 8

PAGE = 4096
"""mount(2) takes less than this many bytes of data; the kernel copies one page and ends it with a NUL."""

STRING_LIMIT = 255
"""The longest value that fsconfig(2) takes as a string."""

# One number on every architecture that Linux gained after 2019 and on all that matter here.
_SYS_OPEN_TREE = 428
_SYS_MOVE_MOUNT = 429
_SYS_FSOPEN = 430
_SYS_FSCONFIG = 431
_SYS_FSMOUNT = 432
_SYS_MOUNT_SETATTR = 442

_FSOPEN_CLOEXEC = 1
_FSMOUNT_CLOEXEC = 1
_FSCONFIG_SET_FLAG = 0
_FSCONFIG_SET_STRING = 1
_FSCONFIG_CMD_CREATE = 6
_MOVE_MOUNT_F_EMPTY_PATH = 4
_OPEN_TREE_CLONE = 1
_OPEN_TREE_CLOEXEC = os.O_CLOEXEC
_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
_AT_RECURSIVE = 0x8000
_AT_SYMLINK_NOFOLLOW = 0x100
_AT_NO_AUTOMOUNT = 0x800

MOUNT_ATTR_RDONLY = 1
MOUNT_ATTR_NOSUID = 2
MOUNT_ATTR_NODEV = 4
MOUNT_ATTR_NOEXEC = 8
MOUNT_ATTR_NOATIME = 0x10
MOUNT_ATTR_STRICTATIME = 0x20
MOUNT_ATTR_NODIRATIME = 0x80
_MOUNT_ATTR_IDMAP = 0x100000

_STATX_ATTR_MOUNT_ROOT = 0x2000
_CLONE_FS = 0x200
_CLONE_NEWNS = 0x20000

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)
_libc.umount2.argtypes = (ctypes.c_char_p, ctypes.c_int)
_libc.syscall.restype = ctypes.c_long
_libc.unshare.argtypes = (ctypes.c_int,)


class _Statx(ctypes.Structure):
    _fields_ = (
        ("mask", ctypes.c_uint32),
        ("block_size", ctypes.c_uint32),
        ("attributes", ctypes.c_uint64),
        ("numbers", ctypes.c_uint32 * 4),
        ("inode", ctypes.c_uint64),
        ("size", ctypes.c_uint64),
        ("blocks", ctypes.c_uint64),
        ("attributes_mask", ctypes.c_uint64),
        ("rest", ctypes.c_uint8 * 192),
    )


class _MountAttributes(ctypes.Structure):
    _fields_ = (
        ("set", ctypes.c_uint64),
        ("clear", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("user_namespace", ctypes.c_uint64),
    )


class MountInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One line of mountinfo, with the octal escapes undone."""

    mount_id: int
    parent_id: int
    root: str
    """The directory of the file system that is mounted here; not "/" for a bind mount."""
    target: str
    options: tuple[str, ...]
    propagation: tuple[str, ...]
    """``shared:N``, ``master:N``, ``unbindable``; empty for a private mount."""
    fstype: str
    source: str
    data: tuple[str, ...]


# ---- classic calls --------------------------------------------------------------------------------------------


def mount(source: StrPath, target: StrPath, fstype: str, flags: int = 0, data: str = "") -> None:
    """mount(2). The kernel cuts *data* of a page or more without a word, so that raises E2BIG here."""
    text = os.fsencode(data)
    if len(text) >= PAGE:
        raise OSError(errnos.E2BIG, "mount data is longer than a page", os.fspath(target))
    _check(
        _libc.mount(os.fsencode(source), os.fsencode(target), fstype.encode(), flags, text or None),
        target,
    )


def bind(source: StrPath, target: StrPath, *, recursive: bool = False) -> None:
    """Make *source* appear at *target* too."""
    mount(source, target, "", MS_BIND | (MS_REC if recursive else 0))


def set_propagation(target: StrPath, propagation: int) -> None:
    """Make the mount at *target* MS_PRIVATE, MS_SLAVE, MS_SHARED or MS_UNBINDABLE (with MS_REC: and all below)."""
    mount("", target, "", propagation)


def unmount(target: StrPath, flags: int = 0) -> None:
    """umount2(2). EINVAL: *target* is not a mount point."""
    _check(_libc.umount2(os.fsencode(target), flags), target)


# ---- what is mounted ------------------------------------------------------------------------------------------


def is_mount_point(path: StrPath) -> bool:
    """Whether something is mounted exactly at *path*, bind mounts included; False when *path* does not exist.

    One statx(2); kernels before 5.8 do not tell, there mountinfo is searched.
    """
    result = _Statx()
    status = _libc.statx(
        _AT_FDCWD, os.fsencode(path), _AT_SYMLINK_NOFOLLOW | _AT_NO_AUTOMOUNT, 0, ctypes.byref(result)
    )
    if status < 0:
        code = ctypes.get_errno()
        if code in (errnos.ENOENT, errnos.ENOTDIR):
            return False
        raise OSError(code, os.strerror(code), os.fspath(path))
    if result.attributes_mask & _STATX_ATTR_MOUNT_ROOT:
        return bool(result.attributes & _STATX_ATTR_MOUNT_ROOT)
    real = os.path.realpath(path)
    return any(entry.target == real for entry in read_mountinfo())


def read_mountinfo(process: int | str = "self") -> list[MountInfo]:
    """The mounts that *process* sees, in the order of mounting."""
    with open(
        f"/proc/{process}/mountinfo", encoding="utf-8", errors="surrogateescape", newline="\n"
    ) as stream:
        return [parse_mountinfo(line) for line in stream]


def parse_mountinfo(line: str) -> MountInfo:
    """One line of mountinfo (proc(5)); fields are separated by single spaces, the optional ones end at ``-``."""
    fields = line.rstrip("\n").split(" ")
    separator = fields.index("-", 6)
    return MountInfo(
        mount_id=int(fields[0]),
        parent_id=int(fields[1]),
        root=_unescape(fields[3]),
        target=_unescape(fields[4]),
        options=tuple(fields[5].split(",")),
        propagation=tuple(fields[6:separator]),
        fstype=fields[separator + 1],
        source=_unescape(fields[separator + 2]),
        data=tuple(_unescape(fields[separator + 3]).split(",")) if len(fields) > separator + 3 else (),
    )


def mounts_below(directory: StrPath, entries: Iterable[MountInfo] | None = None) -> list[str]:
    """The mount points at and below *directory*, deepest and latest first: the order in which to unmount them."""
    top = os.path.realpath(directory)
    inside = top.rstrip("/") + "/"
    targets = _read_targets(top) if entries is None else [entry.target for entry in entries]
    return [target for target in targets if target == top or target.startswith(inside)][::-1]


def _read_targets(top: str) -> list[str]:
    """The mount points, or none when *top* stands nowhere in the whole table."""
    # Every removal asks, a busy host has hundreds of mounts, and hardly ever is one of them meant.
    with open("/proc/self/mountinfo", "rb") as stream:
        table = stream.read()
    wanted = os.fsencode(top)
    if not _ESCAPED.intersection(wanted) and b" " + wanted not in table:
        return []
    return [_unescape(os.fsdecode(line.split(b" ", 5)[4])) for line in table.split(b"\n") if line]


_ESCAPED = frozenset(b" \t\n\\#")
"""What the kernel writes otherwise in a path."""


# ---- mounts as file descriptors -------------------------------------------------------------------------------


def open_filesystem(fstype: str) -> int:
    """fsopen(2): a descriptor in which a new file system is configured."""
    return _descriptor(_libc.syscall(_SYS_FSOPEN, ctypes.c_char_p(fstype.encode()), _FSOPEN_CLOEXEC), fstype)


def configure(filesystem: int, key: str, value: str | None = None) -> None:
    """fsconfig(2): set one option of a file system opened by open_filesystem, without a value as a flag.

    Longer values than STRING_LIMIT raise EINVAL, and so does an option the kernel does not know; the OSError carries
    the kernel's own explanation where it gave one.
    """
    command = _FSCONFIG_SET_FLAG if value is None else _FSCONFIG_SET_STRING
    text = None if value is None else os.fsencode(value)
    _check_filesystem(
        filesystem,
        _libc.syscall(_SYS_FSCONFIG, filesystem, command, ctypes.c_char_p(key.encode()), text, 0),
        key,
    )


def create_mount(filesystem: int, attributes: int = 0) -> int:
    """Create the configured file system and return it as a mount that is attached nowhere.

    The descriptor is one of O_PATH: open "." below it to read.
    """
    _check_filesystem(
        filesystem, _libc.syscall(_SYS_FSCONFIG, filesystem, _FSCONFIG_CMD_CREATE, None, None, 0), "create"
    )
    return _descriptor(_libc.syscall(_SYS_FSMOUNT, filesystem, _FSMOUNT_CLOEXEC, attributes), "fsmount")


def move_mount(tree: int, target: StrPath) -> None:
    """move_mount(2): attach a mount that is held as a descriptor."""
    _check(
        _libc.syscall(
            _SYS_MOVE_MOUNT,
            tree,
            ctypes.c_char_p(b""),
            _AT_FDCWD,
            ctypes.c_char_p(os.fsencode(target)),
            _MOVE_MOUNT_F_EMPTY_PATH,
        ),
        target,
    )


def clone_tree(path: StrPath, *, recursive: bool = False) -> int:
    """open_tree(2): a detached copy of the mount at *path*, rooted there."""
    flags = _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC | (_AT_RECURSIVE if recursive else 0)
    return _descriptor(
        _libc.syscall(_SYS_OPEN_TREE, _AT_FDCWD, ctypes.c_char_p(os.fsencode(path)), flags), os.fspath(path)
    )


def set_id_map(tree: int, user_namespace: int) -> None:
    """mount_setattr(2): make a detached mount private and map its ids through *user_namespace* (a descriptor)."""
    attributes = _MountAttributes(
        set=_MOUNT_ATTR_IDMAP, propagation=MS_PRIVATE, user_namespace=user_namespace
    )
    _check(
        _libc.syscall(
            _SYS_MOUNT_SETATTR,
            tree,
            ctypes.c_char_p(b""),
            _AT_EMPTY_PATH,
            ctypes.byref(attributes),
            ctypes.c_size_t(ctypes.sizeof(attributes)),
        ),
        "mount_setattr",
    )


def unshare_working_directory() -> None:
    """Give the calling *thread* a working directory, root and umask of its own (unshare(2), CLONE_FS).

    Call it only in a thread that ends afterwards.
    """
    _check(_libc.unshare(_CLONE_FS), "unshare")


def unshare_mounts() -> None:
    """Give the calling *thread* a mount namespace of its own, which ends with it (unshare(2), CLONE_NEWNS).

    Call it only in a thread that ends afterwards.
    """
    _check(_libc.unshare(_CLONE_NEWNS | _CLONE_FS), "unshare")


# ---- errors ---------------------------------------------------------------------------------------------------


def _check(result: int, path: StrPath) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), os.fspath(path))


def _descriptor(result: int, path: str) -> int:
    _check(result, path)
    return int(result)


def _check_filesystem(filesystem: int, result: int, key: str) -> None:
    """Raise with the messages that the kernel queued in the descriptor, each "e text", "w text" or "i text"."""
    if result >= 0:
        return
    code = ctypes.get_errno()
    messages = []
    while True:
        try:
            messages.append(os.read(filesystem, 1024).decode(errors="replace").strip())
        except OSError:  # ENODATA: the queue is empty
            break
    explanation = "; ".join(message[2:] for message in messages if message[:2] in ("e ", "w "))
    raise OSError(code, f"{os.strerror(code)} ({explanation})" if explanation else os.strerror(code), key)


_ESCAPE = pattern(r"\\([0-7]{3})")


@functools.lru_cache(maxsize=256)
def _unescape(text: str) -> str:
    """Undo mountinfo's octal escapes, which stand for bytes."""
    if "\\" not in text:
        return text
    raw = _ESCAPE.sub(lambda match: chr(int(match[1], 8)), os.fsencode(text).decode("latin-1"))
    return os.fsdecode(raw.encode("latin-1"))
