"""One tar member's header: written as podman writes it, read with suspicion.

Written: ustar, and a PAX extended header only where ustar cannot say it – a name that is long or not ASCII, a size
from 8 GiB on, a large or negative number, an extended attribute (`SCHILY.xattr.<name>`), and, where it is asked for,
the nanoseconds of the time of change. Numeric owners without names. No GNU extension, no sparse map.

Read: ustar, PAX (records of every kind, global headers skipped), GNU long names and base-256 numbers, V7. A sparse
member, a header whose sum is wrong, a number that is none, a record longer than a mebibyte are a TarFormatError: the
caller knows which archive it was and says so.

Names are str with surrogate escapes, so that a name which is not UTF-8 keeps its bytes.

Covers: Go's archive/tar as storage/pkg/archive uses it
"""

from __future__ import annotations

import enum
import functools
import os
from collections.abc import Mapping

import attrs

from libpod.checkpoint.codec import ByteSource

BLOCK = 512
END = bytes(2 * BLOCK)
XATTR_PREFIX = "SCHILY.xattr."
_MAX_EXTENSION = 1 << 20
_MAX_OCTAL_12 = 8**11 - 1
_MAX_OCTAL_8 = 8**7 - 1
_MAX_SIZE = 1 << 60
_NS = 1_000_000_000


class TarFormatError(Exception):
    """The stream is not a tar that can be read; the text says where it stops being one."""


class TarKind(enum.Enum):
    """The type flag."""

    FILE = b"0"
    HARD_LINK = b"1"
    SYMLINK = b"2"
    CHAR_DEVICE = b"3"
    BLOCK_DEVICE = b"4"
    DIRECTORY = b"5"
    FIFO = b"6"


_KINDS = {kind.value: kind for kind in TarKind} | {b"\0": TarKind.FILE, b"7": TarKind.FILE}
_NO_XATTRS: Mapping[str, bytes] = {}


@attrs.frozen(kw_only=True, slots=True)
class TarHeader:
    """What a tar says about one member."""

    name: str
    kind: TarKind = TarKind.FILE
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    size: int = 0
    """Bytes of content that follow; 0 unless the kind is FILE."""
    mtime_ns: int = 0
    target: str = ""
    """Of a link: where it points, or the earlier member it is another name of."""
    device: tuple[int, int] = (0, 0)
    """Major and minor number of a device."""
    xattrs: Mapping[str, bytes] = _NO_XATTRS


def padding(size: int) -> int:
    """How many zero bytes follow a content of *size* bytes."""
    return -size % BLOCK


# ---- writing --------------------------------------------------------------------------------------------------


def encode(header: TarHeader, *, nanoseconds: bool = False) -> bytes:
    """The header block of a member, preceded by a PAX extended header where it needs one."""
    records: list[tuple[bytes, bytes]] = []
    name = os.fsencode(header.name)
    if header.kind is TarKind.DIRECTORY and not name.endswith(b"/"):
        name += b"/"
    target = os.fsencode(header.target)
    placed = _place_name(name)
    if placed is None:
        records.append((b"path", name))
    if len(target) > 100 or not target.isascii():
        records.append((b"linkpath", target))
    if header.size > _MAX_OCTAL_12:
        records.append((b"size", b"%d" % header.size))
    for key, number in ((b"uid", header.uid), (b"gid", header.gid)):
        if number > _MAX_OCTAL_8:
            records.append((key, b"%d" % number))
    seconds, fraction = divmod(header.mtime_ns, _NS)
    if (nanoseconds and fraction) or not 0 <= seconds <= _MAX_OCTAL_12:
        records.append((b"mtime", _pax_time(header.mtime_ns if nanoseconds else seconds * _NS)))
    for key_text, value in sorted(header.xattrs.items()):
        records.append((os.fsencode(XATTR_PREFIX + key_text), value))
    short, prefix = placed or (_ascii(name)[-100:], b"")
    block = _ustar(
        header, short, prefix, _ascii(target)[:100], seconds if 0 <= seconds <= _MAX_OCTAL_12 else 0
    )
    if not records:
        return block
    if not _is_utf8(name) or not _is_utf8(target):
        # POSIX: without this a reader may try to convert the name from UTF-8.
        records.insert(0, (b"hdrcharset", b"BINARY"))
    body = b"".join([_pax_record(key, value) for key, value in records])
    base = b"PaxHeaders.0/" + _ascii(name.rstrip(b"/").rsplit(b"/", 1)[-1])[:80]
    return _raw_block(base, b"x", size=len(body)) + body + bytes(padding(len(body))) + block


def _place_name(name: bytes) -> tuple[bytes, bytes] | None:
    """(name, prefix) fields of ustar, or None if *name* does not fit them."""
    if not name.isascii():
        return None
    if len(name) <= 100:
        return name, b""
    if len(name) > 256:
        return None
    cut = name.rfind(b"/", 0, 156)
    while cut > 0 and cut == len(name) - 1:  # the slash of a directory is no place to cut
        cut = name.rfind(b"/", 0, cut)
    if cut <= 0 or len(name) - cut - 1 > 100:
        return None
    return name[cut + 1 :], name[:cut]


def _ascii(text: bytes) -> bytes:
    return text.decode("ascii", "replace").replace("\ufffd", "_").encode("ascii")


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _pax_time(mtime_ns: int) -> bytes:
    sign = "-" if mtime_ns < 0 else ""
    seconds, fraction = divmod(abs(mtime_ns), _NS)
    text = f"{sign}{seconds}"
    if fraction:
        text += f".{fraction:09d}".rstrip("0")
    return text.encode()


def _pax_record(key: bytes, value: bytes) -> bytes:
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    if len(str(length)) + rest != length:
        length = rest + len(str(length))
    return b"%d %s=%s\n" % (length, key, value)


def _ustar(header: TarHeader, name: bytes, prefix: bytes, target: bytes, seconds: int) -> bytes:
    return _raw_block(
        name,
        header.kind.value,
        mode=header.mode & 0o7777,
        uid=header.uid if header.uid <= _MAX_OCTAL_8 else 0,
        gid=header.gid if header.gid <= _MAX_OCTAL_8 else 0,
        size=header.size if header.size <= _MAX_OCTAL_12 else 0,
        seconds=seconds,
        target=target,
        device=header.device,
        prefix=prefix,
    )


def _raw_block(
    name: bytes,
    flag: bytes,
    *,
    mode: int = 0o644,
    uid: int = 0,
    gid: int = 0,
    size: int = 0,
    seconds: int = 0,
    target: bytes = b"",
    device: tuple[int, int] = (0, 0),
    prefix: bytes = b"",
) -> bytes:
    before = b"".join(
        [
            name.ljust(100, b"\0"),
            b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (mode, uid, gid, size, seconds),
        ]
    )
    after = b"".join(
        [
            flag,
            target.ljust(100, b"\0"),
            b"ustar\00000",
            bytes(64),  # names of the owner and the group: numbers are what counts on another host
            b"%07o\0%07o\0" % device,
            prefix.ljust(155, b"\0"),
            bytes(12),
        ]
    )
    total = sum(before) + sum(after) + 8 * 0x20
    return before + b"%06o\0 " % total + after


# ---- reading --------------------------------------------------------------------------------------------------


class TarStream:
    """Members of a tar, one after the other, from a stream that is read once.

    `next()` gives the next header or None at the end; between two calls the content may be read with `read`, and what
    is left of it is skipped. After the end only zero bytes may follow.
    """

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._left = 0
        self._pad = 0
        self._ended = False

    def next(self) -> TarHeader | None:
        """The header of the next member; raises TarFormatError."""
        self.skip()
        pax: dict[str, bytes] = {}
        long_name = long_target = None
        while True:
            block = self._exactly(BLOCK)
            if block.count(0) == BLOCK:
                self._finish(bool(pax) or long_name is not None)
                return None
            _check_sum(block)
            flag = block[156:157]
            if flag == b"x":
                pax = _parse_pax(self._extension(block))
            elif flag == b"g":
                self._extension(block)
            elif flag == b"L":
                long_name = self._extension(block).rstrip(b"\0")
            elif flag == b"K":
                long_target = self._extension(block).rstrip(b"\0")
            else:
                header = _parse_header(block, pax, long_name, long_target)
                self._left, self._pad = header.size, padding(header.size)
                return header

    @property
    def left(self) -> int:
        """Bytes of the current member's content that have not been read."""
        return self._left

    def read(self, size: int = -1, /) -> bytes:
        """At most *size* bytes of the current member's content; empty at its end."""
        wanted = self._left if size < 0 else min(size, self._left)
        if wanted == 0:
            return b""
        data = self._source.read(wanted)
        if not data:
            raise TarFormatError("it is cut short inside a member")
        self._left -= len(data)
        return data

    def passed(self, size: int) -> None:
        """Tell that the caller has taken *size* bytes of the content from the source by another way."""
        self._left -= size

    def skip(self) -> None:
        """Read the rest of the current member's content to nowhere."""
        while self._left:
            self.read(1 << 20)
        if self._pad:
            self._exactly(self._pad)
            self._pad = 0

    def _exactly(self, size: int) -> bytes:
        data = self._source.read(size)
        while len(data) < size:
            more = self._source.read(size - len(data))
            if not more:
                raise TarFormatError("it is cut short: the end of the tar is missing")
            data += more
        return data

    def _extension(self, block: bytes) -> bytes:
        size = _number(block[124:136], "size")
        if size > _MAX_EXTENSION:
            raise TarFormatError(f"an extended header claims {size} bytes")
        body = self._exactly(size + padding(size))
        return body[:size]

    def _finish(self, dangling: bool) -> None:
        if self._ended:
            return
        self._ended = True
        if dangling:
            raise TarFormatError("an extended header belongs to no member")
        # One zero block instead of two is tolerated, as GNU tar does, when nothing at all follows.
        seen = 0
        while data := self._source.read(1 << 16):
            seen += len(data)
            if data.count(0) != len(data):
                raise TarFormatError("something follows the end of the tar")
            if seen > 32 << 20:
                raise TarFormatError("zero bytes without end follow the end of the tar")


def _check_sum(block: bytes) -> None:
    try:
        expected = _number(block[148:156], "checksum")
    except TarFormatError:
        raise TarFormatError("it is no tar at this place (no checksum)") from None
    rest = block[:148] + b"        " + block[156:]
    if expected != sum(rest):
        # V7 writers summed signed characters.
        signed = sum(byte - 256 if byte > 127 else byte for byte in rest)
        if expected != signed:
            raise TarFormatError("it is no tar at this place (wrong checksum)")


def _number(field: bytes, what: str) -> int:
    if field[0] & 0x80:
        # GNU base-256: two's complement below the marker bit.
        value = int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
        if field[0] & 0x40:
            value -= 1 << (8 * len(field) - 1)
        return value
    text = field.strip(b" \0")
    if not text:
        return 0
    text = text.split(b"\0", 1)[0].strip()
    if not text.isdigit() or b"8" in text or b"9" in text:
        raise TarFormatError(f"a {what} is not a number")
    return int(text, 8)


def _parse_pax(body: bytes) -> dict[str, bytes]:
    records: dict[str, bytes] = {}
    position = 0
    while position < len(body):
        space = body.find(b" ", position, position + 12)
        digits = body[position:space] if space > 0 else b""
        if not digits.isdigit():
            raise TarFormatError("an extended header is damaged")
        length = int(digits)
        end = position + length
        if length < len(digits) + 4 or end > len(body) or body[end - 1 : end] != b"\n":
            raise TarFormatError("an extended header is damaged")
        key, equals, value = body[space + 1 : end - 1].partition(b"=")
        if not equals or not key or b"\0" in key:
            raise TarFormatError("an extended header is damaged")
        records[os.fsdecode(key)] = value
        position = end
    return records


def _parse_header(
    block: bytes, pax: Mapping[str, bytes], long_name: bytes | None, long_target: bytes | None
) -> TarHeader:
    flag = block[156:157]
    kind = _KINDS.get(flag)
    if flag == b"S" or any(key.startswith("GNU.sparse.") for key in pax):
        raise TarFormatError("it holds a sparse member, which no engine writes")
    if kind is None:
        raise TarFormatError(f"a member has the unknown type {flag!r}")
    name = pax.get("path", long_name)
    if name is None:
        name = _text(block[0:100])
        if block[257:263] == b"ustar\0" and block[345]:
            name = _text(block[345:500]) + b"/" + name
    if kind is TarKind.FILE and name.endswith(b"/"):
        kind = TarKind.DIRECTORY  # V7
    target = pax.get("linkpath", long_target)
    if target is None:
        target = _text(block[157:257])
    size = _pax_int(pax, "size", block[124:136])
    if not 0 <= size <= _MAX_SIZE:
        raise TarFormatError(f"a member claims a size of {size} bytes")
    xattrs = {key[len(XATTR_PREFIX) :]: value for key, value in pax.items() if key.startswith(XATTR_PREFIX)}
    if b"\0" in name or b"\0" in target:
        raise TarFormatError("a name holds a zero byte")
    return TarHeader(
        name=os.fsdecode(name),
        kind=kind,
        mode=_number(block[100:108], "mode") & 0o7777,
        uid=_owner(_pax_int(pax, "uid", block[108:116])),
        gid=_owner(_pax_int(pax, "gid", block[116:124])),
        size=size if kind is TarKind.FILE else _no_content(kind, size),
        mtime_ns=_mtime(pax, block[136:148]),
        target=os.fsdecode(target) if kind in (TarKind.SYMLINK, TarKind.HARD_LINK) else "",
        device=_device(block) if kind in (TarKind.CHAR_DEVICE, TarKind.BLOCK_DEVICE) else (0, 0),
        xattrs=xattrs,
    )


def _text(field: bytes) -> bytes:
    return field.split(b"\0", 1)[0]


def _no_content(kind: TarKind, size: int) -> int:
    # Some writers repeat the size on a hard link; only a file has content in every dialect that engines write.
    if size and kind is not TarKind.HARD_LINK:
        raise TarFormatError(f"a member that is no file ({kind.name.lower()}) claims to have content")
    return 0


def _pax_int(pax: Mapping[str, bytes], key: str, field: bytes) -> int:
    value = pax.get(key)
    if value is None:
        return _number(field, key)
    if not value.isdigit() or len(value) > 20:
        raise TarFormatError(f"a {key} is not a number")
    return int(value)


def _owner(number: int) -> int:
    # 2^32 - 1 means "leave as it is" to chown(2).
    if not 0 <= number < 0xFFFF_FFFF:
        raise TarFormatError(f"an owner has the number {number}")
    return number


def _device(block: bytes) -> tuple[int, int]:
    major, minor = _number(block[329:337], "device number"), _number(block[337:345], "device number")
    if not (0 <= major < 1 << 12 and 0 <= minor < 1 << 20):
        raise TarFormatError("a device number is out of range")
    return major, minor


def _mtime(pax: Mapping[str, bytes], field: bytes) -> int:
    value = pax.get("mtime")
    if value is None:
        return _clamped(_number(field, "time") * _NS)
    return _clamped(_parse_pax_time(value))


@functools.lru_cache(maxsize=256)
def _parse_pax_time(value: bytes) -> int:
    text = value.decode("ascii", "replace")
    negative = text.startswith("-")
    whole, _, fraction = text.removeprefix("-").partition(".")
    if not whole.isdecimal() or len(whole) > 18 or (fraction and not fraction.isdecimal()):
        raise TarFormatError("a time is not a number")
    nanoseconds = int(whole) * _NS + int((fraction + "0" * 9)[:9])
    return -nanoseconds if negative else nanoseconds


def _clamped(mtime_ns: int) -> int:
    """Within what utimensat takes on every file system; an absurd time is not worth a refusal."""
    limit = (1 << 62) - 1
    return max(-limit, min(limit, mtime_ns))
