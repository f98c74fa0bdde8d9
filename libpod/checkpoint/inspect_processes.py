"""From decoded images of CRIU to processes: pure functions over dictionaries.

Command lines and environments are not in any image; they are where the process has them, in its memory. `text_ranges`
says which bytes of which page file hold them, so that whoever passes the page files takes just these.

Covers: checkpointctl/internal (ps tree, file descriptors, sockets, memory)
"""

from __future__ import annotations

import base64
import binascii
import bisect
import contextlib
import ipaddress
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from libpod.checkpoint.inspection import MemoryUse, MountImage, OpenFile, ProcessImage

Entry = Mapping[str, Any]

PAGE = 4096
MAX_TEXT = 1 << 20
"""Of one command line or environment, not more than this is taken."""
_PARENT, _PRESENT = 1, 4
_STATES = {1: "running", 2: "dead", 3: "stopped", 6: "zombie"}
_TCP = {1: "established", 2: "connecting", 3: "connecting", 4: "closing", 5: "closing", 6: "closing", 7: "closed",
        8: "closing", 9: "closing", 10: "listening", 11: "closing"}  # fmt: skip
_PROTOCOLS = {6: "tcp", 17: "udp", 136: "udp", 1: "raw", 58: "raw", 255: "raw"}
_KINDS = {"REG": "file", "PIPE": "pipe", "FIFO": "fifo", "TTY": "tty", "UNIXSK": "unix", "NETLINKSK": "netlink",
          "PACKETSK": "packet", "INETSK": "inet"}  # fmt: skip
_MAP_GROWSDOWN = 0x100
_MOUNT_KINDS = {1: "proc", 2: "sysfs", 3: "devtmpfs", 4: "binfmt_misc", 5: "tmpfs", 6: "devpts", 7: "simfs",
                8: "pstore", 9: "securityfs", 10: "fusectl", 11: "debugfs", 12: "cgroup", 13: "aufs", 14: "mqueue",
                15: "fuse", 16: "auto", 17: "overlay", 18: "autofs", 19: "tracefs", 23: "cgroup2"}  # fmt: skip


@attrs.frozen(kw_only=True)
class TextRange:
    """Bytes of a page file that belong to a process's command line or environment."""

    pid: int
    part: str
    """arguments or environment."""
    position: int
    """Where in that text they belong."""
    offset: int
    size: int


@attrs.frozen(kw_only=True)
class Decoded:
    """The images of one checkpoint, by what they describe."""

    tree: Sequence[Entry]
    cores: Mapping[int, Entry]
    mms: Mapping[int, Entry]
    pagemaps: Mapping[int, Sequence[Entry]]
    ids: Mapping[int, Entry]
    fs: Mapping[int, Entry]
    descriptors: Mapping[int, Sequence[Entry]]
    """By the id of the table."""
    files: Mapping[int, Entry]
    mounts: Sequence[Entry]


def text_ranges(mm: Entry, pagemap: Sequence[Entry], pid: int) -> tuple[int, list[TextRange]]:
    """The number of the process's page file, and where in it its texts are."""
    number = int(pagemap[0].get("pages_id", 0)) if pagemap else 0
    parts = {
        "arguments": (int(mm.get("mm_arg_start", 0)), int(mm.get("mm_arg_end", 0))),
        "environment": (int(mm.get("mm_env_start", 0)), int(mm.get("mm_env_end", 0))),
    }
    found = []
    offset = 0
    for entry in pagemap[1:]:
        start, size = _region(entry)
        if not _is_present(entry):
            continue
        for part, (first, last) in parts.items():
            last = min(last, first + MAX_TEXT)
            low, high = max(first, start), min(last, start + size)
            if low < high:
                found.append(
                    TextRange(
                        pid=pid, part=part, position=low - first, offset=offset + low - start, size=high - low
                    )
                )
        offset += size
    return number, sorted(found, key=lambda item: item.offset)


def processes_of(
    images: Decoded, texts: Mapping[tuple[int, str], bytes], *, environment: bool
) -> tuple[ProcessImage, ...]:
    """All processes, parents before their children."""
    found = []
    for entry in images.tree:
        pid = int(entry.get("pid", 0))
        core, mm = images.cores.get(pid, {}), images.mms.get(pid, {})
        task, thread = core.get("tc") or {}, core.get("thread_core") or {}
        credentials = thread.get("creds") or {}
        fs = images.fs.get(pid, {})
        table = int(images.ids.get(pid, {}).get("files_id", 0))
        arguments = _words(texts.get((pid, "arguments"), b""))
        found.append(
            ProcessImage(
                pid=pid,
                parent=int(entry.get("ppid", 0)),
                group=int(entry.get("pgid", 0)),
                session=int(entry.get("sid", 0)),
                name=str(task.get("comm", "")),
                arguments=arguments,
                state=_STATES.get(int(task.get("task_state", 0)), "unknown"),
                threads=len(entry.get("threads") or ()) or 1,
                uid=int(credentials.get("euid", 0)),
                gid=int(credentials.get("egid", 0)),
                executable=_path_of(images.files, mm.get("exe_file_id")),
                directory=_path_of(images.files, fs.get("cwd_id")),
                memory=_memory(mm, images.pagemaps.get(pid, ())),
                files=tuple(_open_files(images, images.descriptors.get(table, ()))),
                environment=_words(texts.get((pid, "environment"), b"")) if environment else None,
            )
        )
    return tuple(found)


def mounts_of(images: Decoded) -> tuple[MountImage, ...]:
    """The mounts, from the root outwards."""
    found = [
        MountImage(
            target=_text(entry.get("mountpoint")),
            source=_text(entry.get("source")),
            kind=_mount_kind(entry),
            external=bool(entry.get("ext_mount") or entry.get("ext_key")),
        )
        for entry in images.mounts
    ]
    return tuple(sorted(found, key=lambda mount: mount.target))


def _mount_kind(entry: Entry) -> str:
    named = entry.get("fsname")
    return str(named) if named else _MOUNT_KINDS.get(int(entry.get("fstype", 0)), "other")


def _words(text: bytes) -> tuple[str, ...]:
    return tuple(
        word.decode(errors="replace") for word in text.rstrip(b"\0").split(b"\0")
    ) if text.strip(b"\0") else ()  # fmt: skip


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value or "")


# ---- memory -------------------------------------------------------------------------------------------------------


def _region(entry: Entry) -> tuple[int, int]:
    pages = int(entry.get("nr_pages") or entry.get("compat_nr_pages") or 0)
    return int(entry.get("vaddr", 0)), pages * PAGE


def _is_present(entry: Entry) -> bool:
    flags = entry.get("flags")
    if flags is None:
        return not entry.get("in_parent")
    return bool(int(flags) & _PRESENT)


def _memory(mm: Entry, pagemap: Sequence[Entry]) -> dict[str, MemoryUse]:
    areas = sorted((int(vma["start"]), int(vma["end"]), vma) for vma in mm.get("vmas") or ())
    starts = [start for start, _, _ in areas]
    mapped: dict[str, int] = {}
    dumped: dict[str, int] = {}
    for start, end, vma in areas:
        kind = _area_kind(vma)
        mapped[kind] = mapped.get(kind, 0) + end - start
    for entry in pagemap[1:]:
        if not _is_present(entry):
            continue
        start, size = _region(entry)
        position = bisect.bisect_right(starts, start) - 1
        kind = _area_kind(areas[position][2]) if position >= 0 else "other"
        dumped[kind] = dumped.get(kind, 0) + size
    kinds = sorted({*mapped, *dumped})
    return {kind: MemoryUse(mapped=mapped.get(kind, 0), dumped=dumped.get(kind, 0)) for kind in kinds}


def _area_kind(vma: Entry) -> str:
    """What an area is for, by the bits that CRIU's dump gives it (criu/include/image.h)."""
    status, flags = int(vma.get("status", 0)), int(vma.get("flags", 0))
    for bit, kind in ((0x20, "heap"), (0x40, "private file"), (0x80, "shared file")):
        if status & bit:
            return kind
    if status & (0x4 | 0x8 | 0x1000):
        return "kernel"
    if status & 0x2 or flags & _MAP_GROWSDOWN:
        return "stack"
    if status & (0x100 | 0x400):
        return "shared"
    return "anonymous" if status & 0x200 else "other"


# ---- files --------------------------------------------------------------------------------------------------------


def _path_of(files: Mapping[int, Entry], number: object) -> str:
    found = files.get(int(number), {}) if isinstance(number, int) else {}
    return _text((found.get("reg") or {}).get("name"))


def _open_files(images: Decoded, table: Iterable[Entry]) -> Iterable[OpenFile]:
    for entry in sorted(table, key=lambda item: int(item.get("fd", 0))):
        found = images.files.get(int(entry.get("id", 0)), {})
        kind = str(entry.get("type") or found.get("type") or "")
        name, state = "", ""
        shown = _KINDS.get(kind, kind.lower())
        if kind == "INETSK":
            shown, name, state = _inet(found.get("isk") or {})
        elif kind == "UNIXSK":
            socket = found.get("usk") or {}
            name, state = _unix_name(socket.get("name")), _TCP.get(int(socket.get("state", 0)), "")
        elif kind == "PIPE":
            name = f"pipe:[{(found.get('pipe') or {}).get('pipe_id', '')}]"
        else:
            name = next(
                (_text(part["name"]) for part in found.values() if isinstance(part, dict) and "name" in part),
                "",
            )
        yield OpenFile(descriptor=int(entry.get("fd", 0)), kind=shown, name=name, state=state)


def _inet(socket: Entry) -> tuple[str, str, str]:
    protocol = _PROTOCOLS.get(int(socket.get("proto", 0)), "inet")
    own = _endpoint(socket.get("src_addr"), socket.get("src_port"))
    peer = _endpoint(socket.get("dst_addr"), socket.get("dst_port"))
    state = _TCP.get(int(socket.get("state", 0)), "") if protocol == "tcp" else ""
    return protocol, f"{own} → {peer}" if socket.get("dst_port") else own, state


def _endpoint(words: object, port: object) -> str:
    if not isinstance(words, list) or len(words) not in (1, 4):
        return f"*:{port or 0}"
    data = struct.pack(f"={len(words)}I", *(int(word) & 0xFFFFFFFF for word in words))
    address = ipaddress.ip_address(data)
    if isinstance(address, ipaddress.IPv6Address):
        # A socket for both families shows its IPv4 peers in this form.
        mapped = address.ipv4_mapped
        return f"[{address}]:{port or 0}" if mapped is None else f"{mapped}:{port or 0}"
    return f"{address}:{port or 0}"


def _unix_name(name: object) -> str:
    """A path; an abstract name with @ in front. pycriu gives bytes as base64."""
    data = name if isinstance(name, bytes) else str(name or "").encode(errors="replace")
    if isinstance(name, str):
        with contextlib.suppress(binascii.Error):
            data = base64.b64decode(name)
    shown = b"@" + data[1:] if data.startswith(b"\0") else data
    return shown.rstrip(b"\0").decode(errors="replace")
